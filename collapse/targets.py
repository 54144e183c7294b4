"""Targets: the distributions a loop tries to hold on to. Zipf's law, and the words of real English.

Every CPython carries some 300,000 words of technical English: the topics of `help()` and the
docstrings of the standard library. They need no download and no licence to redistribute. They
differ a little between Python builds, so `Words.source` says which one was read.
"""

import ast
import os
import platform
import re
import sysconfig
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from collapse import _check

__all__ = ["REST", "Words", "words", "zipf"]

REST = "<rest>"
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


@dataclass(frozen=True, eq=False)
class Words:
    """Word probabilities of a text: the k most frequent words and one token for the rest.

    Parameters
    ----------
    tokens : tuple of str, length k + 1
        Most frequent first, ties in alphabetical order; the last is ``"<rest>"``.
    p : (k + 1,) float64
        Their shares of the running words; read-only.
    total : int
        Running words in the text.
    source : str
        Which text it was.
    """

    tokens: tuple
    p: np.ndarray
    total: int
    source: str

    def __repr__(self):
        return f"<{len(self.tokens) - 1} words of {self.total:,} and {REST}: {self.source}>"


def zipf(K, s=1.0):
    """Zipf's law: p_k proportional to k^(-s), k = 1..K.

    Parameters
    ----------
    K : int
        Vocabulary size, at least 1.
    s : float
        Exponent, at least 0; 0 is the uniform distribution.

    Returns
    -------
    (K,) float64, decreasing

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> zipf(3).round(4).tolist()
    [0.5455, 0.2727, 0.1818]
    """
    K = _check.whole("K", K)
    s = _check.number("s", s, least=0)
    weight = np.arange(1, K + 1, dtype=np.float64) ** -s
    return weight / weight.sum()


def words(k, files=None):
    """Word probabilities of real text: the k most frequent words, lower case, and ``"<rest>"``.

    Parameters
    ----------
    k : int
        Words to keep, at least 1 and at most the number of distinct words in the text.
    files : path or list of paths, optional
        UTF-8 text files of your own, in a language that separates its words and writes them in
        letters without combining marks. By default the English
        that ships with every CPython: `pydoc_data.topics` and the docstrings of the standard
        library.

    Returns
    -------
    Words

    Raises
    ------
    FileNotFoundError
        For a file that is not there.
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> english = words(3)
    >>> len(english.tokens), english.tokens[-1], round(float(english.p.sum()), 9)
    (4, '<rest>', 1.0)
    """
    k = _check.whole("k", k)
    if files is None:
        counts, source = _python_english()
    else:
        counts, source = _count_files(files)
    if not counts:
        raise ValueError(f"files must contain words, found none in {source or 'no file'}")
    if k > len(counts):
        distinct = f"{len(counts)}, the number of distinct words in the text"
        raise ValueError(f"k must be at most {distinct}, found {k}")
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:k]
    total = sum(counts.values())
    number = np.array([count for _, count in kept] + [total - sum(c for _, c in kept)])
    p = number / total
    p.setflags(write=False)
    return Words((*(word for word, _ in kept), REST), p, total, source)


def _count(texts):
    counts = Counter()
    for text in texts:
        plain = unicodedata.normalize("NFC", text.lower()).replace("’", "'")
        counts.update(WORD.findall(plain))
    return counts


def _count_files(files):
    paths = files if isinstance(files, (list, tuple)) else [files]
    if not all(isinstance(path, (str, Path)) for path in paths):
        raise TypeError(f"files must be a path or a list of paths, found {files!r}")
    return _count(map(_read, paths)), ", ".join(Path(path).name for path in paths)


def _read(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise type(error)(
            f"files must be text files that can be read, found {str(path)!r}, looked for from "
            f"{os.getcwd()!r}: {error.strerror}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"files must be UTF-8 text, found {Path(path).name}: {error}") from None


@cache
def _python_english():
    counts = _count(_python_texts())
    if not counts:
        raise ValueError(
            "files must be given: this Python carries neither pydoc_data nor the source of its "
            "standard library to read English from"
        )
    return counts, f"topics and docstrings of CPython {platform.python_version()}"


def _python_texts():
    """The texts of `help()` and every docstring of the standard library."""
    try:
        from pydoc_data.topics import topics

        yield from topics.values()
    except ImportError:  # some distributions leave it out
        pass
    library = Path(sysconfig.get_path("stdlib"))
    skip = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
    for path in sorted(library.rglob("*.py")):
        folders = path.relative_to(library).parts[:-1]
        if skip.isdisjoint(folders) and path.name != "topics.py":
            yield from _docstrings(path)


def _docstrings(path):
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and bad-syntax samples are not Python
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield text
