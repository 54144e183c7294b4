"""Schedules: how many samples each generation draws, and how much of them is real.

A schedule is a number, an array of length T + 1, or a function of the generation t. It is never a
class: what a number can say needs no object. `power` and `geometric` return the two families of
functions the theory speaks of; a lambda of your own does as well.
"""

import numpy as np

from collapse import _check

__all__ = ["geometric", "power"]


def power(scale, exponent, *, maximum=np.inf):
    """The schedule t -> min(maximum, scale * t**exponent), and `scale` at t = 0.

    Parameters
    ----------
    scale : float > 0
        Value at t = 1, and at t = 0 where t**exponent says nothing useful.
    exponent : float
        Positive: growth. Negative: decay.
    maximum : float > 0, optional
        A cap, asked for and never silent: a share of real data that starts above 1 needs
        ``maximum=1``.

    Returns
    -------
    function of t
        Real-valued; as a schedule of n it is rounded to whole numbers, at least 1.

    Raises
    ------
    TypeError, ValueError
        For an argument that is not a finite number in its range.

    Source: the family of Bakshi and Chakraborty (2026), section on decaying real share; Claim B7.

    Examples
    --------
    >>> share = power(2, -1, maximum=1)
    >>> [float(share(t)) for t in (0, 1, 2, 8)]
    [1.0, 1.0, 1.0, 0.25]
    """
    scale = _check.number("scale", scale, above=0)
    exponent = _check.number("exponent", exponent)
    return _capped(lambda t: _times_power(scale, float(max(t, 1)), exponent), maximum)


def geometric(start, ratio, *, maximum=np.inf):
    """The schedule t -> min(maximum, start * ratio ** float(t)).

    Parameters
    ----------
    start : float > 0
        Value at t = 0.
    ratio : float > 0
        Factor from one generation to the next.
    maximum : float > 0, optional
        A cap, asked for and never silent.

    Returns
    -------
    function of t

    Raises
    ------
    TypeError, ValueError
        For an argument that is not a finite number in its range.

    Source: the growth of Claims D1-D3.

    Examples
    --------
    >>> size = geometric(100, 1.5)
    >>> [float(size(t)) for t in range(3)]
    [100.0, 150.0, 225.0]
    """
    start = _check.number("start", start, above=0)
    ratio = _check.number("ratio", ratio, above=0)
    return _capped(lambda t: _times_power(start, ratio, float(t)), maximum)


def _times_power(scale, base, exponent):
    """scale * base**exponent, finite too where only the power is beyond float64."""
    quarter = base ** (exponent / 4)
    if 1e-70 < quarter < 1e70:
        return scale * base**exponent
    return scale * quarter * quarter * quarter * quarter  # between scale and the result all along


def _capped(function, maximum):
    cap = _check.real_array("maximum", maximum, finite=False)
    if cap.ndim or cap != np.inf:
        maximum = _check.number("maximum", maximum, above=0)

    def schedule(t):
        try:
            return min(maximum, function(t))
        except OverflowError:  # beyond float64: the cap, or an infinity that `n` will refuse
            return maximum

    return schedule


def resolve_sizes(n, generations):
    """The int64 array n_0..n_T of a schedule of sample sizes."""
    if callable(n):
        drawn = _call("n", n, range(generations + 1))
        if (drawn <= 0).any():
            t = np.argmax(drawn <= 0)
            raise ValueError(f"n(t) must be above 0, found n({t}) = {drawn[t]}")
        return _check.whole_array("n(t)", np.maximum(np.rint(drawn), 1))
    return _full("n", _check.whole_array("n", n), generations)


def resolve_shares(alpha, generations, *, name="alpha"):
    """The float64 array alpha_0..alpha_T of a schedule of shares; alpha_0 is 1."""
    if callable(alpha):
        drawn = _call(name, alpha, range(1, generations + 1))
        wrong = (drawn < 0) | (drawn > 1)
        if wrong.any():
            t = np.argmax(wrong)
            raise ValueError(f"{name}(t) must lie in [0, 1], found {name}({t + 1}) = {drawn[t]}")
        return np.concatenate([[1.0], drawn])
    alpha = _check.fraction(name, alpha)
    if alpha.ndim == 0:
        return np.concatenate([[1.0], np.full(generations, alpha)])
    alpha = _full(name, alpha, generations)
    if alpha[0] != 1:
        raise ValueError(
            f"{name}[0] must be 1 (generation 0 trains on real data only), found {alpha[0]}"
        )
    return alpha


def _call(name, schedule, times):
    values = [schedule(t) for t in times]
    array = _check.real_array(f"{name}(t)", values)
    if array.ndim != 1:
        raise ValueError(f"{name}(t) must return one number, found {values[0]!r}")
    return array


def _full(name, array, generations):
    if array.ndim == 0:
        return np.full(generations + 1, array)
    if array.shape != (generations + 1,):
        raise ValueError(
            f"{name} must be a number, a function of t or an array of length "
            f"generations + 1 = {generations + 1}, found shape {array.shape}"
        )
    return array
