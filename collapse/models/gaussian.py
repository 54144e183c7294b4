"""The Gaussian with its mean, or its mean and covariance, fitted."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.models._data import covariance_matrix, keep, mask, shares, times

__all__ = ["Gaussian"]


FARTHEST = 1e10


class Moments(NamedTuple):
    """Parameters of a Gaussian."""

    mean: np.ndarray  # (R, d)
    cov: np.ndarray  # (R, d, d)


class Scatter(NamedTuple):
    """Data of a Gaussian: mean and covariance (divisor n) of the samples are sufficient."""

    mean: np.ndarray  # (R, d)
    cov: np.ndarray  # (R, d, d)
    size: np.ndarray  # (R,), effective number of samples


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A d-dimensional Gaussian, fitted by the mean and the covariance of its data.

    theta has ``theta.mean`` (R, d) and ``theta.cov`` (R, d, d). Only the mean (a Gaussian) and the
    scatter (a Wishart matrix) of n samples are drawn, so cost and memory do not depend on n
    (except with real rows as the target).

    A target is a pair (mean (d,), covariance (d, d)), numbers for d = 1; the mean alone where the
    covariance is known.

    Parameters
    ----------
    d : int, at least 1
    ddof : float, at least 0
        The covariance has divisor n - ddof: 0 is maximum likelihood, 1 is unbiased. With at most
        `ddof` samples the previous model stays.
    covariance : (d, d) positive definite, optional; a number above 0 for d = 1
        Known, so that the mean alone is fitted.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims F3 (known covariance) and F4.

    Examples
    --------
    >>> from collapse import replace, simulate
    >>> result = simulate(Gaussian(1), (0.0, 1.0), replace(10, 20), replications=2000, rng=1)
    >>> bool(abs(result.mean["variance"][-1] - 0.9**21) < 0.03)
    True
    """

    d: int
    ddof: float = 0.0
    covariance: np.ndarray | None = None

    def __post_init__(self):
        object.__setattr__(self, "d", _check.whole("d", self.d))
        object.__setattr__(self, "ddof", _check.number("ddof", self.ddof, least=0))
        if self.covariance is not None:
            known = covariance_matrix("covariance", self.covariance, self.d)
            known.setflags(write=False)
            object.__setattr__(self, "covariance", known)

    def sample(self, theta, n, rng):
        """Draw mean and scatter of n (R,) samples from theta."""
        R, d = theta.mean.shape
        size = np.broadcast_to(np.asarray(n, dtype=np.float64), (R,))
        some = np.maximum(size, 1)[:, None]
        root = _root(theta.cov)
        mean = theta.mean + times(root, rng.standard_normal((R, d))) / np.sqrt(some)
        # Bartlett (1933): scatter = A A^T, A lower triangular, chi-square diagonal; singular
        # where n - 1 < d, columns beyond n - 1 are empty.
        freedom = np.maximum(size[:, None] - 1 - np.arange(d), 0)
        A = np.tril(rng.standard_normal((R, d, d)), -1) * (freedom > 0)[:, None, :]
        A[:, np.arange(d), np.arange(d)] = np.sqrt(2 * rng.standard_gamma(freedom / 2))
        factor = root @ A / np.sqrt(some)[:, :, None]
        empty = size == 0
        return Scatter(np.where(empty[:, None], 0.0, mean), factor @ factor.mT, size)

    def collect(self, x, n):
        """The data of the first n (R,) samples of x (R, N, d)."""
        if x.shape[2:] != (self.d,):
            raise ValueError(f"target must have {self.d} columns, found shape {x.shape[1:]}")
        weight = mask(x, n)
        mean = times(x.mT, weight)
        rest = x - mean[:, None, :]
        return Scatter(mean, rest.mT @ (weight[:, :, None] * rest), n.astype(np.float64))

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        weight_a, weight_b, size = shares(a.size, b.size, share)
        u, v, apart = weight_a[:, None], weight_b[:, None], a.mean - b.mean
        between = (u * v)[:, :, None] * apart[:, :, None] * apart[:, None, :]
        cov = u[:, :, None] * a.cov + v[:, :, None] * b.cov + between
        return Scatter(u * a.mean + v * b.mean, cov, size)

    def fit(self, data, previous=None):
        """Mean and covariance of the data; `previous` where they hold at most `ddof` samples."""
        known = self.covariance
        lacking = data.size <= (self.ddof if known is None else 0)
        if self.ddof and previous is None and lacking.any() and known is None:
            raise ValueError(f"n must be above ddof = {self.ddof:g}, found {data.size.min():g}")
        if known is not None:
            cov = np.broadcast_to(known, data.cov.shape)
        else:
            divisor = np.where(lacking, 1.0, 1 - self.ddof / np.maximum(data.size, 1))
            cov = data.cov / divisor[:, None, None]
        return keep(previous, Moments(data.mean, cov), lacking)

    def parameters(self, target):
        """A target (mean, covariance), or the mean where the covariance is known; checked."""
        if self.covariance is not None:
            return Moments(self._mean(target, self.covariance), self.covariance)
        try:
            mean, cov = target
        except (TypeError, ValueError):
            raise TypeError(f"target must be (mean, covariance), found {target!r}") from None
        cov = covariance_matrix("target covariance", cov, self.d)
        return Moments(self._mean(mean, cov), cov)

    def _mean(self, value, cov):
        mean = np.atleast_1d(_check.real_array("target mean", value))
        if mean.shape != (self.d,):
            raise ValueError(f"target mean must have shape ({self.d},), found {mean.shape}")
        far = abs(mean / np.sqrt(np.diag(cov))).max()
        if far > FARTHEST:
            raise ValueError(
                f"target mean must be within {FARTHEST:g} standard deviations of 0, found "
                f"{far:.3g}: subtract a constant, rounding would swamp the samples"
            )
        return mean

    def default_record(self, target):
        """{"l2": squared error of the mean, "variance": fitted variance, averaged over axes}."""
        mean = self.parameters(target).mean
        record = {"l2": lambda theta: ((theta.mean - mean) ** 2).sum(axis=1)}
        if self.covariance is None:
            record["variance"] = lambda theta: np.trace(theta.cov, axis1=1, axis2=2) / self.d
        return record


def _root(cov):
    """A square root of each covariance, which may be singular."""
    if cov.shape[-1] == 1:
        return np.sqrt(cov)
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
