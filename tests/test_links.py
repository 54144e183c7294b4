"""Loops that say who reads and keeps what: plans, their covariances, the engine, a moving truth."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from cases import HALF, SKEW, TINY
from reference import counts_law, joint_law, mean
from scipy import sparse

from collapse import (
    Categorical,
    Gaussian,
    LinearRegression,
    NextToken,
    Plan,
    Result,
    accumulate,
    anchored,
    augmented,
    bounds,
    design,
    exact,
    filtered,
    finetuned,
    iterate,
    mixture,
    replace,
    several,
    simulate,
    subsampled,
    targets,
    weighted,
    window,
)
from collapse.book import check

# The matrix


def random_plan(seed):
    """A small loop whose numbers are binary fractions."""
    rng = np.random.default_rng(seed)
    T = 2

    def row(below):
        weights = rng.multinomial(4, np.full(below, 1 / below)) / 4
        return [*weights, *np.zeros(T + 1 - below)]

    alpha = np.array([1, *rng.choice([0.0, 0.25, 0.5, 1.0], T)])
    reads = np.array([[0.0] * (T + 1), *(row(t) for t in range(1, T + 1))])
    keeps = np.array([row(t + 1) for t in range(T + 1)])
    kind = seed % 3
    if kind == 0:
        return Plan(rng.integers(1, 3, T + 1), alpha, reads=reads, keeps=keeps)
    alpha = np.array([1, *rng.choice([0.0, 0.5, 1.0], T)])
    weight = None if kind == 1 else [1, 0.25, 0.75]
    return Plan([2] * (T + 1), alpha, real_weight=weight, mixing="stratified", reads=reads,
                keeps=keeps)  # fmt: skip


def linked_law(plan, truth):
    """{(models 0..T): probability}, from the definition, in rational numbers."""
    exactly = [[Fraction(float(x)) for x in r] for r in plan.reads.toarray()]
    keeps = [[Fraction(float(x)) for x in r] for r in plan.keeps.toarray()]

    def combined(weights, parts):
        return tuple(
            sum(w * part[k] for w, part in zip(weights, parts, strict=False))
            for k in range(len(truth[0]))
        )

    states = [(Fraction(1), [], [])]
    for t, (n, a) in enumerate(zip(plan.n.tolist(), plan.alpha.tolist(), strict=True)):
        alpha, longer = Fraction(a), []
        for chance, batches, models in states:
            law = combined(exactly[t], models)
            if plan.mixing == "iid":
                q = tuple(
                    alpha * x + (1 - alpha) * y for x, y in zip(truth[t], law, strict=True)
                ) if alpha < 1 else truth[t]  # fmt: skip
                sides = [(Fraction(1), n, q)]
            else:
                m = int(alpha * n)
                v = Fraction(
                    float((plan.alpha if plan.real_weight is None else plan.real_weight)[t])
                )
                sides = [(v, m, truth[t]), (1 - v, n - m, law)]
            made = [(chance, tuple(Fraction(0) for _ in truth[0]))]
            for weight, size, q in sides:
                if size:
                    made = [
                        (one * step, tuple(y + weight * Fraction(c, size)
                                           for y, c in zip(batch, counts, strict=True)))
                        for one, batch in made for counts, step in counts_law(size, q).items()
                    ]  # fmt: skip
            for one, batch in made:
                kept = [*batches, batch]
                longer.append((one, kept, [*models, combined(keeps[t], kept)]))
        states = longer
    return [(chance, models) for chance, _, models in states]


P = (Fraction(3, 4), Fraction(1, 4))


@pytest.mark.parametrize("seed", range(40))
def test_N1_kinship_of_random_loops_by_enumeration(seed):
    plan = random_plan(seed)
    law = linked_law(plan, [P] * 3)
    h = P[0] * P[1]
    K = exact.kinship(plan)
    for s in range(3):
        for t in range(3):
            seen = sum(c * (m[s][0] - P[0]) * (m[t][0] - P[0]) for c, m in law) / h
            assert K[s, t] == pytest.approx(float(seen), abs=1e-14)
    np.testing.assert_allclose(exact.inflation(plan), np.diag(K), atol=1e-15)


@pytest.mark.parametrize("name", TINY)
def test_N1_kinship_of_every_scheme_by_enumeration(name):
    p, plan = HALF, TINY[name]
    K, sigma = exact.kinship(plan), float(p[0] * (1 - p[0]))
    for t, law in enumerate(joint_law(p, plan)):
        first = mean(law, lambda state: state[0][0] * state[2][0]) - Fraction(float(p[0])) ** 2
        assert K[0, t] * sigma == pytest.approx(float(first), abs=1e-13)
        if t:
            second = mean(law, lambda state: state[1][0] * state[2][0]) - Fraction(float(p[0])) ** 2
            assert K[1, t] * sigma == pytest.approx(float(second), abs=1e-13)
    np.testing.assert_allclose(np.diag(K), exact.inflation(plan), rtol=1e-12)
    np.testing.assert_array_equal(K, K.T)


EQUAL = {
    "mixture": (mixture(20, 0.3, 30), {"reads": np.eye(31, k=-1)}),
    "stratified": (mixture(20, 0.5, 30, mixing="stratified"), {"keeps": np.eye(31)}),
    "weighted": (weighted(20, 0.5, 30, real_weight=0.7), {"keeps": sparse.eye_array(31)}),
    "accumulate": (
        accumulate(20, 30, alpha=0.2),
        {"keeps": np.tril(np.ones((31, 31))) / np.arange(1, 32)[:, None]},
    ),
    "finetuned": (finetuned(20, 0.2, 30, gain=0.3), {"reads": np.eye(31, k=-1)}),
}


@pytest.mark.parametrize("name", EQUAL)
def test_N1_kinship_meets_the_recursions(name):
    """The same loop said with matrices: equal to 1e-12."""
    plan, links = EQUAL[name]
    gain = None if "keeps" in links else plan.gain
    other = Plan(plan.n, plan.alpha, gain, plan.real_weight, mixing=plan.mixing, **links)
    np.testing.assert_allclose(exact.inflation(other), exact.inflation(plan), rtol=1e-12)
    np.testing.assert_allclose(exact.kinship(other), exact.kinship(plan), rtol=1e-12)
    p = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(
        exact.covariance(p, other, 7, s=3), exact.covariance(p, plan, 3, s=7), rtol=1e-12
    )


def test_N2_N3_N4_two_models_a_window_and_augmentation():
    """N2, N3, N4, the figures of their claims; the last at rest, exactly 4/301."""
    assert exact.inflation(several(50, 0.0, 60, models=2, across=0.5))[-1] == pytest.approx(
        0.4638, abs=1e-4
    )
    assert exact.inflation(replace(50, 60))[-1] == pytest.approx(0.708, abs=1e-3)
    assert exact.inflation(window(50, 0.0, 60, length=5))[-1] == pytest.approx(0.1448, abs=1e-4)
    assert exact.inflation(augmented(100, 500))[-1] == pytest.approx(4 / 301, rel=1e-12)
    same = window(50, 0.1, 20, length=1)
    np.testing.assert_allclose(exact.inflation(same), exact.inflation(mixture(50, 0.1, 20)))
    np.testing.assert_allclose(
        exact.inflation(window(50, 0.1, 20, length=99)),
        exact.inflation(accumulate(50, 20, alpha=0.1)), rtol=1e-12,
    )  # fmt: skip
    alone = exact.inflation(several(50, 0.2, 20, models=3, across=0.0))
    np.testing.assert_allclose(alone[::3], exact.inflation(mixture(50, 0.2, 20)), rtol=1e-12)


@pytest.mark.parametrize("across", [0.1, 0.5, 0.9])
def test_N2_two_models_by_their_two_lines(across):
    """Sizes and shares that jump; half and half is one loop of twice the size."""
    n, alpha = np.array([30, 10, 50, 20, 40]), np.array([1, 0.2, 0.0, 0.5, 0.1])
    K = exact.kinship(several(n, alpha, 4, models=2, across=across))
    s = (1 - across) ** 2 + across**2
    rho, between = 1 / 30, 0.0
    for t in range(1, 5):
        back = (1 - alpha[t]) ** 2
        mixed, across_them = s * rho + (1 - s) * between, s * between + (1 - s) * rho
        rho, between = 1 / n[t] + (1 - 1 / n[t]) * back * mixed, back * across_them
        np.testing.assert_allclose(K[2 * t, 2 * t : 2 * t + 2], [rho, between], rtol=1e-12)
    if across == 0.5:
        half = exact.inflation(mixture(2 * n, alpha, 4))[-1]
        assert (rho + between) / 2 == pytest.approx(half, rel=1e-12)
    gone = exact.kinship(several(5, 0.0, 400, models=2, across=across))[-2:, -2:]
    np.testing.assert_allclose(gone, 1, atol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_N3_diversity_of_a_window(k):
    """Its sum is n times the squared mean age, less what the warm-up has spent."""
    n, T = 20, 6000
    plan = window(n, 0.0, T, length=k)
    age = np.arange(k)
    weights = 2 * (k - age) / (k * (k + 1))
    linear = np.zeros((T + 1, T + 1))  # a report that nobody reads
    for t in range(60):
        linear[t, t - age[: t + 1]] = weights[: t + 1]
    batches = Plan(plan.n[:60], plan.alpha[:60], reads=plan.keeps.toarray()[:60, :60][
        np.r_[0, :59]] * (np.arange(60)[:, None] > 0))  # fmt: skip
    C = exact.kinship(batches)  # batches themselves, each written by a window
    zeta = np.einsum("ti,ij,tj->t", linear[:60, :60], C, linear[:60, :60])
    rho = exact.inflation(plan)
    step = (2 / (k + 1)) ** 2 / n * (1 - rho[k - 1 : 59])
    np.testing.assert_allclose(np.diff(zeta)[k - 1 :], step, rtol=1e-9)
    total = n * ((k + 1) / 2) ** 2 * (1 - zeta[k - 1])
    assert (1 - rho[k - 1 :]).sum() == pytest.approx(total, rel=1e-9)


def test_N3_a_gain_remembers_by_its_square():
    rho = exact.inflation(finetuned(np.r_[10, np.full(20_000, 20)], 0.0, 20_000, gain=0.2))
    assert (1 - rho).sum() == pytest.approx(20 / 0.2**2 * (1 - 1 / 10), rel=1e-9)


def test_N4_rest_and_bound():
    for real, made in ((100, 100), (50, 5), (7, 900), (2, 1), (1, 9)):
        n = np.r_[real, np.full(30_000 if made > 500 else 3000, made)]
        rho = exact.inflation(augmented(n, n.size - 1))
        rest = (real + 3 * made) / (real * (real + 2 * made) + made)
        assert rho[-1] == pytest.approx(rest, rel=1e-9)
    rng = np.random.default_rng(1)
    for _ in range(50):
        n = rng.integers(1, rng.integers(2, 3000), 60)
        n[0] = rng.integers(2, 100)
        rho = exact.inflation(augmented(n, 59))
        assert (rho >= (1 - 1e-12) / n[0]).all() and (rho < 3 / (2 * n[0] + 1)).all()


def test_batches_in_use_bound_the_memory():
    """A window of T = 9,000 needs little; all its covariances are refused."""
    plan = window(50, 0.1, 9000, length=3)
    assert exact.inflation(plan).shape == (9001,)
    with pytest.raises(ValueError, match=r"at most 8192 models, found 9001.*0\.6 GB"):
        exact.kinship(plan)
    everything = sparse.csr_array(np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None])
    assert exact.inflation(Plan([9] * 4, [1, 0, 0, 0], keeps=everything)).size == 4


# The average


def by_kinship(plan, u):
    """The variance of the weighted mean of models 0..t, from its definition."""
    K = exact.kinship(plan)
    return [u[: t + 1] @ K[: t + 1, : t + 1] @ u[: t + 1] / u[: t + 1].sum() ** 2
            for t in range(u.size)]  # fmt: skip


@pytest.mark.parametrize("name", TINY)
def test_H2_average_of_every_scheme(name):
    """The recursion against kinship, which enumeration has checked; any weights."""
    plan = TINY[name]
    for u in (
        np.ones(plan.n.size),
        np.arange(1.0, plan.n.size + 1),
        1e-9 * 2.0 ** -np.arange(plan.n.size),
    ):
        np.testing.assert_allclose(exact.average(plan, weights=u), by_kinship(plan, u), rtol=1e-12)
    np.testing.assert_allclose(exact.average(plan), by_kinship(plan, np.ones(plan.n.size)))


@pytest.mark.parametrize("name", ["mixture", "replace"])
def test_H2_average_by_enumeration(name):
    """Generations 0 and 1 and t with weight 1, the others 0, in rational numbers."""
    plan = TINY[name]
    sigma = 0.25
    for t, law in enumerate(joint_law(HALF, plan)):
        if t > 1:
            u = np.zeros(plan.n.size)
            u[[0, 1, t]] = 1
            both = mean(law, lambda s: (s[0][0] + s[1][0] + s[2][0] - Fraction(3, 2)) ** 2) / 9
            assert exact.average(plan, weights=u)[t] * sigma == pytest.approx(
                float(both), rel=1e-12
            )


@pytest.mark.parametrize("seed", range(10))
def test_average_of_a_linked_loop_by_enumeration(seed):
    plan = random_plan(seed)
    law = linked_law(plan, [P] * 3)
    whole = sum(c * (sum(m[t][0] for t in range(3)) / 3 - P[0]) ** 2 for c, m in law)
    expected = float(whole / (P[0] * P[1]))
    assert exact.average(plan)[-1] == pytest.approx(expected, abs=1e-14)


def test_average_figures_and_edges():
    plan = mixture(50, 0.2, 300)
    assert 1 / exact.average(plan)[-1] == pytest.approx(636.4, abs=0.1)
    assert 1 / exact.inflation(plan)[-1] == pytest.approx(18.6, abs=0.1)
    rate = 10**5 * exact.average(mixture(50, 0.2, 10**5))[-1]
    assert 1 / rate == pytest.approx(49 * 0.04 + 0.2 / 1.8, rel=1e-3)  # (n - 1) a^2 + a / (2 - a)
    late = exact.average(plan, weights=1.0 * (np.arange(301) >= 10))
    assert np.isnan(late[:10]).all() and late[10] == pytest.approx(exact.inflation(plan)[10])
    anchor = exact.average(anchored(1, 0.5, 4))
    np.testing.assert_allclose(anchor, 1.0)
    for bad in ([1.0, 2.0], np.full(301, -1.0)):
        with pytest.raises(ValueError, match="weights must be 301 numbers"):
            exact.average(plan, weights=bad)


def test_average_meets_simulation():
    """False alarm 1e-6; sees 8%."""
    plan = mixture(40, 0.3, 12)
    models = [theta for _, theta in iterate(Categorical(), SKEW, plan, replications=20_000, rng=3)]
    means = np.cumsum(models, axis=0) / np.arange(1, 14)[:, None, None]
    off = ((means - SKEW) ** 2).sum(axis=-1)
    check(off, exact.heterozygosity(SKEW) * exact.average(plan), planted=0.08)


def test_H2_average_never_passes_its_bound():
    rng = np.random.default_rng(4)
    closest = 0.0
    for _ in range(3000):
        T = int(rng.integers(1, 60))
        least = rng.random() ** 2
        shares = np.append(1, least + (1 - least) * rng.random(T) ** rng.integers(1, 9))
        sizes = rng.integers(1, 200) + rng.integers(0, rng.integers(1, 100), T + 1)
        found = exact.average(mixture(sizes, shares, T))
        bound = bounds.average(shares, sizes, T)
        assert (found <= bound * (1 + 1e-12)).all()
        closest = max(closest, (found / bound).max())
    assert closest > 0.9
    far = exact.average(mixture(50, 0.2, 10**4))[-1] / bounds.average(0.2, 50, 10**4)[-1]
    assert 0.98 < far < 1
    np.testing.assert_array_equal(bounds.average(0.0, 50, 3), 1)


# The engine


LOOPS = {
    "window": window([40, 20, 30, 25, 35, 20], 0.3, 5, length=3),
    "augmented": augmented(30, 5),
    "several": several(30, 0.2, 3, models=2, across=0.4),
    "three authors": several(30, 0.0, 2, models=3,
                             across=[[0, 0.5, 0.5], [1, 0, 0], [0.2, 0.3, 0.5]]),
    "finetuned": finetuned(30, 0.2, 5, gain=0.3),
    "labelled": Plan([30] * 4, [1, 0.5, 0.5, 0.5], real_weight=[1, 0.8, 0.6, 0.7],
                     mixing="stratified", keeps=window(30, 0.5, 3, length=2).keeps),
    "far readers": Plan([30] * 4, [1, 0.25, 0.5, 0.0],
                        reads=[[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.25, 0.25, 0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_N1_simulation_meets_kinship(name):
    """False alarm 1e-6; a risk 8% off is seen. Of the covariance of the last two models too."""
    plan = LOOPS[name]
    result = simulate(Categorical(), SKEW, plan, replications=12_000, rng=1)
    h = exact.heterozygosity(SKEW)
    at = np.arange(plan.n.size)
    check(result.values["l2"], h * exact.inflation(plan), at=at, planted=0.08)
    seen = [theta for _, theta in iterate(Categorical(), SKEW, plan, replications=12_000, rng=2)]
    product = ((seen[-2] - SKEW) * (seen[-1] - SKEW)).sum(axis=1)
    z = product.mean() - h * exact.kinship(plan)[-2, -1]
    assert abs(z) < 4.9 * product.std() / np.sqrt(12_000)


def test_other_models_run_the_same_loops():
    """The mean of a Gaussian obeys N1: false alarm 1e-6, a risk 8% off is seen."""
    plan = several(20, 0.2, 3, models=2, across=0.4)
    result = simulate(Gaussian(1), (0.0, 1.0), plan, replications=60_000, rng=1,
                      record={"x": lambda theta: theta.mean[:, 0] ** 2})  # fmt: skip
    check(result.values["x"], exact.inflation(plan), at=np.arange(plan.n.size), planted=0.08)
    text = targets.text(k=30).split(0.02, rng=1)[0]
    for plan in (window(20, 0.2, 3, length=2), several(20, 0.2, 2, models=2, across=0.5)):
        grams = simulate(NextToken(), text, plan, replications=2, rng=1).values["grams"]
        assert grams.shape == (plan.n.size, 2) and (grams > 0).all()
    design_of_rows = LinearRegression(lambda shape, rng: np.broadcast_to(np.eye(20)[:, :2], shape))
    with pytest.raises(TypeError, match="share the rows of a design"):
        simulate(design_of_rows, ([1.0, 1.0], 1.0), plan, replications=2, rng=1)


class Stubborn(Categorical):
    """Fits nothing: theta says which model was the one before."""

    def fit(self, data, previous=None):
        first = previous is None
        return np.roll(data.frequency, 1, axis=1) if first else previous


def test_the_model_before_is_that_of_the_same_island():
    plan = several([9, 9, 9], 1.0, 2, models=2, across=0.5)
    seen = [theta for _, theta in iterate(Stubborn(), [0.5, 0.5], plan, rng=1)]
    for t in (2, 3, 4, 5):
        np.testing.assert_array_equal(seen[t], seen[t % 2])
    assert (seen[0] != seen[1]).any()


def test_only_what_is_asked_for_is_kept():
    """Of a window of 3 no more than three batches are alive, and of one reader two models."""
    import weakref

    alive, most = [], [0]

    class Watched(Categorical):
        def fit(self, data, previous=None):
            theta = super().fit(data, previous).view(type("Seen", (np.ndarray,), {}))
            alive.append(weakref.ref(theta))
            most[0] = max(most[0], sum(ref() is not None for ref in alive))
            return theta

    for _ in iterate(Watched(), [0.5, 0.5], window(9, 0.5, 30, length=3), rng=1):
        pass
    assert len(alive) == 31 and most[0] <= 3


# A moving truth


@pytest.mark.parametrize("seed", range(20))
def test_N6_moving_by_enumeration(seed):
    plan = random_plan(seed)
    truth = [P, (Fraction(1, 2), Fraction(1, 2)), (Fraction(1, 8), Fraction(7, 8))]
    law = linked_law(plan, truth)
    bias, risk = exact.moving(np.array(truth, dtype=float), plan)
    for t in range(3):
        off = [sum(c * (m[t][k] - truth[t][k]) for c, m in law) for k in range(2)]
        np.testing.assert_allclose(bias[t], np.array(off, dtype=float), atol=1e-14)
        square = sum(c * sum((m[t][k] - truth[t][k]) ** 2 for k in range(2)) for c, m in law)
        assert risk[t] == pytest.approx(float(square), abs=1e-14)


def test_moving_of_a_truth_that_stands_still():
    p = np.array([0.2, 0.3, 0.5])
    for plan in (mixture(30, 0.2, 9), accumulate(30, 9, alpha=0.1), weighted(
        30, 0.5, 9, real_weight=0.8), window(30, 0.2, 9, length=2)):  # fmt: skip
        bias, risk = exact.moving(np.tile(p, (10, 1)), plan)
        np.testing.assert_allclose(bias, 0, atol=1e-15)
        np.testing.assert_allclose(risk, exact.l2_risk(p, plan), rtol=1e-12)


def test_N6_moving_meets_simulation_and_lags_behind():
    """False alarm 1e-6; sees 5%. A drift d leaves the loop (1 - alpha) d / alpha behind."""
    T = 12
    p = np.array([[0.3 + 0.02 * t, 0.7 - 0.02 * t] for t in range(T + 1)])
    plan = mixture(60, 0.3, T)
    bias, risk = exact.moving(p, plan)
    result = simulate(Categorical(), list(p), plan, replications=40_000, rng=1)
    check(result.values["l2"], risk)
    assert bias[-1, 0] == pytest.approx(-0.7 * 0.02 / 0.3, rel=0.02)


# A detector


def test_N5_a_detector_is_a_mixture_of_another_share():
    share, size = design.detected([0.2, 0.2], 1000, real=0.9, synthetic=0.3)
    assert share[0] == pytest.approx(0.18 / 0.42) and size.tolist() == [420, 420]
    assert exact.plateau(share[0], 420) == pytest.approx(0.00353, abs=1e-5)
    assert exact.plateau(0.2, 1000) < exact.plateau(share[0], 420)  # N5: filtering hurts
    none = design.detected(0.3, 50, real=0.4, synthetic=0.4)
    assert (float(none.alpha), int(none.n)) == (pytest.approx(0.3), 20)
    assert int(design.detected(0.5, 1, real=0.1, synthetic=0.1).n) == 1


def at_rest(alpha, n, s, f):
    """Training on what passes of n samples, staying where nothing does."""
    from scipy.stats import binom

    D, count = alpha * s + (1 - alpha) * f, np.arange(1, n + 1)
    law = binom.pmf(count, n, D)
    mean = law @ (1 / count) / law.sum()
    return mean / (1 - (1 - mean) * (1 - alpha * s / D) ** 2)


def test_N5_no_detector_pays_for_a_number_read():
    """Of random size and of fixed size; only one that passes everything is as good."""
    for alpha in (0.01, 0.2, 0.5, 0.95):
        for n in (2, 3, 10, 200):
            for s in np.linspace(0.05, 1, 9):
                for f in np.linspace(0, 1, 9):
                    D = alpha * s + (1 - alpha) * f
                    share, least = alpha * s / D, exact.plateau(alpha, n)
                    same = s == f == 1
                    assert (at_rest(alpha, n, s, f) < least * (1 + 1e-9)) == same
                    level = 1 / (1 + (n * D - 1) * share * (2 - share))
                    assert n * D < 1 or (level < least * (1 + 1e-9)) == same
                    more = exact.plateau(share, n) < least * (1 - 1e-12)  # n of them pass
                    assert more == (s > f)


def test_N5_filter_by_the_package_and_by_simulation():
    """Perfect labels are `filtered`; else 40,000 loops. False alarm 1e-6; sees 5%."""
    rest = at_rest(0.2, 1000, 1, 0)
    assert exact.inflation(filtered(1000, 0.2, 200))[-1] == pytest.approx(rest, rel=1e-9)
    assert rest == pytest.approx(0.00502, abs=1e-5)
    assert at_rest(0.2, 1000, 0.9, 0.3) == pytest.approx(0.00354, abs=1e-5)
    rng, R, n, p, s, f = np.random.default_rng(1), 40_000, 6, np.array(SKEW), 0.7, 0.2
    theta = np.tile(p, (R, 1))
    for _ in range(40):
        real = rng.binomial(n, 0.3, R)
        seen = rng.multinomial(rng.binomial(real, s), p) + rng.multinomial(
            rng.binomial(n - real, f), theta
        )
        count = seen.sum(axis=1, keepdims=True)
        theta = np.where(count > 0, seen / np.maximum(count, 1), theta)
    risk = ((theta - p) ** 2).sum(axis=1) / exact.heterozygosity(p)
    check(risk[None], [at_rest(0.3, n, s, f)], at=[0])


@pytest.mark.parametrize(("alpha", "s", "f"), [(0.1, 0.9, 0.3), (0.2, 0.6, 0.0), (0.3, 1, 0.9)])
def test_N5_edge_of_growth(alpha, s, f):
    """A tenth of its growth above the edge the filter pays, below it not; where s <= f, never."""
    D = alpha * s + (1 - alpha) * f
    edge = D * (1 - D) / ((1 - alpha) ** 2 * (D - f**2))
    assert 1 < edge < design.critical_growth(alpha)
    if (alpha, s, f) == (0.1, 0.9, 0.3):
        assert edge == pytest.approx(1.0535, abs=1e-4)

    def ratio(g, s, f):
        T = int(min(90, np.log(2**40) / np.log(max(g, 1.01))))  # sizes stay whole numbers
        plain = mixture(lambda t: 2000 * g**t, alpha, T)
        share, size = design.detected(plain.alpha, plain.n, real=s, synthetic=f)
        return exact.inflation(mixture(size, share, T))[-1] / exact.inflation(plain)[-1]

    assert ratio(1 + (edge - 1) * 0.9, s, f) > 1 > ratio(1 + (edge - 1) * 1.1, s, f)
    for g in (1.0, edge, 1.02 * design.critical_growth(alpha)):
        assert ratio(g, 0.5, 0.5) >= 1 - 1e-12 and ratio(g, 0.4, 0.8) > 1


# Plans


def test_plans_travel(tmp_path):
    for plan in LOOPS.values():
        for other in (pickle.loads(pickle.dumps(plan)),):
            assert repr(other) == repr(plan) and other.models == plan.models
        made = simulate(Categorical(), SKEW, plan, replications=2, rng=1)
        made.save(tmp_path / "r.npz")
        back = Result.load(tmp_path / "r.npz").plan
        assert repr(back) == repr(plan)
        np.testing.assert_array_equal(exact.kinship(back), exact.kinship(plan))


def test_plans_are_read_only_copies():
    keeps = sparse.csr_array(np.eye(3))
    plan = Plan([5, 5, 5], [1, 0, 0], keeps=keeps)
    keeps.data[:] = 0
    assert plan.keeps.data.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        plan.keeps.data[0] = 2


def test_who_asks_for_a_plan_without_links_refuses_them():
    P, plan = [0.5, 0.5], window(9, 0.5, 3, length=2)
    far = Plan([9] * 3, [1, 0.5, 0.5], reads=[[0, 0, 0], [1, 0, 0], [1, 0, 0]])  # gain 1 throughout
    for loop in (plan, far):
        for call in (
            lambda loop=loop: exact.founders(loop),
            lambda loop=loop: exact.missing(P, loop),
            lambda loop=loop: exact.coverage(P, loop),
            lambda loop=loop: exact.token_law(0.5, loop),
            lambda loop=loop: exact.gaussian_moments(loop),
            lambda loop=loop: exact.context_risk([P], [1.0], loop),
            lambda loop=loop: exact.kernel_density_risk(([1.0], [0.0], [1.0]), 0.4, loop),
            lambda loop=loop: bounds.variance(loop),
        ):
            with pytest.raises(ValueError, match="who reads or keeps"):
                call()
        with pytest.raises(ValueError, match="v2 must be -1"):
            exact.inflation(loop, v2=0)


N, A = [5, 5, 5], [1, 0.5, 0.5]
LOWER = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
BAD = {
    "reads itself": (lambda: Plan(N, A, reads=np.eye(3)), r"reads\[t\] must .*before t.*\[0, 0\]"),
    "keeps the future": (lambda: Plan(N, A, keeps=np.eye(3)[::-1]), r"keeps\[t\] must.*up to t"),
    "no sum": (lambda: Plan(N, A, keeps=np.eye(3) / 2), r"keeps\[0\] must sum to 1.*0\.5"),
    "no reader": (lambda: Plan(N, A, reads=np.zeros((3, 3))), r"reads\[1\] must sum to 1.*0\.0"),
    "negative": (lambda: Plan(N, A, keeps=-np.eye(3)), r"keeps must lie in \[0, 1\], found -1"),
    "nan": (lambda: Plan(N, A, keeps=np.full((3, 3), np.nan)), "keeps must be finite"),
    "sparse nan": (lambda: Plan(N, A, keeps=sparse.csr_array([[np.nan]] * 3)), "keeps must"),
    "shape": (lambda: Plan(N, A, keeps=np.eye(2)), r"keeps must have shape .*\(3, 3\).*\(2, 2\)"),
    "both": (lambda: Plan(N, A, [1, 1, 1], keeps=np.eye(3)), "gain and keeps exclude"),
    "filter": (lambda: Plan(N, A, real_weight=[1, 1, 1], reads=LOWER), "reads and keeps need"),
    "anchored": (lambda: Plan(N, A, real="fixed", reads=LOWER), "reads and keeps need fresh"),
    "subsampled": (lambda: Plan(N, A, [1, 0.5, 1 / 3], subsample=True, reads=LOWER), "no sub"),
    "models": (lambda: Plan(N, A, models=2), "alpha must be 1 in the first 2 entries"),
    "models alone": (lambda: Plan(N, [1, 1, 0.5], models=2), "models = 2 needs reads and keeps"),
    "models none": (lambda: Plan(N, A, models=0), "models must be a whole number"),
    "length": (lambda: window(5, 0.5, 3, length=0), "length must be a whole number"),
    "across": (lambda: several(5, 0.5, 3, models=2, across=1.5), "across must lie in"),
    "across alone": (lambda: several(5, 0.5, 3, models=1, across=0.5), "across must be 0 where"),
    "across shape": (lambda: several(5, 0.5, 3, models=2, across=np.eye(3)), "across must have"),
    "across sum": (lambda: several(5, 0.5, 3, models=2, across=np.eye(2) / 2), "across must sum"),
    "gain": (lambda: finetuned(5, 0.5, 3, gain=2), "gain must lie in"),
    "moving rows": (lambda: exact.moving([[0.5, 0.5]], mixture(5, 0.5, 3)), "p_by_t must"),
    "moving filter": (lambda: exact.moving([P] * 4, filtered(5, 0.5, 3)), "plan must have"),
    "moving pool": (lambda: exact.moving([[0.5, 0.5]] * 4, subsampled(5, 3)), "plan must have"),
    "real": (lambda: design.detected(0.5, 9, real=2, synthetic=0), "real must lie in"),
    "list": (lambda: design.detected(0.5, 9, real=[1, 1], synthetic=0), "real must be one number"),
    "nothing": (lambda: design.detected(0.0, 9, real=1, synthetic=0), "must accept something"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        call()
