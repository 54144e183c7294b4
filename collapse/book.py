"""What only the book's notebooks need: the look of figures, numbers in sentences, and checks.

Outside the book the notebooks run all the same: `glue` does nothing where myst-nb is missing.
"""

import os

import numpy as np

from collapse import _check

__all__ = ["check", "glue", "style"]


def style():
    """Give the figures of a notebook the look of the book: vector graphics, one palette.

    The files are the same in every build: SVG, and with ``BOOK_PDF=1`` in the environment PDF too.

    Examples
    --------
    >>> style()
    """
    import matplotlib as mpl

    from collapse.plot import PALETTE

    os.environ["SOURCE_DATE_EPOCH"] = "0"  # no date inside the figures
    mpl.rcParams.update(
        {
            "axes.prop_cycle": mpl.cycler(color=PALETTE),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "figure.figsize": (5.2, 3.4),
            "font.size": 11.5,
            "lines.linewidth": 1.8,
            "svg.fonttype": "path",
            "svg.hashsalt": "collapse",
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", *["pdf"] * bool(os.environ.get("BOOK_PDF")))
    except (ImportError, AttributeError):  # not in a notebook
        pass


def glue(name, value):
    """Keep a computed number under a name, so that a sentence of the book can show it.

    Parameters
    ----------
    name : str
        What ``{glue:text}`` asks for.
    value
        Anything with a repr; format numbers before.

    Examples
    --------
    >>> glue("answer", "42")
    """
    try:
        from IPython import get_ipython
        from myst_nb import glue as keep
    except ImportError:
        return
    if get_ipython() is not None:
        keep(name, value, display=False)


def check(samples, theory, *, at=None, false_alarm=1e-6, planted=0.05):
    """Hold simulated means against theory, and show that a wrong theory would have been seen.

    Prints generation, simulated mean, theory, Monte-Carlo standard error and z = difference over
    standard error. By the central limit theorem a right theory fails with probability about
    `false_alarm` (Bonferroni over the rows); use thousands of replications. The same check must
    then reject a theory that is off by the fraction `planted`, up or down, in every row.

    Parameters
    ----------
    samples : (T+1, R) real numbers, R at least 2
        One statistic, generation by replication.
    theory : (T+1,) real numbers
    at : list of int, optional
        Generations to compare; by default five, spread over 1..T, and the last.
    false_alarm : float in (0, 1)
    planted : float in (0, 1), relative error the check must be able to see; or None
        None where no relative error makes sense (a theory of 0).

    Returns
    -------
    float
        The largest z in absolute value.

    Raises
    ------
    AssertionError
        If theory and simulation disagree, or the check has no power to tell.
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> z = check(rng.normal(2.0, 1.0, (2, 10_000)), [2.0, 2.0], at=[1])
       t    simulated       theory   std.err.      z
       1      1.98833            2     0.0099   -1.2
    agrees: |z| < 4.9, false alarm 1e-06; 5% off: |z| > 8.9
    """
    from scipy.stats import norm

    samples, theory = _check.real_array("samples", samples), _check.real_array("theory", theory)
    if samples.ndim != 2 or samples.shape[1] < 2:
        raise ValueError(f"samples must have shape (T + 1, R), R at least 2, found {samples.shape}")
    if theory.shape != samples.shape[:1]:
        raise ValueError(f"theory must have shape {samples.shape[:1]}, found {theory.shape}")
    last = len(theory) - 1
    if at is None:
        at = np.unique(np.linspace(min(1, last), last, 5).astype(int))
    at = _check.whole_array("at", at, least=0)
    if at.ndim != 1 or at.size == 0 or at.max() > last:
        raise ValueError(f"at must be a list of generations in [0, {last}], found {at.tolist()}")
    for name, value in (("false_alarm", false_alarm), ("planted", planted)):
        if not (name == "planted" and value is None) and not 0 < _check.number(name, value) < 1:
            raise ValueError(f"{name} must lie in (0, 1), found {value!r}")
    mean, expected = samples[at].mean(axis=1), theory[at]
    error = samples[at].std(axis=1, ddof=1) / np.sqrt(samples.shape[1])
    limit = norm.isf(false_alarm / 2 / len(at))

    def z(truth):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num((mean - truth) / error, posinf=np.inf, neginf=-np.inf)

    print("   t    simulated       theory   std.err.      z")
    for row in zip(at, mean, expected, error, z(expected), strict=True):
        print("{:4d} {:12.6g} {:12.6g} {:10.2g} {:+6.1f}".format(*row))
    worst = abs(z(expected)).max()
    assert worst < limit, f"theory and simulation disagree: |z| = {worst:.1f}, limit {limit:.1f}"
    verdict = f"agrees: |z| < {limit:.1f}, false alarm {false_alarm:g}"
    if planted is not None:
        seen = min(abs(z(expected * (1 + d))).min() for d in (planted, -planted))
        assert seen > limit, f"the check could not see an error of {planted:.0%}: z = {seen:.1f}"
        verdict += f"; {planted:.0%} off: |z| > {seen:.1f}"
    print(verdict)
    return float(worst)
