"""Claims B9, C2, C3, C7, F7, G1, G3: what keeping data, and knowing more, is worth."""

from collections import defaultdict
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import blend, counts_law, mean
from scipy.optimize import minimize_scalar
from scipy.stats import binom, multinomial

import collapse as c
from collapse import asymptotics, exact
from collapse.book import check

whole = st.integers(1, 10**6)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), min_size=2, max_size=5),
    st.sampled_from(["mixture", "accumulate", "aware", "filtered"]),
)
def test_B9_no_scheme_is_worth_more_than_its_real_samples(steps, scheme):
    n, alpha = [k for k, _ in steps], [1.0, *(a / 4 for _, a in steps[1:])]
    T, law = len(n) - 1, np.ones(1)
    for size, share in zip(n, alpha, strict=True):  # the law of the number of real samples
        law = np.convolve(law, binom.pmf(np.arange(size + 1), size, share))
    least = (law[1:] / np.arange(1, law.size)).sum()  # E[1/M]; M is at least n_0
    make = getattr(c, scheme)
    plan = make(n, T, alpha=alpha) if scheme == "accumulate" else make(n, alpha, T)
    assert exact.inflation(plan)[-1] >= least * (1 - 1e-9)
    real = np.rint(np.multiply(n, alpha)).astype(int)  # and numbers fixed beforehand
    labelled = c.Plan(
        np.maximum(real, 1), np.where(real > 0, 1.0, 0.0), gain=real / np.cumsum(real),
        real_weight=np.where(real > 0, 1.0, 0.0), mixing="stratified",
    )  # fmt: skip
    assert exact.inflation(labelled)[-1] == pytest.approx(1 / real.sum(), rel=1e-9)


@given(st.integers(1, 10**9))
def test_C2_pi_squared_over_six(n):
    T = 300
    rho, s = exact.inflation(c.accumulate(n, T)), np.arange(1, T + 2)
    gap = np.cumsum(1.0 / s**2) - n * rho
    slack = 1e-12 * n * rho
    assert (gap >= -slack - 1e-12).all() and (gap <= (np.pi**2 / 6) ** 2 / (2 * n) + slack).all()
    if n < 10**6:
        product = np.cumprod(1 - 1 / (n * s**2.0))
        np.testing.assert_allclose(1 - rho, product, rtol=1e-9, atol=1e-15)


def test_C2_limit():
    for n in (1, 2, 10, 1000):
        rho = exact.inflation(c.accumulate(n, 100_000))[-1]
        x = np.pi / np.sqrt(n)
        assert rho == pytest.approx(1 - np.sin(x) / x, abs=2e-5)  # what T leaves out: 1 / (n T)


@given(st.lists(whole, min_size=2, max_size=40))
def test_C2_never_more_than_doubles(n):
    rho = exact.inflation(c.accumulate(n, len(n) - 1))
    assert (rho <= (2 / n[0] - 1 / np.cumsum(n)) * (1 + 1e-9)).all()


sizes_and_shares = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 5)), min_size=2, max_size=12
)


@given(sizes_and_shares)
def test_C2_sharp_bound_in_rational_arithmetic(schedule):
    """rho <= 2/(n_0+1) - (n_0-1)/((n_0+1) S_t), equal for batches of one and no fresh data."""
    (first, _), *rest = schedule
    for ones in (False, True):
        rho, pool = Fraction(1, first), first
        for size, fifths in rest:
            n, alpha = (1, Fraction(0)) if ones else (size, Fraction(fifths, 5))
            pool += n
            w = Fraction(n, pool)
            noise = Fraction(n, pool**2) * (1 - (1 - alpha) ** 2 * rho)
            rho = (1 - w * alpha) ** 2 * rho + noise
            most = Fraction(2, first + 1) - Fraction(first - 1, (first + 1) * pool)
            assert rho == most if ones else rho <= most
            assert most <= Fraction(2, first) - Fraction(1, pool)  # what C2 said before


@pytest.mark.parametrize("n0", [1, 2, 7, 1000])
def test_C2_batches_of_one_attain_the_bound(n0):
    T = 10_000
    rho = exact.inflation(c.accumulate([n0] + [1] * T, T))
    most = 2 / (n0 + 1) - (n0 - 1) / ((n0 + 1) * (n0 + np.arange(T + 1.0)))
    np.testing.assert_allclose(rho, most, rtol=1e-11)


def test_C2_two_is_sharp():
    n = [1000] + [1] * 10**6
    rho = exact.inflation(c.accumulate(n, 10**6))
    assert 1.99 / 1000 < rho[-1] < 2 / 1000


def test_C3_consistent_exactly_when_the_shares_add_up():
    T = 100_000
    for shares, falls in ((lambda t: 0.5 / np.log(t + 2), True), (lambda t: 1 / t, False)):
        rho = exact.inflation(c.accumulate(50, T, alpha=shares))
        later = rho[[T // 100, T // 10, T]]
        if falls:  # w_t alpha_t = 1 / (2 t log t): the sum diverges, slowly
            assert (np.diff(np.log(later)) < -0.15).all()
        else:  # w_t alpha_t is near t^-2: it converges
            assert later[2] > 0.5 * later[1] > 0.25 * later[0]


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_C3_exponents(alpha, x):
    T = 300_000
    plan = c.accumulate(c.power(20, x), T, alpha=alpha)
    t = np.unique(np.geomspace(T / 100, T, 40).astype(int))
    total, rho = np.cumsum(plan.n, dtype=float)[t], exact.inflation(plan)[t]
    slope = np.polyfit(np.log(total), np.log(rho), 1)[0]
    assert -slope == pytest.approx(min(2 * alpha, 1.0), abs=0.02)
    if alpha > 0.5:
        assert total[-1] * rho[-1] == pytest.approx(1 / (2 * alpha - 1), rel=0.01)


def test_C3_logarithm_at_one_half():
    t = np.array([10**4, 10**5, 10**6])
    rho = exact.inflation(c.accumulate(20, 10**6, alpha=0.5))[t]
    growth = np.diff(20 * t * rho) / np.diff(np.log(t))
    np.testing.assert_allclose(growth, 1, rtol=0.01)


def test_C7_limit_of_the_subsampled_loop():
    n = 10**6
    rho = exact.inflation(c.subsampled(n, 200_000))
    assert n * rho[-1] == pytest.approx(np.pi**2 / 2 - 2, rel=1e-4)
    keep, replace = exact.inflation(c.accumulate(n, 50)), exact.inflation(c.replace(n, 50))
    assert (keep[2:] < rho[2:51]).all() and (rho[3:51] < replace[3:]).all()


def test_C7_two_states_by_hand():
    """Pool and model as two recursions; and every model is one draw worse than its pool."""
    plan = c.subsampled([7, 4, 9, 2, 11], 4, alpha=0.3)
    n, total = plan.n, np.cumsum(plan.n)
    pool = model = 1 / n[0]
    path = [model]
    for t in range(1, 5):
        w, a = n[t] / total[t], 0.7
        pool = (
            ((1 - w) ** 2 + 2 * w * (1 - w) * a) * pool
            + w**2 * a**2 * model
            + w**2 / n[t] * (1 - a**2 * model)
        )
        f = (total[t] - n[t]) / (total[t] - 1) / n[t]
        model = f + (1 - f) * pool
        path.append(model)
    np.testing.assert_allclose(exact.inflation(plan), path, rtol=1e-13)


@given(st.lists(st.integers(1, 500), min_size=2, max_size=9), st.data())
def test_C7_larger_shares_never_hurt(n, data):
    """Neither pool nor model; hence the bound for constant n holds with any shares."""
    T = len(n) - 1
    low = [1.0, *data.draw(st.lists(st.floats(0, 1), min_size=T, max_size=T))]
    high = [1.0, *(data.draw(st.floats(a, 1)) for a in low[1:])]
    less, more = (exact.inflation(c.subsampled(n, T, alpha=a)) for a in (low, high))
    assert (more <= less * (1 + 1e-12)).all()
    same = n[0] * exact.inflation(c.subsampled(n[0], T, alpha=low))
    assert (same < np.pi**2 / 2 - 2).all()


def test_C7_fresh_data_mend_the_pool_and_not_the_model():
    rho = exact.inflation(c.subsampled(100, 20_000, alpha=0.5))
    assert rho[-1] == pytest.approx(1 / 100, rel=0.01) and (rho >= 1 / 100 * (1 - 1e-12)).all()


@pytest.mark.parametrize("k", [0.2, 1.0, 4.0])
def test_golden_weight_is_the_best(k):
    n_real = 10**8
    n_fake = round(k * n_real)
    n, alpha = n_real + n_fake, n_real / (n_real + n_fake)

    def rest(v):
        return n_real * exact.inflation(c.weighted(n, alpha, 300, real_weight=v))[-1]

    v = 2 / (1 + np.sqrt(1 + 4 * k))
    assert rest(v) == pytest.approx(v, rel=1e-6)
    best = minimize_scalar(rest, bounds=(0.05, 1), method="bounded", options={"xatol": 1e-6})
    assert best.x == pytest.approx(v, abs=1e-3)
    assert rest(0.95 * v) > rest(v) < rest(min(1.0, 1.05 * v))


@given(st.integers(2, 60), st.floats(0.02, 0.98), st.floats(0.01, 1), st.integers(0, 5))
def test_G1_what_an_unlabelled_sample_is_worth(n, p_k, alpha, t):
    """alpha^2 / p <= alpha^2 E[1 / q] <= that times (1 + ...), and never above alpha / p."""
    plan = c.mixture(n, alpha, 5)
    law, rho = list(exact.token_law(p_k, plan))[t], exact.inflation(plan)[t]
    q = alpha * p_k + (1 - alpha) * np.arange(n + 1) / n
    worth = p_k * law @ (alpha**2 / q)
    extra = 1 + (1 - alpha) ** 2 * (1 - p_k) * rho / (alpha * p_k)
    assert alpha**2 * (1 - 1e-9) <= worth <= alpha**2 * extra * (1 + 1e-9)
    assert worth <= alpha * (1 + 1e-9)


def test_G1_first_order_optimality_of_the_aware_scheme():
    alpha, n, T, p_min = 0.2, 10**5, 300, 0.05
    rho = exact.inflation(c.aware(n, alpha, T))
    extra = 1 + (1 - alpha) ** 2 * rho[:-1] / (alpha * p_min)
    information = n + np.cumsum(alpha**2 * n * extra)
    assert (1 / rho[1:] >= n * (1 + alpha**2 * np.arange(1, T + 1)) * (1 - 1e-9)).all()
    assert (1 / rho[1:] <= information).all()
    assert information[-1] * rho[-1] < 1.001  # nothing unbiased can do a thousandth better


def test_G3_reading_the_share_off_the_loop():
    """The sd is within 5% of the formula; false alarm 1e-6: sd / sqrt(2 R) is its own error."""
    p, n, alpha, T, R = c.targets.zipf(40, 0.5), 10**5, 0.2, 300, 6000
    above, below, before = np.zeros(R), np.zeros(R), None
    for _, theta in c.iterate(c.Categorical(), p, c.mixture(n, alpha, T), replications=R, rng=3):
        error = (theta - p) / np.sqrt(p)
        if before is not None:
            above += np.einsum("rk,rk->r", error, before)
            below += np.einsum("rk,rk->r", before, before)
        before = error
    estimate = 1 - above / below
    sd = np.sqrt(alpha * (2 - alpha) / (39 * T))
    assert abs(estimate.mean() - alpha) < 0.2 * sd  # the bias is of order 1 / T
    assert abs(estimate.std(ddof=1) / sd - 1) < 5 / np.sqrt(2 * R)
    assert 5 / np.sqrt(2 * R) < 0.05  # an error of 5% in the formula would be seen


WEB = [(1.0, 1.5), (0.5, 1.0), (1.5, 2.0)]


def web(x, y, T, r=1e3, s=1e3):
    t = np.maximum(np.arange(T + 1), 1.0)
    real, fake = r * t**x, s * t**y
    fake[0] = 0
    n = np.maximum(np.rint(real + fake), 1)
    return n, real / (real + fake)


def exponent(rho):
    t = np.unique(np.geomspace(rho.size / 100, rho.size - 1, 40).astype(int))
    return -np.polyfit(np.log(t), np.log(rho[t]), 1)[0]


@pytest.mark.parametrize(("x", "y"), WEB)
def test_F7_rates_inside(x, y):
    T = 200_000
    n, alpha = web(x, y, T)
    assert exponent(exact.inflation(c.mixture(n, alpha, T))) == pytest.approx(x, abs=0.02)
    best = exact.inflation(c.aware(n, alpha, T))
    assert exponent(best) == pytest.approx(2 * x - y + 1, abs=0.03)
    kept = exact.inflation(c.accumulate(n, T, alpha=alpha))
    assert kept[-1] > 0.9 * kept[T // 10]  # y > x: accumulation does not recover


def test_F7_edges():
    T = 200_000
    n, alpha = web(0.5, 2.0, T)  # y > x + 1: the shares add up to something finite
    for plan in (c.mixture(n, alpha, T), c.aware(n, alpha, T), c.accumulate(n, T, alpha=alpha)):
        rho = exact.inflation(plan)
        assert rho[-1] > 0.8 * rho[T // 10]
    n, alpha = web(0.0, 0.5, T)  # x = 0: replace has n_t alpha_t = const, aware recovers
    assert exponent(exact.inflation(c.mixture(n, alpha, T))) == pytest.approx(0, abs=0.01)
    assert exponent(exact.inflation(c.aware(n, alpha, T))) == pytest.approx(0.5, abs=0.03)
    n, alpha = web(-0.5, 0.5, T, r=1e6, s=1e6)  # x < 0: y > 2 x + 1, nothing adds up
    rho = exact.inflation(c.aware(n, alpha, T))
    assert rho[-1] > 0.8 * rho[T // 10]
    n, alpha = web(1.0, 1.0, T)  # y = x: a constant share, accumulation recovers too
    kept = exact.inflation(c.accumulate(n, T, alpha=alpha))
    assert exponent(kept) > 0.9
    edge = asymptotics.phase(1, 1.5, 1.0)  # y = x + 1, x = 0.5
    n, alpha = web(0.5, 1.5, T)
    assert exponent(exact.inflation(c.mixture(n, alpha, T))) == pytest.approx(
        edge.exponent, abs=0.02
    )


def test_F7_exponential_growth_defeats_every_gain():
    T = 60
    t = np.arange(T + 1)
    n = np.rint(1000 * 1.5**t)
    alpha = np.minimum(1, 1000 / n)
    left = np.prod((1 - alpha[1:]) ** 2) / n[0]
    for plan in (c.mixture(n, alpha, T), c.aware(n, alpha, T), c.accumulate(n, T, alpha=alpha)):
        assert exact.inflation(plan)[-1] >= left * (1 - 1e-12) > 0


def test_B8_no_unbiased_estimate_from_one_sample_does_better():
    """Averaged over its noise the loop around an anchor is the anchor, and of all functions of the
    counts only one is unbiased: the probabilities of counts, as functions of p, are independent."""
    counts = [(i, j, 3 - i - j) for i in range(4) for j in range(4 - i)]
    laws = multinomial.pmf(counts, 3, np.random.default_rng(3).dirichlet([1] * 3, 30)[:, None])
    assert np.linalg.matrix_rank(laws) == len(counts) == 10
    p, n = np.array([0.5, 0.3, 0.2]), 12
    plan = c.anchored(n, 0.4, 6)
    gap = exact.inflation(plan) - 1 / n
    assert gap[0] == 0 and (gap[1:] > 0).all()
    first = c.Categorical().sample(p[None], np.array([n]), np.random.default_rng(1)).frequency
    again = c.mixture([n] * 7, [1, *[0.4] * 6], 6)
    run = c.simulate(
        c.Categorical(),
        first[0],
        again,
        replications=20_000,
        rng=2,
        record={"share": lambda theta: theta[:, 0]},
    )
    check(run.values["share"], np.full(7, first[0, 0]))  # unbiased for the sample, not for p


@pytest.mark.parametrize("scheme", ["mixture", "accumulate", "filtered"])
def test_B9_what_a_model_loses_against_all_real_data(scheme):
    """Whole laws of model and real samples in rational arithmetic; 1/E[M] would not do."""
    p, sizes, shares = (
        (Fraction(1, 4), Fraction(3, 4)),
        (1, 2, 2),
        (1, Fraction(1, 2), Fraction(1, 4)),
    )
    h, law, total = 1 - sum(x * x for x in p), {(p, (0, 0)): Fraction(1)}, 0
    for n, alpha in zip(sizes, shares, strict=True):
        new, total = defaultdict(Fraction), total + n
        for (model, pool), chance in law.items():
            for r in range(0 if alpha < 1 else n, n + 1):
                count = comb(n, r) * alpha**r * (1 - alpha) ** (n - r)
                for real, one in counts_law(r, p).items():
                    for fake, two in counts_law(n - r, model).items():
                        y = [Fraction(a + b, n) for a, b in zip(real, fake, strict=True)]
                        if scheme == "filtered":
                            y = [Fraction(a, r) for a in real] if r else model
                        w = Fraction(n, total) if scheme == "accumulate" else 1
                        after = blend(model, y, w), tuple(map(sum, zip(pool, real, strict=True)))
                        new[after] += chance * count * one * two
        law = new
        best = {state: tuple(Fraction(x, sum(state[1])) for x in state[1]) for state in law}
        size = mean(law, lambda s: Fraction(1, sum(s[1])))
        risk = mean(law, lambda s: apart(s[0], p))
        assert mean(law, lambda s, best=best: apart(best[s], p)) == h * size
        assert risk == h * size + mean(law, lambda s, best=best: apart(s[0], best[s]))
    assert size > 1 / mean(law, lambda s: Fraction(sum(s[1])))
    plan = {
        "mixture": c.mixture(sizes, [float(x) for x in shares], 2),
        "accumulate": c.accumulate(sizes, 2, alpha=[float(x) for x in shares]),
        "filtered": c.filtered(sizes, [float(x) for x in shares], 2),
    }[scheme]
    assert np.isclose(exact.inflation(plan)[-1], float(risk / h), rtol=1e-13)


def apart(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
