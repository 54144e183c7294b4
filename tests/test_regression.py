"""Both regressions: whose covariates, one label a row, exact laws, and fits that are maxima."""

from fractions import Fraction

import numpy as np
import pytest

import collapse as c
from collapse import targets
from collapse.book import check
from collapse.models import regression

RNG = np.random.default_rng(1)
X = np.column_stack([np.ones(30), RNG.normal(50, 10, 30), RNG.standard_normal(30)])
Y = X @ [1.0, 0.1, 2.0] + RNG.standard_normal(30)
KINDS = {
    "linear": (c.LinearRegression, Y, ([1.0, 0.1, 2.0], 1.0)),
    "logistic": (c.LogisticRegression, np.greater(Y, np.median(Y)).astype(float), [0.5, 0.0, 1.0]),
}
PLANS = {
    "replace": c.replace(30, 3),
    "iid": c.mixture(30, 0.3, 3),
    "stratified": c.mixture(30, 0.3, 3, mixing="stratified"),
    "labels known": c.weighted(30, 0.3, 3, real_weight=0.6),
    "filtered": c.filtered(30, 0.3, 3),
    "accumulate": c.accumulate(30, 3, alpha=0.3),
    "all real": c.mixture(30, 1.0, 3),
}
kinds = pytest.mark.parametrize(("kind", "y", "target"), KINDS.values(), ids=KINDS)
plans = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


def coefs(model, target, plan, R=3):
    loop = c.iterate(model, target, plan, replications=R, rng=2)
    return np.array([getattr(theta, "coef", theta) for _, theta in loop])


@pytest.fixture
def drawn(monkeypatch):
    """A list of what samples are drawn at: pairs of covariates (R, N, d) and counts (R,)."""
    seen, split = [], regression._Regression.split
    draw = regression._draw

    def noted(covariates, n, d, rng):
        x = draw(covariates, n, d, rng)
        seen.append((x, n))
        return x

    def quiet(*arguments):  # what is shared out is not yet a sample
        kept = len(seen)
        made = split(*arguments)
        del seen[kept:]
        return made

    monkeypatch.setattr(regression, "_draw", noted)
    monkeypatch.setattr(regression._Regression, "split", quiet)
    return seen


# Whose covariates


@kinds
@plans
def test_covariates_are_those_of_the_rows_unless_given(kind, y, target, plan):
    """Bit for bit, for every plan; N(0, 1) covariates would give other numbers."""
    rows = targets.rows(X, y)
    one, two = (coefs(model, rows, plan) for model in (kind(), kind(X)))
    np.testing.assert_array_equal(one, two)
    record = {"m": lambda theta: np.asarray(getattr(theta, "coef", theta))[:, 0]}
    one, two = (
        c.simulate(model, rows, plan, replications=3, rng=2, record=record).values["m"]
        for model in (kind(), kind(X))
    )
    np.testing.assert_array_equal(one, two)


@kinds
@plans
def test_every_synthetic_row_has_the_covariates_of_a_real_one(kind, y, target, plan, drawn):
    coefs(kind(), targets.rows(X, y), plan)
    assert len(drawn) == 3  # real rows are not drawn here
    for x, _ in drawn:
        assert np.isin(x[..., 2], X[:, 2]).all() and (x[..., 0] == 1).all()


@kinds
def test_rows_that_change_give_each_generation_its_own_covariates(kind, y, target, drawn):
    given = [targets.rows(np.add(X, [0, 1000 * t, 0]), y) for t in range(4)]
    list(c.iterate(kind(), given, c.replace(30, 3), rng=2))
    for t, (x, _) in zip((1, 2, 3), drawn, strict=True):
        assert np.isin(x[..., 1], given[t].x[:, 1]).all()


class Wrapped:
    """A wrapper that passes all on."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)


@kinds
def test_a_wrapper_would_lose_its_writing_and_is_refused(kind, y, target):
    rows, plan = targets.rows(X, y), PLANS["iid"]
    with pytest.raises(TypeError, match=r"subclass of .*not a wrapper, or be given covariates"):
        c.iterate(Wrapped(kind()), rows, plan)
    with pytest.raises(TypeError, match=r"subclass of .*not a wrapper, or be given covariates"):
        list(c.iterate(Wrapped(kind(lambda shape, rng: rng.random(shape))), target, plan))
    coefs(Wrapped(kind(X)), rows, plan)
    coefs(Wrapped(kind(X)), target, plan)


# One label a row


def design(shape, rng):
    return np.broadcast_to(X, shape)


@kinds
@plans
@pytest.mark.parametrize("overridden", [False, True])
def test_a_fixed_design_gets_one_label_a_row(kind, y, target, plan, overridden, drawn):
    """The real and the synthetic side of a generation use each row of the design once."""

    class Other(kind):
        def sample(self, theta, n, rng):
            return super().sample(theta, n, rng)

    model, real = (Other if overridden else kind)(design), set()
    for t, _ in c.iterate(model, target, plan, replications=2, rng=2):
        for r in range(2):
            used = [x[r, : n[r], 2] for x, n in drawn]
            np.testing.assert_array_equal(np.sort(np.concatenate(used)), np.sort(X[:, 2]))
            real.add(tuple(np.sort(used[0])))
        assert len(drawn) == (2 if t else 1)
        drawn.clear()
    assert len(real) == (7 if 0 < plan.alpha[1] < 1 else 1 + (plan.alpha[1] == 0))


@pytest.mark.parametrize("mixing", ["iid", "stratified"])
def test_a_fixed_design_has_its_exact_law(mixing):
    """Second moments of the errors, with A = (X^T X)^-1 X^T and S_t = E e_t e_t^T.

    Row i is synthetic with b_i = 1, mean b, covariance of b_i and b_j b(1-b) for i = j, else 0 or
    (stratified) -b(1-b)/(n-1): S_t = A (E[b b^T] * X S_{t-1} X^T) A^T + var (X^T X)^-1. False alarm
    1e-6, 10% off is rejected.
    """
    n, T, var = 20, 4, 0.5
    x = np.column_stack([np.ones(n), np.arange(n) - 2.0])
    plan = c.mixture(n, 0.5, T, mixing=mixing)
    model = c.LinearRegression(lambda shape, rng: np.broadcast_to(x, shape), noise=np.sqrt(var))
    run = c.simulate(model, [1.0, 1.0], plan, replications=20_000, rng=3)
    b, other = 0.5, -1 / (n - 1) if mixing == "stratified" else 0
    second = b**2 + b * (1 - b) * np.where(np.eye(n), 1, other)
    A, S, wanted = np.linalg.pinv(x), np.zeros((2, 2)), []
    for t in range(T + 1):
        S = A @ ((second if t else 1) * (x @ S @ x.T)) @ A.T + var * A @ A.T
        wanted.append(np.trace(S))
    check(run.values["l2"], np.array(wanted), at=[0, 1, T], planted=0.1)


def test_a_writer_that_asks_for_more_than_its_share_is_refused():
    class BestOf(c.LinearRegression):
        def sample(self, theta, n, rng):
            return super().sample(theta, 10 * n, rng)

    with pytest.raises(ValueError, match=r"at most the .* rows of its share.*array of rows"):
        coefs(BestOf(design), KINDS["linear"][2], PLANS["iid"])
    coefs(BestOf(X), KINDS["linear"][2], PLANS["iid"])


# A share of real labels


def recursion(share, n, d, V, M):
    """A generation of the chapter's recursion, in units of the noise."""
    Q, mixed = share + (1 - share) * V, share * (1 - share) * M
    kappa = (n - 2) * (d + 2) / ((n + 2) * (n - d - 1))
    return (
        (1 - d / n) * Q + (n - d) / (n + 2) * mixed,
        d / (n - d - 1) * Q + (1 - share) ** 2 * M + kappa * mixed,
    )


def at_rest(share, n, d):
    """Where the recursion rests, in rational arithmetic, or None where it is unbounded."""
    none, V, M = (recursion(share, n, d, *x) for x in ((0, 0), (1, 0), (0, 1)))
    (a, c), (b, g) = ((x - z, y - w) for (x, y), (z, w) in ((V, none), (M, none)))
    gap = (1 - a) * (1 - g) - b * c
    if gap <= 0 or a >= 1 or g >= 1:
        return None
    return (c * none[0] + (1 - a) * none[1]) / gap


def break_even(n, d):
    D = n - d - 1
    slope = (n * (n - 2) * (d + 2) / ((n + 2) * D) - d) / (n - d)
    curve = (n * D + 2) / ((n + 2) * D)
    return 1 - 2 / (slope + (slope**2 + 4 * curve) ** 0.5)


@pytest.mark.parametrize("d", [1, 2, 5, 10])
@pytest.mark.parametrize("more", [2, 3, 5, 10, 11, 15, 40, 1000])
def test_the_share_that_breaks_even(d, more):
    """Below it the loop rests higher than without real labels, or is unbounded; above it lower.

    The rest M = d/((n - d - 1) f) in rational arithmetic, its limit as the share tends to 0, and
    the threshold n = 2d + 1.
    """
    n, f, none = Fraction(d + more), Fraction(d), Fraction(d + more, more - 1)
    limit = break_even(d + more, d)
    assert 0 < limit < 1
    for share in (1e-6, limit * (1 - 1e-9), limit * (1 + 1e-9), (1 + limit) / 2, 1):
        rest = at_rest(Fraction(share), n, f)
        assert (rest is not None and rest < none) == (share > limit)
        if rest is not None:
            back, D = 1 - Fraction(share), n - f - 1
            kappa = (n - 2) * (f + 2) / ((n + 2) * D)
            lower = (1 - f / n) * (n * D + 2) / ((n + 2) * D)
            assert rest == f / D / (1 - (kappa - f / n) * back - lower * back**2)
    small = at_rest(Fraction(1, 10**12), n, f)
    assert (small is not None) == (n >= 2 * d + 1)
    if small is not None:
        assert float(small) == pytest.approx(n * (n + 2) / (n**2 - 2 * d * (n + 1)), rel=1e-6)
    if n > 50 * d:
        assert limit == pytest.approx(d * (d + 1) / (2 * n**2), rel=0.1)


def test_a_few_real_labels_are_worse_than_none():
    """16 labels, 6 coefficients, one label in 20 real, T = 20. False alarm 1e-6, 10% off is seen.

    With none the error is 1.77, with the few it is 2.15, 21% more.
    """
    n, d, T, share = 16, 6, 20, 0.05
    rows = [recursion(1, n, d, 0, 0)]
    for _ in range(T):
        rows.append(recursion(share, n, d, *rows[-1]))
    M = np.array(rows)[:, 1]
    kw = {"replications": 8000, "rng": 6}
    few, none = (
        c.simulate(c.LinearRegression(), (np.zeros(d), 1.0), c.mixture(n, a, T), **kw)
        for a in (share, 0.0)
    )
    check(few.values["l2"], M, at=[1, 10, T], planted=0.1)
    check(none.values["l2"][[T]], [n / (n - d - 1) * (1 - (1 - d / n) ** (T + 1))], planted=0.1)
    assert M[T] > 1.2 * n / (n - d - 1)


# Known noise


def test_F9_known_noise_the_risk_grows_linearly():
    """M_t = var (t + 1) d/(n - d - 1): 1, 2, 11, 21 times that of generation 0.

    The proof of F9 with v_{t-1} = var throughout. False alarm 1e-6, 5% off is rejected. (With the
    noise fitted it would be at most n/d = 4 times.)
    """
    n, d, T, noise = 40, 10, 20, 0.5
    run = c.simulate(
        c.LinearRegression(noise=noise), np.ones(d), c.replace(n, T), replications=6000, rng=4
    )
    assert set(run.values) == {"l2"}
    first = noise**2 * d / (n - d - 1)
    check(run.values["l2"], first * np.arange(1, T + 2), at=[0, 1, 10, 20])


def test_known_noise_is_kept_and_checked():
    target, plan = ([1.0, 2.0], 0.09), c.mixture(20, 0.5, 3)
    one, two = (coefs(c.LinearRegression(noise=0.3), x, plan) for x in (target, target[0]))
    np.testing.assert_array_equal(one, two)
    for _, theta in c.iterate(c.LinearRegression(noise=0.3), target, plan, replications=2, rng=1):
        np.testing.assert_array_equal(theta.var, [0.3**2] * 2)
    first = coefs(c.LinearRegression(), target, plan)  # the same first fit, then other labels
    np.testing.assert_array_equal(first[0], one[0])
    assert (first[1] != one[1]).all()
    with pytest.raises(ValueError, match=r"var must be noise\^2 = 0.09 .*found 0.3: .*deviation"):
        coefs(c.LinearRegression(noise=0.3), ([1.0, 2.0], 0.3), plan)
    with pytest.raises(ValueError, match="noise must be at least 0, found -1"):
        c.LinearRegression(noise=-1)
    for bad in (None, "ab"):
        with pytest.raises((TypeError, ValueError), match=r"coef|target"):
            coefs(c.LinearRegression(noise=1), bad, plan)


# Fits that are maxima


def solve(A, b):
    """Gaussian elimination with pivots, in whatever numbers A (k, k) and b (k,) are."""
    A, b = A.copy(), b.copy()
    for i in range(len(b)):
        k = i + np.argmax(abs(A[i:, i]))
        A[[i, k]], b[[i, k]] = A[[k, i]], b[[k, i]]
        for j in range(i + 1, len(b)):
            factor = A[j, i] / A[i, i]
            A[j], b[j] = A[j] - factor * A[i], b[j] - factor * b[i]
    for i in reversed(range(len(b))):
        b[i] = (b[i] - A[i, i + 1 :] @ b[i + 1 :]) / A[i, i]
    return b


def by_newton(x, y, ridge):
    """Penalised maximum likelihood in long double; a constant first column is the intercept."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    constant = np.ptp(x[:, 0]) == 0
    mean = x.mean(axis=0) * constant
    mean[0] = 0
    scale = np.sqrt(((x - mean) ** 2).mean(axis=0))
    z, penalty = (x - mean) / scale, np.full(x.shape[1], np.longdouble(ridge))
    penalty[0] *= not constant
    b = np.zeros(x.shape[1], np.longdouble)
    for _ in range(500):
        p = 1 / (1 + np.exp(-(z @ b)))
        step = solve((z.T * (p * (1 - p))) @ z + np.diag(penalty), z.T @ (y - p) - penalty * b)
        reach = abs(z @ step).max()
        b += step * min(1, 1 / max(reach, np.longdouble(1e-300)))
        if reach < 1e-16:
            break
    coef = b / scale
    coef[0] -= (coef * mean).sum() / x[0, 0]
    return coef.astype(float)


def fitted(x, y, weight=None, **options):
    model = c.LogisticRegression(**options)
    data = model.collect(np.column_stack([x, y])[None], np.array([len(y)]))
    return model.fit(data if weight is None else data._replace(weight=weight[None]))[0]


@pytest.mark.parametrize("ridge", [0, 1e-3, 1.0])
@pytest.mark.parametrize("offset", [0.0, 1.0, 200.0, 1.7e6])  # in units of the column's spread
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e4, 1e9])
@pytest.mark.parametrize("intercept", [False, True])
def test_logistic_fits_are_maxima_whatever_the_units(intercept, scale, offset, ridge):
    """Against Newton in long double, to 1e-9: years, timestamps, prices, with an intercept or not.

    The offset 1.7e6 with spread 1,000 is a Unix time; without an intercept nothing is centred.
    """
    rng = np.random.default_rng(1)
    u, w = rng.standard_normal((2, 60))
    x = np.column_stack([np.full(60, 3.0)] * intercept + [scale * (u + offset), w])
    y = (rng.random(60) < 1 / (1 + np.exp(w - u - 0.3))).astype(float)
    np.testing.assert_allclose(fitted(x, y, ridge=ridge), by_newton(x, y, ridge), rtol=1e-9)


def test_logistic_fits_do_not_depend_on_where_zero_is():
    """With an intercept, or columns that sum to 1: other units and zeros, the same odds."""
    rng = np.random.default_rng(2)
    u, group = rng.standard_normal(80), rng.integers(0, 3, 80)
    y = (rng.random(80) < 1 / (1 + np.exp(-u - (group == 1)))).astype(float)
    dummies = (group[:, None] == range(3)).astype(float)
    for rest in (np.ones((80, 1)), dummies, dummies * [2.0, 2.0, 2.0]):
        one, two = (np.column_stack([v, rest]) for v in (u, 1.7e9 + 1e3 * u))
        for ridge in (0, 1e-3, 10.0):
            odds = [x @ fitted(x, y, ridge=ridge) for x in (one, two)]
            # 1.7e9 + 1e3 u is itself rounded, to 1e-10 of u
            np.testing.assert_allclose(*odds, atol=1e-8)
    # and ridge 0 does not mind which columns span the same space
    whole = np.column_stack([u, np.ones(80), dummies[:, :2]])
    odds = [x @ fitted(x, y, ridge=0) for x in (np.column_stack([u, dummies]), whole)]
    np.testing.assert_allclose(*odds, atol=1e-8)


def test_logistic_weights_count_as_copies():
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(40), 2000 + 10 * rng.standard_normal(40)])
    y, copies = (rng.random(40) < 0.4).astype(float), rng.integers(0, 4, 40)
    many = fitted(np.repeat(x, copies, axis=0), np.repeat(y, copies), ridge=0)
    np.testing.assert_allclose(fitted(x, y, copies / copies.sum(), ridge=0), many, rtol=1e-7)


def test_labels_that_are_all_equal_have_a_finite_fit():
    """The intercept is free, except there: -ridge a + n P(0) = 0 at the log-odds a."""
    x = np.column_stack([np.ones(20), RNG.standard_normal(20)])
    for label in (0.0, 1.0):
        a = fitted(x, np.full(20, label), ridge=1e-3)[0] * (2 * label - 1)
        assert 1e-3 * a == pytest.approx(20 / (1 + np.exp(a)), rel=1e-2)
    with pytest.raises(ValueError, match="separable"):
        fitted(x, np.ones(20), ridge=0)


def test_a_point_that_is_no_maximum_is_refused(monkeypatch):
    """The gradient is tested: Newton cut short, and labels that a plane touches but separates."""
    u = np.array([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0])
    x, y = np.column_stack([np.ones(6), u]), np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    remedy = "replication 0 without a maximum of the likelihood: leave out columns .* larger ridge"
    with pytest.raises(ValueError, match=remedy):
        fitted(x, y, ridge=0)
    assert np.isfinite(fitted(x, y, ridge=1e-3)).all()
    monkeypatch.setattr(regression, "NEWTON_STEPS", 3)
    with pytest.raises(ValueError, match=remedy):
        fitted(x, y, ridge=1e-3)


@pytest.mark.parametrize("step", [2.0**14, 16.0, 0.125, 2.0**-10])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_least_squares_on_timestamps(step, order):
    """A Unix time in seconds beside an intercept, in both orders, against rational arithmetic.

    Spread over 24 days to 0.07 s (whose share of 1.7e9, 2e-11, was once below the cut of the
    pseudo-inverse, which left the slope out). The fitted line is right to 20 roundings of the
    intercept, the residual variance to 1e-5.
    """
    rng = np.random.default_rng(5)
    k = rng.integers(-64, 65, 40)
    x = np.column_stack([np.ones(40), 1.7e9 + k * step, rng.integers(-8, 9, 40)])
    y = np.round(3 + k / 64 + x[:, 2] + rng.standard_normal(40), 3)
    exact, labels = (np.vectorize(Fraction)(a) for a in (x, y))
    best = solve(exact.T @ exact, exact.T @ labels)
    left = labels - exact @ best
    model = c.LinearRegression()
    data = np.column_stack([x[:, order], y])[None]
    theta = model.fit(model.collect(data, np.array([40])))
    line = exact[:, order] @ np.vectorize(Fraction)(theta.coef[0])
    rounding = np.finfo(float).eps * abs(float(best[0]))
    assert abs(line - exact @ best).max() < 20 * rounding
    np.testing.assert_allclose(theta.var[0], float(left @ left / 40), rtol=1e-5)
