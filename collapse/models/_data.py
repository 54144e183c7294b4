"""What models share: weights of a pool, samples with weights, models kept where data are empty."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collapse import _check


class Samples(NamedTuple):
    """Data of a model without sufficient statistics: the samples themselves, with weights."""

    x: np.ndarray  # (R, N, ...), padded
    weight: np.ndarray  # (R, N), 0 on padding; rows sum to 1, or to 0 without samples
    size: np.ndarray  # (R,), effective number of samples


@dataclass(frozen=True, eq=False)
class At:
    """A target: the model's law at known parameters theta, (1, ...) or one row a replication."""

    model: object
    theta: np.ndarray | tuple
    maker: str = "parameters"  # the method that made theta

    @classmethod
    def one(cls, model, theta):
        """At the parameters of one replication, without its axis."""
        return cls(model, each(lambda array: np.asarray(array)[None], theta))

    def law(self):
        """`sample` of the class that defines `maker`: what a subclass does to writing is its own.

        With the instance it is called on, which is not the model where a wrapper passes calls on.
        """
        owner = getattr(getattr(self.model, self.maker, None), "__self__", self.model)
        known = (base for base in type(owner).__mro__ if self.maker in vars(base))
        return getattr(next(known, None), "sample", type(owner).sample), owner

    def sample(self, n, rng):
        def rows(array):
            return np.broadcast_to(array, (n.size, *array.shape[1:]))

        sample, owner = self.law()
        return sample(owner, each(rows, self.theta), n, rng)


def each(function, theta):
    """`function` of parameters that are an array, or of every array of a named tuple of them."""
    if isinstance(theta, tuple):
        return type(theta)(*map(function, theta))
    return function(theta)


def arrays(theta):
    """The arrays of parameters."""
    return theta if isinstance(theta, tuple) else (theta,)


def samples(x, n):
    """The first n (R,) of N samples x (R, N, ...) of each replication, equal weights."""
    return Samples(x, mask(x, n), n.astype(np.float64))


def pool_samples(a, b, share):
    """Both, with the weight `share` on b."""
    weight_a, weight_b, size = shares(a.size, b.size, share)
    weight = (weight_a[:, None] * a.weight, weight_b[:, None] * b.weight)
    both = np.concatenate([a.x, b.x], axis=1), np.concatenate(weight, axis=1)
    some = (both[1] > 0).any(axis=0)  # columns that are padding throughout go
    return Samples(both[0][:, some], both[1][:, some], size)


def shares(size_a, size_b, share):
    """Weights (R,) of two pooled parts and their effective size by Kish's formula.

    b carries the weight `share`, a the rest; an empty part has no weight.
    """
    share = _check.fraction("share", share)
    weight_a = np.where(size_a > 0, 1.0 - share, 0.0)
    weight_b = np.where(size_b > 0, share, 0.0)
    total = np.maximum(weight_a + weight_b, np.finfo(float).tiny)
    weight_a, weight_b = weight_a / total, weight_b / total
    inverse = weight_a**2 / np.maximum(size_a, 1) + weight_b**2 / np.maximum(size_b, 1)
    size = np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)
    return weight_a, weight_b, size


def keep(previous, theta, lacking):
    """theta, but `previous` in the replications where `lacking` (R,): too little data to fit."""
    if not lacking.any():
        return theta
    if previous is None:
        raise ValueError("data must hold at least one sample where there is no previous")
    if isinstance(theta, tuple):
        return type(theta)(*(keep(*pair, lacking) for pair in zip(previous, theta, strict=True)))
    return np.where(lacking.reshape(-1, *[1] * (theta.ndim - 1)), previous, theta)


def mask(x, n):
    """Weights (R, N): 1/n on the first n (R,) of N samples, 0 on the rest."""
    return (np.arange(x.shape[1]) < n[:, None]) / np.maximum(n, 1)[:, None]


def times(matrix, vector):
    """Matrices (R, i, j) times vectors (R, j)."""
    return (matrix @ vector[:, :, None])[:, :, 0]


def covariance_matrix(name, value, d):
    """A (d, d) symmetric positive definite float64 array; a number will do for d = 1."""
    cov = _check.real_array(name, value)
    cov = cov.reshape(1, 1) if d == 1 and cov.size == 1 else cov
    if cov.shape != (d, d):
        raise ValueError(f"{name} must have shape ({d}, {d}), found {cov.shape}")
    scale = abs(cov).max()
    if abs(cov - cov.T).max() > 1e-9 * scale:
        raise ValueError(f"{name} must be symmetric, found {_check.short(value)}")
    sd = np.sqrt(np.maximum(np.diag(cov), 0))
    least = np.linalg.eigvalsh(cov / np.outer(sd, sd))[0] if sd.min() > 0 else np.diag(cov).min()
    if not least > 1e-12:
        raise ValueError(
            f"{name} must be positive definite, found {least:.3g} for the least eigenvalue of its "
            "correlations: leave out an axis that depends on others, or add a small number to the "
            "diagonal"
        )
    return (cov + cov.T) / 2
