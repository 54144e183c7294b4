"""Asymptotic results: what the exact recursion and the law of the model tend to.

Each function says in which limit it holds. The phase diagram is the limit of many generations;
the Gaussian and the Dirichlet law that of large samples; the extinction curve that of tokens that
are rare among many.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import Legendre, leggauss, legvander

from collapse import _check, exact
from collapse.bounds import variance
from collapse.plans import as_forgetful, as_generation

__all__ = [
    "Gaussian",
    "Phase",
    "Tracking",
    "coverage",
    "dirichlet",
    "extinction",
    "forgetting_time",
    "founders",
    "gaussian",
    "kingman",
    "phase",
    "resting",
    "spread",
    "tracking",
    "writer_gain",
]

MOST_GENERATIONS = 20_000  # of `founders`, whose work grows with T^2
MOST_STEPS = 100_000  # of a loop on its way to rest


class Phase(NamedTuple):
    """A loop's end: `regime`, `exponent` of its decay, `log` factor, `limit`, its `log_limit`."""

    regime: str
    exponent: float
    log: bool
    limit: float
    log_limit: float


class Gaussian(NamedTuple):
    """A normal law on K coordinates that sum to 1: `mean` (K,) and singular `cov` (K, K)."""

    mean: np.ndarray
    cov: np.ndarray


class Tracking(NamedTuple):
    """The moving plateau (T+1,), its relative `lag` (T+1,), and where it is a `good` guide."""

    plateau: np.ndarray
    lag: np.ndarray
    good: np.ndarray


def phase(a, b, c=1.0, *, n=1, n0=None):
    """Asymptotic (t -> infinity): the fate of `mixture` with alpha_t = c t^-a and n_t = n t^b.

    alpha_t is capped at 1 and n_t is rounded to whole numbers, at least 1.

    Parameters
    ----------
    a, b : float, at least 0
        How fast real shares fall and sample sizes grow. Within 4 x 2^-52 of one another, of 1 or
        (b, where a = 1) of 1 + 2c they are on that edge: 0.1 + 0.2 is 0.3.
    c : float, above 0
    n : int, at least 1
    n0 : int, optional
        First sample size, by default n. Given, a limit below 1 / n0 is called improvement.

    Returns
    -------
    Phase
        ``regime``: "collapse" (limit 1), "plateau" (limit in between), "improvement" (limit
        below 1 / n0, if n0 is given) or "consistency" (limit 0). ``exponent`` e > 0 where
        rho_t decays like t^-e, times log t if ``log``; else 0. ``limit`` of rho_t, relative
        error below 1e-6; it depends on the start only where a > 1 and b > 1. ``log_limit``, its
        logarithm, tells limits that float64 rounds to 0 or 1; error below 1e-6, or 1e-10 of it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim B7; with a = y - x, b = y the newest text of Claim F7.

    Examples
    --------
    >>> phase(0.5, 1)
    Phase(regime='consistency', exponent=0.5, log=False, limit=0.0, log_limit=-inf)
    >>> phase(0.5, 0.25).regime, phase(1, 1, n=100).limit
    ('collapse', 0.004975124378109453)
    >>> found = phase(1.001, 2, 0.5, n=20)  # recovers to any float, and yet does not
    >>> found.regime, found.limit, round(found.log_limit)
    ('plateau', 0.0, -999)
    """
    a, b = _check.number("a", a, least=0), _check.number("b", b, least=0)
    c, n = _check.number("c", c, above=0), _check.whole("n", n)
    start = n if n0 is None else _check.whole("n0", n0)
    a, b = (1.0 if _same(x, 1.0) else x for x in (a, b))
    regime, exponent, log, edge = "plateau", 0.0, False, _same(a, b)
    if a == 0 and b == 0 and n > 1:
        beta = min(1.0, c)
        limit, log_limit = exact.plateau(beta, n), -np.log1p((n - 1) * beta * (2 - beta))
    elif 0 < a <= 1 and edge:
        limit, log_limit = 1 / (1 + 2 * c * n), -np.logaddexp(0, np.log(2 * n) + np.log(c))
    elif a <= 1 and b > a:
        regime, limit, log_limit = "consistency", 0.0, -np.inf
        exponent = b - a if a < 1 else min(b - 1, 2 * c)
        log = a == 1 and _same(b, 1 + 2 * c)
    elif a > 1 and b > 1:
        log_limit = _log_limit(a, b, c, n, start)
        limit = np.exp(log_limit)
    else:
        regime, limit, log_limit = "collapse", 1.0, 0.0
    if regime == "plateau" and n0 is not None and limit < 1 / start:
        regime = "improvement"
    return Phase(regime, exponent, log, float(limit), float(log_limit))


def _same(x, y):
    return math.isclose(x, y, rel_tol=2**-50)


def _log_limit(a, b, c, n, n0):
    """The logarithm of the limit of rho_t where both x_t = 1 / n_t and alpha_t are summable.

    rho = sum_s x_s prod_{u>s} keep_u: up to T term by term, then over s = log t with Gauss's rule,
    on panels that shrink towards every place where the integrand may turn. T is so late that sums
    are integrals from T + 1/2 on, and that n_T >= 10^6: to use n t^b for n_t unrounded changes
    each x_t, hence rho, by a fraction of at most 1 / (2 n_T).
    """
    real = float(np.floor(c ** (1 / a)))  # up to here alpha_t = 1, and nothing is left of the start
    first = max(real - 2, 0.0)
    steps = min(1e6, max(1e4, (1e6 / n) ** (1 / b), 100 * real))
    log_n, log_c = np.log(n), np.log(c)
    with np.errstate(all="ignore"):
        t = first + np.arange(1, np.ceil(steps) + 1)
        size = n * t**b
        whole = np.log(np.maximum(np.rint(size), 1))
        log_x = -np.where(size < 2**53, whole, log_n + b * np.log(t))
        keep = np.log1p(-np.exp(log_x)) + 2 * np.log1p(-np.minimum(1, c * t**-a))
        ahead = np.append(keep[::-1].cumsum()[::-1], 0)
        start = -np.inf if first else -np.log(n0)
        log_rho = np.logaddexp.reduce(np.append(start, log_x) + ahead)

        def forget(s):
            """-log keep of a generation, and of a unit of s."""
            log_rates = np.array([-log_n - b * s, log_c - a * s])
            rates = np.clip(np.exp(log_rates), 1e-300, 1 - 1e-16)
            each = -np.log1p(-rates) * np.array([1, 2]).reshape(2, *[1] * np.ndim(s))
            per_s = each / rates * np.exp([-log_n - (b - 1) * s, log_c - (a - 1) * s])
            return each.sum(axis=0), np.minimum(per_s.sum(axis=0), 1e250)

        begin = np.log(t[-1] + 0.5)
        turns = [begin, (log_c + np.log(2 / (a - 1))) / (a - 1), -np.log(n * (b - 1)) / (b - 1)]
        end = max(turns) + 60 / (min(a, b) - 1)
        low, high = begin, end
        for _ in range(120):  # the integrand is largest where forgetting falls to b - 1
            middle = (low + high) / 2
            low, high = (middle, high) if forget(middle)[1] > b - 1 else (low, middle)
        away = 2.0 ** np.arange(-50, 70)
        edges = np.add.outer([*turns, low], np.append(-away, away))
        edges = np.unique(np.clip(edges, begin, end))
        x, weights = leggauss(16)
        to_the_end = np.array([-Legendre.basis(k).integ(lbnd=1)(x) for k in range(16)]).T
        to_the_end = to_the_end @ np.linalg.inv(legvander(x, 15))
        half = np.diff(edges) / 2
        s = edges[:-1] + half + half * x[:, None]
        each, per_s = forget(s)
        panels = half * (weights @ per_s)
        beyond = np.append(panels[::-1].cumsum()[::-1], 0)
        left = beyond[1:] + half * np.maximum(to_the_end @ per_s, 0)
        # each / 2: a term has what comes after its generation as its weight, s is in the middle
        log_terms = np.log(half * weights[:, None]) + each / 2 - log_n - (b - 1) * s - left
        tail = np.logaddexp.reduce(log_terms, axis=None)
        return np.minimum(0.0, np.logaddexp(tail, log_rho - beyond[0]))


def tracking(plan):
    """Asymptotic (slow schedules): rho_t is near the moving plateau, plateau_t (1 + lag_t).

    plateau_t = 1 / (1 + (n_t - 1) alpha_t (2 - alpha_t)) is where generation t pulls the error;
    with c_t = (1 - 1/n_t)(1 - alpha_t)^2 and r_t = plateau_{t-1} / plateau_t the error lags by the
    fraction c_t (r_t - 1) / (1 - c_t r_t), to first order.

    Parameters
    ----------
    plan : Plan
        Fresh real data, no labels, iid mixing, gain 1 throughout (`mixture`).

    Returns
    -------
    Tracking
        Arrays (T+1,). ``lag`` is inf where c_t r_t >= 1: there the plateau falls faster than the
        error can follow. ``good`` says where the plateau alone is proved to be within 10%, by
        d_t = c_t (r_t d_{t-1} + abs(r_t - 1)), d_0 = 0, a bound on abs(rho_t / plateau_t - 1).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims A4 and B10.

    Examples
    --------
    >>> from collapse import mixture, power
    >>> guide = tracking(mixture(power(100, 1), 0.5, 100))
    >>> bool(guide.good[-1]), round(float(guide.lag[-1]), 4)
    (True, 0.0034)
    """
    as_forgetful(plan)
    rest = exact.plateau(plan.alpha, plan.n)
    c = (1 - 1 / plan.n) * (1 - plan.alpha) ** 2
    r = np.concatenate([[1.0], rest[:-1] / rest[1:]])
    lag = np.full(c.size, np.inf)
    np.divide(c * (r - 1), 1 - c * r, out=lag, where=c * r < 1)
    bound, steps = [0.0], zip(c[1:].tolist(), r[1:].tolist(), strict=True)
    for c_t, r_t in steps:
        bound.append(min(c_t * (r_t * bound[-1] + abs(r_t - 1)), 1e300))
    return Tracking(rest, lag, np.array(bound) <= 0.1)


def gaussian(p, plan, t=-1):
    """Asymptotic (n -> infinity): phat_t is near N(p, V_t Sigma), a Gaussian AR(1) in t.

    With n_t = n k_t the errors sqrt(n) (phat_t - p) tend to an autoregression with coefficients
    1 - alpha_t and innovations N(0, Sigma / k_t); V_t is `collapse.bounds.variance`.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
        As in `tracking`.
    t : int
        Generation, 0..T; negative counts from the end.

    Returns
    -------
    Gaussian
        ``mean`` (K,) and ``cov`` (K, K), as ``rng.multivariate_normal(*law)`` takes them.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E1.

    Examples
    --------
    >>> from collapse import mixture
    >>> law = gaussian([0.5, 0.5], mixture(100, 0.5, 50))
    >>> law.mean.tolist(), law.cov.round(6).tolist()
    ([0.5, 0.5], [[0.003333, -0.003333], [-0.003333, 0.003333]])
    """
    p = _check.probabilities("p", p, ndim=1)
    v = variance(as_forgetful(plan))[as_generation(t, plan)]
    return Gaussian(p, v * (np.diag(p) - np.outer(p, p)))


def dirichlet(p, alpha, n):
    """Asymptotic (n -> infinity): at rest phat is near Dirichlet(theta p).

    theta = (n - 1) alpha (2 - alpha) gives the exact means and covariances of the stationary
    `mixture`; the law itself converges weakly, uniformly in alpha.

    Parameters
    ----------
    p : (K,) probabilities, all above 0, K at least 2
    alpha : float in (0, 1]
        Real share, constant; theta p_k must be at least 1e-150.
    n : int, at least 2
        Sample size, constant.

    Returns
    -------
    scipy.stats.dirichlet, frozen
        Where theta p_k is small draw with ``rvs(size, np.random.default_rng(seed))``: the older
        generator, which a bare seed gives, then returns nan.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E2.

    Examples
    --------
    >>> law = dirichlet([0.5, 0.25, 0.25], 0.1, 100)
    >>> rest = law.var()[0] / (0.5 * 0.5)
    >>> law.mean().tolist(), bool(abs(rest / exact.plateau(0.1, 100) - 1) < 1e-12)
    ([0.5, 0.25, 0.25], True)
    """
    from scipy.stats import dirichlet as scipy_dirichlet

    p = _check.probabilities("p", p, ndim=1)
    if p.size < 2 or p.min() == 0:
        raise ValueError(f"p must have at least 2 tokens, all above 0, found {_check.short(p)}")
    n, alpha = _check.whole("n", n, least=2), _check.number("alpha", alpha, above=0)
    if alpha > 1:
        raise ValueError(f"alpha must lie in (0, 1], found {alpha}")
    counts = (n - 1) * alpha * (2 - alpha) * p
    if counts.min() < 1e-150:  # below it scipy's moments underflow
        raise ValueError(
            f"p and alpha must make (n - 1) alpha (2 - alpha) p_k at least 1e-150, found "
            f"{counts.min()} with alpha = {alpha}"
        )
    return scipy_dirichlet(counts)


def extinction(m, t):
    """Asymptotic (m, t << n): P(a token seen m times at generation 0 is gone at t), `replace`.

    exp(-m s_{t-1}) with s_0 = 1, s_j = 1 - exp(-s_{j-1}): a branching process in which every
    sample has a Poisson(1) number of copies. Near exp(-2 m / t) for large t.

    Parameters
    ----------
    m : array_like of numbers, at least 0
        Count at generation 0.
    t : array_like of whole numbers, at least 1
        Broadcasts against `m`.

    Returns
    -------
    float64, of the broadcast shape
        Of the limit itself, to a relative error in s below 1e-8.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E4; for the time scale Suresh, Thangaraj and Khandavally (2024).

    Examples
    --------
    >>> extinction([1, 10, 100], 10).round(4).tolist()
    [0.8418, 0.1786, 0.0]
    """
    m, t = _check.real_array("m", m), _check.whole_array("t", t)
    if m.size and m.min() < 0:
        raise ValueError(f"m must be at least 0, found {m.min()}")
    _check.broadcast(m=m, t=t)
    return np.exp(-m / _inverse_survival(t - 1))


def forgetting_time(m, q=0.5):
    """Asymptotic (m << n): the first t at which a token seen m times is gone with chance q.

    The median is near 2 m / log 2 - 1 - log(m / log 2) / 3: linear in m.

    Parameters
    ----------
    m : array_like of numbers, above 0, at most 10^12
        Count at generation 0.
    q : float in (0, 1)

    Returns
    -------
    float64 whole numbers, at least 1, of the shape of m
        The least t with ``extinction(m, t) >= q``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E4; for the time scale Suresh, Thangaraj and Khandavally (2024).

    Examples
    --------
    >>> forgetting_time([1, 10, 100]).tolist()
    [2.0, 27.0, 286.0]
    """
    m, q = _check.real_array("m", m), _check.number("q", q)
    if m.size and not (m.min() > 0 and m.max() <= 1e12):
        found = m.min() if m.min() <= 0 else m.max()
        raise ValueError(f"m must be above 0 and at most 1e12, found {found}")
    if not 0 < q < 1:
        raise ValueError(f"q must lie in (0, 1), found {q}")
    y = m / -np.log(q)  # gone with chance q once 1 / s has grown to y
    if y.size and y.max() > 1e15:
        raise ValueError(f"q must be low enough for times below 2**53, found {q}")
    j = 2 * (y - 1)  # too late by less than log(y) / 3 + 3: 1 / s grows by more than 1 / 2 a step
    low, high = np.maximum(np.floor(j - np.log(np.maximum(y, 1)) - 3), 0), np.maximum(j, 0)
    high = np.ceil(high)
    while (low < high).any():
        middle = np.floor((low + high) / 2)
        late = _inverse_survival(middle) >= y * (1 - 1e-15)
        low, high = np.where(late, low, np.minimum(middle + 1, high)), np.where(late, middle, high)
    return low + 1


def _inverse_survival(j, exact_to=4096):
    """y_j = 1 / s_j, s_0 = 1, s_j = 1 - exp(-s_{j-1}).

    Step by step up to 4096; beyond, y' = y + 1/2 + 1/(12 y) + O(y^-3) summed by
    y_j - log(y_j)/6 = y_i - log(y_i)/6 + (j - i)/2 (1 + O(1 / (i j))).
    """
    table, s = np.ones(exact_to + 1), 1.0
    for i in range(1, exact_to + 1):
        s = -np.expm1(-s)
        table[i] = 1 / s
    j = np.asarray(j, dtype=np.float64)
    near = table[np.minimum(j, exact_to).astype(int)]
    beyond = np.maximum(j - exact_to, 0) / 2
    y = near + beyond
    for _ in range(30):  # contracts by 1 / (6 y) a round
        y = near + beyond + np.log(y / near) / 6
    return y


def founders(plan):
    """Asymptotic (n -> infinity): how many real samples generation t descends from.

    Follow l lines back: alpha_s l of them end in real draws, the others meet in
    n_{s-1} (1 - (1 - (1 - alpha_s) / n_{s-1})^l) parents. F_t / L_t -> 1 for fixed t; and
    E F_t <= L_t for every n, since mergers are concave in l.

    Parameters
    ----------
    plan : Plan
        As in `tracking`; any n, at most 20,000 generations (the work grows with T^2).

    Returns
    -------
    (T+1,) float64
        L_t, at least the mean of the exact law.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim A7.

    Examples
    --------
    >>> from collapse import mixture
    >>> founders(mixture(10**12, 0.01, 100))[[0, 1, 100]].round(-9).tolist()
    [1000000000000.0, 638000000000.0, 84000000000.0]
    """
    as_forgetful(plan)
    T = plan.generations
    if T > MOST_GENERATIONS:
        raise ValueError(f"plan must have at most {MOST_GENERATIONS} generations, found {T}")
    n, alpha = plan.n.astype(np.float64), plan.alpha
    lines, found = n.copy(), np.zeros(T + 1)  # of generation t, followed back to t - u
    for u in range(T):
        here, back = slice(1, T + 1 - u), n[: T - u]
        late = lines[u + 1 :]
        found[u + 1 :] += alpha[here] * late
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.where(late > 0, late * np.log1p(-(1 - alpha[here]) / back), 0.0)
        lines[u + 1 :] = -back * np.expm1(apart)
    return found + lines


def coverage(p, plan):
    """Asymptotic (n -> infinity): the expected share of the target's tokens still produced.

    The mean over tokens with p_k > 0 of 1 - (1 - p_k)^L_t, L_t from `founders`; never below the
    exact value, by Jensen's inequality.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
        As in `founders`.

    Returns
    -------
    (T+1,) float64 in (0, 1]

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim A7.

    Examples
    --------
    >>> from collapse import mixture, targets
    >>> coverage(targets.zipf(50_000), mixture(10**6, 0.01, 10))[[0, 10]].round(3).tolist()
    [0.948, 0.557]
    """
    p, lines = _check.probabilities("p", p, ndim=1), founders(plan)
    p, count = np.unique(p[p > 0], return_counts=True)
    with np.errstate(divide="ignore"):
        logs = np.log1p(-p)
    return np.array([count @ -np.expm1(x * logs) for x in lines]) / count.sum()


def resting(p, alpha, write):
    """Asymptotic (n -> infinity): rest points of theta -> alpha p + (1 - alpha) write(theta).

    Those that the map reaches from p, from the uniform law and from each of the sixteen likeliest
    tokens (nearly all mass on it), each start tilted a little so that no balance holds by
    symmetry. All are stable, but for ones that attract from one side only; not all there are need
    be among them.

    Parameters
    ----------
    p : (K,) probabilities
    alpha : float in [0, 1]
        Real share, constant.
    write : function theta -> theta
        The law that writes: one of `collapse.writers`, or any of probabilities (..., K).

    Returns
    -------
    (m, K) float64, m at least 1
        Distinct rest points; the first is the one reached from p.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; where no start comes to rest.

    Source: Claim W1.

    Examples
    --------
    >>> from collapse.writers import temperature
    >>> p = np.full(4, 0.25)
    >>> [len(resting(p, alpha, temperature(0.8))) for alpha in (0.5, 0.1)]  # sharpening: W2
    [1, 4]
    """
    p, alpha = _check.probabilities("p", p, ndim=1), _check_loop(alpha, write)
    likeliest = np.argsort(-p, kind="stable")[:16]
    starts = np.concatenate(
        [[p], [np.full(p.size, 1 / p.size)], 0.02 * p + 0.98 * np.eye(p.size)[likeliest]]
    )
    starts *= 1 + 1e-4 * np.cos(np.arange(p.size) ** 2)
    theta = starts / starts.sum(axis=1, keepdims=True)
    moved = np.inf
    for _ in range(MOST_STEPS):
        before, theta = theta, alpha * p + (1 - alpha) * _asked(write, theta)
        moved = abs(theta - before).sum(axis=1)
        if moved.max() < 1e-14:
            break
    found = []
    for point in theta[moved < 1e-10]:
        if not any(abs(point - other).sum() < 1e-6 for other in found):
            found.append(point)
    if not moved[0] < 1e-10:
        raise ValueError(
            f"write must bring the loop to rest from p, found it still moving by {moved[0]:.2g} "
            f"after {MOST_STEPS} steps"
        )
    return np.array(found)


def writer_gain(p, alpha, write):
    """Asymptotic (n -> infinity): g, by how much the writer multiplies a small error of the model.

    The spectral radius of the derivative of `write`, along the simplex, at the rest point reached
    from p. The loop forgets at the rate kappa = (1 - alpha) g; where the writer fixes p and
    multiplies every small error by g, rho is near 1 / (n (1 - kappa^2)). g = 1 is a model that
    writes itself.

    Parameters
    ----------
    p, alpha, write
        As in `resting`. The derivative is taken numerically (error about 1e-6 where `write` is
        smooth and tokens are not rarer than that), from 2 K models at once: memory K^2.

    Returns
    -------
    float, at least 0

    Raises
    ------
    TypeError, ValueError
        As `resting`.

    Source: Claims W1, W2, W3.

    Examples
    --------
    >>> from collapse.writers import verify
    >>> round(writer_gain([0.7, 0.2, 0.1], 0.5, verify([0.7, 0.2, 0.1], 0.25)), 6)
    0.75
    """
    theta = resting(p, alpha, write)[0]
    return float(abs(np.linalg.eigvals(_derivative(write, theta))).max())


def spread(p, alpha, n, write):
    """Asymptotic (n -> infinity, then t): covariance of the model around its rest point.

    C = J C J^T + (diag(theta*) - theta* theta*^T) / n, J = (1 - alpha) times the derivative of
    `write` at the rest point theta* that is reached from p.

    Parameters
    ----------
    p, alpha, write
        As in `writer_gain`.
    n : int, at least 1
        Samples a generation, constant.

    Returns
    -------
    (K, K) float64

    Raises
    ------
    TypeError, ValueError
        As `resting`; where kappa = (1 - alpha) g is 1 or more.

    Source: Claim W1.

    Examples
    --------
    >>> p = np.array([0.5, 0.5])
    >>> spread(p, 0.5, 100, lambda theta: theta).round(6).tolist()  # 1 / (n (1 - 1/4)): A4
    [[0.003333, -0.003333], [-0.003333, 0.003333]]
    """
    from scipy.linalg import solve_discrete_lyapunov  # slow to import

    n, theta = _check.whole("n", n), resting(p, alpha, write)[0]
    J = (1 - _check.number("alpha", alpha)) * _derivative(write, theta)
    kappa = abs(np.linalg.eigvals(J)).max()
    if kappa >= 1 - 1e-9:
        raise ValueError(f"write must have a gain below 1 / (1 - alpha), found kappa = {kappa:.6g}")
    return solve_discrete_lyapunov(J, (np.diag(theta) - np.outer(theta, theta)) / n)


def kingman(p, alpha, accept):
    """Asymptotic (n -> infinity): where a loop rests whose text a verifier with a taste selects.

    theta_k = alpha p_k / (1 - (1 - alpha) accept_k / w) with the one w above
    (1 - alpha) max accept at which they sum to 1: Kingman's house of cards.

    Parameters
    ----------
    p : (K,) probabilities
    alpha : float in (0, 1]
        Real share, constant.
    accept : (K,) in [0, 1]
        Probability that token k passes, as in `collapse.writers.select`; above 0 for some token
        of positive probability.

    Returns
    -------
    (K,) float64
        The only rest point where every token of p has mass, and it is reached from p.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Kingman (1978); Claim W4.

    Examples
    --------
    >>> kingman([0.9, 0.1], 0.1, [0.5, 1.0]).round(3).tolist()
    [0.178, 0.822]
    """
    p, accept = _check.probabilities("p", p, ndim=1), _check.fraction("accept", accept)
    alpha = _check_loop(alpha)
    if accept.shape != p.shape:
        raise ValueError(f"accept must have the shape of p, {p.shape}, found {accept.shape}")
    most = accept[p > 0].max()
    if alpha == 0 or most == 0:
        name, value = ("alpha", alpha) if alpha == 0 else ("accept", most)
        raise ValueError(f"{name} must be above 0, found {value}")
    liked = accept / most  # w = most (1 - alpha + alpha x), x in (0, 1]

    def law(x):
        w = 1 - alpha + alpha * x
        return p * w / (x + (1 - alpha) * (1 - liked) / alpha)

    from scipy.optimize import brentq  # slow to import

    least = p[liked == 1].sum()  # these alone would have mass 1 at the lower end, or more
    least = least * (1 - alpha) / (1 - alpha * least) if alpha < 1 else 1.0
    excess = [law(x).sum() - 1 for x in (least, 1.0)]
    if excess[0] > 0 > excess[1]:  # else an end is the root, but for rounding
        fine = {"xtol": 1e-300, "rtol": 1e-14, "maxiter": 3000}  # a root may be near 1e-300
        least = brentq(lambda x: law(x).sum() - 1, least, 1.0, **fine)
    elif abs(excess[1]) < abs(excess[0]):
        least = 1.0
    theta = law(least)
    return theta / theta.sum()


def _check_loop(alpha, write=None):
    if write is not None and not callable(write):
        raise TypeError(f"write must be a function theta -> theta, found {write!r}")
    if not 0 <= (alpha := _check.number("alpha", alpha)) <= 1:
        raise ValueError(f"alpha must lie in [0, 1], found {alpha}")
    return alpha


def _asked(write, theta):
    written = np.asarray(write(theta))
    if written.shape != theta.shape:
        raise ValueError(f"write must keep the shape {theta.shape}, found {written.shape}")
    return written


def _derivative(write, theta):
    """(K, K): what `write` makes of a small step along the simplex, as a matrix that fixes it."""
    step = 1e-4 * np.maximum(theta, 1e-6)
    back = np.where(theta > step, step, 0.0)  # no mass below 0
    ways = np.eye(theta.size) - theta  # to each token, from all others
    rows = _asked(write, theta + step[:, None] * ways) - _asked(write, theta - back[:, None] * ways)
    return rows.T / (step + back)
