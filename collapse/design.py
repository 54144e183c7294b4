"""Designing a loop: how to spread a budget, how fast to grow, how much fresh data to buy."""

from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.exact import inflation, plateau
from collapse.plans import mixture
from collapse.schedules import resolve_shares

__all__ = [
    "Allocation",
    "Detected",
    "allocate",
    "canary",
    "critical_growth",
    "detected",
    "fresh_needed",
    "samples_needed",
]


class Detected(NamedTuple):
    """What a detector leaves of a batch: its real share `alpha`, its size `n`."""

    alpha: np.ndarray
    n: np.ndarray


class Allocation(NamedTuple):
    """Sizes `n` (T+1,) int64, the `continuous` optimum (T+1,), and `rho` of the last generation."""

    n: np.ndarray
    continuous: np.ndarray
    rho: float


def allocate(total, alpha, generations, *, of="all"):
    """Exact: the sizes n_0..n_T of `mixture` that minimise V_T for a budget of samples.

    V_T = sum_s P_s^2 / n_s, P_s = prod_{u>s} (1 - alpha_u), stands for rho_T: (1 - r) V_T <= rho_T
    <= V_T, r the largest rho_t on the way, a few thousandths where the n_t are hundreds. Of all
    samples: n_s proportional to P_s, V_T = (sum P_s)^2 / N.
    Of real samples, sum alpha_s n_s: n_s proportional to P_s / sqrt(alpha_s).

    Parameters
    ----------
    total : int
        The budget: of samples, at least T + 1; or of real samples on average, at least
        sum alpha_s.
    alpha : number, (T+1,) array or function of t
        Real share, as in `mixture`; above 0 where real samples are the budget.
    generations : int
        T, at least 1. The best T is 0: the horizon is imposed.
    of : {"all", "real"}
        What the budget counts.

    Returns
    -------
    Allocation
        ``n`` sums to `total`, or spends at most it on real samples; each is at least 1. For
        ``of="all"`` it is the best in whole numbers; for "real" no further sample fits.
        ``continuous`` is the optimum without whole numbers and without the 1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims D1 and, for real samples, G2.

    Examples
    --------
    >>> allocate(1000, 0.5, 3).n.tolist()
    [67, 133, 267, 533]
    >>> allocate(1000, 0.5, 3, of="real").n.tolist()
    [92, 259, 519, 1038]
    """
    total = _check.whole("total", total)
    T = _check.whole("generations", generations)
    alpha, of = resolve_shares(alpha, T), _check.option("of", of, ("all", "real"))
    cost = np.ones(T + 1) if of == "all" else alpha
    if cost.min() == 0:
        t = int(np.argmin(cost))
        raise ValueError(f"alpha must be above 0 where real samples are the budget, found 0 at {t}")
    if cost.sum() > total:
        raise ValueError(
            f"total must be at least {float(cost.sum())!r}, one sample a generation, found {total}"
        )
    with np.errstate(divide="ignore"):
        ahead = np.log1p(-alpha)[::-1].cumsum()[::-1]
    P = np.exp(np.append(ahead[1:], 0.0))
    best = P / np.sqrt(cost)
    continuous = total * best / (cost @ best)
    with np.errstate(over="ignore", invalid="ignore"):  # too large a size is refused below
        n = _whole(P, cost, total)
    if not (total <= 2**52 and n.max() <= 2**52):  # below it sums of sizes are exact
        raise ValueError(
            f"total must be at most 2**52, and so must all sizes, found {total} and a size of "
            f"{n.max():.3g}"
        )
    n = n.astype(np.int64)
    return Allocation(n, continuous, float(inflation(mixture(n, alpha, T))[-1]))


def _whole(P, cost, total):
    """Whole n >= 1, cost @ n <= total, of least sum P^2 / n: the next sample goes where it helps.

    One more sample of generation s saves P_s^2 / (n_s (n_s + 1)). All steps that save at least
    `price` a unit of cost are taken at once, at a price found by bisection; then one each where it
    saves most, or small lots where samples are so cheap that many are left to buy.
    """

    def bought(price):
        return 1 + np.floor((np.sqrt(1 + 4 * P**2 / cost / price) - 1) / 2)

    low, high = 0.0, (P**2 / cost).max()  # nothing saves more than half of high
    for _ in range(200):
        price = (low + high) / 2
        if price in (low, high) or price == 0:
            break
        low, high = (price, high) if cost @ bought(price) > total else (low, price)
    n = bought(high)
    while True:
        left = total - cost @ n
        fits = np.flatnonzero(cost <= left)
        if fits.size == 0:
            return n
        saved = P[fits] ** 2 / (n[fits] * (n[fits] + 1)) / cost[fits]
        s = fits[np.argsort(-saved, kind="stable")]
        lots = np.maximum(1.0, np.floor(left / cost[s] / s.size))
        s = s[np.cumsum(lots * cost[s]) <= left]
        n[s] += lots[: s.size]


def critical_growth(alpha):
    """Asymptotic (t -> infinity): beyond the growth (1 - alpha)^-2 more data buy only a constant.

    For `mixture` with n_t = n_0 g^t and a constant share.

    Below it n_t rho_t -> 1 / (1 - g (1 - alpha)^2): samples limit. Above it rho_t falls like
    (1 - alpha)^(2t) whatever g: what is left of the past limits.

    Parameters
    ----------
    alpha : array_like in [0, 1]
        Real share, constant.

    Returns
    -------
    float64, at least 1, inf at alpha = 1, of the shape of alpha

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim D2.

    Examples
    --------
    >>> critical_growth([0.0, 0.5]).tolist()
    [1.0, 4.0]
    """
    alpha = _check.fraction("alpha", alpha)
    with np.errstate(divide="ignore"):
        return np.divide(1.0, (1 - alpha) ** 2)


def fresh_needed(rho, n):
    """Exact: the least constant real share that rests at rho or below with n samples a generation.

    Solves plateau(alpha, n) = rho: alpha = 1 - sqrt(1 - (1/rho - 1)/(n - 1)).

    Parameters
    ----------
    rho : array_like in [1/n, 1]
        Inflation wanted at rest; 1/rho is the effective sample size.
    n : array_like of whole numbers, at least 1
        Samples a generation. Broadcasts against `rho`.

    Returns
    -------
    float64 in [0, 1], of the broadcast shape

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; below 1/n no share is enough.

    Source: Claim B3.

    Examples
    --------
    >>> round(float(fresh_needed(1 / 500, 1000)), 4)
    0.2925
    """
    rho, n = _check.real_array("rho", rho), _check.whole_array("n", n)
    rho, n = _check.broadcast(rho=rho, n=n)
    wrong = (rho * n < 1 - 1e-12) | (rho > 1)
    if wrong.any():
        raise ValueError(
            f"rho must lie in [1/n, 1], found {rho[wrong].ravel()[0]} with n = "
            f"{n[wrong].ravel()[0]}"
        )
    b = np.clip((1 - rho) / rho / np.maximum(n - 1, 1), 0.0, 1.0)
    return b / (1 + np.sqrt(1 - b))  # 1 - sqrt(1 - b) without cancellation


def samples_needed(rho, alpha):
    """Exact: the least constant n that rests at rho or below with a real share alpha.

    Solves plateau(alpha, n) = rho: n = 1 + (1/rho - 1) / (alpha (2 - alpha)), rounded up.

    Parameters
    ----------
    rho : array_like in (0, 1]
        Inflation wanted at rest; 1/rho is the effective sample size.
    alpha : array_like in (0, 1]
        Real share, constant. Broadcasts against `rho`.

    Returns
    -------
    int64, at least 1, of the broadcast shape

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; a share of 0 never rests.

    Source: Claim B3.

    Examples
    --------
    >>> int(samples_needed(1 / 500, 0.1))
    2628
    """
    rho, alpha = _check.fraction("rho", rho), _check.fraction("alpha", alpha)
    rho, alpha = _check.broadcast(rho=rho, alpha=alpha)
    for name, value in (("rho", rho), ("alpha", alpha)):
        if (value == 0).any():
            raise ValueError(f"{name} must be above 0, found 0: no size is enough")
    with np.errstate(over="ignore"):
        n = np.maximum(1.0, np.ceil(1 + (1 - rho) / rho / (alpha * (2 - alpha))))
    if (n > 2**52).any():
        raise ValueError(
            f"rho must be larger, or alpha, found rho = {rho[n > 2**52].ravel()[0]}: the size "
            "would be above 2**52"
        )
    n = n.astype(np.int64)  # rounding may have cost a sample, or saved one too many
    n = n + (plateau(alpha, n) > rho)
    return n - ((n > 1) & (plateau(alpha, np.maximum(n - 1, 1)) <= rho))


def canary(alpha, se, *, rate):
    """Exact: the draws that `collapse.recover.canary` needs for a standard error.

    (1 - alpha) (1 - (1 - alpha) rate) / (rate se^2), rounded up.

    Parameters
    ----------
    alpha : float in [0, 1]
        The real share that is expected; 0 asks for most where rate is below 1/2.
    se : float above 0
        Standard error of the estimated share.
    rate : float in (0, 1]
        Probability with which the model writes the mark.

    Returns
    -------
    int, at least 1

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim H10.

    Examples
    --------
    >>> canary(0.5, 0.05, rate=0.01)
    19900
    """
    written = 1 - _check.number("alpha", _check.fraction("alpha", alpha))
    se, rate = _check.number("se", se, above=0), _check.number("rate", rate, above=0)
    if rate > 1:
        raise ValueError(f"rate must lie in (0, 1], found {rate}")
    n = written * (1 - written * rate) / rate / se / se
    if n > _check.LARGEST_WHOLE:
        raise ValueError(f"se must be larger, or rate, found se = {se:g}: above 2**53 draws")
    return max(1, int(np.ceil(n * (1 - 1e-12))))  # a whole number may be above itself by rounding


def detected(alpha, n, *, real, synthetic):
    """Exact: share and size of a batch after a detector that errs.

    alpha' = alpha real / D, n' = n D rounded, at least 1, with D = alpha real +
    (1 - alpha) synthetic the part that is accepted. Reading until n' samples are accepted is
    `mixture(n', alpha', ...)`; of n samples read a random number is accepted, n D on average.

    Parameters
    ----------
    alpha : array_like in [0, 1]
        Real share of what is read.
    n : array_like of whole numbers, at least 1
        Samples read.
    real, synthetic : float in [0, 1]
        Probability that a real, that a synthetic sample is accepted. Equal: no detector at all.

    Returns
    -------
    Detected

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; where nothing is accepted.

    Source: Claim N5.

    Examples
    --------
    >>> share, size = detected(0.2, 1000, real=0.9, synthetic=0.3)
    >>> round(float(share), 4), int(size)
    (0.4286, 420)
    """
    alpha, n = _check.fraction("alpha", alpha), _check.whole_array("n", n)
    alpha, n = _check.broadcast(alpha=alpha, n=n)
    passed = [_check.fraction(*pair) for pair in (("real", real), ("synthetic", synthetic))]
    for name, value in zip(("real", "synthetic"), passed, strict=True):
        if value.ndim:
            raise ValueError(f"{name} must be one number, found shape {value.shape}")
    accepted = alpha * passed[0] + (1 - alpha) * passed[1]
    if (accepted == 0).any():
        raise ValueError(
            f"real and synthetic must accept something, found {real} and {synthetic} at alpha = "
            f"{alpha[accepted == 0].ravel()[0]}"
        )
    return Detected(alpha * passed[0] / accepted, np.maximum(1, np.rint(n * accepted)).astype(int))
