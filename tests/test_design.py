"""Claims D1-D4 and G2: budgets, growth, prices, bursts; and the inverse of B3."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import collapse as c
from collapse import bounds, design, exact
from collapse.book import check


def products(alpha):
    """P_s = prod_{u>s} (1 - alpha_u)."""
    return np.append(np.cumprod((1 - alpha)[:0:-1])[::-1], 1.0)


@pytest.mark.parametrize("alpha", [0.3, [1, 0.5, 0.1, 0.2], [1, 0.0, 0.9, 0.0]])
def test_D1_best_whole_numbers_by_enumeration(alpha):
    total, T = 24, 3
    plan = c.mixture(10, alpha, T)
    P = products(plan.alpha)
    best = min(sum(P**2 / n) for n in product(range(1, total), repeat=T + 1) if sum(n) == total)
    found = design.allocate(total, alpha, T)
    assert found.n.sum() == total and found.n.min() >= 1
    assert sum(P**2 / found.n) == pytest.approx(best, rel=1e-12)


@given(
    st.integers(1, 30).flatmap(
        lambda T: st.tuples(
            st.lists(st.floats(0, 1), min_size=T, max_size=T), st.integers(T + 1, 10**15)
        )
    )
)
def test_D1_spends_the_whole_budget(case):
    alpha, total = np.array([1.0, *case[0]]), case[1]
    found = design.allocate(total, alpha, alpha.size - 1)
    assert found.n.sum() == total and found.n.min() >= 1
    assert found.continuous.sum() == pytest.approx(total, rel=1e-9)
    P = products(alpha)
    least = P.sum() ** 2 / total
    assert sum(P**2 / found.n) >= least * (1 - 1e-9)


@given(
    st.integers(1, 30).flatmap(
        lambda T: st.tuples(
            st.lists(st.floats(1e-6, 1), min_size=T, max_size=T), st.integers(T + 1, 10**12)
        )
    )
)
def test_D1_never_overspends_on_real_samples(case):
    alpha, total = np.array([1.0, *case[0]]), case[1]
    found = design.allocate(total, alpha, alpha.size - 1, of="real")
    spent = alpha @ found.n
    assert spent <= total * (1 + 1e-12) and found.n.min() >= 1
    assert alpha @ found.continuous == pytest.approx(total, rel=1e-9)
    assert spent + alpha.min() > total * (1 - 1e-9)  # no further sample fits


def test_D1_many_ties_and_large_totals():
    found = design.allocate(150_000, 0, 10**5)
    assert found.n.sum() == 150_000 and set(found.n) == {1, 2}
    assert design.allocate(2**50, 0.01, 3).n.sum() == 2**50


def test_D1_values_at_constant_share():
    alpha, T, N = 0.3, 6, 10**9
    b = (1 - alpha) ** np.arange(T + 1)
    found = design.allocate(N, alpha, T)
    v = bounds.variance(c.mixture(found.n, alpha, T))[-1]
    assert v == pytest.approx(b.sum() ** 2 / N, rel=1e-9)
    np.testing.assert_allclose(found.n[1:] / found.n[:-1], 1 / (1 - alpha), rtol=1e-6)
    found = design.allocate(N, alpha, T, of="real")
    v = bounds.variance(c.mixture(found.n, alpha, T))[-1]
    wanted = ((1 - alpha) ** T + (1 - (1 - alpha) ** T) / np.sqrt(alpha)) ** 2 / N
    assert v == pytest.approx(wanted, rel=1e-9)
    for shares in (alpha, [1, 0.5, 0.1, 0.9, 0.2, 0.3, 0.01]):
        for of in ("all", "real"):  # whole numbers change little where they are large
            found = design.allocate(N, shares, T, of=of)
            np.testing.assert_allclose(found.n, found.continuous, rtol=1e-6)


def test_D1_rho_is_within_half_a_percent_of_its_own_best():
    for total, alpha, T in ((1000, 0.3, 5), (5000, 0.1, 10), (2000, 0.05, 6)):
        found = design.allocate(total, alpha, T)

        def rho(logs, total=total, alpha=alpha, T=T):
            n = np.exp(logs - logs.max())
            n = total * n / n.sum()
            value = 1 / n[0]
            for t in range(1, T + 1):
                value = 1 / n[t] + (1 - 1 / n[t]) * (1 - alpha) ** 2 * value
            return value * total

        best = minimize(rho, np.log(found.continuous), method="BFGS", tol=1e-10).fun / total
        assert best <= found.rho * (1 + 1e-3)
        assert found.rho < best * 1.005


def test_D1_the_best_horizon_is_none():
    ends = [design.allocate(1000, 0.2, T).rho for T in range(1, 12)]
    assert ends[0] > 1 / 1000 and (np.diff(ends) > 0).all()


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.6])
def test_D2_critical_growth(alpha):
    b, T, n0 = (1 - alpha) ** 2, 40, 1000
    critical = float(design.critical_growth(alpha))
    below = 1 + 0.5 * (min(critical, 2.0) - 1)  # so that sizes stay below 2^53
    rho = exact.inflation(c.mixture(c.geometric(n0, below), alpha, T))
    assert rho[-1] * n0 * below**T == pytest.approx(1 / (1 - below * b), rel=0.02)
    if critical < 2:
        rho = exact.inflation(c.mixture(c.geometric(n0, critical), alpha, T))
        x = rho * n0 * critical ** np.arange(T + 1)
        assert np.diff(x)[-1] == pytest.approx(1, abs=1e-3)  # n_t rho_t grows by 1 a generation
        above = critical * 1.15
        rho = exact.inflation(c.mixture(c.geometric(n0, above), alpha, T))
        scaled = rho * b ** -np.arange(T + 1.0)
        wanted = (1 / n0) / (1 - 1 / (above * b))  # sum of (g b)^-s / n0, refunds apart
        assert scaled[-1] == pytest.approx(wanted, rel=0.02)


def test_D3_price_of_not_knowing_is_one_over_alpha():
    T = 60
    for alpha in (0.2, 0.4):
        b = (1 - alpha) ** 2
        prices = {}
        for g in (1.05 / (1 - alpha), 1 / (1 - alpha), 0.95 / (1 - alpha)):
            plan = c.mixture(lambda t, g=g: min(50 * g**t, 2.0**52), alpha, T)
            last = int(np.argmax(plan.n > 1e14)) if (plan.n > 1e14).any() else T
            rho, used = exact.inflation(plan), np.cumsum(plan.alpha * plan.n)
            wanted = alpha * g / ((g - 1) * (1 - g * b))
            assert rho[last] * used[last] == pytest.approx(wanted, rel=0.02)
            prices[g] = rho[last] * used[last]
        assert prices[1 / (1 - alpha)] == pytest.approx(1 / alpha, rel=0.02)
        assert min(prices, key=prices.get) == 1 / (1 - alpha)
    plan = c.aware(100, 0.2, 100_000)
    price = exact.inflation(plan)[-1] * (plan.alpha * plan.n).sum()
    assert price == pytest.approx(1 / 0.2, rel=0.01)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.5, 1.5), (0.25, 1.0)])
def test_D3_price_of_forgetting_is_an_exponent(a, b):
    T = 200_000
    plan = c.mixture(c.power(100, b), lambda t: 0.5 * t**-a, T)
    used, rho = np.cumsum(plan.alpha * plan.n), exact.inflation(plan)
    t = np.unique(np.geomspace(T / 100, T, 40).astype(int))
    slope = np.polyfit(np.log(used[t]), np.log(rho[t]), 1)[0]
    assert -slope == pytest.approx((b - a) / (1 + b - a), abs=0.01)


def burst(share, mean, periods, n=10**12):
    """rho over the last period of a loop with share / mean generations between bursts."""
    L = round(share / mean)
    alpha = np.zeros(L * periods + 1)
    alpha[L::L], alpha[0] = share, 1
    rho = exact.inflation(c.mixture(n, alpha, L * periods))
    return n * rho[-L:] * mean, n * rho[-1] * mean  # a period that ends just after a burst


def test_D4_bursts():
    best, mean = 2 - np.sqrt(2), 1e-3
    for share in (0.2, best, 0.9):
        b = 1 - share
        period, _ = burst(share, mean, 200 if share < 0.5 else 60)
        assert period.mean() == pytest.approx((1 + b**2) / (2 * (1 + b)), rel=0.01)
    period, after = burst(best, mean, 60)
    assert period.mean() == pytest.approx(np.sqrt(2) - 1, rel=0.01)  # 1 / 2 at a constant share
    assert 0.5 / after == pytest.approx(4.12, rel=0.01)
    assert period.max() == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_D4_random_shares_only_hurt():
    """False alarm 1e-6; an error of 5% is seen."""
    rng, n, T, R = np.random.default_rng(4), 200, 12, 20_000
    shares = rng.beta(0.5, 2.0, (R, T))
    rho = np.full(R, 1 / n)
    path = [rho]
    for t in range(T):
        rho = 1 / n + (1 - 1 / n) * (1 - shares[:, t]) ** 2 * rho
        path.append(rho)
    mean, var = 0.2, 0.2 * 0.8 / 3.5
    same = c.mixture(n, 1 - np.sqrt((1 - mean) ** 2 + var), T)  # (1 - a)^2 is its mean
    check(np.array(path), exact.inflation(same))
    steady = exact.inflation(c.mixture(n, mean, T))
    assert (exact.inflation(same)[2:] > 1.05 * steady[2:]).all()


@given(st.integers(2, 10**9), st.floats(0, 1))
def test_B3_fresh_needed_is_the_inverse_of_the_plateau(n, share):
    rho = exact.plateau(share, n)
    alpha = design.fresh_needed(rho, n)
    assert exact.plateau(alpha, n) == pytest.approx(rho, rel=1e-9)
    assert 0 <= alpha <= 1


@given(st.floats(1e-9, 1), st.floats(1e-4, 1))
def test_B3_samples_needed_are_enough_and_the_least(rho, alpha):
    n = int(design.samples_needed(rho, alpha))
    assert exact.plateau(alpha, n) <= rho
    assert n == 1 or exact.plateau(alpha, n - 1) > rho


def test_B3_samples_needed_at_plateaus_themselves():
    """Rounding adds a sample to one in eight of these, and may take one from none."""
    rng = np.random.default_rng(1)
    alpha, n = rng.uniform(1e-4, 1, 20_000), np.exp(rng.uniform(0, 20, 20_000)).astype(int)
    rho = exact.plateau(alpha, n)
    np.testing.assert_array_equal(design.samples_needed(rho, alpha), n)
    plain = np.ceil(1 + (1 - rho) / rho / (alpha * (2 - alpha)))
    assert (plain > n).mean() > 0.1


@given(st.lists(st.floats(0.02, 1), min_size=1, max_size=8))
def test_G2_the_best_spread_of_real_samples_is_worse_than_none(shares):
    """The least V_T is (sum sqrt(alpha_s) P_s)^2 / N: above 1 / N where any share that counts is
    inside (0, 1), and no spread of the budget over the generations has less."""
    alpha, N, T = np.array([1.0, *shares]), 10**9, len(shares)
    found = design.allocate(N, alpha, T, of="real")
    v = bounds.variance(c.mixture(found.n, alpha, T))[-1]
    assert v == pytest.approx((np.sqrt(alpha) @ products(alpha)) ** 2 / N, rel=1e-6)
    inner = (alpha < 0.9) & (products(alpha) > 0.01)
    assert N * v > 1 + 1e-4 if inner.any() else N * v > 1 - 1e-6
    for s in range(T):  # a tenth of one generation's real samples moved to the next
        n, lot = found.n.astype(float), 0.1 * alpha[s] * found.n[s]
        n[[s, s + 1]] += -lot / alpha[s], lot / alpha[s + 1]
        assert bounds.variance(c.mixture(np.rint(n), alpha, T))[-1] >= v * (1 - 1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_G2_never_mix_where_real_samples_are_the_budget(shares):
    alpha = np.array([1.0, *shares])
    n = np.arange(alpha.size) * 7 + 3
    real = alpha @ n
    v = bounds.variance(c.mixture(n, alpha, alpha.size - 1))[-1]
    rho = exact.inflation(c.mixture(n, alpha, alpha.size - 1))[-1]
    assert v >= (1 - 1e-12) / real and rho >= (1 - 1e-12) / real
