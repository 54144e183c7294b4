"""Targets: the distributions a loop tries to hold on to. Zipf's law, and the words of real English.

Every CPython carries some 300,000 words of technical English: the topics of `help()` and the
docstrings of the standard library. They need no download and no licence to redistribute. They
differ a little between Python builds, so `source` says which one was read.
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

__all__ = ["END", "REST", "Rows", "Text", "Words", "paragraphs", "rows", "text", "words", "zipf"]

END = "<end>"
REST = "<rest>"
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
TOKEN = re.compile(WORD.pattern + r"|[.,;:?!](?!\S)")  # a mark that ends something: not that in a.b
MARKS = ".,;:?!"
NO_PARAGRAPHS = "files must contain paragraphs of three words or more, found none in {}"
BLANK = re.compile(r"\n[^\S\n]*\n")


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


@dataclass(frozen=True, eq=False)
class Rows:
    """A real data set as a target: rows drawn with replacement. Made by `rows`.

    Parameters
    ----------
    x : (m, d) float64
        One row a sample, the label last where there is one; read-only.
    """

    x: np.ndarray

    def __repr__(self):
        return f"<{len(self.x)} rows of {self.x.shape[1]} columns>"


def rows(x, y=None):
    """A real data set as a target for any model but text: its rows, drawn with replacement.

    Parameters
    ----------
    x : (m, d) or (m,) real numbers
    y : (m,) real numbers, optional
        Labels, for a regression.

    Returns
    -------
    Rows

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> rows([[1.0, 2.0], [3.0, 4.0]], y=[0, 1])
    <2 rows of 3 columns>
    """
    x = _check.real_array("x", x)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x must have shape (m, d), found {x.shape}")
    if y is not None:
        y = _check.real_array("y", y)
        if y.shape != x.shape[:1]:
            raise ValueError(f"y must have shape {x.shape[:1]}, found {y.shape}")
        x = np.column_stack([x, y])
    x.setflags(write=False)
    return Rows(x)


@dataclass(frozen=True, eq=False)
class Text:
    """Documents, for a model that learns which token follows which.

    Parameters
    ----------
    tokens : tuple of str, length K
        The vocabulary; the first is ``"<end>"``, the mark that ends a document.
    stream : (N,) whole numbers in [0, K)
        The documents one after another, each with its end mark 0; none is empty. Read-only.
    source : str
        Which text it was.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> Text(("<end>", "a", "b"), [1, 2, 0, 2, 0], "made up")
    <2 documents, 3 running tokens, 2 distinct: made up>
    """

    tokens: tuple
    stream: np.ndarray
    source: str

    def __post_init__(self):
        tokens = tuple(self.tokens)
        stream = _check.whole_array("stream", self.stream, least=0)
        if not tokens or tokens[0] != END or len(set(tokens)) < len(tokens):
            found = _check.short(tokens)
            raise ValueError(f"tokens must be distinct and begin with {END!r}, found {found}")
        if stream.ndim != 1 or stream.size == 0 or stream[-1] != 0:
            raise ValueError(
                "stream must hold at least one document and end with the end mark 0, found "
                f"{_check.short(stream)}"
            )
        if stream.max() >= len(tokens):
            found = f"{stream.max()} for {len(tokens)} tokens"
            raise ValueError(f"stream must be token ids, below the length of tokens, found {found}")
        stop = np.flatnonzero(stream == 0)
        if (np.diff(stop, prepend=-1) == 1).any():
            raise ValueError("stream must hold no empty document, found an end mark after another")
        stream.setflags(write=False)
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "stream", stream)

    def __repr__(self):
        documents = np.count_nonzero(self.stream == 0)
        running, distinct = self.stream.size - documents, np.unique(self.stream).size - 1
        return (
            f"<{documents:,} documents, {running:,} running tokens, {distinct:,} distinct: "
            f"{self.source}>"
        )

    def split(self, share, *, rng=None):
        """Two texts of one vocabulary: the share `share` of the documents, by chance, and the rest.

        Parameters
        ----------
        share : float in (0, 1)
            Of the first text, to train on; the second is held out.
        rng : None, seed or numpy.random.Generator

        Returns
        -------
        (Text, Text)
            Documents in their old order.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> Text(("<end>", "a", "b"), [1, 2, 0, 2, 0], "made up").split(0.5, rng=1)[1]
        <1 documents, 1 running tokens, 1 distinct: made up>
        """
        share = _check.number("share", share)
        end = self.stream == 0
        D = np.count_nonzero(end)
        first = round(share * D)
        if not 0 < first < D:
            raise ValueError(
                f"share must leave both texts a document, found {share} of {D} documents"
            )
        chosen = np.arange(D) < first
        _check.generator(rng).shuffle(chosen)
        inside = chosen[np.cumsum(end) - end]
        parts = self.stream[inside], self.stream[~inside]
        return tuple(Text(self.tokens, part, self.source) for part in parts)

    def decode(self, ids):
        """Token ids as something to read: an end mark begins a new line.

        Parameters
        ----------
        ids : sequence of int

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError
            Naming the argument, the value found and the value wanted.

        Examples
        --------
        >>> Text(("<end>", "a", "."), [1, 2, 0], "made up").decode([1, 1, 2, 0, 1])
        'a a.\\na'
        """
        ids = _check.whole_array("ids", ids, least=0).ravel()
        if ids.size and ids.max() >= len(self.tokens):
            raise ValueError(f"ids must be below {len(self.tokens)}, found {ids.max()}")
        written = "".join(
            "\n" if i == 0 else self.tokens[i] if self.tokens[i] in MARKS else " " + self.tokens[i]
            for i in ids
        )
        return "\n".join(line.strip() for line in written.split("\n"))


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
        contents, source = _read_files(files)
        counts = _count(contents)
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


def text(files=None, *, k=None):
    """Real text as documents of tokens: words in lower case and the marks ``. , ; : ? !``

    A document is a paragraph, between blank lines, of at least three words; paragraphs with ``>>>``
    are code and left out. A mark counts where white space or the end follows.

    Parameters
    ----------
    files : path or list of paths, optional
        UTF-8 text files of your own; by default the English of CPython, as for `words`.
    k : int, optional
        Tokens to keep, the most frequent; ``"<rest>"`` stands for the others. By default all.

    Returns
    -------
    Text
        Its tokens: ``"<end>"``, then by frequency, ties in alphabetical order, with `k` given
        ``"<rest>"`` last.

    Raises
    ------
    FileNotFoundError
        For a file that is not there.
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> english = text(k=3)
    >>> len(english.tokens), english.tokens[0], english.tokens[-1]
    (5, '<end>', '<rest>')
    """
    if files is None:
        whole = _python_text()
    else:
        contents, source = _read_files(files)
        whole = _text(contents, source)
    if k is None:
        return whole
    k = _check.whole("k", k)
    if k >= len(whole.tokens):
        distinct = f"{len(whole.tokens) - 1}, the number of distinct tokens in the text"
        raise ValueError(f"k must be at most {distinct}, found {k}")
    return Text((*whole.tokens[: k + 1], REST), np.minimum(whole.stream, k + 1), whole.source)


def paragraphs(files=None):
    """The documents of `text` as they are written, white space apart.

    Parameters
    ----------
    files : path or list of paths, optional
        As for `text`.

    Returns
    -------
    (list of str, str)
        Paragraphs, and which text they are from.

    Raises
    ------
    FileNotFoundError
        For a file that is not there.
    TypeError, ValueError
        Naming the argument, the value found and the value wanted.

    Examples
    --------
    >>> written, source = paragraphs()
    >>> len(written) > 10_000, source.split(" ")[0]
    (True, 'topics')
    """
    contents, source = (_python_texts(), _python_source()) if files is None else _read_files(files)
    found = [" ".join(part.split()) for part, _ in _documents(contents)]
    if not found:
        raise ValueError(NO_PARAGRAPHS.format(source or "no file"))
    return found, source


def _documents(contents):
    """Paragraphs of at least three words, and their tokens."""
    for content in contents:
        for paragraph in BLANK.split(content):
            found = [] if ">>>" in paragraph else TOKEN.findall(_plain(paragraph))
            if sum(token not in MARKS for token in found) >= 3:
                yield paragraph, found


def _text(contents, source):
    documents = [found for _, found in _documents(contents)]
    counts = Counter(token for document in documents for token in document)
    if not counts:
        raise ValueError(NO_PARAGRAPHS.format(source or "no file"))
    tokens = (END, *sorted(counts, key=lambda token: (-counts[token], token)))
    number = {token: i for i, token in enumerate(tokens)}
    stream = [number[token] for document in documents for token in (*document, END)]
    return Text(tokens, np.array(stream), source)


@cache
def _python_text():
    return _text(_python_texts(), _python_source())


def _plain(text):
    return unicodedata.normalize("NFC", text.lower()).replace("’", "'")


def _count(texts):
    counts = Counter()
    for text in texts:
        counts.update(WORD.findall(_plain(text)))
    return counts


def _read_files(files):
    """What the files contain, and their names."""
    paths = files if isinstance(files, (list, tuple)) else [files]
    if not all(isinstance(path, (str, Path)) for path in paths):
        raise TypeError(f"files must be a path or a list of paths, found {files!r}")
    return [_read(path) for path in paths], ", ".join(Path(path).name for path in paths)


def _read(path):
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise type(error)(
            f"files must be text files that can be read, found {str(path)!r}, looked for from "
            f"{os.getcwd()!r}: {error.strerror}"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"files must be UTF-8 text, found {Path(path).name}: {error}") from None


@cache
def _python_english():
    return _count(_python_texts()), _python_source()


def _python_source():
    return f"topics and docstrings of CPython {platform.python_version()}"


@cache
def _python_texts():
    """The texts of `help()` and every docstring of the standard library."""
    texts = []
    try:
        from pydoc_data.topics import topics

        texts += topics.values()
    except ImportError:  # some distributions leave it out
        pass
    library = Path(sysconfig.get_path("stdlib"))
    skip = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
    for path in sorted(library.rglob("*.py")):
        folders = path.relative_to(library).parts[:-1]
        if skip.isdisjoint(folders) and path.name != "topics.py":
            texts += _docstrings(path)
    if not texts:
        raise ValueError(
            "files must be given: this Python carries neither pydoc_data nor the source of its "
            "standard library to read English from"
        )
    return texts


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
