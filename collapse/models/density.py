"""Kernel density estimation: the nonparametric model, which widens at every generation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.models._data import At, keep, pool_samples, samples
from collapse.models.gmm import Components, GaussianMixture, squared_error

__all__ = ["KernelDensity"]


BLOCK = 2**22  # numbers at once where pairs of points are summed


class Kernels(NamedTuple):
    """Parameters of a kernel density: a Gaussian of width h around each point."""

    point: np.ndarray  # (R, N, d); where weight is 0, padding
    weight: np.ndarray  # (R, N), rows sum to 1
    bandwidth: np.ndarray  # (R,)


@dataclass(frozen=True)
class KernelDensity:
    """A Gaussian kernel of standard deviation `bandwidth` around every sample.

    A target is a Gaussian mixture (weight (k,), mean (k, d), cov (k, d, d); for d = 1 means and
    variances (k,)), or real data: `collapse.targets.rows`.

    Parameters
    ----------
    bandwidth : float above 0, or function
        A function takes the effective sample sizes (R,), an array, and returns the bandwidths,
        such as ``lambda n: n**-0.2``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim F8.

    Examples
    --------
    >>> from collapse import replace, simulate
    >>> target = ([0.5, 0.5], [-2.0, 2.0], [1.0, 1.0])
    >>> result = simulate(KernelDensity(0.5), target, replace(100, 5), replications=8, rng=1)
    >>> bool(result.mean["ise"][-1] > result.mean["ise"][0])
    True
    """

    bandwidth: float | Callable

    stores_samples = True

    def __post_init__(self):
        if not callable(self.bandwidth):
            h = _check.number("bandwidth", self.bandwidth, above=0)
            if not 1e-100 < h < 1e100:
                raise ValueError(f"bandwidth must be between 1e-100 and 1e100, found {h:g}")
            object.__setattr__(self, "bandwidth", h)

    def sample(self, theta, n, rng):
        """Draw n (R,) samples: a point by its weight, and a Gaussian step."""
        point, weight, h = theta
        R, N, d = *np.shape(n), int(n.max()), point.shape[2]
        # one sorted search for all replications: row r's cumulative weights lie in (r, r + 1]
        ladder = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
        row = np.arange(R)[:, None]
        place = np.searchsorted((ladder + row).ravel(), rng.random((R, N)) + row, side="right")
        last = point.shape[1] - 1 - (weight[:, ::-1] > 0).argmax(axis=1)  # of positive weight
        index = np.minimum(place - row * point.shape[1], last[:, None])
        step = h[:, None, None] * rng.standard_normal((R, N, d))
        return samples(np.take_along_axis(point, index[..., None], axis=1) + step, n)

    def collect(self, x, n):
        """The data of the first n (R,) samples of x (R, N, d)."""
        return samples(x, n)

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        return pool_samples(a, b, share)

    def fit(self, data, previous=None):
        """The samples themselves; `previous` in replications without data."""
        h = self.bandwidth
        if callable(h):
            h = _check.real_array("bandwidth(n)", h(np.maximum(data.size, 1)))
        if np.shape(h) not in ((), data.size.shape):
            raise ValueError(
                f"bandwidth(n) must return {data.size.size} numbers for as many sizes n, found "
                f"shape {np.shape(h)}"
            )
        theta = Kernels(data.x, data.weight, np.broadcast_to(h, data.size.shape).astype(float))
        if not (theta.bandwidth > 0).all():
            raise ValueError(f"bandwidth(n) must be above 0, found {theta.bandwidth.min()}")
        lacking = data.size == 0
        if lacking.any() and previous is not None:  # to one number of columns
            columns = max(data.x.shape[1], previous.point.shape[1])
            theta, previous = _widen(theta, columns), _widen(previous, columns)
        return keep(previous, theta, lacking)

    def density(self, theta, x):
        """The density (R, M) at points x (M, d), or (M,) for d = 1."""
        x = _check.real_array("x", x)
        x = x[:, None] if x.ndim == 1 else x
        d = theta.point.shape[2]
        if x.ndim != 2 or x.shape[1] != d:
            raise ValueError(f"x must have shape (M, {d}), found {x.shape}")
        return np.array(
            [weight @ _kernel(point, x, h) for point, weight, h in zip(*theta, strict=True)]
        )

    def parameters(self, target):
        """A target given as a Gaussian mixture, checked: its components."""
        try:
            k = len(target[0])
        except (TypeError, IndexError, KeyError):
            raise TypeError(
                f"target must be a Gaussian mixture (weight, mean, cov) or rows, found {target!r}"
            ) from None
        return GaussianMixture(k).parameters(target)

    def source(self, target):
        """Something that draws from a target given as a Gaussian mixture."""
        truth = self.parameters(target)
        return At.one(GaussianMixture(truth.weight.size), truth)

    def default_record(self, target):
        """{"ise": integrated squared error of the density}."""
        truth = self.parameters(target)
        model, eye = GaussianMixture(truth.weight.size), np.eye(truth.mean.shape[1])
        nothing = Components(*(array[None] for array in (0 * truth.weight, *truth[1:])))
        own = squared_error(nothing, truth)[0]

        def ise(theta):
            """Integrals of products of Gaussians, in closed form."""
            values = []
            for point, weight, h in zip(*theta, strict=True):
                some = weight > 0
                x, w = point[some], weight[some]
                wide = truth._replace(cov=truth.cov + h**2 * eye)
                cross = w @ np.exp(model.log_density(wide, x))
                values.append(_pairs(x, w, np.sqrt(2) * h) - 2 * cross + own)
            return np.array(values)

        return {"ise": ise}


def _pairs(x, weight, h):
    """The weighted sum of kernels over all pairs of points, in blocks that bound the memory."""
    step = max(1, BLOCK // x.size)
    return sum(
        weight[i : i + step] @ _kernel(x[i : i + step], x, h) @ weight
        for i in range(0, len(x), step)
    )


def _kernel(a, b, h):
    """Gaussian densities (N, M) of width h between points a (N, d) and b (M, d)."""
    square = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
    return np.exp(-square / (2 * h**2)) / (2 * np.pi * h**2) ** (a.shape[1] / 2)


def _widen(theta, columns):
    pad = columns - theta.point.shape[1]
    point = np.pad(theta.point, ((0, 0), (0, pad), (0, 0)))
    return theta._replace(point=point, weight=np.pad(theta.weight, ((0, 0), (0, pad))))
