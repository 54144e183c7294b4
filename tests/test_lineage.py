"""Claims A7, E3, E4, E7: who descends from whom, and which tokens are lost."""

from collections import defaultdict
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from cases import HALF, SKEW, TINY
from hypothesis import given
from hypothesis import strategies as st
from reference import joint_law
from scipy.stats import binom

import collapse as c
from collapse import asymptotics, bounds, exact
from collapse.book import check

FORGETFUL = {
    "mixture": c.mixture([2, 3, 2, 3], [1, 0.5, 0.25, 0.75], 3),
    "replace": c.replace([3, 2, 3, 3], 3),
    "one sample": c.mixture([1, 3, 1, 2], [1, 0.25, 0.5, 0.25], 3),
    "all real": c.mixture([2, 3, 2], [1, 1, 0.5], 2),
}
forgetful = pytest.mark.parametrize("plan", FORGETFUL.values(), ids=FORGETFUL)
KEEPING = (
    "mixture",
    "replace",
    "accumulate with fresh data",
    "aware",
    "aware, sometimes nothing fresh",
    "a batch that does not count",
)


def families(plan):
    """For t = 0..T, {number of families: probability}: every genealogy, in rational arithmetic."""
    law = {tuple(range(plan.n[0])): Fraction(1)}
    yield {int(plan.n[0]): Fraction(1)}
    for t in range(1, plan.n.size):
        alpha, before, new = Fraction(float(plan.alpha[t])), int(plan.n[t - 1]), defaultdict(int)
        for names, chance in law.items():
            # each sample: a founder of its own (None), or a copy of one of the samples before
            for origin in product((None, *range(before)), repeat=int(plan.n[t])):
                step = chance
                for o in origin:
                    step *= alpha if o is None else (1 - alpha) / before
                found = [100 + i if o is None else names[o] for i, o in enumerate(origin)]
                order = {name: i for i, name in enumerate(dict.fromkeys(found))}
                new[tuple(order[name] for name in found)] += step
        law = {key: chance for key, chance in new.items() if chance}
        counted = defaultdict(int)
        for names, chance in law.items():
            counted[len(set(names))] += chance
        yield counted


@forgetful
def test_A7_founders_by_enumeration(plan):
    for t, (law, truth) in enumerate(zip(exact.founders(plan), families(plan), strict=True)):
        assert law.shape == (plan.n[t] + 1,)
        expected = [float(truth.get(f, 0)) for f in range(law.size)]
        np.testing.assert_allclose(law, expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", KEEPING)
def test_A7_missing_and_coverage_by_enumeration(name):
    plan = TINY[name]
    p = SKEW if plan.n.max() < 4 else HALF
    share = exact.coverage(p, plan)
    for t, law in enumerate(joint_law(p, plan)):
        lost = [float(sum(w for s, w in law.items() if s[2][k] == 0)) for k in range(len(p))]
        np.testing.assert_allclose(exact.missing(p, plan, t), lost, rtol=1e-12)
        assert share[t] == pytest.approx(1 - np.mean(lost), rel=1e-12)
    np.testing.assert_array_equal(exact.missing(p, plan), exact.missing(p, plan, t))


def test_A7_coverage_counts_tokens_of_equal_probability():
    p = np.array([0.05] * 4 + [0.1, 0.1, 0.6, 0.0])
    for plan in (
        c.mixture([9, 4, 6, 30], 0.2, 3),
        c.replace([9, 4, 6], 2),
        c.accumulate([9, 4, 6], 2, alpha=0.3),
    ):
        for t, share in enumerate(exact.coverage(p, plan)):
            assert share == pytest.approx(1 - exact.missing(p, plan, t)[:-1].mean(), rel=1e-12)
        if plan.gain.min() == 1:
            lines = asymptotics.founders(plan)[:, None]
            near = (1 - (1 - p[:-1]) ** lines).mean(axis=1)
            np.testing.assert_allclose(asymptotics.coverage(p, plan), near, rtol=1e-12)


def test_A7_coverage_by_simulation():
    """False alarm 1e-6 a check; sees an error of 5%."""
    p = c.targets.zipf(300)
    record = {"coverage": lambda theta: c.metrics.coverage(theta, p)}
    for plan in (
        c.mixture([100, 40, 80, 120, 60, 90], 0.2, 5),
        c.replace(80, 20),
        c.accumulate(40, 10, alpha=0.3),
    ):
        run = c.simulate(c.Categorical(), p, plan, replications=4000, rng=1, record=record)
        check(run.values["coverage"], exact.coverage(p, plan))


def test_A7_zero_tokens_and_extremes():
    p = np.array([0.0, 0.5, 0.5])
    plan = c.mixture(20, 0.1, 3)
    assert exact.missing(p, plan)[0] == 1
    assert exact.coverage(p, plan)[-1] == pytest.approx(1 - exact.missing(p, plan)[1], rel=1e-12)
    rare = np.array([1e-12, 1 - 1e-12])
    found = exact.founders(plan)[-1] @ np.arange(21)
    seen = 2 * exact.coverage(rare, plan)[-1] - 1  # the frequent token is always there
    assert seen == pytest.approx(found * 1e-12, rel=1e-3)
    assert exact.coverage([1.0], c.replace(5, 3)).tolist() == [1.0] * 4
    big = exact.coverage(c.targets.zipf(10**5), c.accumulate(10**12, 50, alpha=1e-12))
    assert np.isfinite(big).all() and (np.diff(big) >= 0).all() and 0 < big[0] <= 1


def test_A7_long_loops_and_large_vocabularies_fit_into_memory():
    import tracemalloc

    tracemalloc.start()
    p = c.targets.zipf(20_000)
    exact.coverage(p, c.accumulate(100, 2000, alpha=0.1))
    exact.missing(p, c.replace(100, 2000), 0)
    exact.coverage([0.5, 0.5], c.replace(64, 50_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 2**20  # K (T + 1) floats alone would be 320 MB


def test_E3_what_is_yielded_cannot_be_changed():
    laws = exact.token_law(0.5, c.replace(4, 2))
    with pytest.raises(ValueError, match="read-only"):
        next(laws)[:] = 0


def test_A7_a_point_mass_above_one_by_rounding():
    p = [1 + 5e-10]
    assert exact.missing(p, c.replace(5, 2)).tolist() == [0.0]
    assert exact.coverage(p, c.replace(5, 2)).tolist() == [1.0] * 3
    assert asymptotics.coverage(p, c.replace(5, 2)).tolist() == [1.0] * 3
    assert bounds.l1(p, c.replace(5, 2)).tolist() == [0.0] * 3


def test_A7_law_of_founders_at_large_n_is_a_law():
    for law in exact.founders(c.mixture(800, 0.05, 30))[::10]:
        assert law.min() >= 0 and law.sum() == pytest.approx(1, abs=1e-11)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.floats(0, 1))
def test_A7_mean_field_is_an_upper_bound(n, alpha):
    plan, p = c.mixture(n, alpha, len(n) - 1), c.targets.zipf(20)
    found = [law @ np.arange(law.size) for law in exact.founders(plan)]
    assert (found <= asymptotics.founders(plan) * (1 + 1e-9)).all()
    assert (exact.coverage(p, plan) <= asymptotics.coverage(p, plan) * (1 + 1e-9)).all()


def test_A7_mean_field_is_right_for_large_n():
    for alpha in (0.0, 0.1):
        ratios = []
        for n in (200, 800, 3200):
            plan = c.mixture(n, alpha, 8)
            mean = np.array([law @ np.arange(n + 1) for law in exact.founders(plan)])
            ratios.append(abs(mean / asymptotics.founders(plan) - 1).max())
        assert ratios[2] < 2e-4 and ratios[2] < ratios[1] / 3 < ratios[0] / 9


@pytest.mark.parametrize("name", ["mixture", "replace"])
def test_E3_token_law_by_enumeration(name):
    plan = TINY[name]
    laws = exact.token_law(0.5, plan)
    for t, (law, truth) in enumerate(zip(laws, joint_law(HALF, plan), strict=True)):
        expected = np.zeros(plan.n[t] + 1)
        for state, chance in truth.items():
            expected[round(state[2][0] * int(plan.n[t]))] += float(chance)
        np.testing.assert_allclose(law, expected, rtol=1e-12)


STRETCHES = {  # sizes and shares that stay and change, one without the other
    "all change": c.mixture(lambda t: 150 + 40 * t, lambda t: 0.5 / t, 12),
    "the size before changes alone": c.mixture([10, 30, 30, 30, 80, 30, 30], 0.2, 6),
    "the share changes alone": c.mixture(40, [1, 0.1, 0.1, 0.5, 0.5, 0.0, 0.0], 6),
    "replace": c.replace([10, 30, 30, 10, 10, 30], 5),
}


@pytest.mark.parametrize("plan", STRETCHES.values(), ids=STRETCHES)
def test_E3_agrees_with_the_founders_and_with_rho(plan):
    p = [0.01, 0.3, 0.69]
    rho = exact.inflation(plan)
    for k, share in enumerate(p):
        for t, law in enumerate(exact.token_law(share, plan)):
            x = np.arange(law.size) / plan.n[t]
            assert law @ x == pytest.approx(share, rel=1e-11)  # A1
            assert law @ (x - share) ** 2 == pytest.approx(rho[t] * share * (1 - share), rel=1e-10)
            assert law[0] == pytest.approx(exact.missing(p, plan, t)[k], rel=1e-9)


def seen_m_times(m, n, T):
    """P(gone at t = 1..T) of a token that n samples show m times, alpha = 0: the exact chain."""
    step = binom.pmf(np.arange(n + 1), n, np.arange(n + 1)[:, None] / n)
    law = np.zeros(n + 1)
    law[m] = 1
    for _ in range(T):
        law = law @ step
        yield law[0]


def test_E4_branching_limit_of_the_exact_chain():
    t = np.arange(1, 31)
    for m in (1, 3, 10):
        errors = []
        for n in (500, 1000, 2000):
            gone = np.array(list(seen_m_times(m, n, 30)))
            errors.append(abs(gone - asymptotics.extinction(m, t)).max())
        assert errors[2] < 0.006  # of order (m + t) / n
        np.testing.assert_allclose(np.divide(errors[:2], errors[1:]), 2, rtol=0.2)


def test_E4_closed_form_is_within_0_004():
    t, worst, crude = np.unique(np.geomspace(1, 10**6, 400).astype(int)), 0, 0
    for m in np.unique(np.geomspace(1, 10**5, 200).astype(int)):
        limit = asymptotics.extinction(m, t)
        near = np.exp(-2 * m / (t + 1 + np.log((t + 1) / 2) / 3))
        worst = max(worst, abs(near - limit).max())
        crude = max(crude, abs(np.exp(-2 * m / t) - limit).max())
    assert 0.002 < worst < 0.004 and crude > 0.1


def test_E4_forgetting_time_is_the_first_time():
    m = np.array([0.5, 1, 2, 7, 100, 12345.0, 1e9, 1e12])
    for q in (0.01, 0.5, 0.99):
        t = asymptotics.forgetting_time(m, q)
        assert (asymptotics.extinction(m, t) >= q * (1 - 1e-11)).all()
        later = t > 1
        assert (asymptotics.extinction(m[later], t[later] - 1) < q * (1 + 1e-11)).all()
    median = asymptotics.forgetting_time(m[1:])
    near = 2 * m / np.log(2) - 1 - np.log(m / np.log(2)) / 3
    assert abs(median - near[1:]).max() < 1.01


def test_E4_the_mean_is_not_linear():
    """Mean time to loss or fixation, from the linear system of the exact chain."""
    n, counts = 400, np.array([1, 2, 4, 8, 16])
    step = binom.pmf(np.arange(1, n), n, np.arange(1, n)[:, None] / n)
    mean = np.linalg.solve(np.eye(n - 1) - step, np.ones(n - 1))[counts - 1]
    np.testing.assert_allclose(mean, 2 * counts * (np.log(n / counts) + 1), rtol=0.1)
    assert mean[-1] / mean[0] < 0.7 * 16  # far from proportional to the count


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8))
def test_E7_tokens_come_down_from_infinity(n):
    plan = c.replace(n, len(n) - 1)
    found = [law @ np.arange(law.size) for law in exact.founders(plan)]
    limit = bounds.distinct(plan)
    assert (found <= limit * (1 + 1e-12)).all()
    for K in (3, 1000):
        p = c.targets.zipf(K, 0.0)
        assert (K * exact.coverage(p, plan) <= limit * (1 + 1e-12)).all()


def test_E7_closed_form_and_sharpness():
    n, T = 500, 400
    limit, t = bounds.distinct(c.replace(n, T)), np.arange(1, T + 1)
    assert limit[0] == n and (limit[1:] < 1 + 2 * n / t).all()
    found = [law @ np.arange(n + 1) for law in exact.founders(c.replace(n, T))]
    ratio = limit[1:] / found[1:]
    assert ratio.min() >= 1 and ratio.max() < 1.25  # the bound gives away less than a quarter
