"""Exact results: no limit, no approximation, no simulation.

The error of every scheme has the covariance rho_t Sigma, Sigma = diag(p) - p p^T, so one number a
generation says everything about its second moments. It obeys an affine recursion,

    rho_t = keep_t rho_{t-1} + noise_t,      rho_0 = 1 / n_0,

and `inflation` runs it (for `anchored`, for the error around generation 0's sample). 1 / rho_t is
the effective sample size: generation t has the mean squared error of a model trained on that many
real samples.
"""

import operator

import numpy as np

from collapse import _check
from collapse.plans import Plan, real_counts

__all__ = [
    "covariance",
    "effective_sample_size",
    "heterozygosity",
    "inflation",
    "l2_risk",
    "plateau",
]


def inflation(plan):
    """Exact: rho_t, the risk of generation t over the risk of a model trained on one real sample.

    For `mixture`, rho_t = 1/n_t + (1 - 1/n_t) (1 - alpha_t)^2 rho_{t-1}; the other schemes differ
    in the two coefficients only. Holds for the categorical model fitted by maximum likelihood,
    any target, any K.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    (T+1,) float64 in (0, 1]
        Relative error below 1e-9 for T up to 10^6 (rounding).

    Raises
    ------
    TypeError
        If `plan` is not a Plan.

    Source: Bakshi and Chakraborty (2026) for `mixture`; Claims A2, A5, A6, B1, B2, B4,
    B5, B8, C1, C4, C5, C6.

    Examples
    --------
    >>> from collapse import mixture
    >>> inflation(mixture(100, 0.5, 3)).round(5).tolist()
    [0.01, 0.01248, 0.01309, 0.01324]
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan must be a collapse.Plan, found {plan!r}")
    keep, noise = (c.tolist() for c in _coefficients(plan))
    start = 1 / int(plan.n[0])
    rho = [0.0 if plan.real == "fixed" else start]
    for t in range(1, plan.n.size):
        rho.append(keep[t] * rho[-1] + noise[t])
    rho = np.array(rho)
    if plan.real == "fixed":  # B8: the same recursion for the error around generation 0's sample
        rho = start + (1 - start) * rho
    return rho


def effective_sample_size(plan):
    """Exact: 1 / rho_t, how many real samples give the mean squared error of generation t.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    (T+1,) float64, at least 1

    Raises
    ------
    TypeError
        If `plan` is not a Plan.

    Source: Claim A3.

    Examples
    --------
    >>> from collapse import replace
    >>> effective_sample_size(replace(100, 300))[[0, 100, 300]].round(2).tolist()
    [100.0, 1.57, 1.05]
    """
    return 1 / inflation(plan)


def l2_risk(p, plan):
    """Exact: E ||phat_t - p||^2 = h rho_t, the mean squared L2 distance to the target.

    Parameters
    ----------
    p : (K,) probabilities
        The target; sums to 1 within 1e-9.
    plan : Plan

    Returns
    -------
    (T+1,) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Bakshi and Chakraborty (2026); Claim A2.

    Examples
    --------
    >>> from collapse import mixture
    >>> l2_risk([0.5, 0.5], mixture(100, 0.5, 2)).round(5).tolist()
    [0.005, 0.00624, 0.00654]
    """
    return heterozygosity(_check.probabilities("p", p, ndim=1)) * inflation(plan)


def covariance(p, plan, t=-1):
    """Exact: Cov(phat_t) = rho_t (diag(p) - p p^T).

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
    t : int
        Generation, 0..T; negative counts from the end.

    Returns
    -------
    (K, K) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim A3.

    Examples
    --------
    >>> from collapse import replace
    >>> covariance([0.5, 0.5], replace(4, 1), t=0).tolist()
    [[0.0625, -0.0625], [-0.0625, 0.0625]]
    """
    p, given = _check.probabilities("p", p, ndim=1), t
    rho = inflation(plan)
    try:
        t = None if isinstance(t, (bool, np.bool_)) else operator.index(t)
    except TypeError:
        t = None
    if t is None:
        raise TypeError(f"t must be a whole number, found {given!r}")
    if not -rho.size <= t < rho.size:
        raise ValueError(f"t must lie in [{-rho.size}, {rho.size - 1}], found {t}")
    return rho[t] * (np.diag(p) - np.outer(p, p))


def plateau(alpha, n):
    """Exact: 1 / (1 + (n - 1) alpha (2 - alpha)), where rho_t of `mixture` comes to rest.

    Parameters
    ----------
    alpha : array_like in [0, 1]
        Real share, constant.
    n : array_like of whole numbers, at least 1
        Sample size, constant. Broadcasts against `alpha`.

    Returns
    -------
    float64, of the broadcast shape

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims A4, B2, B3.

    Examples
    --------
    >>> plateau([0.0, 0.1, 1.0], 1000).round(5).tolist()
    [1.0, 0.00524, 0.001]
    """
    alpha = _check.fraction("alpha", alpha)
    n = _check.whole_array("n", n)
    try:
        np.broadcast_shapes(alpha.shape, n.shape)
    except ValueError:
        raise ValueError(
            f"alpha and n must broadcast, found shapes {alpha.shape} and {n.shape}"
        ) from None
    return 1 / (1 + (n - 1) * (alpha * (2 - alpha)))


def heterozygosity(p):
    """Exact: h = 1 - sum_k p_k^2, the chance that two draws from p differ.

    Parameters
    ----------
    p : (..., K) probabilities

    Returns
    -------
    (...) float64 in [0, 1)

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: the notation of Claim A2.

    Examples
    --------
    >>> float(heterozygosity([0.5, 0.25, 0.25]))
    0.625
    """
    p = _check.probabilities("p", p)
    # no cancellation near a point mass; 0 where p is one, up to the tolerance of its sum
    return np.maximum((p * (1 - p)).sum(axis=-1), 0.0)


def _coefficients(plan):
    """keep_t and noise_t of rho_t = keep_t rho_{t-1} + noise_t, arrays of length T + 1.

    With real weight v, gain w and counts n_r + n_s = n the error of phat_t is
    (1 - w v) e_{t-1} + w (v times the real noise + (1 - v) times the synthetic noise), and a
    synthetic sample of a model with inflation rho carries only the share 1 - rho of a real
    sample's variance.
    """
    n, alpha, w = plan.n.astype(np.float64), plan.alpha, plan.gain
    if plan.real_weight is None and plan.mixing == "iid":  # C1; w = 1 is A2
        return (1 - w * alpha) ** 2 - w**2 / n * (1 - alpha) ** 2, w**2 / n
    if plan.mixing == "iid":  # B4, the filter
        with np.errstate(divide="ignore"):
            none = np.exp(n * np.log1p(-alpha))  # no real sample in the batch
        return none + (1 - none) * (1 - w) ** 2, w**2 * _mean_inverse_count(n, alpha)
    n_real = real_counts(plan.n, alpha)  # C5; v = alpha is C6
    v = alpha if plan.real_weight is None else plan.real_weight
    n_fake = plan.n - n_real
    real = np.divide(v**2, n_real, out=np.zeros_like(v), where=n_real > 0)
    fake = np.divide((1 - v) ** 2, n_fake, out=np.zeros_like(v), where=n_fake > 0)
    return (1 - w * v) ** 2 - w**2 * fake, w**2 * (real + fake)


def _mean_inverse_count(n, alpha):
    """E[1/N; N > 0], N ~ Binomial(n, alpha), to a relative error below 1e-12.

    Equals (1/n) int_0^L exp(-y) expm1(y - L) / expm1((y - L)/n) dy, L = -n log(1 - alpha), a
    smooth integrand without cancellation; Gauss-Legendre on [0, min(L, 40)]. For tiny L it is L.
    """
    nodes, weights = np.polynomial.legendre.leggauss(40)
    new = np.concatenate([[True], (np.diff(n) != 0) | (np.diff(alpha) != 0)])
    first = np.flatnonzero(new)  # schedules are often constant: one integral for each stretch
    values = np.empty(first.size)
    for start in range(0, first.size, 8192):  # bounded memory
        part = first[start : start + 8192]
        m, a = n[part, None], alpha[part, None]
        with np.errstate(divide="ignore", invalid="ignore"):  # alpha = 1: L infinite; 0: L = 0
            L = -m * np.log1p(-a)
            end = np.minimum(L, 40.0)
            y = end * (nodes + 1) / 2
            integrand = np.exp(-y) * np.expm1(y - L) / np.expm1((y - L) / m)
        mean = (integrand @ weights) * (end / 2 / m)[:, 0]
        values[start : start + 8192] = np.where(L[:, 0] > 1e-12, mean, L[:, 0])
    return np.repeat(values, np.diff(np.append(first, n.size)))
