"""Regression on labels that the previous model wrote, at covariates drawn afresh."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from collapse import _check
from collapse.models._data import arrays, keep, mask, pool_samples, samples, shares, times

__all__ = ["LinearRegression", "LogisticRegression"]

NEWTON_STEPS = 1000
DEPENDENT = 1e-12  # of columns in units of their size: what is less than this apart is not apart


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


class _Regression:
    """Where the covariates of a regression come from."""

    def for_rows(self, x):
        """Where it has no covariates of its own: the model with those of rows x, the label last."""
        return _with(self, x[:, :-1]) if self.covariates is None else None

    def split(self, theta, n_real, n, rng):
        """Where covariates are a function: it is asked once for n rows, shared out at random.

        Returns two models, one for the n_real (R,) real samples and one for the others, so that
        of a design that is the same in every call each row is used once.
        """
        if not callable(self.covariates):
            return None
        x = _draw(self.covariates, np.full(len(n_real), n), arrays(theta)[0].shape[1], rng)
        order = rng.random(x.shape[:2]).argsort(axis=1)
        x = np.take_along_axis(x, order[..., None], axis=1)
        parts = x[:, : n_real.max()], x[:, ::-1][:, : n - n_real.min()]
        return [_with(self, _share(part)) for part in parts]


@dataclass(frozen=True, eq=False)
class LinearRegression(_Regression):
    """Least squares: y is Gaussian with mean x . coef, both coef and noise variance fitted.

    theta has ``theta.coef`` (R, d) and ``theta.var`` (R,), the mean squared residual (divisor n).
    Where the data do not determine all coefficients, the least-squares solution nearest to the
    previous model is taken (nearest to 0 where there is none), in units of the covariates' size.

    A target is a pair (coef (d,), var), or real data: `collapse.targets.rows` of x and y. With a
    known `noise` it is coef alone, or the pair with var = noise^2.

    Parameters
    ----------
    covariates : (m, d) array or function, optional
        What x is drawn from: rows with replacement, or ``covariates(shape, rng)`` for any
        ``shape = (R, N, d)``. By default the rows of x where the target is real data, else
        independent standard normal values. For an intercept include a column of ones. A function
        is asked once for all N samples of a generation, real and synthetic, so a fixed design
        (``lambda shape, rng: np.broadcast_to(x, shape)``) gets one label a row.
    noise : float, at least 0, optional
        Standard deviation of the noise where it is known: var stays noise^2, only coef is fitted.

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
    noise: float | None = None

    stores_samples = True

    def __post_init__(self):
        object.__setattr__(self, "covariates", _covariates(self.covariates))
        if self.noise is not None:
            object.__setattr__(self, "noise", _check.number("noise", self.noise, least=0))

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
        """Least squares, and the mean squared residual or noise^2; `previous` without data."""
        x, y, last = data.r[:, :-1, :-1], data.r[:, :-1, -1], data.r[:, -1, -1]
        coef = np.zeros_like(y) if previous is None else previous.coef
        unit = np.sqrt((x**2).sum(axis=1))  # of each covariate: results do not depend on units
        unit = np.where(unit > 0, unit, 1.0)
        inverse = np.linalg.pinv(x / unit[:, None, :], rcond=DEPENDENT)
        coef = coef + times(inverse, y - times(x, coef)) / unit
        var = last**2 + ((y - times(x, coef)) ** 2).sum(axis=1)
        if self.noise is not None:
            var = np.full_like(var, self.noise**2)
        return keep(previous, Line(coef, var), data.size == 0)

    def parameters(self, target):
        """A target (coef, var), or coef alone where the noise is known; checked."""
        if self.noise is not None:
            pair = isinstance(target, (tuple, list)) and len(target) == 2
            target = target if pair and not np.isscalar(target[0]) else (target, self.noise**2)
        try:
            coef, var = target
        except (TypeError, ValueError):
            raise TypeError(f"target must be (coef, var) or rows, found {target!r}") from None
        var = _check.number("var", var, least=0)
        if self.noise is not None and not np.isclose(var, self.noise**2, rtol=1e-9, atol=0):
            raise ValueError(
                f"var must be noise^2 = {self.noise**2:g} where the noise is known, found {var:g}: "
                "give coef alone, or noise as a standard deviation"
            )
        return Line(_coef(coef, self.covariates), np.array(var))

    def default_record(self, target):
        """{"l2": squared error of coef, "variance": fitted noise variance unless it is known}."""
        coef = self.parameters(target).coef
        record = {"l2": lambda theta: ((theta.coef - coef) ** 2).sum(axis=1)}
        if self.noise is None:
            record["variance"] = lambda theta: theta.var
        return record


@dataclass(frozen=True, eq=False)
class LogisticRegression(_Regression):
    """Labels 0 and 1 with P(1) = 1 / (1 + exp(-x . coef)), fitted by Newton's method.

    theta is coef (R, d). Results do not depend on the units of the covariates, nor, where a
    constant lies in the span of their columns, on where their zero is.

    A target is coef (d,), or real data: `collapse.targets.rows` of x and y.

    Parameters
    ----------
    covariates : (m, d) array or function, optional
        As in `LinearRegression`.
    ridge : float, at least 0
        Penalty of ridge / 2 times the sum of squares of the standardised coefficients, on the
        log-likelihood of all n samples: coef times the root mean square of its column or, where a
        constant lies in the span of the columns of the sample, its standard deviation; the
        intercept, the log-odds at the mean covariates, is then free (unless all labels are equal).
        The default is too small to matter, except where the labels can be separated: there maximum
        likelihood (ridge 0) does not exist, and such a fit is refused.

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
        y = rng.random(x.shape[:2]) < expit(times(x, theta))
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
        weight, some, side = data.weight, data.weight > 0, 2 * data.x[..., -1] - 1
        z, back = _standard(data.x[..., :-1], weight)
        penalty = np.repeat(self.ridge / np.maximum(data.size, 1)[:, None], z.shape[2], axis=1)
        # the intercept is free, but not where all labels are equal: it would be infinite
        penalty[:, -1] *= ((side > 0) | ~some).all(axis=1) | ((side < 0) | ~some).all(axis=1)
        coef, left = np.zeros_like(penalty), np.arange(len(z))
        for _ in range(NEWTON_STEPS):
            step, reach = _newton(*(array[left] for array in (z, side, weight, penalty, coef)))
            coef[left] += step
            left = left[reach >= 1e-9]
            if left.size == 0:
                break
        # a direction with every label on its side: the likelihood has no maximum
        apart = ((side * times(z, coef) > 0) | ~some).all(axis=1) & (data.size > 0)
        if self.ridge == 0 and apart.any():
            raise ValueError(
                f"data must not be separable, found replication {int(apart.argmax())} without a "
                "finite fit: take a larger n, or LogisticRegression(ridge=0.01)"
            )
        slope, parts = _slope(z, side, weight, penalty, coef)
        flat = (abs(slope) <= 1e-6 * parts).all(axis=1)
        if not flat.all():
            raise ValueError(
                f"data must determine the fit, found replication {int(flat.argmin())} without a "
                "maximum of the likelihood: leave out columns that nearly depend on others, "
                "take a larger n, or a larger ridge, as LogisticRegression(ridge=0.01)"
            )
        coef = times(back, coef)
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
    if covariates is None or shape[1] == 0:
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


def _with(model, covariates):
    """The same model with other covariates."""
    model = copy.copy(model)
    object.__setattr__(model, "covariates", covariates)
    return model


def _share(x):
    """Covariates: the first rows of x (R, N, d)."""

    def rows(shape, rng):
        if shape[1] > x.shape[1]:
            raise ValueError(
                "covariates that are a function are shared out between real and synthetic labels: "
                f"sample must ask for at most the {x.shape[1]} rows of its share, found "
                f"{shape[1]}; give covariates as an array of rows to draw from"
            )
        return x[:, : shape[1]]

    return rows


def _standard(x, weight):
    """Standardised covariates z (R, N, d + 1) and the map (R, d, d + 1) with x map = z.

    Where a constant lies in the span of the columns of x they are centred, and the last column of
    z is 1; elsewhere it is 0. All others have mean square 1, or are 0 throughout.
    """
    root = np.sqrt(weight)[..., None]
    unit = np.frexp((abs(x) * (root > 0)).max(axis=1, initial=0))[1]  # powers of 2: exact
    x = np.ldexp(x, -unit[:, None, :])
    both = root * np.concatenate([x, np.ones_like(root)], axis=2)
    d = x.shape[2]
    rest = _triangle(both, np.zeros((len(x), d + 1, d + 1)))[:, -1, -1]
    centred = (abs(rest) < DEPENDENT)[:, None]
    mean = times(x.mT, weight) * centred
    z = x - mean[:, None, :]
    sd = np.sqrt(((root * z) ** 2).sum(axis=1))
    varies = sd > DEPENDENT * abs(mean)
    inverse = np.where(varies, 1 / np.where(varies, sd, 1), 0.0)
    # the constant as a combination of columns: of those that are constant, if there are any
    fixed = ~varies & (mean != 0)
    one = fixed / np.where(fixed, mean, 1) / np.maximum(fixed.sum(axis=1), 1)[:, None]
    todo = centred[:, 0] & ~fixed.any(axis=1)
    columns, inner = both[todo, :, :-1], np.linalg.pinv(both[todo, :, :-1], rcond=DEPENDENT)
    for _ in range(2):  # once more: what rounding left
        one[todo] += times(inner, root[todo, :, 0] - times(columns, one[todo]))
    back = inverse[:, :, None] * np.eye(d) - one[:, :, None] * (mean * inverse)[:, None, :]
    back = np.ldexp(np.concatenate([back, one[..., None]], axis=2), -unit[:, :, None])
    last = np.broadcast_to(centred[..., None], root.shape)
    return np.concatenate([z * inverse[:, None, :], last], axis=2), back


def _slope(z, side, weight, penalty, coef):
    """Gradient (R, k) of the penalised likelihood, and the sum of the sizes of its terms."""
    miss = weight * side * expit(-side * times(z, coef))  # y - P(1), to all digits
    parts = times(abs(z).mT, abs(miss)) + penalty * abs(coef)
    return times(z.mT, miss) - penalty * coef, parts


def _newton(z, side, weight, penalty, coef):
    """A step (R, k) that raises the penalised likelihood; the reach in log-odds of a whole one."""
    slope, _ = _slope(z, side, weight, penalty, coef)
    odds = times(z, coef)
    curve = z.mT @ ((weight * expit(odds) * expit(-odds))[..., None] * z)
    curve += penalty[:, :, None] * np.eye(z.shape[2])
    curve *= abs(curve) > 1e-290  # its inverse does not overflow
    step = times(np.linalg.pinv(curve, rcond=1e-14, hermitian=True), slope)
    step *= (z != 0).any(axis=1)
    move = times(z, step)
    reach = (abs(move) * (weight > 0)).max(axis=1, initial=0)
    # halved until the likelihood rises, which steps below 1.79 always make it do (Bach 2010)
    part, low = np.ones(len(z)), reach > 1.5
    while low.any():
        new = odds + part[:, None] * move
        rise = (weight * (log_expit(side * new) - log_expit(side * odds))).sum(axis=1)
        rise -= (penalty * step * (coef + part[:, None] * step / 2)).sum(axis=1) * part
        low = (part * reach > 1.5) & (rise < 1e-4 * part * (slope * step).sum(axis=1))
        part[low] /= 2
    return part[:, None] * step, reach


def _triangle(*rows):
    """r (R, d, d) with r^T r = sum of z^T z over the rows z (R, N, d)."""
    return np.linalg.qr(np.concatenate(rows, axis=1), mode="r")
