"""Claims A1-A6, B1-B5, B8, C1, C4-C6: formulas against enumeration, simulation and each other."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from cases import HALF, SIMULATED, SKEW, TINY
from hypothesis import given
from hypothesis import strategies as st
from reference import joint_law, mean
from scipy.stats import binom

import collapse as c
from collapse import exact
from collapse.book import check

schemes = pytest.mark.parametrize("plan", TINY.values(), ids=TINY)
simulated = pytest.mark.parametrize("plan", SIMULATED.values(), ids=SIMULATED)


def target(plan):
    return SKEW if plan.n.max() < 4 else HALF  # three tokens where enumeration is quick


@schemes
def test_A1_every_scheme_is_unbiased(plan):
    p = target(plan)
    for law in joint_law(p, plan):
        assert sum(law.values()) == 1
        for k, p_k in enumerate(p):
            assert mean(law, lambda s, k=k: s[2][k]) == Fraction(p_k)  # equal, not close


@schemes
def test_A2_risk_by_enumeration(plan):
    p = target(plan)
    risk = exact.l2_risk(p, plan)
    for t, law in enumerate(joint_law(p, plan)):
        expected = mean(
            law, lambda s: sum((x - Fraction(y)) ** 2 for x, y in zip(s[2], p, strict=True))
        )
        assert risk[t] == pytest.approx(float(expected), rel=1e-13)


@schemes
def test_A3_covariance_by_enumeration(plan):
    p = target(plan)
    laws = list(joint_law(p, plan))
    K, last = len(p), plan.generations
    # Cov(phat_1, phat_T) too: with one affine step the mean of phat_t keeps a fixed share
    for t in (0, 1, last):
        cov = exact.covariance(p, plan, t)
        for i in range(K):
            for j in range(K):
                both = mean(laws[t], lambda s, i=i, j=j: s[2][i] * s[2][j]) - Fraction(p[i] * p[j])
                assert cov[i, j] == pytest.approx(float(both), rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("name", ["mixture", "replace"])
def test_A3_covariance_between_generations(name):
    plan, p = TINY[name], SKEW if name == "replace" else HALF
    (*_, law), rho = joint_law(p, plan), exact.inflation(plan)
    kept = np.prod(1 - plan.alpha[2:])
    for i in range(len(p)):
        for j in range(len(p)):
            both = float(mean(law, lambda s, i=i, j=j: s[1][i] * s[2][j]) - Fraction(p[i] * p[j]))
            sigma = p[i] * (i == j) - p[i] * p[j]
            assert both == pytest.approx(rho[1] * kept * sigma, rel=1e-12)


@simulated
def test_A2_A3_simulation_meets_theory(plan):
    """False alarm 1e-6 a check; a theory 5% off (10% for f) is rejected: `check` asserts it."""
    p = c.targets.zipf(12, 0.8)
    f = np.linspace(-1, 2, 12)
    record = {
        "l2": lambda theta: c.metrics.l2(theta, p),
        "chi_square": lambda theta: c.metrics.chi_square(theta, p),
        "f": lambda theta: (theta @ f - p @ f) ** 2,
        "heterozygosity": c.metrics.heterozygosity,
    }
    result = c.simulate(c.Categorical(), p, plan, replications=40_000, rng=20260211, record=record)
    rho, h = exact.inflation(plan), exact.heterozygosity(p)
    check(result.values["l2"], exact.l2_risk(p, plan))
    check(result.values["chi_square"], 11 * rho)
    check(result.values["f"], (p @ f**2 - (p @ f) ** 2) * rho, planted=0.1)
    check(result.values["heterozygosity"], h * (1 - rho))


def test_A2_the_check_itself_can_fail():
    plan, p = SIMULATED["mixture"], c.targets.zipf(12, 0.8)
    result = c.simulate(c.Categorical(), p, plan, replications=40_000, rng=3)
    risk = exact.l2_risk(p, plan)
    check(result.values["l2"], risk)
    with pytest.raises(AssertionError, match="theory and simulation disagree"):
        check(result.values["l2"], risk * 1.05)
    with pytest.raises(AssertionError, match="could not see an error of 5%"):
        check(result.values["l2"][:, :200], risk)


whole = st.integers(1, 10**6)
share = st.floats(0, 1)
schedules = st.integers(1, 12).flatmap(
    lambda T: st.tuples(
        st.lists(whole, min_size=T + 1, max_size=T + 1), st.lists(share, min_size=T, max_size=T)
    )
)


@given(schedules)
def test_A4_relaxation_toward_the_plateau(schedule):
    n, alpha = np.array(schedule[0]), np.array([1.0, *schedule[1]])
    rho = exact.inflation(c.mixture(n, alpha, len(n) - 1))
    step = (1 - 1 / n) * (1 - alpha) ** 2
    rest = exact.plateau(alpha, n)
    np.testing.assert_allclose(rho[1:], step[1:] * rho[:-1] + (1 - step[1:]) * rest[1:], rtol=1e-9)


@given(schedules)
def test_A5_unrolled(schedule):
    n, alpha = np.array(schedule[0]), np.array([1.0, *schedule[1]])
    rho = exact.inflation(c.mixture(n, alpha, len(n) - 1))
    step = (1 - 1 / n) * (1 - alpha) ** 2
    for t in range(len(n)):
        terms = [np.prod(step[s + 1 : t + 1]) / n[s] for s in range(t + 1)]
        assert rho[t] == pytest.approx(sum(terms), rel=1e-12)


@given(whole, whole, share)
def test_A5_closed_form(n0, n, alpha):
    T = 20
    rho = exact.inflation(c.mixture([n0] + [n] * T, alpha, T))
    rest, step = exact.plateau(alpha, n), (1 - 1 / n) * (1 - alpha) ** 2
    closed = rest + step ** np.arange(T + 1) * (1 / n0 - rest)
    np.testing.assert_allclose(rho, closed, rtol=1e-9)


def test_A6_identity_by_descent():
    """A Wright-Fisher population with mutants of new families, run as one: no formula inside."""
    plan, R = c.mixture([20, 30, 25, 30, 20], [1, 0.1, 0, 0.3, 0.05], 4), 40_000
    rng = np.random.default_rng(6)
    family, same = np.tile(np.arange(20), (R, 1)), []
    for t in range(5):
        if t:
            parent = rng.integers(0, plan.n[t - 1], (R, plan.n[t]))
            mutant = rng.random(parent.shape) < plan.alpha[t]
            new = 1000 * t + np.arange(plan.n[t])  # every real draw founds a family of its own
            family = np.where(mutant, new, np.take_along_axis(family, parent, axis=1))
        same.append((family[:, :, None] == family[:, None, :]).mean(axis=(1, 2)))
    check(same, exact.inflation(plan), at=[1, 2, 3, 4])


@given(st.lists(whole, min_size=2, max_size=30))
def test_B1_product_formula_and_growth(n):
    rho = exact.inflation(c.replace(n, len(n) - 1))
    np.testing.assert_allclose(1 - rho, np.cumprod(1 - 1 / np.array(n)), rtol=1e-9, atol=1e-12)
    assert (np.diff(rho) >= 0).all()


def count_chain(p, n):
    """Law of one token's count under `replace`, generation by generation: exact, K = 2."""
    law = binom.pmf(np.arange(n[0] + 1), n[0], p)
    yield law
    for before, now in pairwise(n):
        law = law @ binom.pmf(np.arange(now + 1), now, np.arange(before + 1)[:, None] / before)
        yield law


def test_B1_not_yet_fixed_bounds():
    n = [30, 20, 40, 10, 60] * 8
    for t, law in enumerate(count_chain(0.5, n)):
        open_ = law[1:-1].sum()
        first = 1 / (1 / (n[t] - 1) + 0.5 * sum(1 / m for m in n[:t]))
        second = 0.5 * n[t] / 2 * np.prod(1 - 1 / np.array(n[:t]))
        assert open_ <= min(first, second)
    assert open_ > min(first, second) / 30  # the bounds say something


def test_B1_fixation_probabilities():
    """False alarm 1e-6; sees an error of 5% in the rarest token's chance."""
    p, R = np.array([0.5, 0.3, 0.2]), 100_000
    record = {f"fixed on {k}": lambda theta, k=k: theta[:, k] == 1 for k in range(3)}
    result = c.simulate(c.Categorical(), p, c.replace(5, 80), replications=R, rng=8, record=record)
    for k in range(3):
        check(result.values[f"fixed on {k}"], np.full(81, p[k]), at=[80])


@given(schedules)
def test_B2_when_a_generation_improves(schedule):
    n, alpha = np.array(schedule[0]), np.array([1.0, *schedule[1]])
    rho = exact.inflation(c.mixture(n, alpha, len(n) - 1))
    threshold = 1 + (n[1:] - 1) * alpha[1:] * (2 - alpha[1:])
    clear = abs(rho[:-1] * threshold - 1) > 1e-9  # away from rounding
    improves = np.diff(rho) < 0
    assert (improves[clear] == (1 / rho[:-1] < threshold)[clear]).all()


@given(st.integers(2, 10**9), st.floats(1e-6, 1))
def test_B3_fixed_size_never_beats_the_first(n, alpha):
    rest = exact.plateau(alpha, n)
    b = alpha * (2 - alpha)
    assert 1 / n * (1 - 1e-12) <= rest <= 1 / (n * b) * (1 + 1e-12)
    rho = exact.inflation(c.mixture(n, alpha, 30))
    assert (rho >= 1 / n * (1 - 1e-12)).all()
    if 1e-4 < alpha < 0.999 and n < 10**6:  # both strict inside
        assert 1 / n < rest < 1 / (n * b)


@given(st.integers(2, 1000), st.integers(1, 1000), st.floats(0.01, 0.99))
def test_B3_another_first_size(n, n0, alpha):
    rho = exact.inflation(c.mixture([n0] + [n] * 10, alpha, 10))
    left, right = (n - 1) * alpha * (2 - alpha), n0 - 1
    if abs(left - right) > 1e-6 * (left + right):
        assert (exact.plateau(alpha, n) < 1 / n0) == (left > right)
        moves = np.diff(rho)  # monotone: every generation improves or none does
        assert (moves < 1e-15).all() if left > right else (moves > -1e-15).all()


def test_B4_mean_inverse_count_against_rational_arithmetic():
    from collapse.exact import _mean_inverse_count

    for a in (0.01, 0.1, 0.5, 0.9, 1.0):
        A, m = Fraction(a), Fraction(0)
        for n in range(1, 60):
            m = (1 - A) * m + (1 - (1 - A) ** n) / n
            value = _mean_inverse_count(np.array([float(n)]), np.array([a]))[0]
            assert value == pytest.approx(float(m), rel=1e-12)


def test_B4_mean_inverse_count_at_extremes():
    from collapse.exact import _mean_inverse_count

    n = np.array([1e15, 1e15, 1e6, 1e15, 5.0])
    a = np.array([1e-3, 1.0, 1e-12, 1e-12, 0.0])
    value = _mean_inverse_count(n, a)
    assert value[0] == pytest.approx(1e-12 * (1 + (1 - 1e-3) * 1e-12), rel=1e-12)
    assert value[1] == pytest.approx(1e-15, rel=1e-12)
    # Poisson limits: x - 3 x^2 / 4 for a small mean x, sum i! / x^(i+1) for a large one
    assert value[2] == pytest.approx(1e-6 - 0.75e-12, rel=1e-11)
    series = sum(c_ / 1000.0 ** (i + 1) for i, c_ in enumerate([1, 1, 2, 6, 24, 120, 720]))
    assert value[3] == pytest.approx(series, rel=1e-12)
    assert value[4] == 0


@given(st.integers(1, 3000), st.floats(1e-4, 1))
def test_B4_keeping_beats_discarding(n, alpha):
    from collapse.exact import _mean_inverse_count

    q = (1 - alpha) ** n
    middle = -np.expm1(n * np.log1p(-alpha)) / (n * alpha) if alpha < 1 else 1 / n
    filter_ = _mean_inverse_count(np.array([float(n)]), np.array([alpha]))[0] / (1 - q)
    assert exact.plateau(alpha, n) <= middle * (1 + 1e-9)
    assert middle <= filter_ * (1 + 1e-9)
    if n > 1 and n * alpha > 0.01 and alpha < 0.99:
        assert exact.plateau(alpha, n) < middle < filter_


def test_B4_filter_closed_form():
    n0, n, alpha, T = 50, 12, 0.1, 40
    rho = exact.inflation(c.filtered([n0] + [n] * T, alpha, T))
    q, m = (1 - alpha) ** n, 0.0
    for j in range(1, n + 1):
        m = (1 - alpha) * m + (1 - (1 - alpha) ** j) / j
    t = np.arange(T + 1)
    np.testing.assert_allclose(rho, q**t / n0 + (1 - q**t) * m / (1 - q), rtol=1e-12)


def test_B4_ratio_tends_to_two_minus_alpha():
    for alpha in (0.01, 0.3):
        n = round(1e5 / alpha)
        ratio = exact.inflation(c.filtered(n, alpha, 5))[-1] / exact.plateau(alpha, n)
        assert ratio == pytest.approx(2 - alpha, rel=1e-3)


def test_B5_consistent_exactly_when_n_grows_without_bound():
    T = 4000
    plan = c.mixture(lambda t: 1 + np.log1p(t), lambda t: 0.3 + 0.2 * (-1) ** t, T)
    grows = exact.inflation(plan)
    assert grows[40] > grows[400] > grows[4000] and grows[4000] < 0.6 * grows[40]
    # alpha >= 0.1 and n grows slowly: n_t rho_t stays below 1 / (1 - 0.9^2), rounding of n apart
    assert (plan.n * grows)[100:].max() < 1.05 / (1 - 0.9**2)
    n = np.full(T + 1, 10**6)
    n[::50] = 10  # n_t does not tend to infinity: small generations come back for ever
    stuck = exact.inflation(c.mixture(n, 0.5, T))
    assert stuck[-100:].max() >= 1 / 10


@given(whole, st.lists(share, min_size=1, max_size=20))
def test_B8_anchor_never_beats_its_sample(n, alphas):
    alpha = np.array([1.0, *alphas])
    T = len(alphas)
    rho = exact.inflation(c.anchored(n, alpha, T))
    assert (rho >= 1 / n * (1 - 1e-12)).all()
    direct = [1 / n]
    for a in alphas:
        direct.append(1 / n + (1 - 1 / n) * ((1 - a) ** 2 * direct[-1] + a * (2 - a) / n))
    np.testing.assert_allclose(rho, direct, rtol=1e-9)


@given(schedules, st.data())
def test_C1_any_gain(schedule, data):
    """Error (1 - w alpha) e + w noise; a batch varies as one sample of alpha p + (1 - alpha) phat,
    whose heterozygosity is h (1 - (1 - alpha)^2 rho)."""
    n, alpha = np.array(schedule[0]), np.array([1.0, *schedule[1]])
    gain = [1.0, *data.draw(st.lists(share, min_size=n.size - 1, max_size=n.size - 1))]
    rho = [1 / n[0]]
    for m, a, w in zip(n[1:], alpha[1:], gain[1:], strict=True):
        noise = (1 - (1 - a) ** 2 * rho[-1]) / m
        rho.append((1 - w * a) ** 2 * rho[-1] + w**2 * noise)
    found = exact.inflation(c.Plan(n=n, alpha=alpha, gain=gain))
    np.testing.assert_allclose(found, rho, rtol=1e-9)
    mixed = c.mixture(n, alpha, n.size - 1)  # gain 1 by default
    assert (mixed.gain == 1).all()


@given(st.lists(st.integers(1, 10**4), min_size=2, max_size=15), st.floats(0.01, 1), st.data())
def test_C4_no_other_gain_does_better(n, alpha, data):
    T = len(n) - 1
    best = c.aware(n, alpha, T)
    other = np.array([1.0, *data.draw(st.lists(share, min_size=T, max_size=T))])
    rival = c.Plan(n=best.n, alpha=best.alpha, gain=other)
    assert (exact.inflation(best) <= exact.inflation(rival) * (1 + 1e-12)).all()
    ess = exact.effective_sample_size(best)
    v = (1 - (1 - alpha) ** 2 / ess[:-1]) / best.n[1:]
    free = best.gain[1:] < 1
    np.testing.assert_allclose((ess[1:] - ess[:-1])[free], (alpha**2 / v)[free], rtol=1e-6)
    cap = ess[:-1] <= (1 - alpha) ** 2 + best.n[1:] * alpha * (1 - alpha) * (1 + 1e-12)
    assert (cap | free).all()


def test_C5_golden_ratio():
    n_r, v = 10**6, 2 / (1 + np.sqrt(5))
    best = exact.inflation(c.weighted(2 * n_r, 0.5, 400, real_weight=v))[-1]
    assert n_r * best == pytest.approx(v, rel=1e-4)
    for other in (0.5, 0.58, 0.66, 1.0):
        assert best < exact.inflation(c.weighted(2 * n_r, 0.5, 400, real_weight=other))[-1]


def test_C6_stratified_saves_the_count_variance():
    n, a = 100, 0.25
    iid, fixed = (c.mixture(n, a, 1, mixing=m) for m in ("iid", "stratified"))
    saved = exact.inflation(iid)[1] - exact.inflation(fixed)[1]
    assert saved == pytest.approx(a * (1 - a) * (1 / n) / n, rel=1e-9)


def test_B4_vanishing_shares_stay_finite():
    for plan in (c.filtered(100, c.geometric(1, 0.5), 1200), c.filtered(100, 5e-324, 2)):
        rho = exact.inflation(plan)
        assert np.isfinite(rho).all() and (rho > 0).all() and (rho <= 1).all()


def test_C4_one_sample_a_generation():
    for alpha in (1e-3, 1e-12, 1e-17):  # n = n_0 = 1: rho = 1, v = alpha (2 - alpha), gain 1 / 2
        assert c.aware(1, alpha, 1).gain[1] == pytest.approx(1 / 2, rel=1e-9)


def test_sizes_of_the_web_stay_finite():
    plan = c.mixture(10**15, 1e-12, 1000)
    rho = exact.inflation(plan)
    assert np.isfinite(rho).all() and (rho > 0).all()
    # t alpha << 1: every generation adds 1/n, give or take 2 t alpha
    assert rho[-1] == pytest.approx(1001e-15, rel=1e-8)
    assert exact.effective_sample_size(plan)[-1] == pytest.approx(1 / rho[-1])


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_token_laws_that_are_cut_are_those_that_are_not(alpha, monkeypatch):
    plan = c.mixture([300, 200, 400, 300], alpha, 3)
    whole = list(exact.token_law(0.01, plan))
    monkeypatch.setattr(exact, "LARGEST", 150)
    for law, cut in zip(whole, exact.token_law(0.01, plan), strict=True):
        assert cut.size < law.size
        np.testing.assert_allclose(cut, law[: cut.size], atol=1e-10)
        assert 0 <= 1 - cut.sum() < 1e-10


def test_token_law_of_large_samples():
    """p = .001, n = 10^4: 1 - q_t; and the message that names the way out."""
    gone = [law[0] for law in exact.token_law(0.001, c.replace(10_000, 50))]
    wanted = {0: 0.99995, 9: 0.82155, 10: 0.79469, 49: 0.31902, 50: 0.31405}
    for t, value in wanted.items():
        assert abs(1 - gone[t] - value) < 6e-6
    with pytest.raises(ValueError, match=r"asymptotics\.extinction"):
        list(exact.token_law(0.5, c.replace(100_000, 2)))


@pytest.mark.parametrize(
    "plan",
    [c.filtered(1, 1, 1000), c.filtered(10**6, 5e-324, 50), c.filtered(2**53, 1e-300, 5),
     c.filtered(1, 5e-324, 5), c.mixture(2**53, 5e-324, 5), c.anchored(1, 0.5, 50),
     c.subsampled(1, 50), c.accumulate(2**40, 50)],
    ids=repr,
)  # fmt: skip
def test_inflation_at_the_extremes(plan, recwarn):
    rho = exact.inflation(plan)
    assert ((rho > 0) & (rho <= 1)).all() and len(recwarn) == 0


@pytest.mark.parametrize("name", ["mixture", "replace"])
def test_N7_absent_or_too_large_by_enumeration(name):
    """Where token k is present its mean is p_k / (1 - m_k), m_k the chance that it is missing."""
    plan = TINY[name]
    for t, law in enumerate(joint_law(SKEW, plan)):
        gone = exact.missing(SKEW, plan, t)
        for k in range(len(SKEW)):
            here = {state: chance for state, chance in law.items() if state[2][k] > 0}
            present = sum(here.values())
            share = mean(here, lambda state, k=k: state[2][k]) / present
            assert float(share) == pytest.approx(SKEW[k] / (1 - gone[k]), rel=1e-12)


def test_N7_bounds_between_groups():
    rng = np.random.default_rng(1)
    for _ in range(200):
        T = rng.integers(1, 6)
        plan = c.mixture(rng.integers(1, 40, T + 1), np.append(1, rng.random(T) ** 3), T)
        j, k = np.sort(rng.uniform(0.001, 0.499, 2))
        m_j, m_k = exact.missing([j, k, 1 - j - k], plan)[:2]
        power, law = np.log1p(-k) / np.log1p(-j), exact.founders(plan)[-1]
        assert m_j**power <= m_k * (1 + 1e-12) and m_k < m_j
        assert m_j / m_k >= (1 - j) / (1 - k) * (1 - 1e-12)
        assert m_k >= (1 - k) ** (law @ np.arange(law.size)) * (1 - 1e-12)
    small = [1e-7, 2e-7, 1 - 3e-7]
    kept = 1 - exact.missing(small, c.mixture(30, 0.2, 9))
    assert kept[0] / kept[1] == pytest.approx(0.5, rel=1e-5)
