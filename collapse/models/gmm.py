"""Gaussian mixtures with full covariances, fitted by EM."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.models._data import covariance_matrix, keep, pool_samples, samples

__all__ = ["Components", "GaussianMixture"]

DEAD = 1e-8  # samples: a component with fewer is lost
LARGEST = 1e100  # squares of samples must not overflow


class Components(NamedTuple):
    """Parameters of R mixtures of k Gaussians in d dimensions; their order means nothing."""

    weight: np.ndarray  # (R, k), rows sum to 1
    mean: np.ndarray  # (R, k, d)
    cov: np.ndarray  # (R, k, d, d), positive definite


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Density sum_j w_j N(x; m_j, C_j) on R^d, fitted by expectation maximisation (EM).

    The steps and the stopping rule are those of ``sklearn.mixture.GaussianMixture`` with
    ``covariance_type="full"``, for weighted samples and many replications at once: from the same
    start both give the same fit. A component whose share of all samples falls below 1e-8 of one
    sample is dead: its weight is 0, exactly, and it has no say in any measure.

    Parameters
    ----------
    k : int
        Components, at least 1.
    start : "previous", "data" or a triple (weight, mean, cov)
        Where EM starts: at the previous generation's model (generation 0: from the data), always
        from the data, or always at these parameters (shapes as in `parameters`). From the data
        means: cut the samples of a replication into k groups of equal weight along their first
        principal axis, its largest coordinate upwards; the groups' means, the covariance within
        groups for all components, and equal weights.
    tol : float, above 0
        A replication stops when a step changes its mean log-likelihood by less. EM can crawl: a
        fit that stops early leans towards its start, so lower `tol` where the maximum matters.
    steps : int
        EM steps at most, at least 1.
    floor : float, above 0, in squared units of the samples
        Added to the diagonal of every covariance; keeps a component on a single point finite.
        Variances near it are not resolved: scale the samples, or lower it.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Dempster, Laird and Rubin (1977) for EM; Claim F5 for the loop.

    Examples
    --------
    >>> from collapse import iterate, replace
    >>> target = [0.25, 0.75], [-3.0, 3.0], [1.0, 1.0]
    >>> for t, theta in iterate(GaussianMixture(2), target, replace(2000, 1), rng=1):
    ...     print(t, theta.mean.round(1).ravel().tolist())
    0 [-3.0, 3.0]
    1 [-3.0, 3.0]
    """

    k: int
    start: str | tuple = "previous"
    tol: float = 1e-3
    steps: int = 100
    floor: float = 1e-6

    stores_samples = True

    def __post_init__(self):
        object.__setattr__(self, "k", _check.whole("k", self.k))
        if isinstance(self.start, str):
            _check.option("start", self.start, ("previous", "data"))
        else:
            object.__setattr__(self, "start", _components("start", self.start, self.k))
        object.__setattr__(self, "tol", _check.number("tol", self.tol, above=0))
        object.__setattr__(self, "steps", _check.whole("steps", self.steps))
        object.__setattr__(self, "floor", _check.number("floor", self.floor, above=0))

    def sample(self, theta, n, rng):
        """Draw n (R,) samples: a component by its weight, then a Gaussian."""
        R, N, d = len(n), int(n.max()), theta.mean.shape[2]
        cdf = theta.weight.cumsum(axis=1)
        cdf = cdf / cdf[:, -1:]  # exactly 1 at the last component that has weight
        j = (rng.random((R, N, 1)) >= cdf[:, None, :-1]).sum(axis=2)
        row = np.arange(R)[:, None]
        noise = np.einsum(
            "rnab,rnb->rna", _cholesky(theta.cov)[row, j], rng.standard_normal((R, N, d))
        )
        return samples(theta.mean[row, j] + noise, n)

    def collect(self, x, n):
        """The data of the first n (R,) samples of x (R, N, d)."""
        return samples(x, n)

    def pool(self, a, b, share):
        """Both sets of samples, with the weight `share` on b and the rest on a."""
        return pool_samples(a, b, share)

    def fit(self, data, previous=None):
        """The mixture where EM stops; `previous` in replications without samples."""
        x = _check.real_array("data.x", data.x)
        if x.ndim != 3:
            raise ValueError(f"data.x must have shape (R, N, d), found {x.shape}")
        if x.size and abs(x).max() > LARGEST:
            raise ValueError(
                f"data.x must be at most {LARGEST:g}, found {abs(x).max():g}: scale it"
            )
        x = np.ascontiguousarray(x.swapaxes(1, 2))  # (R, d, N)
        count = data.weight * data.size[:, None]  # (R, N)
        start = self._start(x, count, previous)
        theta = Components(*(np.array(array) for array in start))
        moving = np.flatnonzero(data.size > 0)
        x, count, last = x[moving], count[moving], np.full(moving.size, -np.inf)
        for _ in range(self.steps):
            if not moving.size:
                break
            posterior, log_f = _posterior(Components(*(array[moving] for array in theta)), x)
            best = self._maximise(x, count[:, None] * posterior)
            for array, new in zip(theta, best, strict=True):
                array[moving] = new
            log_likelihood = (count * log_f).sum(axis=1) / count.sum(axis=1)
            on = abs(log_likelihood - last) >= self.tol
            x, count, last, moving = x[on], count[on], log_likelihood[on], moving[on]
        _cholesky(theta.cov)  # sampling from the fit will not fail
        return keep(previous, theta, data.size == 0)

    def _start(self, x, count, previous):
        """Parameters from which EM starts, for x (R, d, N)."""
        R, d, _ = x.shape
        shape = (R, self.k, d)
        if previous is not None and previous.mean.shape != shape:
            raise ValueError(
                f"data must fit previous, means of shape {previous.mean.shape}, found data for "
                f"means of shape {shape}: (replications, components, dimensions)"
            )
        if isinstance(self.start, Components):
            if self.start.mean.shape != shape[1:]:
                want = self.start.mean.shape[1]
                raise ValueError(f"data must have the {want} dimensions of start, found {d}")
            return (np.broadcast_to(array, (R, *array.shape)) for array in self.start)
        if self.start == "previous" and previous is not None:
            return previous
        centre = self._maximise(x, count[:, None])  # of one component
        axis = np.linalg.eigh(centre.cov[:, 0])[1][:, :, -1]  # its sign depends on the machine
        axis *= np.sign(np.take_along_axis(axis, abs(axis).argmax(axis=1)[:, None], axis=1))
        order = np.einsum("rd,rdn->rn", axis, x).argsort(axis=1, kind="stable")
        x = np.take_along_axis(x, order[:, None], axis=2)
        count = np.take_along_axis(count, order, axis=1)
        # a sample spans count units of the total; where a cut falls inside it, both groups share it
        high = count.cumsum(axis=1)[:, None]
        cut = count.sum(axis=1)[:, None, None] * np.arange(self.k + 1)[:, None] / self.k
        within = np.minimum(high, cut[:, 1:]) - np.maximum(high - count[:, None], cut[:, :-1])
        weight, mean, cov = self._maximise(x, np.maximum(within, 0))
        cov = np.einsum("rk,rkab->rab", weight, cov)
        return np.full(shape[:2], 1 / self.k), mean, np.repeat(cov[:, None], self.k, axis=1)

    def _maximise(self, x, count):
        """The M step: parameters from x (R, d, N) and its counts in each component (R, k, N)."""
        total = count.sum(axis=2)
        dead = (total < DEAD) & (total.sum(axis=1, keepdims=True) > 0)  # there are samples
        total = total + 10 * np.finfo(float).eps
        mean = count @ x.swapaxes(1, 2) / total[:, :, None]
        off = x[:, None] - mean[..., None]
        cov = (count[:, :, None] * off) @ off.swapaxes(2, 3) / total[:, :, None, None]
        cov += self.floor * np.eye(x.shape[1])
        weight = np.where(dead, 0.0, total)
        return Components(weight / weight.sum(axis=1, keepdims=True), mean, cov)

    def parameters(self, target):
        """A target as a triple, checked; also what `start` may be.

        Parameters
        ----------
        target : triple of
            weight (k,), probabilities; mean (k, d), or (k,) in one dimension; cov (k, d, d),
            symmetric and positive definite, or (k,) variances in one dimension.

        Returns
        -------
        Components
            Of one replication, without the axis R.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found, the value wanted and the component.

        Examples
        --------
        >>> GaussianMixture(2).parameters(([0.5, 0.5], [-1.0, 1.0], [1.0, 4.0])).cov.shape
        (2, 1, 1)
        """
        return _components("target", target, self.k)

    def log_density(self, theta, x):
        """log sum_j w_j N(x; m_j, C_j) at points x.

        Parameters
        ----------
        theta : Components
        x : (M, d), or (M,) in one dimension

        Returns
        -------
        (R, M) float64; (M,) for a theta of one replication, as `parameters` gives it

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> model = GaussianMixture(1)
        >>> theta = model.parameters(([1.0], [0.0], [1.0]))
        >>> model.log_density(theta, [0.0, 1.0]).round(4).tolist()
        [-0.9189, -1.4189]
        """
        x, d = _check.real_array("x", x), theta.mean.shape[-1]
        if x.ndim == 1 and d == 1:
            x = x[:, None]
        if x.ndim != 2 or x.shape[1] != d:
            raise ValueError(f"x must have shape (M, {d}), found {x.shape}")
        return _posterior(theta, x.T)[1]

    def default_record(self, target):
        """{"ise": integrated squared error of the density}, in closed form."""
        target = self.parameters(target)
        return {"ise": lambda theta: squared_error(theta, target)}


def _posterior(theta, x):
    """P(component | x) (..., k, M) and log density (..., M) at x (..., d, M)."""
    with np.errstate(divide="ignore"):
        log_weight = np.log(theta.weight)
    joint = _log_gaussian(x[..., None, :, :] - theta.mean[..., None], theta.cov)
    joint += log_weight[..., None]
    top = joint.max(axis=-2, keepdims=True)
    posterior = np.exp(joint - top)
    total = posterior.sum(axis=-2, keepdims=True)
    return posterior / total, (top + np.log(total))[..., 0, :]


def _log_gaussian(off, cov):
    """log N(off; 0, cov), off (..., d, M) and cov (..., d, d)."""
    root = _cholesky(cov)
    white = np.linalg.inv(root) @ off
    log_det = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    constant = off.shape[-2] * np.log(2 * np.pi) + log_det
    return -0.5 * ((white**2).sum(axis=-2) + constant[..., None])


def _cholesky(cov):
    try:
        root = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        root = np.array(np.nan)
    if not np.isfinite(root).all():
        raise ValueError(
            "covariances must be positive definite, found one that is not, to rounding: "
            "raise floor or scale the data"
        )
    return root


def squared_error(theta, target):
    """(R,) integrals of (f - g)^2, from those of products of two Gaussians."""

    def both(one, other):
        return np.concatenate([one, np.broadcast_to(other, one.shape)], axis=1)

    sign, mean, cov = both(theta.weight, -target.weight), *map(both, theta[1:], target[1:])
    off = mean[:, :, None] - mean[:, None]
    log_product = _log_gaussian(off[..., None], cov[:, :, None] + cov[:, None])[..., 0]
    counts = (sign[:, :, None] != 0) & (sign[:, None] != 0)  # a dead component does not
    product = np.exp(np.where(counts, log_product, -np.inf))
    square = np.einsum("ri,rij,rj->r", sign, product, sign)
    return np.maximum(square, 0)  # rounding where f = g


def _components(name, value, k):
    """`value` as Components without the axis R, or an error that names the component."""
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise TypeError(f"{name} must be a triple (weight, mean, cov), found {_check.short(value)}")
    weight = _check.probabilities(f"{name} weight", value[0], ndim=1)
    mean, cov = (
        _check.real_array(f"{name} {part}", array)
        for part, array in zip(("mean", "cov"), value[1:], strict=True)
    )
    mean = mean[:, None] if mean.ndim == 1 else mean
    d = mean.shape[1] if mean.ndim == 2 and mean.size else 1
    cov = cov[:, None, None] if cov.ndim == 1 and d == 1 else cov
    shapes = {"weight": (k,), "mean": (k, d), "cov": (k, d, d)}
    for (part, shape), array in zip(shapes.items(), (weight, mean, cov), strict=True):
        if array.shape != shape:
            raise ValueError(
                f"{name} {part} must have shape {shape} for {k} components in {d} dimensions, "
                f"found {array.shape}"
            )
    cov = [covariance_matrix(f"{name} cov of component {j}", m, d) for j, m in enumerate(cov)]
    return Components(weight / weight.sum(), mean, np.array(cov))
