"""Figures of loops: simulation solid with its band, theory dashed black, labels on the lines.

Functions draw arrays; they know neither plans nor simulations. Each takes ``ax=None`` (the current
axes) and returns the axes.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import normalize_kwargs
from matplotlib.lines import Line2D

from collapse import _check

__all__ = ["PALETTE", "label", "level", "simulated", "theory"]

# Okabe and Ito (2008): told apart with every common colour vision. Style tells them apart too.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def simulated(values, *, band="mean", name=None, color=None, ax=None, **style):
    """Draw the mean of simulated runs and a 95% band.

    Parameters
    ----------
    values : (T+1, R) real numbers, finite, R at least 2
        One statistic, generation by replication, such as ``result.values["l2"]``.
    band : {"mean", "runs", "none"}
        ``"mean"``: mean plus or minus 1.96 standard errors. ``"runs"``: the 2.5% and 97.5%
        quantiles of single runs.
    name : str, optional
        Written at the right end of the line.
    color : matplotlib color, optional
        By default the next of the axes' cycle.
    ax : matplotlib Axes, optional
    **style
        For the line, as in ``Axes.plot``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> ax = simulated([[0.1, 0.3], [0.2, 0.6]], name="two runs")
    >>> [round(float(y), 9) for y in ax.lines[-1].get_ydata()]
    [0.2, 0.4]
    """
    values = _check.real_array("values", values)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"values must have shape (T + 1, R), R at least 2, found {values.shape}")
    _check.option("band", band, ("mean", "runs", "none"))
    ax, style = _axes(ax, name), normalize_kwargs(style, Line2D)
    t, mean = np.arange(len(values)), values.mean(axis=1)
    (line,) = ax.plot(t, mean, color=color, **style)
    if band == "mean":
        half = 1.96 * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
        low, high = mean - half, mean + half
    elif band == "runs":
        low, high = np.quantile(values, [0.025, 0.975], axis=1)
    if band != "none":
        ax.fill_between(t, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
    return ax if name is None else label(name, t[-1], mean[-1], color=line.get_color(), ax=ax)


def theory(curve, *, name=None, ax=None, **style):
    """Draw a theoretical curve, dashed and black, over generations 0..T.

    Parameters
    ----------
    curve : (T+1,) real numbers, finite
    name, ax, **style
        As in `simulated`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> theory([0.1, 0.2]).lines[-1].get_linestyle()
    '--'
    """
    curve = _check.real_array("curve", curve)
    if curve.ndim != 1 or curve.size == 0:
        raise ValueError(f"curve must have shape (T + 1,), found {curve.shape}")
    ax, t = _axes(ax, name), np.arange(curve.size)
    style = normalize_kwargs(style, Line2D)
    ax.plot(t, curve, **{"color": "black", "linestyle": "--", "linewidth": 1.3, **style})
    return ax if name is None else label(name, t[-1], curve[-1], ax=ax)


def level(height, *, name=None, ax=None, **style):
    """Draw a horizontal dotted line at `height`, named at its right end.

    Parameters
    ----------
    height : float
    name, ax, **style
        As in `simulated`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> level(0.5).lines[-1].get_linestyle()
    ':'
    """
    height = _check.number("height", height)
    ax, style = _axes(ax, name), normalize_kwargs(style, Line2D)
    style = {"color": "0.35", "linestyle": ":", "linewidth": 1.3, **style}
    ax.axhline(height, **style)
    if name is None:
        return ax
    return label(name, ax.get_xlim()[1], height, color=style["color"], ax=ax)


def label(text, x, y, *, color="black", ax=None, offset=(4, 0)):
    """Write `text` beside the point (x, y), in place of a legend.

    Parameters
    ----------
    text : str
    x, y : float
        In data coordinates.
    color : matplotlib color
    ax : matplotlib Axes, optional
    offset : pair of float
        Points to the right and up.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If `text` is not a str.

    Examples
    --------
    >>> label("collapse", 10, 1.0).texts[-1].get_text()
    'collapse'
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, found {text!r}")
    x, y = _check.number("x", x), _check.number("y", y)
    offset = _check.real_array("offset", offset)
    if offset.shape != (2,):
        raise ValueError(f"offset must be a pair of numbers, found shape {offset.shape}")
    ax = _axes(ax)
    ax.annotate(
        text,
        (x, y),
        tuple(offset),
        textcoords="offset points",
        color=color,
        va="center",
        clip_on=False,
    )
    return ax


def _axes(ax, name=None):
    """The axes to draw on, once it is clear that everything can be drawn."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, found {name!r}")
    if ax is not None and not isinstance(ax, plt.Axes):
        raise TypeError(f"ax must be matplotlib Axes or None, found {ax!r}")
    return ax if ax is not None else plt.gca()
