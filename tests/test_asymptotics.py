"""Claims B6, B7, E1, E2, E8: limits, against the exact recursion and the exact laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, norm

import collapse as c
from collapse import asymptotics, bounds, exact
from collapse.asymptotics import phase, tracking
from collapse.book import check

share = st.floats(0, 1)
schedules = st.integers(1, 12).flatmap(
    lambda T: st.tuples(
        st.lists(st.integers(1, 10**6), min_size=T + 1, max_size=T + 1),
        st.lists(share, min_size=T, max_size=T),
    )
)


def power_loop(a, b, k, n, T):
    return c.mixture(lambda t: n * max(t, 1) ** b, lambda t: min(1.0, k * t**-a), T)


@given(schedules)
def test_B6_two_sided(schedule):
    """rho <= V, and V (1 - eps) <= rho + what is left of the start where rho <= eps since."""
    n, alpha = np.array(schedule[0]), np.array([1.0, *schedule[1]])
    plan = c.mixture(n, alpha, n.size - 1)
    rho, v = exact.inflation(plan), bounds.variance(plan)
    assert (rho <= v * (1 + 1e-12)).all()
    for s in range(n.size):
        eps, left = rho[s:].max(), np.prod((1 - alpha[s + 1 :]) ** 2) * (v[s] - rho[s])
        assert v[-1] * (1 - eps) <= (rho[-1] + left) * (1 + 1e-12)


def test_B6_necessary_and_sufficient():
    T = 200_000
    falls = {  # n_t alpha_t -> infinity and the shares add up without bound
        "slow": power_loop(0.9, 1.0, 0.5, 3, T),
        "every tenth generation only": c.mixture(c.power(10, 1), lambda t: 0.5 * (t % 10 == 0), T),
    }
    for plan in falls.values():
        v = bounds.variance(plan)
        assert v[T // 100] > 1.2 * v[T // 10] > 1.2**2 * v[T]
    stays = {
        "shares summable": power_loop(1.5, 2.5, 0.5, 10, T),
        "n bounded": c.mixture(1000, 0.9, T),
    }
    for plan in stays.values():
        rho = exact.inflation(plan)
        assert rho[-1] > 0.99 * rho[T // 10]


@pytest.mark.parametrize(("b", "k"), [(1.5, 1.0), (2.0, 0.8), (2.5, 1.5)])
def test_B10_lag_of_the_moving_plateau(b, k):
    """alpha_t = k / t: rho_t / plateau_t -> 1 / (1 - kappa), kappa = (b - 1) / (2 k)."""
    T = 300_000
    plan = power_loop(1, b, k, 100, T)
    ratio = exact.inflation(plan)[-1] * (1 / exact.plateau(plan.alpha[-1], plan.n[-1]))
    lag = (b - 1) / (2 * k) / (1 - (b - 1) / (2 * k))
    assert ratio == pytest.approx(1 + lag, rel=2e-2)
    assert tracking(plan).lag[-1] == pytest.approx(lag, rel=1e-2)


@given(schedules)
def test_B10_tracking_says_where_the_plateau_is_good(schedule):
    n, alpha = np.array(schedule[0]), np.array([1.0, *schedule[1]])
    plan = c.mixture(n, alpha, n.size - 1)
    guide, rho = tracking(plan), exact.inflation(plan)
    assert guide.good[0]
    off = abs(rho / guide.plateau - 1)
    assert (off[guide.good] <= 0.1 * (1 + 1e-9)).all()


@pytest.mark.parametrize(("b", "alpha"), [(0.5, 0.02), (1, 0.1), (1, 0.5), (2, 0.1), (2, 0.5)])
def test_B10_tracking_on_schedules_that_are_slow_in_the_end(b, alpha):
    """Bad first and good later; where it is called good it is nearly as far off as it may be."""
    plan = c.mixture(c.power(50, b), alpha, 200)
    guide = tracking(plan)
    off = abs(exact.inflation(plan) / guide.plateau - 1)
    later = guide.good[2:]
    assert later.any() and not later.all() and off[~guide.good].max() > 0.2
    assert 0.08 < off[guide.good].max() <= 0.1


def slope(plan, T):
    """The exponent of rho over the last two decades, least squares in log t."""
    t = np.unique(np.geomspace(T / 100, T, 50).astype(int))
    return np.polyfit(np.log(t), np.log(exact.inflation(plan)[t]), 1)[0]


DECAYS = [  # a, b, c, n
    (0.0, 1.0, 0.3, 50),
    (0.0, 0.5, 2.0, 50),
    (0.3, 1.0, 1.0, 50),
    (0.5, 2.0, 0.5, 5),
    (1.0, 2.0, 2.0, 50),
    (1.0, 2.5, 0.5, 50),
]


@pytest.mark.parametrize(("a", "b", "k", "n"), DECAYS)
def test_B7_exponents_of_decay(a, b, k, n):
    found = phase(a, b, k, n=n)
    assert found.regime == "consistency" and found.limit == 0 and not found.log
    fitted = slope(power_loop(a, b, k, n, 200_000), 200_000)
    assert -fitted == pytest.approx(found.exponent, abs=0.02)


def test_B7_constants():
    T = 200_000
    for a, b, k, n in DECAYS[:5]:
        rho = exact.inflation(power_loop(a, b, k, n, T))[-1]
        n_t, beta_ = n * T**b, min(1.0, k)
        wanted = 1 / (n_t * beta_ * (2 - beta_)) if a == 0 else 1 / (2 * k * n_t * T**-a)
        if a == 1:
            wanted = 1 / (n * T ** (b - 1) * (2 * k - b + 1))
        assert rho == pytest.approx(wanted, rel=0.02)


def test_B7_logarithm_on_the_edge():
    found = phase(1, 2, 0.5, n=20)
    assert found == ("consistency", 1.0, True, 0.0, -np.inf)
    t = np.array([10**4, 10**5, 10**6])
    rho = exact.inflation(power_loop(1, 2, 0.5, 20, 10**6))[t]
    growth = np.diff(rho * t * 20) / np.diff(np.log(t))  # n t rho ~ log t
    np.testing.assert_allclose(growth, 1, rtol=0.02)


@pytest.mark.parametrize(
    ("a", "b", "k", "n"), [(0, 0, 0.2, 30), (0.5, 0.5, 1.0, 7), (1.0, 1.0, 0.7, 20)]
)
def test_B7_plateaus(a, b, k, n):
    found = phase(a, b, k, n=n)
    rho = exact.inflation(power_loop(a, b, k, n, 10**6))[-1]
    assert found.regime == "plateau" and found.exponent == 0
    assert rho == pytest.approx(found.limit, rel=2e-3)


def test_B7_collapse():
    for a, b in ((0.5, 0.25), (1.0, 0.5), (1.5, 1.0), (2.0, 0.0)):
        assert phase(a, b, n=10).regime == "collapse"
        rho = exact.inflation(power_loop(a, b, 1.0, 10, 10**6))
        assert 1 - rho[-1] < 0.95 * (1 - rho[10**5])  # ever less is left


BEYOND_ONE = [1 + 1e-12, 1 + 1e-6, 1.001, 1.01, 1.5, 2.0, 5.0, 20.0]


def enclosed(a, b, k, n, n0, T=20_000):
    """[low, high] with log of the limit inside, and the trapezoid between them.

    T generations one by one, then rho = sum_s x_s prod_{u>s} (1 - x_u) prod_{u>s} (1 - alpha_u)^2:
    x_s prod_{u>s} (1 - x_u) = Y_s - Y_{s-1} telescopes, Y_s = prod_{u>s} (1 - x_u), and the other
    product K grows with s. Over blocks of generations K is between its values at the ends. Y and
    K are sums of powers: midpoint sums, whose own error is below 1 / T^2, and so are unrounded n_t
    (a fraction 1 / (2 n_T) of rho): the 1e-9 and `rounding`.
    """
    log_rho = -np.log(n0)
    for t in np.arange(1.0, T + 1):
        x, alpha = 1 / max(np.rint(n * t**b), 1), min(1, k * t**-a)
        kept = np.log1p(-x) + 2 * np.log1p(-alpha) + log_rho if x < 1 > alpha else -np.inf
        log_rho = np.logaddexp(np.log(x), kept)

    def log_sums(s):  # beyond log t = s: log of -log Y, and log K
        j = np.arange(1, 5)[:, None]
        log_y = (1 - j * b) * s - j * np.log(n) - np.log(j * (j * b - 1))
        z = sum(
            np.exp((1 - j * a) * s) * 2 * k**j / (j * (j * a - 1))
            for j in range(1, 8 if a > 2 else 60)
        )
        return np.logaddexp.reduce(log_y), -z

    begin, small = np.log(T + 0.5), min(a, b) - 1
    turns = [begin, np.log(2 * k / (a - 1)) / (a - 1), np.log(1 / n / (b - 1)) / (b - 1)]
    end = max(turns) + 70 / small
    away = np.geomspace(1e-12, end + 1, 60_000)
    grid = np.unique(np.clip([x + y for x in turns for y in (-away, away)], begin, end))
    for _ in range(2):
        y, z = log_sums(grid)
        drop = y[:-1] + np.log(-np.expm1(np.minimum(np.diff(y), 0)))
        step = np.where(drop > -40, np.log(-np.expm1(-np.exp(drop))), drop) - np.exp(y[1:])
        step, z = np.append(step, y[-1]), np.append(z, 0.0)
        pull = k * np.exp(-a * grid)  # half of what a generation forgets, where blocks are less
        sums = []
        half = np.logaddexp(z[:-1], z[1:]) - np.log(2)
        for inner in (z[:-1], z[1:] + 2 * pull, half + pull):
            tail = np.logaddexp.reduce(step + inner)
            sums.append(np.logaddexp(tail, log_rho - np.exp(y[0]) + z[0]))
        peak = grid[np.argmax(step + z[1:])]
        grid = np.unique(np.clip([*grid, *(peak - away), *(peak + away)], begin, end))
    return sums


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_B7_limits_that_depend_on_the_start():
    """Against an enclosure of the exact recursion; k so that shares of 1 have ended by T."""
    rng, seen = np.random.default_rng(7), 0
    for a in BEYOND_ONE:
        for b in BEYOND_ONE:
            k = min(10.0 ** rng.uniform(-6, 15), 150.0**a)
            n, n0 = int(10 ** rng.uniform(0, 12)), int(10 ** rng.uniform(0, 6))
            low, high, middle = enclosed(a, b, k, n, n0)
            found = phase(a, b, k, n=n, n0=n0)
            slack = 1e-8 + 1e-10 * abs(middle) + 1 / (n * 20_000.0**b)
            assert low - slack <= found.log_limit <= high + slack, (a, b, k, n, n0)
            if high - low < 1e-3:  # then the trapezoid has an error of its square
                assert found.log_limit == pytest.approx(middle, abs=2e-7 + slack), (a, b, k, n, n0)
                seen += 1
            assert found.limit == np.exp(found.log_limit)
    assert seen > 40


PRECISE = {  # (a, b, c, n): log of the limit, by 40-digit arithmetic (mpmath) from the recursion
    (1.001, 2, 0.5, 20): -999.277040332234699,
    (1.0001, 1.001, 0.5, 20): -73.0869681412591572,
    (1.001, 1.005, 0.5, 20): -27.4486995592886329,
    (1.005, 1.01, 0.5, 20): -8.29479898492792769,
    (1.001, 2, 5, 20): -3301.20792576193705,
    (2, 2, 1e4, 20): -12.8991973250882769,
    (1.5, 2.5, 0.5, 20): -4.05231475976659457,
    (1.01, 1.5, 1000, 3): -462.231330432843406,
    (2, 80, 1, 1): -1.38629436111991145,
    (1.000001, 20, 0.5, 1): -999999.758516592862,
    (1.000000000001, 5, 2.0, 10): -3999644429270.03441,
    (5, 1.01, 1e-3, 100): -0.449536845987754637,
    (1.2, 1.1, 3, 1000): -6.42758051902906865,
    (1.5, 1.001, 1000.0, 368): -0.0717975861807303155,
}


@pytest.mark.parametrize("at", PRECISE)
def test_B7_limit_to_many_digits(at):
    a, b, k, n = at
    found = phase(a, b, k, n=n)
    assert found.log_limit == pytest.approx(PRECISE[at], rel=1e-13, abs=1e-6)
    assert found.limit == pytest.approx(np.exp(PRECISE[at]), rel=1e-6)


def test_B7_limits_in_closed_form():
    """a = b: 1 / (1 + 2 c n) as a, b fall to 1."""
    for eps in (1e-12, 1e-9):
        for k, n in ((0.5, 20), (150.0, 10**10), (1e-6, 10**12)):
            log_limit = phase(1 + eps, 1 + eps, k, n=n).log_limit
            assert log_limit == pytest.approx(-np.log1p(2 * k * n), abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_B7_answers_at_every_extreme():
    ends = (0.0, 5e-324, 1 - 1e-12, 1.0, 1 + 1e-15, 1 + 1e-12, 1.5, 50.0, 1e308)
    for a in ends:
        for b in ends:
            for k, n in ((5e-324, 1), (1e308, 2**53), (1e15, 1)):
                found = phase(a, b, k, n=n, n0=2**53)
                assert 0 <= found.limit <= 1 and found.log_limit <= 0
                assert not np.isnan(found.log_limit) and found.limit == pytest.approx(
                    np.exp(found.log_limit), rel=1e-12
                )


def test_B7_edges_that_are_equal_as_decimals():
    assert phase(0.1 + 0.2, 0.3, 2, n=5) == phase(0.3, 0.1 + 0.2, 2, n=5) == phase(0.3, 0.3, 2, n=5)
    under, over = np.nextafter(1, 0), np.nextafter(1, 2)
    for a in (under, over):
        assert phase(a, 2, 0.5)[:3] == phase(1, 2, 0.5)[:3] == ("consistency", 1.0, True)
        assert phase(2, a) == phase(2, 1) and phase(a, a, n=3) == phase(1, 1, n=3)
    assert phase(1 + 1e-12, 2).regime == phase(2, 1 + 1e-12).regime == "plateau"
    assert phase(0.3, 0.3 + 1e-12).regime == "consistency"
    assert phase(0.3 + 1e-12, 0.3).regime == "collapse"
    assert not phase(1, 2 + 1e-12, 0.5).log


def test_B7_logarithms_of_limits_that_no_float_holds():
    assert phase(0, 0, 1e-20, n=2).log_limit == pytest.approx(-2e-20, rel=1e-12)
    assert phase(0.5, 0.5, 1e-20).log_limit == pytest.approx(-2e-20, rel=1e-12)
    assert phase(0.5, 0.25).log_limit == 0 and phase(0.5, 1).log_limit == -np.inf
    assert phase(0.5, 0.5, 1e308, n=2**53).log_limit == pytest.approx(
        -np.log(2) * 54 - 308 * np.log(10), rel=1e-14
    )
    under = phase(1.001, 2, 0.5, n=20, n0=20)
    assert under.limit == 0 and under.regime == "improvement"


def test_B7_improvement_is_a_limit_below_the_first_model():
    assert phase(1, 1, 1.0, n=100, n0=100).regime == "improvement"
    assert phase(1, 1, 1.0, n=100, n0=1000).regime == "plateau"
    assert phase(1, 1, 1.0, n=100).regime == "plateau"
    assert phase(0, 0, 1.0, n=1).regime == "collapse"  # one sample: rho is 1


def test_E1_gaussian_limit_of_one_token():
    """The distance of the cdfs falls like n^-1/2, to the exact law of a token's count."""
    distances = []
    for n in (250, 1000, 4000):
        plan = c.mixture([n, 2 * n if n < 2049 else 4096, n], [1, 0.3, 0.6], 2)
        *_, law = exact.token_law(0.3, plan)
        limit = asymptotics.gaussian([0.3, 0.7], plan)
        sd = np.sqrt(limit.cov[0, 0])
        x = (np.arange(law.size) + 0.5) / plan.n[-1]
        distances.append(abs(np.cumsum(law) - norm.cdf(x, 0.3, sd)).max())
    assert distances[2] < 0.003
    np.testing.assert_allclose(np.divide(distances[:2], distances[1:]), 2, rtol=0.15)
    wrong = abs(np.cumsum(law) - norm.cdf(x, 0.3, 1.05 * sd)).max()
    assert wrong > 3 * distances[2]  # a spread 5% off is seen


def test_E1_covariance_and_stationary_law():
    p, plan = np.array([0.2, 0.3, 0.5]), c.mixture(10**6, 0.3, 200)
    sigma = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(
        asymptotics.gaussian(p, plan).cov, sigma / (10**6 * 0.3 * 1.7), rtol=1e-9
    )
    np.testing.assert_allclose(asymptotics.gaussian(p, plan, 0).cov, sigma / 10**6, rtol=1e-12)
    draws = np.random.default_rng(1).multivariate_normal(*asymptotics.gaussian(p, plan), 10)
    np.testing.assert_allclose(draws.sum(axis=1), 1, rtol=1e-6)


def stationary(p_k, alpha, n):
    plan = c.mixture(n, alpha, round(40 / alpha) if alpha < 0.5 else 60)
    *_, law = exact.token_law(p_k, plan)
    return np.arange(n + 1) / n, law


@given(st.integers(2, 10**6), st.floats(1e-4, 1))
def test_E2_means_and_covariances_are_exact(n, alpha):
    p = np.array([0.1, 0.2, 0.7])
    law = asymptotics.dirichlet(p, alpha, n)
    np.testing.assert_allclose(law.mean(), p, rtol=1e-12)
    sigma = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(law.cov(), exact.plateau(alpha, n) * sigma, rtol=1e-9)


@pytest.mark.parametrize("theta", [0.5, 2.0, 8.0])
def test_E2_third_moments_and_wasserstein_fall_like_one_over_n(theta):
    p_k, moments, distances = 0.3, [], []
    for n in (75, 150, 300):
        alpha = 1 - np.sqrt(1 - theta / (n - 1))  # (n - 1) alpha (2 - alpha) = theta
        x, law = stationary(p_k, alpha, n)
        limit = beta(theta * p_k, theta * (1 - p_k))
        moments.append(abs(law @ x**3 - limit.moment(3)))
        fine = (np.arange(40 * n) + 0.5) / (40 * n)
        below = np.cumsum(law)[np.floor(fine * n).astype(int)]
        distances.append(abs(below - limit.cdf(fine)).mean())
    np.testing.assert_allclose(np.divide(distances[:2], distances[1:]), 2, rtol=0.2)
    np.testing.assert_allclose(np.divide(moments[:2], moments[1:]), 2, rtol=0.2)


def test_E2_says_nothing_of_missing_tokens():
    """The density gives 0; its mass below half a sample is far off where alpha is not small."""
    n, alpha, p = 300, 0.3, np.array([0.02, 0.98])
    lost = exact.missing(p, c.mixture(n, alpha, 60))[0]
    below = beta(*asymptotics.dirichlet(p, alpha, n).alpha).cdf(0.5 / n)
    assert 0.005 < lost < 0.05 and below < lost / 3


def test_E8_how_much_one_run_varies():
    """False alarm 1e-6; an sd 5% off (10% of the variance) is seen."""
    p = c.targets.zipf(10)
    sigma = np.diag(p) - np.outer(p, p)
    ratio = np.sqrt(2 * np.trace(sigma @ sigma)) / exact.heterozygosity(p)
    plan = c.mixture([10**6, 2 * 10**6, 10**6, 10**6], 0.4, 3)
    run = c.simulate(c.Categorical(), p, plan, replications=60_000, rng=8)
    risk = exact.l2_risk(p, plan)
    squared = (run.values["l2"] / risk[:, None] - 1) ** 2
    check(squared, np.full(4, ratio**2), at=[1, 2, 3], planted=0.1)


def test_B7_a_limit_that_rounds_to_one_is_no_collapse():
    for found in (phase(3, 1.01, 0.3, n=2), phase(0.5, 0.5, 1e-20), phase(0, 0, 1e-20, n=2)):
        assert found.regime == "plateau" and found.limit == pytest.approx(1)
    assert phase(0, 0, n=1).regime == phase(0.5, 0.2, n=5).regime == "collapse"


def test_B7_decimal_edges():
    for k in (0.1, 0.2, 0.3, 0.6, 0.9):
        assert phase(1, 1 + 2 * k, k).log and not phase(1, 1 + 2 * k + 1e-9, k).log
    assert phase(1.01, 1.5, 1000).limit > 0  # far below the smallest tolerance
    assert phase(1 + 1e-9, 1 + 1e-9).limit == pytest.approx(1 / 3, rel=1e-6)
