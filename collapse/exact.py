"""Exact results: no limit, no approximation, no simulation.

The error of every scheme has the covariance rho_t Sigma, Sigma = diag(p) - p p^T, so one number a
generation says everything about its second moments. It obeys an affine recursion,

    rho_t = keep_t rho_{t-1} + noise_t,      rho_0 = 1 / n_0,

and `inflation` runs it (for `anchored`, for the error around generation 0's sample). 1 / rho_t is
the effective sample size: generation t has the mean squared error of a model trained on that many
real samples.
"""

from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse._lineage import LARGEST, founder_laws
from collapse.plans import (
    as_agnostic,
    as_forgetful,
    as_generation,
    as_plan,
    last_use,
    real_counts,
    row,
)

__all__ = [
    "Moving",
    "average",
    "context_risk",
    "covariance",
    "coverage",
    "effective_sample_size",
    "founders",
    "gaussian_moments",
    "heterozygosity",
    "inflation",
    "kernel_density_risk",
    "kinship",
    "l2_risk",
    "missing",
    "moving",
    "plateau",
    "token_law",
]

MOST_KIN = 8192  # batches whose covariances are held at once: 512 MB


class Moving(NamedTuple):
    """Against a truth that moves: `bias` (T+1, K) of the model, and its `risk` (T+1,)."""

    bias: np.ndarray
    risk: np.ndarray


def inflation(plan, *, v2=-1.0):
    """Exact: rho_t, the risk of generation t over the risk of a model trained on one real sample.

    For `mixture`, rho_t = 1/n_t + (1 - 1/n_t) (1 - alpha_t)^2 rho_{t-1}; the other schemes differ
    in the two coefficients only, and a plan with `reads` or `keeps` has the diagonal of `kinship`
    (time and memory grow with the number of batches still in use, squared: at most 8192). Holds for
    the categorical model fitted by maximum likelihood (any target, any K), for the mean of a
    Gaussian fitted by mean and covariance, and, with its own `v2`, for the mean of any
    `collapse.ExponentialFamily`.

    Parameters
    ----------
    plan : Plan
    v2 : float, at least -1
        Quadratic coefficient of the variance as a function of the mean: -1 for tokens, 0 for
        Poisson and for a Gaussian of known variance, 1 for waiting times. Other values than -1
        need a plan without `subsample`, `reads` and `keeps` and with fresh real data.

    Returns
    -------
    (T+1,) float64 above 0, at most 1 for ``v2=-1``
        Relative error below 1e-9 for T up to 10^6 (rounding).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Bakshi and Chakraborty (2026) for `mixture`; Claims A2, A5, A6, B1, B2, B4,
    B5, B8, C1, C2, C3, C4, C5, C6, C7, F3, F4; it computes the rates of D4 and F7.

    Examples
    --------
    >>> from collapse import mixture
    >>> inflation(mixture(100, 0.5, 3)).round(5).tolist()
    [0.01, 0.01248, 0.01309, 0.01324]
    """
    as_plan(plan)
    v2 = _check.number("v2", v2, least=-1)
    if v2 != -1 and (plan.subsample or plan.real == "fixed" or plan.linked):
        raise ValueError(
            "v2 must be -1 for a plan of `subsampled` or `anchored`, or with reads or keeps, "
            f"found {v2}"
        )
    if plan.linked:
        return np.minimum(_linked(plan)[0], 1.0)
    start, rho = 1 / int(plan.n[0]), _of_all_data(plan, v2)
    if plan.subsample:  # C7: so far the pool's; the model sees n_t of its samples
        rest = _subsample_noise(plan)
        rho = rest + (1 - rest) * rho
    if plan.real == "fixed":  # B8: the same recursion for the error around generation 0's sample
        rho = start + (1 - start) * rho
    return np.minimum(rho, 1.0) if v2 == -1 else rho  # 1 is exceeded by rounding only


def _of_all_data(plan, v2=-1.0):
    """rho of all data together, where they are fresh; else around generation 0's sample."""
    keep, noise, refund = coefficients(plan, v2)
    return affine(0.0 if plan.real == "fixed" else 1 / int(plan.n[0]), keep - refund, noise)


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


def covariance(p, plan, t=-1, *, s=None):
    """Exact: Cov(phat_t) = rho_t (diag(p) - p p^T); of two models, kinship[s, t] times that.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
    t : int
        Generation, 0..T; negative counts from the end.
    s : int, optional
        Another, for Cov(phat_s, phat_t); by default t.

    Returns
    -------
    (K, K) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims A3, N1.

    Examples
    --------
    >>> from collapse import replace
    >>> covariance([0.5, 0.5], replace(4, 1), t=0).tolist()
    [[0.0625, -0.0625], [-0.0625, 0.0625]]
    >>> covariance([0.5, 0.5], replace(4, 9), t=0, s=9).tolist()  # what was lost stays lost
    [[0.0625, -0.0625], [-0.0625, 0.0625]]
    """
    p, t = _check.probabilities("p", p, ndim=1), as_generation(t, plan)
    share = inflation(plan)[t] if s is None else kinship(plan)[as_generation(s, plan), t]
    return share * (np.diag(p) - np.outer(p, p))


def kinship(plan):
    """Exact: the matrix with Cov(phat_s, phat_t) = kinship[s, t] Sigma, for every plan.

    The chance that a draw from model s and one from model t descend from the same real sample, as
    in population genetics. For a loop that says who reads and keeps what (N1), with M = reads
    keeps the batches have the covariances C_bc = (1 - alpha_b) sum_d M_bd C_dc, b > c, and
    C_bb = 1/n_b + (1 - 1/n_b) (1 - alpha_b)^2 (M C M^T)_bb, and kinship = keeps C keeps^T.

    Parameters
    ----------
    plan : Plan
        At most 8192 models: 512 MB, and three times that on the way where the plan has `reads` or
        `keeps`.

    Returns
    -------
    (T+1, T+1) float64
        Symmetric; `inflation` is its diagonal.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims A3, N1.

    Examples
    --------
    >>> from collapse import mixture, several
    >>> kinship(mixture(2, 0.5, 2)).round(4).tolist()
    [[0.5, 0.25, 0.125], [0.25, 0.5625, 0.2812], [0.125, 0.2812, 0.5703]]
    >>> kinship(several(50, 0.0, 60, models=2, across=0.5))[-2:, -2:].round(3).tolist()  # N2
    [[0.464, 0.453], [0.453, 0.464]]
    """
    size = as_plan(plan).n.size
    if size > MOST_KIN:
        raise ValueError(
            f"plan must have at most {MOST_KIN} models, found {size}: the matrix would take "
            f"{8 * size**2 / 2**30:.1f} GB; exact.inflation has its diagonal"
        )
    if plan.linked:
        keeps, _ = _weights(plan)
        return keeps @ (keeps @ _linked(plan, whole=True)[1]).T
    start, rho, lag, near = _two_times(plan)
    K = np.diag(rho)
    for t in range(1, size):
        K[:t, t] = lag[t] * K[:t, t - 1]
        K[t - 1, t] = near[t]
        K[t, :t] = K[:t, t]
    return start + (1 - start) * K


def average(plan, *, weights=None):
    """Exact: rho of the average of models 0..t: a report, made beside a loop that goes on as it is.

    (sum u_s)^-2 [sum u_s^2 rho_s + 2 sum_{r<s} u_r u_s kinship[r, s]]; for `mixture`
    kinship[r, s] = rho_r times the product of 1 - alpha over r+1..s. With constant n and
    alpha > 0 it falls like 1/t, while rho_t rests.

    Parameters
    ----------
    plan : Plan
        Any; one with `reads` or `keeps` as in `kinship`. The work grows with T (10^5: under a
        second), for those with T^2.
    weights : (T+1,) at least 0, optional
        u_t; by default 1. A start that is left out has weight 0.

    Returns
    -------
    (T+1,) float64
        nan as long as no weight is above 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H2.

    Examples
    --------
    >>> from collapse import mixture
    >>> plan = mixture(50, 0.2, 300)
    >>> (1 / inflation(plan))[-1].round(1).item(), (1 / average(plan))[-1].round(1).item()
    (18.6, 636.4)
    """
    size = as_plan(plan).n.size
    u = np.ones(size) if weights is None else _check.real_array("weights", weights)
    if u.shape != (size,) or (u < 0).any():
        raise ValueError(f"weights must be {size} numbers of at least 0, found {_check.short(u)}")
    u = u / (u.max() or 1.0)
    if plan.linked:
        K = kinship(plan)
        start, own, before = 0.0, np.diag(K), np.einsum("st,s->t", np.triu(K, 1), u)
    else:
        start, own, lag, near = _two_times(plan)
        # sum over s < t of u_s times the covariance of s and t; that of t - 1 by itself
        before, far = np.zeros(size), 0.0
        for t in range(1, size):
            far = lag[t] * (before[t - 1] if t > 1 else 0.0)
            before[t] = far + u[t - 1] * near[t]
    with np.errstate(invalid="ignore"):
        found = np.cumsum(u**2 * own + 2 * u * before) / np.cumsum(u) ** 2
    return start + (1 - start) * found


def _two_times(plan):
    """What comes from the anchor, and around it rho_t, 1 - w alpha, and Cov(t - 1, t)."""
    rho, lag = inflation(plan), one_step(plan)
    start = rho[0] if plan.real == "fixed" else 0.0
    rho = (rho - start) / (1 - start) if start < 1 else np.zeros_like(rho)
    near = np.concatenate([[0.0], lag[1:] * rho[:-1]])
    if plan.subsample:  # model t draws from a pool that holds more than model t - 1 saw
        w, pool = plan.gain[1:], _of_all_data(plan)[:-1]
        near[1:] = (1 - w) * pool + w * (1 - plan.alpha[1:]) * rho[:-1]
    return start, rho, lag, near


def one_step(plan):
    """Cov(phat_s, phat_t) / Cov(phat_s, phat_{t-1}), s < t; s < t - 1 where plans subsample."""
    if plan.real_weight is None:
        return 1 - plan.gain * plan.alpha
    if plan.mixing == "stratified":
        return 1 - plan.gain * plan.real_weight
    with np.errstate(divide="ignore"):  # the filter: without a real sample the model stays
        return 1 + plan.gain * np.expm1(plan.n * np.log1p(-plan.alpha))


def moving(p_by_t, plan):
    """Exact: bias and risk of a loop whose truth moves, generation t against p_t.

    The mean of the model obeys the mean recursion, E y_t = alpha_t p_t + (1 - alpha_t) E x_t,
    x_t the law that writes; the traces of the covariances obey N1 with 1 - ||E y_t||^2 in place
    of h. A constant drift d a generation leaves `mixture` behind by (1 - alpha) d / alpha.

    Parameters
    ----------
    p_by_t : (T+1, K) probabilities
        The target of each generation, as `simulate` takes it: a list of T + 1 targets.
    plan : Plan
        Fresh real data, batches of known size (no filter), all data used (no subsample); with a
        gain below 1 at most 8192 generations.

    Returns
    -------
    Moving
        ``bias`` is E phat_t - p_t, ``risk`` E ||phat_t - p_t||^2.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim N6.

    Examples
    --------
    >>> from collapse import mixture
    >>> bias, risk = moving([[0.5, 0.5], [0.6, 0.4]], mixture(100, 0.5, 1))
    >>> bias[1].round(9).tolist(), round(float(risk[1]), 6)
    ([-0.05, 0.05], 0.011187)
    """
    as_plan(plan)
    if (
        plan.real == "fixed"
        or plan.subsample
        or (plan.real_weight is not None) > (plan.mixing == "stratified")
    ):
        raise ValueError(
            f"plan must have fresh real data and batches of known size, found {plan!r}"
        )
    p = _check.probabilities("p_by_t", p_by_t, ndim=2)
    if len(p) != plan.n.size:
        raise ValueError(f"p_by_t must have T + 1 = {plan.n.size} rows, found {len(p)}")
    keeps, M, real = *_weights(plan), _real_share(plan)
    law, mean = np.zeros_like(p), np.zeros_like(p)
    for t in range(len(p)):
        names, weights = row(M, t)
        law[t] = np.array(weights) @ mean[names]
        mean[t] = real[t] * p[t] + (1 - real[t]) * law[t]
    bias = keeps @ mean - p
    h = (1 - (x**2).sum(axis=1) for x in (mean, p, law))
    return Moving(bias, (bias**2).sum(axis=1) + _linked(plan, noise=_batch_noise(plan, *h))[0])


def _real_share(plan):
    return plan.alpha if plan.real_weight is None else plan.real_weight


def _batch_noise(plan, both=1.0, real=1.0, fake=1.0):
    """The variance of a batch is noise_t + back_t times that of the law that writes.

    In units of Sigma, or of the h of the mixture, of the real and of the synthetic part.
    """
    n, v = plan.n.astype(np.float64), _real_share(plan)
    if plan.mixing == "iid":
        return both / n, (1 - 1 / n) * (1 - v) ** 2
    n_real = real_counts(plan.n, plan.alpha)
    n_fake = plan.n - n_real
    noise = np.divide(v**2 * real, n_real, out=np.zeros_like(v), where=n_real > 0)
    each = np.divide((1 - v) ** 2, n_fake, out=np.zeros_like(v), where=n_fake > 0)
    return noise + each * fake, (1 - v) ** 2 - each


def _weights(plan):
    """Models, and the laws that write the batches, as sums of batches: two CSR arrays."""
    from scipy import sparse  # slow to import

    size, keeps = plan.n.size, plan.keeps
    if keeps is None and (plan.gain == 1).all():
        keeps = sparse.eye_array(size, format="csr")
    elif keeps is None:
        if size > MOST_KIN:
            raise ValueError(f"plan must have at most {MOST_KIN} generations, found {size}")
        keeps = np.diag(plan.gain)
        for t in range(1, size):
            keeps[t] += (1 - plan.gain[t]) * keeps[t - 1]
        keeps = sparse.csr_array(keeps)
    reads = sparse.eye_array(size, k=-1, format="csr") if plan.reads is None else plan.reads
    return keeps, (reads @ keeps).tocsr()


def _linked(plan, *, whole=False, noise=None):
    """rho of the models, and C: the covariances of all batches, or of those still in use."""
    keeps, M = _weights(plan)
    size, real = plan.n.size, _real_share(plan)
    noise, back = noise or _batch_noise(plan)
    last = np.maximum(np.maximum(last_use(M), last_use(keeps)), np.arange(size))
    last = np.full(size, size) if whole else last
    used = int((1 - np.bincount(last + 1, minlength=size + 2)[:size]).cumsum().max())
    if used > MOST_KIN:
        raise ValueError(
            f"plan must have at most {MOST_KIN} batches in use at once, found {used}: their "
            f"covariances would take {8 * used**2 / 2**30:.1f} GB"
        )
    C, rho, place, free = np.zeros((used, used)), np.zeros(size), {}, list(range(used))[::-1]

    def part(matrix, t):
        names, weights = row(matrix, t)
        return [place[name] for name in names], np.array(weights)

    for t in range(size):
        at, weights = part(M, t)
        past = C[:, at] @ weights  # covariances with the law that writes
        place[t] = new = free.pop()
        C[new] = C[:, new] = (1 - real[t]) * past
        C[new, new] = noise[t] + back[t] * (past[at] @ weights)
        at, weights = part(keeps, t)
        rho[t] = weights @ C[np.ix_(at, at)] @ weights
        for name in [name for name in place if last[name] <= t]:
            free.append(place.pop(name))
    return rho, C


def plateau(alpha, n, *, v2=-1.0):
    """Exact: 1 / (1 + (n - 1) alpha (2 - alpha)), where rho_t of `mixture` comes to rest.

    With another `v2`, 1 / (1 + (n - 1) alpha (2 - alpha) - (1 - alpha) (1 + v2)), and inf where
    that is not positive: the risk then grows without end.

    Parameters
    ----------
    alpha : array_like in [0, 1]
        Real share, constant.
    n : array_like of whole numbers, at least 1
        Sample size, constant. Broadcasts against `alpha`.
    v2 : float, at least -1
        As in `inflation`.

    Returns
    -------
    float64, of the broadcast shape

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims A4, B2, B3, F3.

    Examples
    --------
    >>> plateau([0.0, 0.1, 1.0], 1000).round(5).tolist()
    [1.0, 0.00524, 0.001]
    """
    alpha = _check.fraction("alpha", alpha)
    n = _check.whole_array("n", n)
    _check.broadcast(alpha=alpha, n=n)
    v2 = _check.number("v2", v2, least=-1)
    inverse = (n - 1) * (alpha * (2 - alpha)) + alpha * (1 + v2) - v2
    with np.errstate(divide="ignore"):
        return 1 / np.maximum(inverse, 0.0)


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


def founders(plan):
    """Exact: the laws of F_t, the number of real samples that generation t descends from.

    A model is a bag of F_t independent real samples with multiplicities. The law is free of the
    target: P(token k missing at t) = E (1 - p_k)^F_t for all tokens at once.

    Parameters
    ----------
    plan : Plan
        Fresh real data, no labels, iid mixing, gain 1 throughout (`mixture`, `replace`); n_t at
        most 4096. Memory grows with n^2 (n = 1000: 60 MB, n = 4096: 1 GB), time with T times a
        little less than n^3 (n = 1000, T = 200: about 10 s on two cores; n = 4096: about 3 s a
        generation).

    Returns
    -------
    list of T + 1 arrays (n_t + 1,)
        ``founders(plan)[t][f]`` is P(F_t = f), f = 0..n_t. Each sums to 1 within 1e-11.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; above n = 4096 the message
        names the approximation.

    Source: Claim A7.

    Examples
    --------
    >>> from collapse import replace
    >>> founders(replace(2, 2))[2].tolist()  # two samples have one parent with chance 1 / 2
    [0.0, 0.75, 0.25]
    """
    _lineage(plan)
    return [law.copy() for law in founder_laws(plan.n, plan.alpha)]


def missing(p, plan, t=-1):
    """Exact: P(token k is missing at generation t) = E (1 - p_k)^F_t.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
        As in `founders`; or one that keeps all data (gain below 1 after generation 0, such as
        `accumulate`) with any n, since there nothing is ever lost.
    t : int
        Generation, 0..T; negative counts from the end.

    Returns
    -------
    (K,) float64 in [0, 1]

    Raises
    ------
    TypeError, ValueError
        As in `founders`.

    Source: Claims A7, N7.

    Examples
    --------
    >>> from collapse import replace
    >>> missing([0.5, 0.25, 0.25], replace(2, 1), t=0).tolist()  # (1 - p)^2
    [0.25, 0.5625, 0.5625]
    """
    p = _check.probabilities("p", p, ndim=1)
    t = as_generation(t, plan) % plan.n.size
    if t == 0 or _keeps_all(plan):
        return np.concatenate([np.exp(part[:, -1]) for part in _never_seen(p, plan, t)])
    _lineage(plan)
    *_, law = founder_laws(plan.n[: t + 1], plan.alpha[: t + 1])
    lost = np.concatenate([np.exp(part) @ law[1:] for part in _powers(p, law.size - 1)])
    return np.minimum(lost, 1.0)  # the law's own sum is off by 1e-15 or so


def coverage(p, plan):
    """Exact: the expected share of the target's tokens that generation t can still produce.

    The mean over tokens with p_k > 0 of P(phat_t,k > 0) = 1 - E (1 - p_k)^F_t.

    Parameters
    ----------
    p : (K,) probabilities
    plan : Plan
        As in `missing`. The law of F_t serves all tokens: 50,000 of them cost a second more.

    Returns
    -------
    (T+1,) float64 in (0, 1]

    Raises
    ------
    TypeError, ValueError
        As in `founders`.

    Source: Claim A7.

    Examples
    --------
    >>> from collapse import replace
    >>> coverage([0.5, 0.5], replace(2, 2)).tolist()
    [0.75, 0.625, 0.5625]
    """
    p = _check.probabilities("p", p, ndim=1)
    p, count = np.unique(p[p > 0], return_counts=True)
    as_plan(plan)
    if _keeps_all(plan):
        logs, start, seen = _never_seen(p, plan, plan.generations), 0, 0.0
        for part in logs:
            seen = seen - count[start : start + len(part)] @ np.expm1(part)
            start += len(part)
        return np.minimum(seen / count.sum(), 1.0)
    _lineage(plan)
    parts = np.split(count, range(1024, count.size, 1024))
    powers = _powers(p, int(plan.n.max()))  # of f = 1, 2, ...: F_t is at least 1
    seen = sum(-(c @ np.expm1(part)) for c, part in zip(parts, powers, strict=True)) / count.sum()
    laws = founder_laws(plan.n, plan.alpha)
    return np.minimum([law[1:] @ seen[: law.size - 1] for law in laws], 1.0)


def token_law(p_k, plan):
    """Exact: the law of one token's count, X' ~ Binomial(n', alpha' p_k + (1 - alpha') X / n).

    Parameters
    ----------
    p_k : float in [0, 1]
        The token's probability in the target.
    plan : Plan
        As in `founders`, with any n_t. Time grows with T n^2 if n_t and alpha_t are constant;
        where they change, a generation with n = 1000 takes about 0.3 s.

    Yields
    ------
    (n_t + 1,) float64
        P(the token is seen x times among the n_t samples of generation t), t = 0..T. Where an n_t
        is above 4096 laws end where what is left is below 10^-10 / (T + 1): they may be shorter
        than n_t + 1, and sum to 1 minus the lost mass, in all at most 10^-10.

    Raises
    ------
    TypeError, ValueError
        As in `founders`, at the call; when a law above 4096 needs more than 4096 counts, once it
        does, naming the approximation (`collapse.asymptotics.extinction`).

    Source: Claim E3.

    Examples
    --------
    >>> from collapse import replace
    >>> [law.round(9).tolist() for law in token_law(0.25, replace(1, 2))]
    [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]
    """
    p_k = _check.number("p_k", p_k)
    if not 0 <= p_k <= 1:
        raise ValueError(f"p_k must lie in [0, 1], found {p_k}")
    as_forgetful(plan)
    return _token_laws(p_k, plan) if plan.n.max() <= LARGEST else _cut_laws(p_k, plan)


def _cut_laws(p_k, plan, lost=1e-10):
    from scipy.stats import binom  # slow to import

    lost, law = lost / plan.n.size, np.ones(1)  # before generation 0: q is p_k whatever the state
    for n, alpha, before in zip(plan.n, plan.alpha, [1, *plan.n[:-1]], strict=True):
        q = np.minimum(alpha * p_k + (1 - alpha) * np.arange(law.size) / before, 1.0)
        end = min(int(binom.isf(lost / 2, n, q[-1])) + 1, 2 * LARGEST)
        wide = law @ binom.sf(end - 1, n, q) > lost / 2
        law = law @ binom.pmf(np.arange(end), n, q[:, None])
        law = law[: law.size - np.searchsorted(np.cumsum(law[::-1]), lost / 2)]
        if wide or law.size > LARGEST:
            raise ValueError(
                f"n must be small enough for the counts of the token to stay below {LARGEST}, "
                f"found n up to {plan.n.max()} for p_k = {p_k:g}: use "
                "collapse.asymptotics.extinction for the chance that it is gone"
            )
        law.setflags(write=False)
        yield law


def _token_laws(p_k, plan):
    from scipy.stats import binom  # slow to import

    n, alpha = plan.n, plan.alpha
    law, made, step = binom.pmf(np.arange(n[0] + 1), n[0], p_k), None, None
    law.setflags(write=False)  # what is yielded is what the next law is made of
    yield law
    for t in range(1, n.size):
        if made != (key := (n[t - 1], n[t], alpha[t])):
            q = alpha[t] * p_k + (1 - alpha[t]) * np.arange(n[t - 1] + 1) / n[t - 1]
            step = binom.pmf(np.arange(n[t] + 1), n[t], np.minimum(q, 1.0)[:, None])
            made = key
        law = law @ step
        law.setflags(write=False)
        yield law


def _lineage(plan):
    """A plan whose samples copy samples of the generation before, not too many of them."""
    as_forgetful(plan)
    if plan.n.max() > LARGEST:
        raise ValueError(
            f"n must be at most {LARGEST} for the exact law, found {plan.n.max()}: use "
            "collapse.asymptotics.founders or collapse.asymptotics.coverage"
        )


def _keeps_all(plan):
    """Whether all real data of batches that count at all stay in the training data."""
    return bool((as_agnostic(plan).gain[1:] < 1).all())


def _never_seen(p, plan, last):
    """log P(no real sample up to t = 0..last is token k), where all are kept: some k at a time."""
    step = 1 + 2**22 // (last + 1)
    n, alpha = plan.n[: last + 1], (plan.alpha * (plan.gain > 0))[: last + 1]
    for start in range(0, p.size, step):
        with np.errstate(divide="ignore"):
            yield np.cumsum(n * np.log1p(-p[start : start + step, None] * alpha), axis=1)


def _powers(p, most):
    """f log(1 - p) for f = 1..most, 1024 tokens at a time: bounded memory."""
    f = np.arange(1, most + 1)
    with np.errstate(divide="ignore"):
        for start in range(0, p.size, 1024):
            yield np.log1p(-p[start : start + 1024, None]) * f


def gaussian_moments(plan, *, ddof=0.0):
    """Exact: risk of the mean and mean fitted variance of a Gaussian, in units of the variance.

    With divisor n - ddof, f = (n - 1) / (n - ddof) and q = alpha + (1 - alpha) variance +
    alpha (1 - alpha) risk, the variance of one draw from the mixture:
    risk' = (1 - alpha)^2 risk + q / n, variance' = f q. For ddof = 0 the risk is `inflation`
    and the variance 1 - risk. In several dimensions both multiply the covariance matrix.

    Parameters
    ----------
    plan : Plan
        A `mixture` (iid) or `replace`; for other schemes and ddof = 0 see `inflation`.
    ddof : float, at least 0 and below every n

    Returns
    -------
    (risk, variance) : (T+1,) float64 each

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim F4.

    Examples
    --------
    >>> from collapse import replace
    >>> risk, variance = gaussian_moments(replace(10, 2), ddof=1)
    >>> risk.round(9).tolist(), variance.round(9).tolist()
    ([0.1, 0.2, 0.3], [1.0, 1.0, 1.0])
    """
    as_forgetful(plan)
    ddof = _check.number("ddof", ddof, least=0)
    if ddof >= plan.n.min():
        raise ValueError(f"ddof must be below every n, found {ddof:g} and n = {plan.n.min()}")
    rows = [(0.0, 1.0)]  # generation 0 draws from the target alone
    for n, a in zip(plan.n.tolist(), plan.alpha.tolist(), strict=True):
        risk, variance = rows[-1] if a < 1 else (0.0, 1.0)  # which may have grown to inf
        q = a + (1 - a) * variance + (a * (1 - a) * risk if a else 0.0)
        rows.append(((1 - a) ** 2 * risk + q / n, (n - 1) / (n - ddof) * q if n > 1 else 0.0))
    risk, variance = np.array(rows[1:]).T
    return risk, variance


def context_risk(p, contexts, plan, *, start=None):
    """Exact: E ||row_t - p||^2 of every context of a next-token model with a fixed context law.

    Context c sees N ~ Binomial(n_t, contexts_c) tokens; without any its row stays. With
    q = P(N = 0), m = E[1/N; N > 0] and rows that start unbiased with inflation 1,
    rho_t = q rho_{t-1} + m + (1 - q - m) (1 - alpha_t)^2 rho_{t-1}, and the risk is h rho_t.

    Parameters
    ----------
    p : (C, K) probabilities
        The true row of each context.
    contexts : (C,) probabilities
    plan : Plan
        A `mixture` (iid) or `replace`; n counts tokens.
    start : (K,) or (C, K) probabilities, optional
        Rows held before generation 0, as in `NextToken` (uniform); the mean is then off until a
        context is seen. By default one real token a context, which is unbiased.

    Returns
    -------
    (T+1, C) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim F1.

    Examples
    --------
    >>> from collapse import replace
    >>> context_risk([[0.5, 0.5]], [1.0], replace(4, 1)).round(6).tolist()  # h = 1/2, A2
    [[0.125], [0.21875]]
    """
    p = _check.probabilities("p", p, ndim=2)
    contexts = _check.probabilities("contexts", contexts, ndim=1)
    if contexts.shape != p.shape[:1]:
        raise ValueError(f"contexts must have shape {p.shape[:1]}, found {contexts.shape}")
    as_forgetful(plan)
    h = heterozygosity(p)
    lean, risk = np.zeros(len(p)), h  # p . (mean error), and the risk, before generation 0
    if start is not None:
        start = _check.probabilities("start", start)
        if start.shape not in (p.shape, p.shape[1:]):
            raise ValueError(f"start must have shape {p.shape}, found {start.shape}")
        off = start - p
        lean, risk = (p * off).sum(axis=1), (off**2).sum(axis=1)
    rows, n_before = [], None
    for n, a in zip(plan.n, plan.alpha, strict=True):
        if n != n_before:
            with np.errstate(divide="ignore"):
                q = np.exp(n * np.log1p(-contexts))
            m, n_before = _mean_inverse_count(np.full(len(p), float(n)), contexts), n
        keep = (1 - a) ** 2
        risk = q * risk + m * (h - 2 * (1 - a) * lean) + (1 - q - m) * keep * risk
        lean = (q + (1 - q) * (1 - a)) * lean
        rows.append(risk)
    return np.array(rows)


def kernel_density_risk(target, bandwidth, plan):
    """Exact: E integral (fhat_t - f)^2 of a kernel density estimate on the line.

    At every frequency u the characteristic function of the data obeys A2, with the model damped
    by kappa = exp(-h^2 u^2 / 2): with psi that of the target, S_t that of the data and
    q = alpha psi + (1 - alpha) kappa S_{t-1}, E |S_t|^2 = 1/n + (1 - 1/n) E |q|^2. Plancherel's
    formula adds up the frequencies.

    Parameters
    ----------
    target : (weight, mean, var), three (k,) arrays
        A mixture of Gaussians.
    bandwidth : float above 0, or (T+1,) array of them
        Standard deviation h_t of the Gaussian kernel.
    plan : Plan
        A `mixture` (iid) or `replace`.

    Returns
    -------
    (T+1,) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim F8.

    Examples
    --------
    >>> from collapse import replace
    >>> kernel_density_risk(([1.0], [0.0], [1.0]), 0.4, replace(100, 2)).round(5).tolist()
    [0.00555, 0.01089, 0.01641]
    """
    if not isinstance(target, (tuple, list)) or len(target) != 3:
        raise TypeError(f"target must be (weight, mean, var), found {target!r}")
    weight, mean, var = (_check.real_array("target", part) for part in target)
    weight = _check.probabilities("target weight", weight, ndim=1)
    if not mean.shape == var.shape == weight.shape or not (var > 0).all():
        raise ValueError(
            f"target must be (weight, mean, var), of one shape, var above 0, found {target!r}"
        )
    as_forgetful(plan)
    h = _check.real_array("bandwidth", bandwidth)
    if (h.ndim and h.shape != plan.n.shape) or not (h > 0).all():
        raise ValueError(f"bandwidth must be above 0, one or {plan.n.size} numbers, found {h}")
    h = np.broadcast_to(h, plan.n.shape)
    # the integrand is smooth and even: the trapezoidal rule converges faster than any power
    # once its step resolves the extent of the widest density
    extent = np.ptp(mean) + 12 * np.sqrt(var.max() + (h**2).sum())
    reach = 9 / min(np.sqrt(var.min()), h.min())
    if reach * extent > 1e7:
        raise ValueError(
            "bandwidth and standard deviations of the target must differ by a factor of at most "
            f"some 10^5, found bandwidths {h.min():g} to {h.max():g}"
        )
    u = np.arange(0, reach, np.pi / (2 * extent))
    psi = (weight * np.exp(1j * u[:, None] * mean - u[:, None] ** 2 * var / 2)).sum(axis=1)
    first, second = np.zeros_like(psi), np.zeros_like(u)  # E S, E |S|^2
    risk = []
    for n, a, h_t, before in zip(plan.n, plan.alpha, h, [0.0, *h[:-1]], strict=True):
        kappa = np.exp(-((before * u) ** 2) / 2)
        cross = 2 * a * (1 - a) * kappa * (psi.conj() * first).real
        q2 = a**2 * abs(psi) ** 2 + cross + ((1 - a) * kappa) ** 2 * second
        first = a * psi + (1 - a) * kappa * first
        second = 1 / n + (1 - 1 / n) * q2
        kappa = np.exp(-((h_t * u) ** 2) / 2)
        gap = kappa**2 * second - 2 * kappa * (psi.conj() * first).real + abs(psi) ** 2
        risk.append(np.trapezoid(gap, u) / np.pi)
    return np.array(risk)


def affine(start, keep, noise):
    """x_0 = start, x_t = keep_t x_{t-1} + noise_t, as an array of length T + 1."""
    x = [start]
    for keep_t, noise_t in zip(keep[1:].tolist(), noise[1:].tolist(), strict=True):
        x.append((keep_t * x[-1] if keep_t else 0.0) + noise_t)  # x may have grown to inf
    return np.array(x)


def coefficients(plan, v2=-1.0):
    """Three arrays (T+1,) of rho_t = (keep_t - refund_t) rho_{t-1} + noise_t; also for `bounds`.

    With real weight v, gain w and counts n_r + n_s = n the error of phat_t is
    (1 - w v) e_{t-1} + w (v times the real noise + (1 - v) times the synthetic noise), and a
    synthetic sample of a model with inflation rho carries the share 1 + v2 rho of a real
    sample's variance: less of it (tokens, v2 = -1), or more (F3).
    """
    n, alpha, w = plan.n.astype(np.float64), plan.alpha, plan.gain
    if plan.subsample:  # C7, for the pool; alpha_t p + (1 - alpha_t) model_{t-1} writes the batch
        rest = np.concatenate([[0.0], _subsample_noise(plan)[:-1]])
        back = w**2 * (1 - alpha) ** 2
        refund = back * (1 - (1 - 1 / n) * (1 - rest))
        return (1 - w * alpha) ** 2, w**2 / n + back * (1 - 1 / n) * rest, refund
    if plan.real_weight is None and plan.mixing == "iid":  # C1; w = 1 is A2
        return (1 - w * alpha) ** 2, w**2 / n, -(w**2) / n * (1 - alpha) * (alpha + v2)
    if plan.mixing == "iid":  # B4, the filter
        with np.errstate(divide="ignore"):
            none = np.exp(n * np.log1p(-alpha))  # no real sample in the batch
        return none + (1 - none) * (1 - w) ** 2, w**2 * _mean_inverse_count(n, alpha), 0.0
    n_real = real_counts(plan.n, alpha)  # C5; v = alpha is C6
    v = alpha if plan.real_weight is None else plan.real_weight
    n_fake = plan.n - n_real
    real = np.divide(v**2, n_real, out=np.zeros_like(v), where=n_real > 0)
    fake = np.divide((1 - v) ** 2, n_fake, out=np.zeros_like(v), where=n_fake > 0)
    return (1 - w * v) ** 2, w**2 * (real + fake), -v2 * w**2 * fake


def _subsample_noise(plan):
    """r_t of rho_model = r_t + (1 - r_t) rho_pool: n_t of S_t samples, without replacement."""
    total = np.cumsum(plan.n, dtype=np.float64)
    return (total - plan.n) / np.maximum(total - 1, 1) / plan.n


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
