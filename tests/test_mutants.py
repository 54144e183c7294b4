"""The list of planted faults: every one can still be planted, and a few are, here and now."""

import re
from collections import Counter

import mutants
import pytest

MUTANTS = {mutant["id"]: mutant for mutant in mutants.load()}
QUICK = (
    "engine-batch-size",
    "exact-token-law-stale-size",
    "bounds-l1-loose",
    "metrics-coverage-of-strangers",
)


def test_the_list_is_whole():
    """At least 40, each once, in every module that makes a number."""
    assert len(MUTANTS) == len(mutants.load()) >= 40
    seen = Counter(mutant["file"] for mutant in MUTANTS.values())
    parts = "engine plans schedules exact _lineage asymptotics bounds design metrics targets result"
    wanted = {f"collapse/{name}.py" for name in parts.split()}
    wanted |= {
        f"collapse/models/{path.name}" for path in (mutants.ROOT / "collapse/models").glob("*.py")
    } - {"collapse/models/__init__.py"}
    assert wanted <= set(seen)
    for mutant in MUTANTS.values():
        assert set(mutant) == {"id", "fault", "file", "old", "new", "tests"}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_fault_can_be_planted(name):
    assert mutants.planted(MUTANTS[name])


@pytest.mark.parametrize("name", MUTANTS)
def test_the_tests_of_a_fault_are_there(name):
    """Renamed or gone, they would catch nothing; words of -k stand in names or parameters."""
    files, _, chosen = MUTANTS[name]["tests"].partition(" -k ")
    paths = [mutants.ROOT / one.partition("::")[0] for one in files.split() if ".py" in one]
    paths.append(mutants.ROOT / "tests" / "cases.py")  # names of parameters
    text = "".join(path.read_text(encoding="utf-8") for path in paths).lower()
    words = set(re.findall(r"\w+", chosen.lower())) - {"and", "or", "not"}
    assert len(paths) > 1 and all(word in text for word in words)


def test_a_few_faults_are_caught():
    """And a change that nobody can see is not: the tests of the tests can fail."""
    harmless = {
        "id": "harmless", "fault": "none", "file": "collapse/schedules.py",
        "old": "return scale * base", "new": "return 1.0 * scale * base",
        "tests": "tests/test_schedules.py",
    }  # fmt: skip
    assert mutants.survivors([MUTANTS[name] for name in QUICK] + [harmless]) == ["harmless"]


def test_an_entry_that_no_longer_fits_is_refused():
    gone = MUTANTS["engine-batch-size"] | {"old": "no such text"}
    with pytest.raises(ValueError, match=r"engine-batch-size: old must stand .* found 0"):
        mutants.planted(gone)
    with pytest.raises(SystemExit, match=r"no such fault in tests/mutants\.yml: none"):
        mutants.main(["none"])


def test_what_fails_without_the_fault_catches_nothing(monkeypatch):
    runs = {True: (1, ["tests/x.py::a"], ""), False: (1, ["tests/x.py::a"], "")}
    monkeypatch.setattr(mutants, "run", lambda tests, mutant=None: runs[mutant is not None])
    assert mutants.survivors([MUTANTS["engine-n-late"]]) == ["engine-n-late"]
    runs[False] = 0, [], ""
    assert mutants.survivors([MUTANTS["engine-n-late"]]) == []
    runs[True] = 1, ["tests/x.py"], "does not import"  # not a test that failed
    assert mutants.survivors([MUTANTS["engine-n-late"]]) == ["engine-n-late"]
