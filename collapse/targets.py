"""Targets: the distributions a loop tries to hold on to. Zipf's law, and the words of real English.

Every CPython carries some 300,000 words of technical English: the topics of `help()` and the
docstrings of the standard library. They need no download and no licence to redistribute. They
differ a little between Python builds, so `source` says which one was read.
"""

import ast
import csv
import json
import os
import platform
import re
import sysconfig
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np

from collapse import _check

__all__ = ["END", "REST", "Rows", "Text", "Words", "paragraphs", "rows", "text", "words", "zipf"]

END = "<end>"
REST = "<rest>"
WORD = re.compile(r"<unk>|[^\W\d_]+(?:'[^\W\d_]+)*")
TOKEN = re.compile(WORD.pattern + r"|[.,;:?!](?!\S)")  # a mark that ends something: not that in a.b
MARKS = ".,;:?!"
BLANK = re.compile(r"\n[^\S\n]*\n")
DOCUMENTS = {"paragraph": BLANK.split, "line": str.splitlines, "file": lambda content: [content]}
TAG = re.compile(r"</[a-z][a-z0-9]*\s*>", re.IGNORECASE)
# Thai, Lao, Tibetan, Burmese, Khmer, Japanese and Chinese without spaces between the words
RUN = re.compile("[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]{5,}")
UNCUT = 0.02  # of the letters: a foreign name or two in a text do no harm


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
    between : str
        What `decode` writes between two tokens: a space, nothing where they are characters.

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
    between: str = " "

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
        return tuple(Text(self.tokens, part, self.source, self.between) for part in parts)

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
            "\n" if i == 0 else ("" if self.tokens[i] in MARKS else self.between) + self.tokens[i]
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


def words(k, files=None, *, field=None):
    """Word probabilities of real text: the k most frequent words, lower case, and ``"<rest>"``.

    Parameters
    ----------
    k : int
        Words to keep, at least 1 and at most the number of distinct words in the text.
    files : path or list of paths, optional
        UTF-8 text files of your own, in a language that separates its words and writes them in
        letters without combining marks (others: `text` with ``cut="character"``). By default the
        English that ships with every CPython: `pydoc_data.topics` and the docstrings of the
        standard library. ``<unk>`` is one word.
    field : str, optional
        Where the files are tables, ``.csv``, ``.tsv`` or JSON Lines: the column to read.

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
    if files is None and field is None:
        counts, source = _python_english()
    else:
        contents, source = _read_files(files, field)
        _cuttable(contents, source)
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


def text(files=None, *, k=None, by="paragraph", cut="word", field=None):
    """Real text as documents of tokens: words in lower case and the marks ``. , ; : ? !``

    A mark counts where white space or the end follows. ``<unk>`` is one token.

    Parameters
    ----------
    files : path or list of paths, optional
        UTF-8 text files of your own; by default the English of CPython, as for `words`.
    k : int, optional
        Tokens to keep, the most frequent; ``"<rest>"`` stands for the others. By default all.
    by : "paragraph", "line" or "file"
        What a document is. "paragraph": what stands between blank lines, of at least three words;
        paragraphs with ``>>>`` are code and left out. "line": a line with a word in it, for lists
        (names, titles). "file": a whole file, or record of a table. The text must have two or more.
    cut : "word" or "character"
        What a token is. "character": a character in lower case with its combining marks, white
        space a single space; for scripts that do not separate words, and for models of spelling.
    field : str, optional
        Where the files are tables, ``.csv``, ``.tsv`` or JSON Lines: the column that holds the
        text. Each record is read as a file of its own.

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

    One document a line, of words or of characters, and one column of a table:

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     names, table = Path(folder, "names.txt"), Path(folder, "films.csv")
    ...     _ = names.write_text("Ada\\nAlan\\nGrace\\n")
    ...     _ = table.write_text("id,title\\n1,The Third Man\\n2,Rear Window\\n")
    ...     text(names, by="line")
    ...     text(names, by="line", cut="character")
    ...     text(table, field="title", by="line")
    <3 documents, 3 running tokens, 3 distinct: names.txt>
    <3 documents, 12 running tokens, 8 distinct: names.txt>
    <2 documents, 5 running tokens, 5 distinct: films.csv>
    """
    by = _check.option("by", by, tuple(DOCUMENTS))
    cut = _check.option("cut", cut, ("word", "character"))
    if files is None and field is None and (by, cut) == ("paragraph", "word"):
        whole = _python_text()
    else:
        contents, source = _read_files(files, field)
        whole = _text(contents, source, by, cut)
    if k is None:
        return whole
    k = _check.whole("k", k)
    if k >= len(whole.tokens):
        distinct = f"{len(whole.tokens) - 1}, the number of distinct tokens in the text"
        raise ValueError(f"k must be at most {distinct}, found {k}")
    tokens, stream = (*whole.tokens[: k + 1], REST), np.minimum(whole.stream, k + 1)
    return Text(tokens, stream, whole.source, whole.between)


def paragraphs(files=None, *, by="paragraph", field=None):
    """The documents of `text` as they are written, white space apart.

    Parameters
    ----------
    files : path or list of paths, optional
    by : "paragraph", "line" or "file"
    field : str, optional
        All as for `text`; a script that does not separate its words is no harm here.

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
    contents, source = _read_files(files, field)
    by = _check.option("by", by, tuple(DOCUMENTS))
    return [" ".join(part.split()) for part, _ in _documents(contents, source, by)], source


def _documents(contents, source, by, cut="word"):
    """The documents, two or more, and their tokens."""
    least, find = (3 if by == "paragraph" else 1), TOKEN.findall if cut == "word" else _characters
    found = []
    for content in contents:
        for part in DOCUMENTS[by](content):
            tokens = [] if by == "paragraph" and ">>>" in part else find(_plain(part))
            if sum(token not in MARKS and token != " " for token in tokens) >= least:
                found.append((part, tokens))
    if not found:
        want = "paragraphs of three words or more" if least == 3 else f"a {by} with a word in it"
        raise ValueError(f"files must contain {want}, found none in {source or 'no file'}")
    if len(found) == 1:
        raise ValueError(
            f"files must hold two documents or more, found one {by} of {len(found[0][1]):,} tokens "
            f"in {source}: by='line' makes each line a document, by='paragraph' what stands "
            "between blank lines, by='file' each file"
        )
    return found


def _text(contents, source, by="paragraph", cut="word"):
    if cut == "word":
        _cuttable(contents, source)
    documents = [found for _, found in _documents(contents, source, by, cut)]
    counts = Counter(token for document in documents for token in document)
    tokens = (END, *sorted(counts, key=lambda token: (-counts[token], token)))
    number = {token: i for i, token in enumerate(tokens)}
    stream = [number[token] for document in documents for token in (*document, END)]
    return Text(tokens, np.array(stream), source, " " if cut == "word" else "")


@cache
def _python_text():
    return _text(_python_texts(), _python_source())


def _plain(text):
    return unicodedata.normalize("NFC", text.lower()).replace("’", "'")


def _characters(text):
    """Characters with their combining marks, white space a single space."""
    found = []
    for letter in " ".join(text.split()):
        if found and (unicodedata.category(letter)[0] == "M" or letter == "\u200d"):
            found[-1] += letter
        else:
            found.append(letter)
    return found


def _cuttable(contents, source):
    """Refuse a text whose words `WORD` does not find."""
    whole = unicodedata.normalize("NFC", "\n".join(contents))
    runs, counts = "".join(RUN.findall(whole)), Counter(whole)
    letters = sum(count for letter, count in counts.items() if letter.isalpha())
    counts.subtract(runs)
    marks = sum(count for c, count in counts.items() if unicodedata.category(c)[0] == "M")
    if len(runs) + marks > UNCUT * (letters + marks):
        raise ValueError(
            "files must be in a script that separates its words by spaces and has no combining "
            f"marks, found {(runs or whole)[:20]!r} in {source}: "
            "targets.text(files, cut='character') makes tokens of characters"
        )


def _count(texts):
    counts = Counter()
    for text in texts:
        counts.update(WORD.findall(_plain(text)))
    return counts


def _read_files(files, field):
    """What the files contain, and their names; by default Python's."""
    if files is None:
        if field is not None:
            raise ValueError(f"files must be tables where field is given, found none for {field!r}")
        return _python_texts(), _python_source()
    paths = files if isinstance(files, (list, tuple)) else [files]
    if not all(isinstance(path, (str, Path)) for path in paths):
        raise TypeError(f"files must be a path or a list of paths, found {files!r}")
    if field is not None and not isinstance(field, str):
        raise TypeError(f"field must be the name of a column, found {field!r}")
    contents = [content for path in paths for content in _read(Path(path), field)]
    return contents, ", ".join(Path(path).name for path in paths)


def _read(path, field):
    """The text of a file; the column `field` of a table."""
    content = _decode(path)
    comma = path.suffix.lower() in (".csv", ".tsv")
    if field is not None:
        return list(_column(content, path.name, field, comma))
    start = content.lstrip()[:200].lower()
    if comma or path.suffix.lower() in (".jsonl", ".ndjson", ".json") or _is_json(content):
        raise ValueError(
            f"field must name the column to read where a file is a table, found None for "
            f"{path.name}, which begins {start[:40]!r}"
        )
    markup = start.startswith(("<!doctype", "<html", "<?xml"))
    if markup or len(TAG.findall(content)) > len(content) / 500:
        raise ValueError(
            f"files must be plain text, found markup in {path.name}, which begins {start[:40]!r}: "
            "save its text without the tags first (a browser can)"
        )
    return [content]


def _is_json(content):
    for part in (content.lstrip().split("\n", 1)[0], content):
        try:
            value = json.loads(part) if content.lstrip()[:1] in ("{", "[") else None
        except (ValueError, RecursionError):
            continue
        return isinstance(value, dict) or (bool(value) and isinstance(value[0], (dict, str)))
    return False


def _column(content, name, field, comma):
    """The texts of one column of a table with a header, or of JSON Lines."""
    lines = content.split("\n")
    try:
        if comma:
            sign = max(",;\t", key=lines[0].count)
            records = csv.DictReader(StringIO(content, newline=""), delimiter=sign)
        else:
            records = (json.loads(line) for line in lines if line.strip())
        for i, record in enumerate(records, start=1):
            value = record.get(field) if isinstance(record, dict) else None
            if not isinstance(value, str) or None in record:  # None: cells beyond the header
                raise ValueError(
                    f"field must name a column of text in every record, {field!r} does not in "
                    f"record {i} of {name}, found {_check.short(record)}"
                )
            yield value
    except (json.JSONDecodeError, csv.Error) as error:
        raise ValueError(
            f"files must be .csv, .tsv or JSON Lines where field is given, found {name}: {error}"
        ) from None


def _decode(path):
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise type(error)(
            f"files must be text files that can be read, found {str(path)!r}, looked for from "
            f"{os.getcwd()!r}: {error.strerror}"
        ) from None
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    if not wide and (b"\0" in raw or raw.startswith(b"%PDF")):
        raise ValueError(
            f"files must be UTF-8 text, found binary content in {path.name}: save its text first, "
            "from the program that reads it"
        )
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        old = "utf-16" if wide else "cp1252"
        raise ValueError(
            f"files must be UTF-8 text, found {path.name}: {error}. If it is {old}, this converts "
            f"it: Path('new.txt').write_text(Path({path.name!r}).read_text({old!r}), 'utf-8')"
        ) from None


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
