"""Targets: Zipf's law, this Python's English, a reader's own files. No word-level number."""

import subprocess
import sys

import numpy as np
import pytest

from collapse import targets


def test_zipf():
    np.testing.assert_allclose(targets.zipf(4, 0), 0.25)
    p = targets.zipf(10**6, 1.2)
    assert p.sum() == pytest.approx(1, abs=1e-12) and (np.diff(p) < 0).all()
    assert p[0] / p[9] == pytest.approx(10**1.2)


def test_words_of_this_python():
    english = targets.words(5000)
    assert len(english.tokens) == english.p.size == 5001 and english.tokens[-1] == "<rest>"
    assert english.p.sum() == pytest.approx(1, abs=1e-12) and (english.p > 0).all()
    assert (np.diff(english.p[:-1]) <= 0).all() and english.total > 100_000
    assert len(set(english.tokens)) == 5001 and "the" in english.tokens[:3]
    assert "CPython" in english.source
    short = targets.words(10)
    assert short.tokens[:10] == english.tokens[:10]
    assert short.p[-1] == pytest.approx(english.p[10:].sum())


def test_words_of_a_readers_files(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("The cat -- the Cat, THE 3rd cat's café.", encoding="utf-8")
    two.write_text("Über den Fluß, 'the' end\n", encoding="utf-8")
    both = targets.words(2, [one, str(two)])
    assert both.tokens == ("the", "cat", "<rest>") and both.total == 13
    np.testing.assert_allclose(both.p, [4 / 13, 2 / 13, 7 / 13])
    assert both.source == "one.txt, two.txt"
    alone = targets.words(5, one)
    assert alone.tokens == ("the", "cat", "café", "cat's", "rd", "<rest>")
    assert alone.p[-1] == 0  # nothing is left for the rest


def test_import_is_light():
    """No matplotlib, no scipy.stats, no text read at import."""
    heavy = "('matplotlib', 'scipy.stats')"
    code = f"import sys, collapse; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
