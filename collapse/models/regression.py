"""Regression on labels that the previous model wrote, at covariates drawn afresh."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from collapse import _check
from collapse.models._data import keep, mask, pool_samples, samples, shares, times

__all__ = ["LinearRegression", "LogisticRegression"]

NEWTON_STEPS = 1000


class Line(NamedTuple):
    """Parameters of a linear regression: y = x . coef + noise of variance var."""

    coef: np.ndarray  # (R, d)
    var: np.ndarray  # (R,)


class Factor(NamedTuple):
    """Data of a linear regression: the triangle of a QR decomposition is sufficient.

    With z the covariates and the label, r^T r is the weighted mean of z z^T. Nothing cancels: the
    last number of r is the root mean squared residual, however small.
    """

    r: np.ndarray  # (R, d + 1, d + 1), upper triangular
    size: np.ndarray  # (R,), effective number of samples


@dataclass(frozen=True, eq=False)
class LinearRegression:
    """Least squares: y is Gaussian with mean x . coef, both coef and noise variance fitted.

    theta has ``theta.coef`` (R, d) and ``theta.var`` (R,), the mean squared residual (divisor n).
    Where the data do not determine all coefficients, the least-squares solution nearest to the
    previous model is taken (nearest to 0 where there is none), in units of the covariates' size.

    Parameters
    ----------
    covariates : (m, d) array or function, optional
        What x is drawn from: rows with replacement, or ``covariates(shape, rng)`` for any
        ``shape = (R, N, d)``. By default independent standard normal values. For an intercept
        include a column of ones.

    A target is a pair (coef (d,), var), or real data: `collapse.targets.rows` of x and y.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claims F5, F9.

    Examples
    --------
    >>> from collapse import mixture, simulate
    >>> target = ([1.0, -1.0], 0.5)
    >>> result = simulate(LinearRegression(), target, mixture(50, 0.5, 3), replications=4, rng=1)
    >>> sorted(result.values)
    ['l2', 'variance']
    """

    covariates: np.ndarray | Callable | None = None

    stores_samples = True

    def __post_init__(self):
        object.__setattr__(self, "covariates", _covariates(self.covariates))

    def sample(self, theta, n, rng):
        """Draw n (R,) fresh covariates with labels from theta."""
        x = _draw(self.covariates, n, theta.coef.shape[1], rng)
        y = times(x, theta.coef)
        y += np.sqrt(theta.var)[:, None] * rng.standard_normal(y.shape)
        return self.collect(np.concatenate([x, y[..., None]], axis=2), n)

    def collect(self, x, n):
        """The data of the first n (R,) samples of x (R, N, d + 1), the label last."""
        _check_rows(x, self.covariates)
        z = np.sqrt(mask(x, n))[..., None] * x
        size = np.broadcast_to(np.asarray(n, dtype=np.float64), len(x))
        return Factor(_triangle(z, np.zeros((len(x), x.shape[2], x.shape[2]))), size)

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        u, v, size = shares(a.size, b.size, share)
        root_u, root_v = np.sqrt(u)[:, None, None], np.sqrt(v)[:, None, None]
        return Factor(_triangle(root_u * a.r, root_v * b.r), size)

    def fit(self, data, previous=None):
        """Least squares, and the mean squared residual; `previous` without data."""
        x, y, last = data.r[:, :-1, :-1], data.r[:, :-1, -1], data.r[:, -1, -1]
        coef = np.zeros_like(y) if previous is None else previous.coef
        unit = np.sqrt((x**2).sum(axis=1))  # of each covariate: results do not depend on units
        unit = np.where(unit > 0, unit, 1.0)
        inverse = np.linalg.pinv(x / unit[:, None, :], rcond=1e-10)
        coef = coef + times(inverse, y - times(x, coef)) / unit
        var = last**2 + ((y - times(x, coef)) ** 2).sum(axis=1)
        return keep(previous, Line(coef, var), data.size == 0)

    def parameters(self, target):
        """A target (coef, var), checked."""
        try:
            coef, var = target
        except (TypeError, ValueError):
            raise TypeError(f"target must be (coef, var) or rows, found {target!r}") from None
        return Line(_coef(coef, self.covariates), np.array(_check.number("var", var, least=0)))

    def default_record(self, target):
        """{"l2": squared error of the coefficients, "variance": fitted noise variance}."""
        coef = self.parameters(target).coef
        return {
            "l2": lambda theta: ((theta.coef - coef) ** 2).sum(axis=1),
            "variance": lambda theta: theta.var,
        }


@dataclass(frozen=True, eq=False)
class LogisticRegression:
    """Labels 0 and 1 with P(1) = 1 / (1 + exp(-x . coef)), fitted by Newton's method.

    theta is coef (R, d).

    Parameters
    ----------
    covariates : (m, d) array or function, optional
        As in `LinearRegression`.
    ridge : float, at least 0
        Penalty of ridge / 2 times the sum of squares of coef, on the log-likelihood of all n
        samples. Where covariates are of order 1 the default is too small to matter, except where
        the labels can be separated: there maximum likelihood (ridge 0) does not exist, and such a
        fit is refused.

    A target is coef (d,), or real data: `collapse.targets.rows` of x and y.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim F5.

    Examples
    --------
    >>> from collapse import mixture, simulate
    >>> result = simulate(LogisticRegression(), [1.0], mixture(50, 0.5, 3), replications=4, rng=1)
    >>> result.values["l2"].shape
    (4, 4)
    """

    covariates: np.ndarray | Callable | None = None
    ridge: float = 1e-3

    stores_samples = True

    def __post_init__(self):
        object.__setattr__(self, "covariates", _covariates(self.covariates))
        object.__setattr__(self, "ridge", _check.number("ridge", self.ridge, least=0))

    def sample(self, theta, n, rng):
        """Draw n (R,) fresh covariates with labels from theta."""
        x = _draw(self.covariates, n, theta.shape[1], rng)
        y = rng.random(x.shape[:2]) < _sigmoid(times(x, theta))
        return samples(np.concatenate([x, y[..., None]], axis=2), n)

    def collect(self, x, n):
        """The data of the first n (R,) samples of x (R, N, d + 1), the label last."""
        _check_rows(x, self.covariates)
        if not np.isin(x[..., -1], (0, 1)).all():
            raise ValueError("target must have labels 0 and 1, found others")
        return samples(x, n)

    def pool(self, a, b, share):
        """Weight `share` on b and the rest on a; the sizes combine by Kish's formula."""
        return pool_samples(a, b, share)

    def fit(self, data, previous=None):
        """Penalised maximum likelihood; `previous` in replications without data."""
        x, y = data.x[..., :-1], data.x[..., -1]
        penalty = self.ridge / np.maximum(data.size, 1)
        coef = np.zeros((len(x), x.shape[2]))
        for _ in range(NEWTON_STEPS):  # concave: Newton's steps, shortened to at most 2 in x . coef
            p = _sigmoid(times(x, coef))
            slope = times(np.swapaxes(x, 1, 2), data.weight * (y - p)) - penalty[:, None] * coef
            curve = np.swapaxes(x, 1, 2) @ ((data.weight * p * (1 - p))[..., None] * x)
            curve += penalty[:, None, None] * np.eye(x.shape[2])
            step = times(np.linalg.pinv(curve, rcond=1e-14, hermitian=True), slope)
            reach = (abs(times(x, step)) * (data.weight > 0)).max(axis=1, initial=0)
            coef = coef + step * np.minimum(1, 2 / np.maximum(reach, 1e-300))[:, None]
            if (reach < 1e-9).all():
                break
        # a direction with every label on its side: the likelihood has no maximum
        side = (2 * y - 1) * times(x, coef)
        apart = ((side > 0) | (data.weight == 0)).all(axis=1) & (data.size > 0)
        bad = (apart & (self.ridge == 0)) | (reach >= 1e-9)
        if bad.any():
            raise ValueError(
                f"data must not be separable, found replication {int(bad.argmax())} without a "
                "finite fit: take a larger n, or LogisticRegression(ridge=0.01)"
            )
        return keep(previous, coef, data.size == 0)

    def parameters(self, target):
        """A target coef, checked."""
        return _coef(target, self.covariates)

    def default_record(self, target):
        """{"l2": squared error of the coefficients}."""
        coef = self.parameters(target)
        return {"l2": lambda theta: ((theta - coef) ** 2).sum(axis=1)}


def _covariates(value):
    if value is None or callable(value):
        return value
    rows = _check.real_array("covariates", value)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"covariates must have shape (m, d), found {rows.shape}")
    rows.setflags(write=False)
    return rows


def _draw(covariates, n, d, rng):
    """Fresh covariates (R, N, d)."""
    shape = (len(n), int(n.max()), d)
    if covariates is None:
        return rng.standard_normal(shape)
    if callable(covariates):
        x = _check.real_array("covariates(shape, rng)", covariates(shape, rng))
        if x.shape != shape:
            raise ValueError(f"covariates(shape, rng) must have shape {shape}, found {x.shape}")
        return x
    return covariates[rng.integers(0, len(covariates), shape[:2])]


def _coef(value, covariates):
    coef = np.atleast_1d(_check.real_array("coef", value))
    wanted = covariates.shape[1] if isinstance(covariates, np.ndarray) else coef.size
    if coef.shape != (wanted,) or wanted == 0:
        raise ValueError(f"coef must have shape ({wanted or 'd'},), found {coef.shape}")
    return coef


def _check_rows(x, covariates):
    """Covariates, as many as the model draws, and a label."""
    d = x.shape[2] - 1
    wanted = covariates.shape[1] if isinstance(covariates, np.ndarray) else max(d, 1)
    if d != wanted:
        raise ValueError(
            f"target must be rows(x, y), with {wanted} column{'s' * (wanted > 1)} in x and a "
            f"label y, found {d + 1} columns in all"
        )


def _sigmoid(z):
    return 0.5 * (1 + np.tanh(z / 2))  # no overflow


def _triangle(*rows):
    """r (R, d, d) with r^T r = sum of z^T z over the rows z (R, N, d)."""
    return np.linalg.qr(np.concatenate(rows, axis=1), mode="r")
