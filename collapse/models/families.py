"""One-parameter exponential families whose variance is a quadratic function of the mean.

A sample has mean mu and variance V(mu) = v0 + v1 mu + v2 mu^2; the model is its mean, fitted by
the sample mean, which is maximum likelihood. The sum of n samples is all that is ever drawn, so
cost and memory do not depend on n. A family is five lines: its coefficients, the range of its
mean, and the law of a sum.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from collapse import _check
from collapse.models._data import keep, mask, shares

__all__ = [
    "Bernoulli",
    "Binomial",
    "Exponential",
    "ExponentialFamily",
    "Gamma",
    "Geometric",
    "NegativeBinomial",
    "Poisson",
]


LARGEST_COUNT = 9e18  # of NumPy's samplers
NORMAL = 1e10  # NumPy's Poisson sampler loses digits from 1e13 on; a normal law is better by then


class Means(NamedTuple):
    """Data of a one-parameter family: the sample mean is sufficient."""

    mean: np.ndarray  # (R,), 0 without samples
    size: np.ndarray  # (R,), effective number of samples


@dataclass(frozen=True)
class ExponentialFamily:
    """A natural exponential family with V(mu) = v0 + v1 mu + v2 mu^2; theta (R,) are means.

    A subclass names ``v0``, ``v1``, ``v2``, the largest mean ``top`` (means lie in 0..top), and
    draws the sum of n samples in ``total(mu, n, rng)``. The risk of the mean is exactly V(mu*)
    times ``exact.inflation(plan, v2=family.v2)``. The target of a loop is the mean mu*, a number
    between 0 and `top`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Morris (1982), families with quadratic variance functions; Claim F3.

    Examples
    --------
    >>> family = Gamma(shape=2)
    >>> family.variance(3.0), family.v2
    (4.5, 0.5)
    """

    v0: ClassVar[float] = 0.0
    v1: ClassVar[float] = 0.0
    v2: ClassVar[float] = 0.0
    top: ClassVar[float] = np.inf

    def variance(self, mu):
        """V(mu), the variance of a sample of mean mu."""
        return self.v0 + self.v1 * mu + self.v2 * mu**2

    def total(self, mu, n, rng):
        """The sum of n (R,) samples of mean mu (R,)."""
        raise NotImplementedError

    def sample(self, theta, n, rng):
        """Draw n (R,) samples of mean theta (R,)."""
        if not (theta >= 0).all() or (theta > self.top * (1 + 1e-9)).any():
            raise ValueError(f"theta must be means in [0, {self.top}], found {_check.short(theta)}")
        size = np.broadcast_to(np.asarray(n, dtype=np.float64), theta.shape)
        return Means(self.total(theta, n, rng) / np.maximum(size, 1), size)

    def collect(self, x, n):
        """The data of the first n (R,) samples of x (R, N, 1)."""
        if x.shape[2:] != (1,) or not ((x >= 0) & (x <= self.top)).all():
            raise ValueError(
                f"target must be one column of values in [0, {self.top}], found {_check.short(x)}"
            )
        return Means((mask(x, n) * x[..., 0]).sum(axis=1), n.astype(np.float64))

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        weight_a, weight_b, size = shares(a.size, b.size, share)
        return Means(weight_a * a.mean + weight_b * b.mean, size)

    def fit(self, data, previous=None):
        """The sample mean; `previous` in replications without data."""
        return keep(previous, data.mean, data.size == 0)

    def parameters(self, target):
        """A target given as its mean, checked."""
        mu = _check.number("target", target)
        if not 0 < mu < self.top:
            raise ValueError(f"target must be a mean between 0 and {self.top}, found {mu}")
        return mu

    def default_record(self, target):
        """{"l2": squared error of the mean}."""
        mu = self.parameters(target)
        return {"l2": lambda theta: (theta - mu) ** 2}


@dataclass(frozen=True)
class Poisson(ExponentialFamily):
    """Counts of independent events: V(mu) = mu. Methods: `ExponentialFamily`. Source: Claim F3.

    Examples
    --------
    >>> Poisson().variance(3.0)
    3.0
    """

    v1: ClassVar[float] = 1.0

    def total(self, mu, n, rng):
        return _poisson(n * mu, rng)


@dataclass(frozen=True)
class Gamma(ExponentialFamily):
    """Gamma with a known shape: V(mu) = mu^2 / shape. Methods: `ExponentialFamily`.

    Parameters
    ----------
    shape : float, above 0

    Source: Claim F3.

    Examples
    --------
    >>> Gamma(4).variance(2.0)
    1.0
    """

    shape: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "shape", _check.number("shape", self.shape, above=0))

    @property
    def v2(self):
        """Quadratic coefficient of the variance as a function of the mean."""
        return 1 / self.shape

    def total(self, mu, n, rng):
        return mu / self.shape * rng.standard_gamma(n * self.shape, size=mu.shape)


@dataclass(frozen=True)
class Exponential(ExponentialFamily):
    """Waiting times without memory: V(mu) = mu^2. Methods: `ExponentialFamily`. Source: Claim F3.

    Examples
    --------
    >>> Exponential().variance(3.0)
    9.0
    """

    v2: ClassVar[float] = 1.0

    def total(self, mu, n, rng):
        return mu * rng.standard_gamma(n, size=mu.shape)


@dataclass(frozen=True)
class Bernoulli(ExponentialFamily):
    """Yes or no: V(mu) = mu - mu^2, `Categorical` with two tokens. Methods: `ExponentialFamily`.

    Source: Claim F3.

    Examples
    --------
    >>> Bernoulli().variance(0.5)
    0.25
    """

    v1: ClassVar[float] = 1.0
    v2: ClassVar[float] = -1.0
    top: ClassVar[float] = 1.0

    def total(self, mu, n, rng):
        return rng.binomial(n, np.minimum(mu, 1.0))  # above 1 by rounding only


@dataclass(frozen=True)
class Binomial(ExponentialFamily):
    """Successes in `size` tries: V(mu) = mu - mu^2 / size. Methods: `ExponentialFamily`.

    Parameters
    ----------
    size : int, at least 1

    Source: Claim F3.

    Examples
    --------
    >>> Binomial(4).variance(2.0)
    1.0
    """

    size: int = 1
    v1: ClassVar[float] = 1.0

    def __post_init__(self):
        object.__setattr__(self, "size", _check.whole("size", self.size))

    @property
    def v2(self):
        """Quadratic coefficient of the variance as a function of the mean."""
        return -1 / self.size

    @property
    def top(self):
        """The largest mean."""
        return float(self.size)

    def total(self, mu, n, rng):
        if int(np.max(n)) * self.size > LARGEST_COUNT:
            raise ValueError(
                f"n times size must be at most {LARGEST_COUNT:g}, found {np.max(n)} x {self.size}"
            )
        return rng.binomial(n * self.size, np.minimum(mu / self.size, 1.0))


@dataclass(frozen=True)
class NegativeBinomial(ExponentialFamily):
    """Failures before `size` successes: V(mu) = mu + mu^2 / size. Methods: `ExponentialFamily`.

    Parameters
    ----------
    size : float, above 0

    Source: Claim F3.

    Examples
    --------
    >>> NegativeBinomial(2).variance(2.0)
    4.0
    """

    size: float = 1.0
    v1: ClassVar[float] = 1.0

    def __post_init__(self):
        object.__setattr__(self, "size", _check.number("size", self.size, above=0))

    @property
    def v2(self):
        """Quadratic coefficient of the variance as a function of the mean."""
        return 1 / self.size

    def total(self, mu, n, rng):  # a Poisson count of gamma mean
        return _poisson(mu / self.size * rng.standard_gamma(n * self.size, size=mu.shape), rng)


@dataclass(frozen=True)
class Geometric(ExponentialFamily):
    """Failures before the first success: V(mu) = mu + mu^2. Methods: `ExponentialFamily`.

    Source: Claim F3.

    Examples
    --------
    >>> Geometric().variance(2.0)
    6.0
    """

    v1: ClassVar[float] = 1.0
    v2: ClassVar[float] = 1.0

    def total(self, mu, n, rng):
        return _poisson(mu * rng.standard_gamma(n, size=mu.shape), rng)


def _poisson(mean, rng):
    """Poisson counts; above 1e10 rounded normal ones, within 2e-6 in total variation."""
    if mean.max(initial=0) > LARGEST_COUNT:
        raise ValueError(
            f"n times the mean must be at most {LARGEST_COUNT:g}, found {mean.max():g}: take a "
            "smaller n, or other units"
        )
    large = mean > NORMAL
    counts = rng.poisson(np.where(large, 0.0, mean))
    if large.any():
        normal = np.rint(mean + np.sqrt(mean) * rng.standard_normal(mean.shape))
        counts = np.where(large, normal, counts)
    return counts
