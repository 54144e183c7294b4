"""Figures: what is drawn is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from collapse import book, plot

VALUES = np.random.default_rng(1).normal(size=(6, 40))


def test_mean_and_band():
    ax = plot.simulated(VALUES, name="loop")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), VALUES.mean(axis=1))
    vertices = ax.collections[0].get_paths()[0].vertices
    half = 1.96 * VALUES[3].std(ddof=1) / np.sqrt(40)
    at_3 = vertices[vertices[:, 0] == 3][:, 1]
    np.testing.assert_allclose(
        [at_3.min(), at_3.max()], [VALUES[3].mean() - half, VALUES[3].mean() + half]
    )
    assert ax.texts[0].get_text() == "loop" and ax.texts[0].get_color() == ax.lines[0].get_color()


def test_band_of_runs_and_none():
    _, (left, right) = plt.subplots(1, 2)
    plot.simulated(VALUES, band="runs", ax=left)
    vertices = left.collections[0].get_paths()[0].vertices
    low = vertices[vertices[:, 0] == 2][:, 1].min()
    assert low == np.quantile(VALUES[2], 0.025)
    assert plot.simulated(VALUES, band="none", ax=right) is right and not right.collections


def test_theory_and_level():
    ax = plot.theory([3.0, 2.0, 1.0], name="exact", color="red")
    assert ax.lines[0].get_linestyle() == "--" and ax.lines[0].get_color() == "red"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [3, 2, 1])
    plot.level(1.5, name="plateau", ax=ax)
    assert ax.texts[-1].get_text() == "plateau"


def test_check_reads_the_rows_it_is_given(capsys):
    rng = np.random.default_rng(2)
    samples = rng.normal(1.0, 0.1, (4, 5000))
    samples[0] += 5  # not looked at
    worst = book.check(samples, np.ones(4), at=[1, 3])
    out = capsys.readouterr().out.splitlines()
    assert worst < 5 and [line.split()[0] for line in out[1:3]] == ["1", "3"]
    exactly = np.zeros((2, 10))
    assert book.check(exactly, [0.0, 0.0], planted=None) == 0


def rows_of(mean, R=10_000):
    """Samples with this mean and a standard error of 0.01, in every row."""
    return np.add.outer(mean, np.tile([1.0, -1.0], R // 2) * np.sqrt(1 - 1 / R))


def test_check_shares_its_false_alarm_among_the_rows():
    """2.2 standard errors: too far for one row at 5%, not for the farthest of four."""
    samples = rows_of([0.022, 0.0, 0.0, 0.0])
    kw = {"false_alarm": 0.05, "planted": None}
    assert book.check(samples, np.zeros(4), at=[0, 1, 2, 3], **kw) == pytest.approx(2.2)
    with pytest.raises(AssertionError, match="theory and simulation disagree"):
        book.check(samples, np.zeros(4), at=[0], **kw)


@pytest.mark.parametrize("mean", [0.96, 1.04])
def test_check_must_see_errors_of_both_signs(mean):
    """Four standard errors off agrees with theory, and hides 5% on its own side."""
    with pytest.raises(AssertionError, match="could not see an error of 5%"):
        book.check(rows_of([mean]), [1.0], at=[0])
    assert book.check(rows_of([mean]), [1.0], at=[0], planted=0.1) == pytest.approx(4)
