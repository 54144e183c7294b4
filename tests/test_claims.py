"""book/claims.yml against the book, the package and the tests: no claim without its chain."""

import ast
import importlib.util
import pkgutil
import re
import sys
import textwrap
from graphlib import TopologicalSorter
from itertools import pairwise

import pytest
import yaml
from test_book import BOOK, CLAIMS, ROOT, blocks

import collapse as c
from collapse import book, exact, targets

sys.path.insert(0, str(BOOK / "_ext"))

import claims

NETWORK = importlib.util.find_spec("equinox") is not None  # the extra for the GPT is there
READ = yaml.safe_load(claims.FILE.read_text(encoding="utf-8"))
PARTS, ENTRIES = READ["parts"], READ["claims"]
KNOWN = {entry["id"]: entry for entry in ENTRIES}
DONE = [entry for entry in ENTRIES if entry["status"] != "not yet"]
TEXT = {
    page.relative_to(BOOK).with_suffix("").as_posix(): page.read_text(encoding="utf-8")
    for page in sorted(BOOK.rglob("*.md"))
}
FIELDS = {"id", "title", "statement", "kind", "status", "page", "label", "functions", "tests",
          "rests_on"}  # fmt: skip
KINDS = {"exact", "asymptotic", "bound", "simulated", "conjectured", "cited"}
STATUSES = {"proved", "simulated", "cited", "conjectured", "not yet"}
NAME = r"[A-HNW][1-9]\d*"

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
every_done = pytest.mark.parametrize("entry", DONE, ids=lambda entry: entry["id"])


def named(text):
    """The claims that a docstring names: "Claims A2, A5" or "Claims C1-C3" up to a blank line."""
    found = []
    for part in re.findall(r"\bClaims?\s(.*?)(?:\n\s*\n|$)", text or "", re.DOTALL):
        for first, last in re.findall(rf"\b({NAME})(?:\s?[-–]\s?({NAME}))?\b", part):
            end = int(last[1:]) if last else int(first[1:])
            assert not last or (last[0] == first[0] and end > int(first[1:])), part
            found += [f"{first[0]}{i}" for i in range(int(first[1:]), end + 1)]
    return found


def docstrings():
    """Everything public with its docstring: the modules, and what their `__all__` names."""
    for path in sorted((ROOT / "collapse").rglob("*.py")):
        if path.name == "gpt.py" and not NETWORK:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        yield module.__name__, module.__doc__
        for key in getattr(module, "__all__", []):
            yield f"{module.__name__}.{key}", getattr(module, key).__doc__


def called_after_claims():
    """Test functions called after claims, `test_A2_A3_...` after two: name -> claims."""
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (
                found := re.match(rf"test_((?:{NAME}_)+)", node.name)
            ):
                yield node.name, found[1].strip("_").split("_")


def theorems():
    """Theorems of the book called after a claim: label -> (page, its proof or None)."""
    made = {}
    for page, text in TEXT.items():
        found = [block for block in blocks(text) if block[0].startswith("prf:")]
        for this, after in pairwise([*found, ("", "", None, 0)]):
            if this[0].removeprefix("prf:") in CLAIMS and re.fullmatch(NAME, this[2] or ""):
                fence = re.compile(
                    r"(`{3,}|:{3,})\{prf:proof\}.*?^\1\s*$", re.DOTALL | re.MULTILINE
                )
                proof = after[0] == "prf:proof" and fence.match(text, after[3])
                made[this[2]] = page, proof and proof[0]
    return made


def in_the_appendix(name):
    """What the appendix proves of a claim: its sections `## A1: ...`, one string."""
    section = rf"^## {name}: .*?(?=^\(sec-[\w-]+\)=$|\Z)"
    return "".join(re.findall(section, TEXT["theory/appendix"], re.MULTILINE | re.DOTALL))


def below(name):
    """All that a claim rests on, itself included."""
    return {name}.union(*map(below, KNOWN[name]["rests_on"]))


# The file itself


def test_names_are_unique_and_leave_no_gap():
    names = [entry["id"] for entry in ENTRIES]
    assert len(names) == len(KNOWN)
    counts = {part: sum(name[0] == part for name in names) for part in PARTS}
    assert names == [f"{part}{i + 1}" for part in PARTS for i in range(counts[part])]


@every_entry
def test_entry_is_well_formed(entry):
    without = {"without"} if entry["functions"] == [] else set()
    assert set(entry) == FIELDS | without, "no function, no reason; a function, no reason either"
    assert entry["kind"] and set(entry["kind"]) <= KINDS
    assert entry["status"] in STATUSES
    assert entry["label"] in (None, entry["id"])
    assert entry["statement"].count("$") % 2 == 0
    assert len(textwrap.wrap(entry["title"], claims.LETTERS)) <= 2, "too long for a box of the map"
    for field in ("kind", "functions", "tests", "rests_on"):
        assert len(entry[field]) == len(set(entry[field])), f"{field} names something twice"


def test_claims_rest_on_claims_and_never_in_a_circle():
    graph = {entry["id"]: entry["rests_on"] for entry in ENTRIES}
    assert {name for names in graph.values() for name in names} <= set(KNOWN)
    TopologicalSorter(graph).prepare()  # a circle raises CycleError
    tier = {part: i for i, parts in enumerate(claims.TIERS) for part in parts}
    up = [(x, y) for x, names in graph.items() for y in names if tier[x[0]] < tier[y[0]]]
    assert up == [], "the map draws lines downwards: change TIERS in book/_ext/claims.py"


# The book


def test_theorems_and_entries_are_the_same():
    there = {label: page for label, (page, _) in theorems().items()}
    listed = {entry["label"]: entry["page"] for entry in DONE if entry["label"]}
    assert sorted(there.items() - listed.items()) == [], "on a page, not so in claims.yml"
    assert sorted(listed.items() - there.items()) == [], "in claims.yml, not on that page"


@every_done
def test_page_is_in_the_contents_and_names_the_claim(entry):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert f"file: book/{entry['page']}\n" in yaml.safe_dump(toc)
    assert re.search(rf"\b{entry['id']}\b", TEXT[entry["page"]])


@every_done
def test_status_is_earned(entry):
    page, proof = theorems().get(entry["id"], (None, None))
    assert entry["tests"], "no test"
    assert (entry["status"] == "proved") == bool(page and proof), "proved: a theorem and its proof"


@every_done
def test_what_a_proof_cites_the_claim_rests_on(entry):
    _, proof = theorems().get(entry["id"], (None, None))
    proof = (proof or "") + in_the_appendix(entry["id"])
    cited = re.findall(rf"\{{(?:prf:ref|claim)\}}`(?:[^`<]*<)?({NAME})>?`", proof)
    assert set(cited) <= below(entry["id"])


def test_the_appendix_is_read_and_a_sketch_links_to_it():
    """A proof that says that it is a sketch links to a section of the same claim."""
    assert "{prf:ref}`C4`" in in_the_appendix("F7") and "{prf:ref}`E5`" in in_the_appendix("E6")
    sections = dict(re.findall(r"^\((sec-[\w-]+)\)=\n## (\w+): ", TEXT["theory/appendix"], re.M))
    for label, (page, proof) in theorems().items():
        for said, section in re.findall(
            r"([Tt]he full proof[^<`]*`[^<`]*<(sec-[\w-]+)>)", proof or ""
        ):
            assert sections[section] == label, (page, said)
    linked = {name for text in TEXT.values() for name in re.findall(r"[<`](sec-[\w-]+)>?`", text)}
    assert set(sections) <= linked, "a section of the appendix that no page links to"


# The package


@every_done
def test_functions_name_the_claim(entry):
    for name in entry["functions"]:
        if ".gpt." in name and not NETWORK:
            pytest.skip('needs pip install -e ".[gpt]"')
        assert entry["id"] in named(pkgutil.resolve_name(name).__doc__), name


def test_docstrings_name_claims_that_exist():
    unknown = [(name, x) for name, text in docstrings() for x in named(text) if x not in KNOWN]
    assert unknown == []
    assert sum(bool(named(text)) for _, text in docstrings()) > 20


def test_ranges_in_docstrings_are_read():
    assert named("Source: Claims A2 (iid), C1-C3;\n    and D4.\n\n    E9") == [
        "A2", "C1", "C2", "C3", "D4",
    ]  # fmt: skip
    assert named("no claim, A2") == []


# The tests


def test_tests_and_entries_are_the_same():
    there = {(name, claim) for name, found in called_after_claims() for claim in found}
    listed = {(name, entry["id"]) for entry in ENTRIES for name in entry["tests"]}
    assert sorted(there - listed) == [], "in tests/, not in claims.yml"
    assert sorted(listed - there) == [], "in claims.yml, not in tests/"


def test_F6_the_papers_four_loops_meet_the_exact_curve():
    """False alarm 1e-6 a check; a theory 10% off is rejected: `check` asserts it."""
    p, T = targets.zipf(50), 200
    for size in (1000, c.power(1000, 1)):
        for share in (0.1, c.power(0.5, -0.5)):
            plan = c.mixture(size, share, T)
            run = c.simulate(c.Categorical(), p, plan, replications=1500, rng=20260210)
            book.check(run.values["l2"], exact.l2_risk(p, plan), planted=0.1)


@pytest.mark.parametrize(
    ("module", "first"),
    [("exact", "Exact:"), ("asymptotics", "Asymptotic ("), ("bounds", "Bound:"),
     ("design", ("Exact:", "Asymptotic ("))],
)  # fmt: skip
def test_every_docstring_opens_with_the_kind_of_its_result(module, first):
    found = importlib.import_module(f"collapse.{module}")
    functions = [getattr(found, name) for name in found.__all__ if name.islower()]
    assert functions
    for function in functions:
        assert function.__doc__.startswith(first), function.__name__
        assert named(function.__doc__) or "notation of" in function.__doc__, function.__name__
