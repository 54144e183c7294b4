"""The sources of the book as an artefact: nothing forgotten, nothing undescribed, nothing stale."""

import ast
import importlib
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK / "_ext"))

import fold  # noqa: E402
import freshness  # noqa: E402
import plain  # noqa: E402

CHAPTERS = plain.chapters()
READ = {chapter: plain.read(chapter) for chapter in CHAPTERS}
TEXT = {chapter: (BOOK / chapter).read_text(encoding="utf-8") for chapter in CHAPTERS}
CLAIMS = ("theorem", "proposition", "corollary", "lemma")
DIRECTIVE = re.compile(r"^(?:`{3,}|:{3,})\{([\w:-]+)\} *(.*)$", re.MULTILINE)

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=str)


def code_cells(chapter):
    return [cell for cell in READ[chapter].cells if cell.cell_type == "code"]


def hidden(cell):
    return bool({"hide-cell", "remove-cell", "hide-input"} & set(cell.metadata.get("tags", [])))


def blocks(text):
    """Directives in order of appearance: (name, title, label, position)."""
    for found in DIRECTIVE.finditer(text):
        label = re.match(r"\n(?::\w+:.*\n)*?:label: *(\S+)", text[found.end() :])
        yield found[1], found[2].strip(), label[1] if label else None, found.start()


# Nothing is forgotten


def test_contents_and_chapters_are_the_same():
    import yaml

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"]] + [c["file"] for part in toc["parts"] for c in part["chapters"]]
    pages = {p.relative_to(ROOT).with_suffix("").as_posix() for p in BOOK.rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages


def test_notebooks_are_what_the_chapters_make():
    folder = ROOT / "notebooks"
    made = plain.all_plain()
    assert plain.committed() == sorted(made), "make notebooks"
    for name, text in made.items():
        same = (folder / name).read_text(encoding="utf-8") == text
        assert same, f"notebooks/{name} differs from its chapter: make notebooks"
        assert "⟨" not in text, f"a number of {name} is not known: make page, then make notebooks"


def test_notebooks_have_no_directives_left_and_the_same_code():
    for chapter in CHAPTERS:
        made = plain.notebook(chapter)
        code = [cell.source for cell in plain.code_of(made)]
        assert code == [cell.source for cell in code_cells(chapter)]
        assert len({cell.id for cell in made.cells}) == len(made.cells)
        for cell in made.cells:
            if cell.cell_type == "markdown":
                left = re.search(r"^\s*(?:`{3,}|:{3,})\{|\{[a-z:]+\}`|^\(\S+\)=", cell.source, re.M)
                assert not left, (chapter, cell.source)


def test_every_public_name_is_on_the_api_page():
    pytest.importorskip("equinox", reason='needs pip install -e ".[gpt]"')  # it has the GPT, too
    page = (BOOK / "reference" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. automodule:: (\S+)\n   :members:$", page, re.MULTILINE)
    modules = [
        f"collapse.{path.stem}"
        for path in (ROOT / "collapse").glob("*.py")
        if not path.stem.startswith("_")
    ]
    listed = {id(value) for name in shown for value in public(name).values()}
    missing = [
        f"{name}.{key}"
        for name in ["collapse", *modules]
        for key, value in public(name).items()
        if id(value) not in listed and getattr(value, "__name__", "") not in shown
    ]
    assert missing == []


def public(name):
    module = importlib.import_module(name)
    return {key: getattr(module, key) for key in getattr(module, "__all__", [])}


# What a chapter is made of


@every_chapter
def test_kernel(chapter):
    # jupytext, and with it make lab, does not open a chapter without a display_name
    kernel = {"name": "python3", "display_name": "Python 3"}
    text = TEXT[chapter].split("\n---\n")[0]
    assert READ[chapter].metadata["kernelspec"].items() >= kernel.items()
    assert "display_name: Python 3" in text


@every_chapter
def test_no_code_cell_is_longer_than_15_lines(chapter):
    long = [cell.source for cell in code_cells(chapter) if len(cell.source.splitlines()) > 15]
    assert long == []


@every_chapter
def test_a_sentence_stands_between_two_cells(chapter):
    cells = READ[chapter].cells
    for before, after in itertools.pairwise(cells):
        if before.cell_type == after.cell_type == "code" and not (hidden(before) or hidden(after)):
            pytest.fail(f"two code cells without a sentence between them:\n{after.source}")
    assert cells[0].cell_type == "markdown"


@every_chapter
def test_every_figure_has_a_caption_a_name_and_a_description(chapter):
    for cell in code_cells(chapter):
        options = cell.metadata.get("mystnb", {})
        image, figure = options.get("image", {}), options.get("figure", {})
        draws = re.search(r"\bplot\.\w+\(|\bplt\.|\bax\.|\.subplots\(", cell.source)
        silent = "remove-cell" in cell.metadata.get("tags", []) or "remove-output" in (
            cell.metadata.get("tags", [])
        )
        only_imports = all(
            isinstance(line, ast.Import | ast.ImportFrom | ast.Assign)
            for line in ast.parse(cell.source).body
        )
        if not (image or figure) and (not draws or silent or only_imports):
            continue
        where = f"figure cell without it: {cell.source[:80]}"
        alt = image.get("alt") or ""
        assert len(alt) >= 40, f"alt text of 40 characters or more; {where}"
        assert " " in alt.strip() and not re.search(r"\.(svg|png)$", alt), where
        caption = figure.get("caption") or ""
        assert len(caption) >= 20, f"caption; {where}"
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", alt + caption), f"\\ for \\\\; {where}"
        assert re.fullmatch(r"fig-[\w-]+", figure.get("name") or ""), f"name: fig-...; {where}"
        assert isinstance(image.get("classes", ""), str), f"classes is a string; {where}"


@pytest.mark.parametrize("chapter", [c for c in CHAPTERS if c.parts[0] != "reference"], ids=str)
def test_three_exercises_each_with_a_tested_solution(chapter):
    text = TEXT[chapter]
    found = list(blocks(text))
    labels = [label for name, _, label, _ in found if name in ("exercise", "exercise-start")]
    assert len(labels) >= 3 and all(labels), f"three exercises with a :label:, found {labels}"
    for label in labels:
        starts = [at for name, title, _, at in found
                  if name == "solution-start" and title == label]  # fmt: skip
        assert len(starts) == 1, f"one {{solution-start}} {label}"
        body = text[starts[0] : text.index("{solution-end}", starts[0])]
        cells = re.findall(r"^```\{code-cell\}.*?^```", body, re.MULTILINE | re.DOTALL)
        assert any(re.search(r"^\s*assert\b", cell, re.MULTILINE) for cell in cells), (
            f"the solution of {label} has a code cell with an assert"
        )


MOST_WORDS = 2200  # of a chapter before its exercises, code apart


def prose(text):
    return re.sub(r"^```\{code-cell\}.*?^```\s*$", "", text, flags=re.MULTILINE | re.DOTALL)


def words(text):
    """Words of prose before the exercises; a formula counts as one word, code as none."""
    text = re.sub(r"\$\$.*?\$\$", "x", prose(text), flags=re.DOTALL)
    text = re.sub(r"\$[^$]+\$", "x", text)
    return len(text.split("\n## Exercises")[0].split())


def test_chapters_are_short_enough():
    pages = [page.relative_to(BOOK) for page, number in plain.in_order(ROOT) if number]
    counts = {page.with_suffix("").as_posix(): words(TEXT[page]) for page in pages}
    assert len(counts) >= 31
    long = {name: n for name, n in counts.items() if n > MOST_WORDS}
    assert long == {}, f"more than {MOST_WORDS} words: a long proof belongs in theory/appendix.md"
    assert words("a $b + c$ d\n$$\ne f\n$$\n```{code-cell}\ng h\n```\ni\n## Exercises\nj") == 5


def test_every_chapter_has_its_own_seed():
    seeds = {}
    for chapter in CHAPTERS:
        found = re.findall(r"^SEED = ([\d_]+)", TEXT[chapter], re.MULTILINE)
        needed = re.search(r"\brng=|default_rng", TEXT[chapter])
        assert len(found) == 1 or not (found or needed), f"{chapter}: one line 'SEED = ...'"
        for seed in found:
            seeds.setdefault(int(seed), []).append(str(chapter))
    assert all(len(users) == 1 for users in seeds.values()), seeds


TYPED = re.compile(
    r"\*running\*(?! \{run-time\}`this page`\.)"
    r"|\b(?:runs?|running|takes?|took)\b[^.({\n]*?\b(?:\d+|half an?|a few|one|two|an?)"
    r" (?:seconds?|minutes?|hours?|s)\b"
)


@every_chapter
def test_no_run_time_is_typed(chapter):
    assert TYPED.findall(TEXT[chapter]) == [], "{run-time}`this page`, or glue what was measured"


def test_typed_run_times_are_seen():
    for typed in ("*running* under 20 seconds", "runs in half a minute", "takes about 15 s on"):
        assert TYPED.search(typed)
    assert not TYPED.search("*running* {run-time}`this page`. It took {glue:text}`x` minutes")


def test_run_times_are_rounded_as_a_sentence_needs_them():
    from pages import about

    said = [about(x) for x in (None, 0.4, 7.4, 7.6, 52.3, 87.4, 87.6, 352)]
    assert said == [
        "not measured yet", "a few seconds", "a few seconds", "about 10 seconds",
        "about 50 seconds", "about 85 seconds", "about 2 minutes", "about 6 minutes",
    ]  # fmt: skip


def test_every_theorem_is_proved_and_tested():
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py"))
    for path in sorted(BOOK.rglob("*.md")):
        found = [b for b in blocks(path.read_text(encoding="utf-8")) if b[0].startswith("prf:")]
        for this, after in itertools.pairwise([*found, ("", "", None, 0)]):
            if this[0] not in [f"prf:{claim}" for claim in CLAIMS]:
                continue
            assert this[2], f"{path.name}: {this[0]} {this[1]} has no :label:"
            assert after[0] == "prf:proof", f"{path.name}: a proof follows {this[2]}"
            assert re.search(rf"def test_{re.escape(this[2])}_", tests), (
                f"{path.name}: {this[2]} needs a test, def test_{this[2]}_...()"
            )


# Nothing is stale, nothing is hidden


def test_any_change_of_the_package_changes_the_key(tmp_path):
    for name in (
        "requirements.txt",
        "requirements-gpt.txt",
        "collapse/a.py",
        "collapse/models/b.py",
        "book/data/c.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    keys = [freshness.package_key(tmp_path)]
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        path.write_text("2\n")
        keys.append(freshness.package_key(tmp_path))
    (tmp_path / "collapse" / "a.py").rename(tmp_path / "collapse" / "d.py")
    keys.append(freshness.package_key(tmp_path))
    assert len(set(keys)) == 7
    assert freshness.package_key(tmp_path) == keys[-1]


def test_a_changed_package_empties_the_cache(tmp_path):
    package = tmp_path / "collapse" / "a.py"
    package.parent.mkdir()
    package.write_text("1\n")
    (tmp_path / "requirements.txt").write_text("")
    number = freshness.fresh_cache(tmp_path) / "number"
    number.parent.mkdir(parents=True)
    number.write_text("old")
    assert freshness.fresh_cache(tmp_path).joinpath("number").exists()
    package.write_text("2\n")
    assert not freshness.fresh_cache(tmp_path).joinpath("number").exists()


def test_no_file_names_a_package_index_or_this_machine():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    here = re.escape(str(ROOT)) + r"\b" if len(ROOT.parts) > 2 else "$^"
    index = re.compile(r"--(?:extra-)?index-url|--find-links|file:///|\bpypi\.\w+|/simple/")
    wrong = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if not path.is_file() or path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", "ignore")
        if found := index.search(text) or re.search(here, text):
            wrong.append((name, found[0]))
    assert wrong == []


# Idea before code


@pytest.mark.parametrize(
    ("source", "metadata", "folds"),
    [
        ("import numpy as np\nSEED = 1_000\nn, alpha = 5, -0.5", {}, True),
        ("plan = collapse.replace(10, 5)", {}, False),
        ("n = 5\nprint(exact.inflation(plan))", {}, False),
        ("assert x < 1", {}, True),
        ("if a:\n    fig, ax = plt.subplots()", {}, True),
        ("book.glue('a', 1)", {}, True),
        ("z = book.check(values, theory)", {}, True),
        ("thing.check()", {}, False),
        ("x = simulate(model, p, plan)", {"mystnb": {"figure": {"name": "fig-x"}}}, True),
        ("x = simulate(model, p, plan)", {"tags": ["fold"]}, True),
        ("assert x < 1", {"tags": ["open"]}, False),
        ("%pip list", {}, False),
    ],
)
def test_what_only_sets_up_draws_or_checks_is_folded(source, metadata, folds):
    assert fold.folded(source, metadata) is folds


def test_a_check_folds_to_one_line(capsys):
    import numpy as np
    from docutils import nodes
    from docutils.utils import new_document

    from collapse import book

    book.check(np.random.default_rng(1).normal(2, 1, (3, 9000)), [2.0] * 3, at=[1, 2])
    table = capsys.readouterr().out
    page = new_document("page")
    page += nodes.literal_block("", f"before\n{table}between\n{table}")
    fold.fold_checks(None, page)
    said = [node.astext() for node in page]
    line = r"""<details class="check"><summary>agrees: 2 rows, largest \|z\| \d\.\d</summary>"""
    assert said[0] == "before" and re.fullmatch(line, said[1]) and said[3] == "</details>"
    assert said[2] == table.strip("\n") and said[4] == "between" and len(said) == 8


ITSELF = re.compile(r"not np\.(?:all|is)close\([^\n]*?\b(?:0\.9\d*|1\.0\d*) ?\*")


def test_no_check_compares_a_number_with_its_own_multiple():
    """Where x is close to y it is not close to 1.05 y, whatever x and y are."""
    texts = {path: path.read_text(encoding="utf-8") for path in BOOK.rglob("*.md")}
    texts |= {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py")}
    found = {str(path): ITSELF.findall(text) for path, text in texts.items()}
    assert {path: hits for path, hits in found.items() if hits} == {}
    planted = "assert not np.all" + "close(R, 1.05 * R, rtol=1e-2)"  # in two, or it is found
    assert ITSELF.search(planted)


# "Let $e = ...$", "write $w(x)$ for", "with $q = ...$": a letter of the first table of the page on
# notation, defined anew. A number, or the letter itself at another index, defines nothing.
DEFINED = re.compile(
    r"\b(?:[Ll]et|[Ww]rite|[Pp]ut|[Cc]all|[Ww]here|[Ww]ith|[Hh]ere)\s+\$(e|w|q|y|h|F|K|R|\\theta|\\Sigma|\\pi)"
    r"(?:_\{?[\w,\\ -]*\}?|\(.*?\))?(?:\s*=(?!\s*-?\d+\$)([^$]*)\$|\$\s+(?:be|for)\b(.{0,40}))",
    re.DOTALL,
)  # fmt: skip
SAME = re.compile(
    r"\\hat p_t|\\hat\\theta|\\pi\(|e_|w_t|p\)\^|\\alpha_0|h/n|^ the (?:raw )?frequencies"
)


def test_a_letter_that_is_borrowed_is_on_the_page_of_notation():
    """A chapter that gives one of the fixed letters another meaning stands in its second table."""
    page = (ROOT / "book" / "reference" / "notation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\* - (.*?)\n  - (.*?)(?=\n\* -|\n```)", page, re.MULTILINE | re.DOTALL)
    borrowed = {
        (letter, name)
        for letters, text in rows
        for letter in re.findall(r"\$(\\?\w+)(?:_\w)?\$", letters)
        for name in re.findall(r"\{ref\}`ch-(\w+)`", text)
    }
    found = set()
    for chapter in CHAPTERS:
        for letter, value, words in DEFINED.findall(prose(TEXT[chapter])):
            if not SAME.search(value + words):
                found.add((letter, chapter.stem))
    assert {("e", "again"), ("w", "remember")} <= found  # or the pattern sees nothing
    assert found <= borrowed, sorted(found - borrowed)


@every_chapter
def test_tables_have_a_word_above_every_column(chapter):
    """Said here, since a reader's browser says it only after a whole build."""
    for above, below in itertools.pairwise(TEXT[chapter].splitlines()):
        if re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", below):
            assert all(cell.strip() for cell in above.strip("|").split("|")), above


def test_what_is_numbered_has_a_label():
    """Without one sphinx-proof counts by page, and two pages may count to the same."""
    parts = [(c, *part) for c in CHAPTERS
             for part in re.findall(r"(?m)^`+\{prf:(?!proof)(\w+)\}.*\n(.*)", TEXT[c])]  # fmt: skip
    assert len(parts) > 70
    assert [part for part in parts if not part[2].startswith(":label:")] == []
