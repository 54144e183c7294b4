"""Writers: laws that write in place of the model, theta -> theta, for `simulate(..., write=)`.

A writer takes fitted parameters and returns those that the synthetic part of the next batch is
drawn from; real samples never pass through it, and what is recorded is theta as it was fitted.
All but `shrink` act on probabilities: theta (..., K) of a `Categorical`, or every row of a
`NextToken`. A writer of your own is any function of theta.
"""

from dataclasses import dataclass

import numpy as np

from collapse import _check
from collapse.models.next_token import Table

__all__ = ["select", "shrink", "smooth", "temperature", "top_k", "top_p", "verify"]


@dataclass(frozen=True)
class temperature:
    """S(theta)_k ~ theta_k^(1/tau): below 1 sharper, above 1 flatter; a lost token stays lost.

    Parameters
    ----------
    tau : float above 0

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim W2.

    Examples
    --------
    >>> temperature(0.5)(np.array([0.75, 0.25])).round(9).tolist()
    [0.9, 0.1]
    """

    tau: float

    def __post_init__(self):
        _check.number("tau", self.tau, above=0)

    def __call__(self, theta):
        def weigh(rows):
            with np.errstate(divide="ignore"):
                return np.exp(np.log(rows.p / rows.each(np.maximum)) / self.tau)

        return _written(theta, weigh)


@dataclass(frozen=True)
class top_k:
    """The k likeliest tokens, the others never; of equal ones the first.

    Parameters
    ----------
    k : int, at least 1

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim W5.

    Examples
    --------
    >>> top_k(2)(np.array([0.5, 0.125, 0.375])).round(3).tolist()
    [0.571, 0.0, 0.429]
    """

    k: int

    def __post_init__(self):
        _check.whole("k", self.k)

    def __call__(self, theta):
        return _written(theta, lambda rows: rows.p * (rows.sorted()[0] < self.k))


@dataclass(frozen=True)
class top_p:
    """The fewest of the likeliest tokens that together have this mass; of equal ones the first.

    Parameters
    ----------
    mass : float in (0, 1]

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim W5.

    Examples
    --------
    >>> top_p(0.8)(np.array([0.5, 0.125, 0.375])).round(3).tolist()
    [0.571, 0.0, 0.429]
    """

    mass: float

    def __post_init__(self):
        if _check.number("mass", self.mass, above=0) > 1:
            raise ValueError(f"mass must lie in (0, 1], found {self.mass}")

    def __call__(self, theta):
        # what comes before a token falls short of the mass, by more than rounding
        return _written(theta, lambda rows: rows.p * (rows.sorted()[1] < self.mass - 1e-12))


@dataclass(frozen=True, eq=False)
class smooth:
    """(1 - share) theta + share law: some text of another law among the model's own.

    Parameters
    ----------
    share : float in [0, 1]
    law : (K,) probabilities, optional
        Uniform by default. For a `Categorical`: a row of `NextToken` holds its own tokens only.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim W1.

    Examples
    --------
    >>> smooth(0.5)(np.array([1.0, 0.0])).tolist()
    [0.75, 0.25]
    """

    share: float
    law: np.ndarray | None = None

    def __post_init__(self):
        _one_fraction("share", self.share)
        if self.law is not None:
            object.__setattr__(self, "law", _check.probabilities("law", self.law, ndim=1))

    def __call__(self, theta):
        if isinstance(theta, Table):
            raise TypeError("smooth needs theta (..., K), found a NextToken: it holds no row whole")
        K = _checked(theta).shape[-1]
        law = 1 / K if self.law is None else _as_long("law", self.law, theta)
        return (1 - self.share) * theta + self.share * law


@dataclass(frozen=True, eq=False)
class select:
    """A verifier with a taste: token k passes with probability accept_k, others are drawn anew.

    S(theta)_k = accept_k theta_k / sum_j accept_j theta_j.

    Parameters
    ----------
    accept : (K,) in [0, 1]

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; where nothing passes.

    Source: Claim W4.

    Examples
    --------
    >>> select([1.0, 0.5])(np.array([0.5, 0.5])).round(3).tolist()
    [0.667, 0.333]
    """

    accept: np.ndarray

    def __post_init__(self):
        accept = _check.fraction("accept", self.accept)
        if accept.ndim != 1:
            raise ValueError(f"accept must have shape (K,), found {accept.shape}")
        object.__setattr__(self, "accept", accept)

    def __call__(self, theta):
        accept = _as_long("accept", self.accept, theta)
        return _written(theta, lambda rows: rows.p * accept[rows.token])


@dataclass(frozen=True, eq=False)
class verify:
    """A verifier that knows something of the target: S(theta)_k ~ theta_k^(1 - power) p_k^power.

    Parameters
    ----------
    p : (K,) probabilities, or for a `NextToken` what its `read` gives
        The target. A token lost stays lost, and one that p has not is never written.
    power : float in [0, 1]

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted; where nothing is left.

    Source: Claim W3.

    Examples
    --------
    >>> verify([0.5, 0.5], 0.5)(np.array([0.9, 0.1])).round(9).tolist()
    [0.75, 0.25]
    """

    p: object
    power: float

    def __post_init__(self):
        _one_fraction("power", self.power)
        if not isinstance(self.p, Table):
            object.__setattr__(self, "p", _check.probabilities("p", self.p, ndim=1))

    def __call__(self, theta):
        if isinstance(theta, Table) != isinstance(self.p, Table):
            raise TypeError(f"p must be of the kind of theta, found {_check.short(self.p)}")

        def weigh(rows):
            if isinstance(theta, Table):
                known = self.p.probability(theta)
            else:
                known = _as_long("p", self.p, theta)[rows.token]
            return rows.p ** (1 - self.power) * np.where(rows.p > 0, known, 0.0) ** self.power

        return _written(theta, weigh) if self.power else theta


@dataclass(frozen=True)
class shrink:
    """A Gaussian written with its covariance times `factor`: sampling at a low temperature.

    Parameters
    ----------
    factor : float, at least 0
        Of the variance, not of the standard deviation.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Source: Claim W6.

    Examples
    --------
    >>> from collapse import Gaussian
    >>> model = Gaussian(1)
    >>> shrink(0.5)(model.parameters((0.0, 4.0))).cov.tolist()
    [[2.0]]
    """

    factor: float

    def __post_init__(self):
        _check.number("factor", self.factor, least=0)

    def __call__(self, theta):
        if not {"mean", "cov"} <= set(getattr(theta, "_fields", ())):
            raise TypeError(f"shrink needs theta of a Gaussian, found {_check.short(theta)}")
        return theta._replace(cov=self.factor * theta.cov)


@dataclass(frozen=True)
class Rows:
    """Rows of probabilities, one after another: `p`, `token` (G,), and where each row starts."""

    p: np.ndarray
    token: np.ndarray
    start: np.ndarray

    def each(self, function):
        """`reduceat` of a row, repeated along it."""
        return np.repeat(function.reduceat(self.p, self.start), self.length)

    @property
    def length(self):
        return np.diff(self.start, append=self.p.size)

    def sorted(self):
        """Of each token its place in its row, the likeliest 0, and the mass before it."""
        row = np.repeat(np.arange(self.start.size), self.length)
        order = np.lexsort((self.token, -self.p, row))
        place, before = np.empty(self.p.size, np.int64), np.empty(self.p.size)
        place[order] = np.arange(self.p.size) - np.repeat(self.start, self.length)
        upto = np.cumsum(self.p[order]) - self.p[order]
        before[order] = upto - np.repeat(upto[self.start], self.length)
        return place, before


def _written(theta, weigh):
    """theta with each row proportional to what `weigh` makes of its tokens."""
    if isinstance(theta, Table):
        rows = Rows(theta.p, theta.token, theta.start[:-1])
    else:
        _checked(theta)
        token = np.tile(np.arange(theta.shape[-1]), theta.size // theta.shape[-1])
        rows = Rows(theta.ravel(), token, np.arange(0, theta.size, theta.shape[-1]))
    weight = weigh(rows)
    total = np.add.reduceat(weight, rows.start)
    if not (total > 0).all():
        raise ValueError("write must leave a token in every row, found a row without any")
    weight = weight / np.repeat(total, rows.length)
    return theta.reweighted(weight) if isinstance(theta, Table) else weight.reshape(theta.shape)


def _checked(theta):
    if not isinstance(theta, np.ndarray) or theta.ndim == 0 or theta.dtype.kind != "f":
        raise TypeError(f"theta must be probabilities (..., K), found {_check.short(theta)}")
    if not ((theta >= 0).all() and (abs(theta.sum(axis=-1) - 1) < 1e-6).all()):
        raise ValueError(
            f"theta must be probabilities (..., K) that sum to 1, found {_check.short(theta)}: "
            "only a Categorical or a NextToken has such"
        )
    return theta


def _as_long(name, values, theta):
    K = theta.space.K if isinstance(theta, Table) else _checked(theta).shape[-1]
    if values.size != K:
        raise ValueError(f"{name} must have one number a token, {K}, found {values.size}")
    return values


def _one_fraction(name, value):
    if not 0 <= _check.number(name, value) <= 1:
        raise ValueError(f"{name} must lie in [0, 1], found {value}")
