"""Text in quantity: the docstrings of installed packages, as a folder of documents in three parts.

``python -m collapse.experiments.corpus FOLDER`` writes it; ``python -m collapse.experiments.gpt
--files FOLDER`` reads it, on a machine without those packages too. Files are parsed, not imported.
"""

import argparse
import hashlib
import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from collapse import _check, targets

__all__ = ["PARTS", "collect", "docstrings", "split", "write"]

PARTS = ("train", "validation", "held_out")
LEAST = 8  # words of a paragraph
SHARE = 0.05  # of all paragraphs, for validation and for the held-out part, each
SKIP = {"test", "tests", "testing", "_test", "_tests", "_testing", "_vendor", "vendored",
        "_vendored", "externals", "__pycache__"}  # fmt: skip
WORD = re.compile(r"[^\W\d_]+")


def collect(folder=None):
    """Paragraphs of at least eight words in the docstrings of every package in a folder.

    Parameters
    ----------
    folder : path, optional
        By default that of the installed packages; the standard library is then one more package,
        ``"python"``.

    Returns
    -------
    dict of str to list of str
        By top-level name, in alphabetical order. Tests, vendored copies and paragraphs with
        ``>>>`` are left out.

    Raises
    ------
    ValueError
        If no docstring is found.

    Examples
    --------
    >>> from pathlib import Path
    >>> sorted(collect(Path(__file__).parent))
    ['__init__', 'corpus', 'gpt']
    """
    given, folder = folder, Path(sysconfig.get_path("purelib") if folder is None else folder)
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if SKIP.isdisjoint(parts) and not parts[-1].startswith(("test_", "conftest")):
            found.setdefault(parts[0], []).extend(_paragraphs(docstrings(path)))
    if given is None:
        found["python"] = [p for p in targets.paragraphs()[0] if len(WORD.findall(p)) >= LEAST]
    found = {name: paragraphs for name, paragraphs in sorted(found.items()) if paragraphs}
    if not found:
        raise ValueError(f"folder must hold packages with docstrings, found none in {folder}")
    return found


def docstrings(path):
    """The docstrings of one Python file, [] where it cannot be parsed."""
    return list(targets._docstrings(path))


def _paragraphs(texts):
    for text in texts:
        for paragraph in targets.BLANK.split(text):
            if ">>>" not in paragraph and len(WORD.findall(paragraph)) >= LEAST:
                yield " ".join(paragraph.split())


def split(packages, share=SHARE):
    """Whole packages into training, validation and held-out text; repeated paragraphs removed.

    A package with more than `share` of all paragraphs is for training. The others are taken in the
    order of the SHA-256 of their names: held out until they hold `share`, then for validation
    until they do, then for training. Then, training first, a paragraph goes if its words (no case,
    digits or punctuation) stood before, or if at least half of its different runs of five words
    did, in whatever paragraphs.

    Parameters
    ----------
    packages : dict of str to list of str
    share : float above 0

    Returns
    -------
    dict of str to dict of str to list of str
        Part, package, paragraphs.

    Raises
    ------
    ValueError
        If `share` is out of range, or leaves a part without text.

    Examples
    --------
    >>> said = "one two three four five six seven eight"
    >>> packages = {"a": [said, said.upper(), said + " nine"], "b": [said[::-1]], "c": ["c " * 8]}
    >>> found = split(packages, 0.2)
    >>> {part: {name: len(texts) for name, texts in own.items()} for part, own in found.items()}
    {'train': {'a': 1}, 'validation': {'b': 1}, 'held_out': {'c': 1}}
    """
    share = _check.number("share", share, above=0)
    total = sum(map(len, packages.values()))
    small = sorted(
        (name for name, texts in packages.items() if len(texts) <= share * total),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    parts = {part: [] for part in PARTS}
    for part in ("held_out", "validation"):
        held = 0
        while small and held < share * total:
            parts[part].append(small.pop(0))
            held += len(packages[parts[part][-1]])
    apart = {*parts["held_out"], *parts["validation"]}
    parts["train"] = [name for name in packages if name not in apart]
    seen, runs = set(), set()
    found = {
        part: {name: [t for t in packages[name] if _new(t, seen, runs)] for name in sorted(names)}
        for part, names in parts.items()
    }
    found = {part: {k: v for k, v in own.items() if v} for part, own in found.items()}
    for part, own in found.items():
        if not own:
            raise ValueError(
                f"share must leave text in every part, found {share} with none for {part}"
            )
    return found


def _new(text, seen, runs):
    words = tuple(word.casefold() for word in WORD.findall(text))
    own = {hash(run) for run in zip(*(words[k:] for k in range(5)), strict=False)}
    old = words in seen or 2 * len(own & runs) >= len(own)
    if not old:
        seen.add(words)
        runs |= own
    return not old


def write(folder, parts):
    """Parts as text files, one a package: ``folder/train/numpy.txt`` and so on.

    Parameters
    ----------
    folder : path
        A new or empty folder, in one that exists.
    parts : dict
        As `split` returns it.

    Raises
    ------
    FileExistsError
        If the folder holds something.
    """
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"folder must be empty or new, found files in {str(folder)!r}")
    for part, packages in parts.items():
        (folder / part).mkdir()
        for name, texts in packages.items():
            content = "\n\n".join(texts) + "\n"
            (folder / part / f"{name}.txt").write_text(content, encoding="utf-8", errors="ignore")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m collapse.experiments.corpus",
        description="The docstrings of the installed packages, as documents to train a GPT on.",
    )
    parser.add_argument("folder", help="a new folder")
    given = parser.parse_args(arguments)
    try:
        parts = split(collect())
        write(given.folder, parts)
    except (OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    for part, packages in parts.items():
        size = Counter()
        for texts in packages.values():
            size.update(n=len(texts), words=sum(len(WORD.findall(t)) for t in texts))
        print(f"{part:10} {len(packages):4} packages {size['n']:8,} paragraphs "
              f"{size['words']:10,} words")  # fmt: skip


if __name__ == "__main__":
    main()
