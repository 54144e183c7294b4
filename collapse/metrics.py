"""Distances and summaries of a model theta against a target p, over the last axis.

Every function has the same two arguments, so that any of them can be recorded along a loop:
theta (..., K) probabilities, p (K,) or broadcasting against theta. All are exact functions of
their arguments; nothing is smoothed, an infinite divergence is returned as inf.
"""

import numpy as np

from collapse import _check

__all__ = [
    "chi_square",
    "coverage",
    "entropy",
    "heterozygosity",
    "kl",
    "kl_reverse",
    "l1",
    "l2",
    "tv",
]


def l2(theta, p):
    """Squared L2 distance, sum_k (theta_k - p_k)^2, in [0, 2].

    Parameters
    ----------
    theta : (..., K) probabilities
    p : (K,) or (..., K) probabilities

    Returns
    -------
    (...) float64

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: the risk of Claim A2 is its mean.

    Examples
    --------
    >>> float(l2([1.0, 0.0], [0.5, 0.5]))
    0.5
    """
    theta, p = _pair(theta, p)
    return squared_distance(theta, p)


def l1(theta, p):
    """L1 distance, sum_k |theta_k - p_k|, in [0, 2].

    Parameters and errors as in `l2`. Source: the bound of Claim E5 is on its mean.

    Examples
    --------
    >>> float(l1([1.0, 0.0], [0.5, 0.5]))
    1.0
    """
    theta, p = _pair(theta, p)
    return abs(theta - p).sum(axis=-1)


def tv(theta, p):
    """Total variation distance, half the L1 distance, in [0, 1].

    Parameters and errors as in `l2`. Source: Claim E5.

    Examples
    --------
    >>> float(tv([1.0, 0.0], [0.5, 0.5]))
    0.5
    """
    return l1(theta, p) / 2


def kl(theta, p):
    """KL(p || theta) = sum_k p_k log(p_k / theta_k) in nats; inf where theta misses a token of p.

    Parameters and errors as in `l2`. Source: Claim E6.

    Examples
    --------
    >>> float(kl([1.0, 0.0], [0.5, 0.5]))
    inf
    """
    theta, p = _pair(theta, p)
    return _divergence(p, theta)


def kl_reverse(theta, p):
    """KL(theta || p) = sum_k theta_k log(theta_k / p_k) in nats; inf off p's support.

    Parameters and errors as in `l2`.

    Examples
    --------
    >>> round(float(kl_reverse([1.0, 0.0], [0.5, 0.5])), 6)
    0.693147
    """
    theta, p = _pair(theta, p)
    return _divergence(theta, p)


def chi_square(theta, p):
    """Chi-square divergence, sum_k (theta_k - p_k)^2 / p_k; inf where theta leaves p's support.

    Its mean along a loop is (K_+ - 1) rho_t, K_+ the number of tokens with p_k > 0.

    Parameters and errors as in `l2`. Source: Claim A3.

    Examples
    --------
    >>> float(chi_square([1.0, 0.0], [0.5, 0.5]))
    1.0
    """
    theta, p = _pair(theta, p)
    error, p = theta - p, np.broadcast_to(p, theta.shape)
    terms = np.where(theta > 0, np.inf, 0.0)  # where p is 0
    np.divide(error, p, out=terms, where=p > 0)
    return np.multiply(terms, error, out=terms, where=p > 0).sum(axis=-1)


def heterozygosity(theta, p=None):
    """1 - sum_k theta_k^2, the chance that two draws from the model differ; `p` is not used.

    Parameters and errors as in `l2`. Source: Claim A3, E[1 - ||phat_t||^2] = h (1 - rho_t).

    Examples
    --------
    >>> float(heterozygosity([0.5, 0.5]))
    0.5
    """
    theta = _alone(theta, p)
    return np.maximum((theta * (1 - theta)).sum(axis=-1), 0.0)


def entropy(theta, p=None):
    """-sum_k theta_k log theta_k in nats, between 0 and log K; `p` is not used.

    Parameters and errors as in `l2`.

    Examples
    --------
    >>> round(float(entropy([0.5, 0.5])), 6)
    0.693147
    """
    theta = _alone(theta, p)
    logs = np.log(theta, out=np.zeros_like(theta), where=theta > 0)
    return np.maximum(-(theta * logs).sum(axis=-1), 0.0)


def coverage(theta, p):
    """Share of the target's tokens that the model can still produce, in [0, 1].

    The mean over tokens with p_k > 0 of 1{theta_k > 0}.

    Parameters and errors as in `l2`. Source: Claim A7.

    Examples
    --------
    >>> float(coverage([1.0, 0.0, 0.0], [0.5, 0.5, 0.0]))
    0.5
    """
    theta, p = _pair(theta, p)
    return ((theta > 0) & (p > 0)).sum(axis=-1) / (p > 0).sum(axis=-1)


def squared_distance(theta, p):
    """`l2` for the engine's own arrays, unchecked."""
    error = theta - p
    return np.einsum("...k,...k->...", error, error)


def _pair(theta, p):
    theta, p = _check.probabilities("theta", theta), _check.probabilities("p", p)
    if p.shape not in (theta.shape, theta.shape[-1:]):
        raise ValueError(
            f"p must have the shape of theta, {theta.shape}, or of its last axis, found {p.shape}"
        )
    return theta, p


def _alone(theta, p):
    return _check.probabilities("theta", theta) if p is None else _pair(theta, p)[0]


def _divergence(a, b):
    """sum a log(a / b): 0 where a is 0, inf where b alone is 0.

    Near a = b each term is written a (r - log(1 + r)), r = b / a - 1, which differs by b - a: the
    differences add up to 0, and no digits are lost.
    """
    a, b = np.broadcast_arrays(a, b)
    terms = np.where(a > 0, np.inf, b)
    both = (a > 0) & (b > 0)
    x, y = a[both], b[both]
    r = (y - x) / x
    far = x * (np.log(x) - np.log(y)) + (y - x)
    near = abs(r) < 0.5
    terms[both] = np.where(near, x * (r - np.log1p(np.where(near, r, 0.0))), far)
    return np.maximum(terms.sum(axis=-1), 0.0)
