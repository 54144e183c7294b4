"""Bounds: true for every n and t, with their constants.

They rest on one sum. The error of a linear statistic is a sum of independent-looking noises, one a
generation, each discounted by what came after; V_t is the sum of their sizes,

    V_t = w_t^2 / n_t + (1 - w_t alpha_t)^2 V_{t-1},      V_0 = 1 / n_0,

w_t the gain, and rho_t <= V_t. What a bound gives away is measured in the book, not here.
"""

import numpy as np

from collapse import _check
from collapse.exact import affine, coefficients, inflation, plateau
from collapse.plans import as_agnostic, as_forgetful, as_plan
from collapse.schedules import resolve_shares, resolve_sizes

__all__ = ["average", "deviation", "distinct", "kl", "l1", "radius", "radius_anytime", "variance"]


def variance(plan):
    """Bound: V_t >= rho_t; a statistic with values of spread D is D^2 V_t / 4 - sub-Gaussian.

    Parameters
    ----------
    plan : Plan
        Any but the filter (labels known, iid mixing), whose batch sizes are random, and those
        with `reads` or `keeps`.

    Returns
    -------
    (T+1,) float64
        May exceed 1, while rho_t never does.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims B6 and E5.

    Examples
    --------
    >>> from collapse import replace
    >>> variance(replace(100, 3)).round(6).tolist()
    [0.01, 0.02, 0.03, 0.04]
    """
    as_plan(plan)
    if plan.linked or (plan.real_weight is not None and plan.mixing == "iid"):
        raise ValueError(
            "plan must have batches of known size (not the filter) and say nothing about who "
            f"reads or keeps what, found {plan!r}"
        )
    keep, noise, _ = coefficients(plan)  # as for rho, without its refund
    if plan.subsample:  # a draw from the pool is bounded as one with replacement; none at t = 0
        drawn = np.concatenate([[0.0, 0.0], 1 / plan.n[1:-1]])
        noise = plan.gain**2 * (1 / plan.n + (1 - plan.alpha) ** 2 * drawn)
    v = affine(0.0 if plan.real == "fixed" else 1 / int(plan.n[0]), keep, noise)
    if plan.real == "fixed":  # V is that of the error around generation 0's sample
        v += 1 / plan.n[0]
    if plan.subsample:  # V is that of the pool; a draw from it adds its own noise
        v[1:] += 1 / plan.n[1:]
    return v


def average(alpha, n, generations):
    """Bound: rho of the plain average of models 0..t of `mixture`, for shares that nobody knows.

    (2 - a) / (a (1 + (n - 1) a (2 - a)) (t + 1)), and at most 1, for all shares of at least a and
    all sizes of at least n, fixed beforehand.

    Parameters
    ----------
    alpha : number, (T+1,) array or function of t
        As in `mixture`; only the least share after generation 0 counts.
    n : number, (T+1,) array or function of t
        Only the least size counts.
    generations : int
        T, at least 1.

    Returns
    -------
    (T+1,) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H2.

    Examples
    --------
    >>> (1 / average(0.2, 50, 300))[-1].round(1).item()
    623.4
    """
    T = _check.whole("generations", generations)
    shares, sizes = resolve_shares(alpha, T), resolve_sizes(n, T)
    a = shares[1:].min()
    if a == 0:
        return np.ones(T + 1)
    return np.minimum(1.0, plateau(a, sizes.min()) * (2 - a) / a / np.arange(1, T + 2))


def l1(p, plan):
    """Bound: E ||phat_t - p||_1 <= sum_k sqrt(p_k (1 - p_k) rho_t).

    At most sqrt((K_+ - 1) rho_t), K_+ the tokens of positive probability; total variation is
    half. Where p_k >> rho_t the mean is near sqrt(2 / pi) times the bound.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan

    Returns
    -------
    (T+1,) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E5.

    Examples
    --------
    >>> from collapse import mixture
    >>> l1([0.5, 0.5], mixture(100, 0.5, 2)).round(4).tolist()
    [0.1, 0.1117, 0.1144]
    """
    p = _check.probabilities("p", p, ndim=1)
    return np.sqrt(p * (1 - p)).sum() * np.sqrt(inflation(plan))


def deviation(x, plan, *, spread=1.0):
    """Bound: P(|f(phat_t) - f(p)| >= x) <= 2 exp(-2 x^2 / (D^2 V_t)), f a mean, D its spread.

    f(p) = sum_k f_k p_k for any numbers f_k, D = max f - min f: 1 for the share of a token or of
    a set of tokens.

    Parameters
    ----------
    x : float, above 0
    plan : Plan
        As in `variance`.
    spread : float, above 0
        D.

    Returns
    -------
    (T+1,) float64 in [0, 1]
        For each t on its own; for all t at once use `radius_anytime`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E5; Hoeffding (1963).

    Examples
    --------
    >>> from collapse import mixture
    >>> deviation(0.2, mixture(100, 0.5, 2)).round(4).tolist()
    [0.0007, 0.0033, 0.0045]
    """
    x = _check.number("x", x, above=0)
    spread = _check.number("spread", spread, above=0)
    with np.errstate(over="ignore", under="ignore"):
        return np.minimum(1.0, 2 * np.exp(-2 * np.float64(x / spread) ** 2 / variance(plan)))


def radius(delta, plan, *, spread=1.0):
    """Bound: |f(phat_t) - f(p)| < D sqrt(V_t log(2 / delta) / 2) with chance at least 1 - delta.

    The inverse of `deviation`.

    Parameters
    ----------
    delta : float in (0, 1)
    plan, spread
        As in `deviation`.

    Returns
    -------
    (T+1,) float64
        For each t on its own.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E5; Hoeffding (1963).

    Examples
    --------
    >>> from collapse import mixture
    >>> radius(0.05, mixture(100, 0.5, 2)).round(3).tolist()
    [0.136, 0.152, 0.156]
    """
    return _radius(_log_odds(delta), plan, spread)


def radius_anytime(delta, plan, *, spread=1.0):
    """Bound: all t at once, |f(phat_t) - f(p)| < D sqrt(V_t log(2 (t+1)(t+2) / delta) / 2).

    Without fresh real data (`replace`, `accumulate`) the error is a martingale, and the radius of
    generation T serves every t <= T at no extra cost: it is returned for all of them.

    Parameters
    ----------
    delta : float in (0, 1)
        The chance that any generation t = 0, 1, 2, ... leaves its radius is at most delta.
    plan, spread
        As in `deviation`.

    Returns
    -------
    (T+1,) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E5; Hoeffding (1963), and Doob's maximal inequality.

    Examples
    --------
    >>> from collapse import mixture
    >>> radius_anytime(0.05, mixture(100, 0.5, 2)).round(3).tolist()
    [0.148, 0.185, 0.201]
    """
    log_odds, t = _log_odds(delta), np.arange(as_plan(plan).n.size)
    if plan.real == "fresh" and not plan.subsample and not plan.alpha[1:].any():
        return np.full(t.size, _radius(log_odds, plan, spread)[-1])
    return _radius(log_odds + np.log((t + 1.0) * (t + 2.0)), plan, spread)


def distinct(plan):
    """Bound: E #{tokens that generation t knows} <= 1 + 1 / (1/(n_t - 1) + sum_{s<t} 1/(2 n_s)).

    Whatever p and K: tokens come down from infinity. Below 1 + 2 n / t at constant n.

    Parameters
    ----------
    plan : Plan
        Without fresh real data: `replace`.

    Returns
    -------
    (T+1,) float64, at least 1

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E7.

    Examples
    --------
    >>> from collapse import replace
    >>> distinct(replace(1000, 1000))[[0, 100, 1000]].round(2).tolist()
    [1000.0, 20.61, 3.0]
    """
    as_forgetful(plan)
    if plan.alpha[1:].any():
        raise ValueError(f"plan must have no fresh real data after generation 0, found {plan!r}")
    past = np.concatenate([[0.0], np.cumsum(0.5 / plan.n[:-1])])
    own = plan.n - 1.0
    return 1 + own / (1 + own * past)


def kl(p, plan, *, add=1.0):
    """Bound: E KL(p || theta_t), theta_t read out of phat_t with add-constant smoothing.

    theta = (n_t phat_t + add) / (n_t + K add), never fed back; without it the mean is infinite.
    Each token costs at most (4 log 2 - 2) E(theta_k - p_k)^2 / p_k, and p_k log(p_k / (e / K))
    where theta_k < p_k / 2, with e = K add / (n_t + K add). That happens where phat_k is below
    p_k - x_k, x_k = (p_k / 2 + e / K - e p_k) / (1 - e): with a chance of at most
    exp(-x_k^2 / (2 p_k V_t)). As n grows E KL is near (K - 1) rho_t / 2, the bound 1.55 times that.
    Never above sum_k p_k log(p_k K / e), positive terms only, whatever phat_t is.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
        Fresh real data, no labels, iid mixing, all data used.
    add : float, in [10^-15, 2^53]

    Returns
    -------
    (T+1,) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim E6.

    Examples
    --------
    >>> from collapse import mixture
    >>> kl([0.5, 0.5], mixture(1000, 0.5, 2)).round(5).tolist()
    [0.00077, 0.00096, 0.00101]
    """
    p, add = _check.probabilities("p", p, ndim=1), _check.number("add", add)
    if not 1e-15 <= add <= _check.LARGEST_WHOLE:
        raise ValueError(f"add must lie in [1e-15, 2**53], found {add}")
    rho, v, K = inflation(as_agnostic(plan)), variance(plan), p.size
    p, count = np.unique(p, return_counts=True)
    p, count = p[p > 0], count[p > 0]
    total = np.empty(rho.size)
    for t, n in enumerate(plan.n.tolist()):
        e, own = K * add / (n + K * add), n / (n + K * add)  # own is 1 - e
        close = own**2 * p * (1 - p) * rho[t] + (e * (p - 1 / K)) ** 2
        worst = p * np.maximum(np.log(p) + np.log(K) - np.log(e), 0.0)
        gap = np.maximum(p / 2 + e * (1 / K - p), 0.0) / own  # theta < p / 2 iff phat < p - gap
        unseen = e * (K - count.sum()) / K
        with np.errstate(under="ignore", over="ignore"):
            far = np.where(gap > p, 0.0, np.exp(-np.minimum(gap, p) * (gap / p) / (2 * v[t])))
            most = count @ ((4 * np.log(2) - 2) * close / p + worst * far) + unseen
        total[t] = min(most, count @ worst)
    return total


def _log_odds(delta):
    """log(2 / delta), also where 2 / delta is beyond float64."""
    delta = _check.number("delta", delta)
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie in (0, 1), found {delta}")
    return np.log(2) - np.log(delta)


def _radius(log_odds, plan, spread):
    spread = _check.number("spread", spread, above=0)
    with np.errstate(over="ignore"):  # inf: no bound that float64 can hold
        return spread * np.sqrt(variance(plan) * log_odds / 2)
