"""Documents out of installed packages: what is read, what is left out, which part it goes to."""

import pytest

from collapse.experiments import corpus

LONG = "these are exactly eight words in one line"


def package(folder, name, *texts, file="__init__.py"):
    path = folder / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"def f{i}():\n    {text!r}\n" for i, text in enumerate(texts)))


def other(k):
    """A paragraph that shares no run of five words with another k's."""
    return " ".join(chr(97 + k) * (i + 1) for i in range(12))


def test_what_is_collected(tmp_path):
    package(tmp_path, "a", LONG, "too few words here", ">>> " + LONG, f"{other(1)}\n\n{other(2)}")
    package(tmp_path, "a", other(3), file="tests/test_x.py")
    package(tmp_path, "a", other(4), file="_vendor/z.py")
    package(tmp_path, "b", "nothing")
    (tmp_path / "bad.py").write_text("def (")
    (tmp_path / "stops.py").write_text(f'"""{LONG}"""\nraise SystemExit("it was imported")\n')
    assert corpus.collect(tmp_path) == {"a": [LONG, other(1), other(2)], "stops": [LONG]}
    with pytest.raises(ValueError, match="folder must hold packages with docstrings"):
        corpus.collect(tmp_path / "b")


def test_packages_stay_whole_and_repetitions_go():
    """Half of a paragraph's runs of five words seen before: it goes; fewer: it stays."""
    packages = {"big": [other(k) for k in range(9)], **{f"s{k}": [other(10 + k)] for k in range(5)}}
    half = " ".join([*other(0).split()[:8], *other(20).split()[:4]])  # 4 of 8 runs are old
    less = " ".join([*other(0).split()[:7], *other(21).split()[:5]])  # 3 of 8
    for name in ("s0", "s1", "s2", "s3", "s4"):
        packages[name] += [half, less, other(0).upper() + " 3!"]
    parts = corpus.split(packages, 0.25)
    names = [name for own in parts.values() for name in own]
    assert sorted(names) == sorted(packages) and set(parts) == set(corpus.PARTS)
    assert "big" in parts["train"] and all(parts.values())
    texts = [t for own in parts.values() for found in own.values() for t in found]
    assert len(texts) == len(set(texts)) == 9 + 5 + 1 and less in texts and half not in texts
    assert corpus.split(packages, 0.25) == parts
    with pytest.raises(ValueError, match="must leave text in every part, found 0"):
        corpus.split(packages, 0.01)


def test_a_folder_keeps_its_parts(tmp_path):
    parts = {part: {part[0]: [f"{part} {other(k)}" for k in range(3)]} for part in corpus.PARTS}
    corpus.write(tmp_path / "text", parts)
    assert sorted(p.name for p in tmp_path.rglob("*.txt")) == ["h.txt", "t.txt", "v.txt"]
    gpt = pytest.importorskip("collapse.experiments.gpt")
    found = gpt.read(260, 300, files=tmp_path / "text", held_out=2, rng=1)
    for rows, part in ((found.train, "train"), (found.validation, "validation")):
        assert {found.decode(row) for row in rows} == set(parts[part][part[0]])
    assert len({found.decode(row) for row in found.held_out} & set(parts["held_out"]["h"])) == 2
    with pytest.raises(FileExistsError, match="folder must be empty"):
        corpus.write(tmp_path / "text", parts)


def test_an_installed_package():
    """Numpy, read from its files."""
    import numpy

    found = corpus.collect(numpy.__path__[0])
    assert sum(map(len, found.values())) > 3000 and "tests" not in found
