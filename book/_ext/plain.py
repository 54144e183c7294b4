"""The chapters as plain Jupyter notebooks: the same code cells, and text any reader can show.

A chapter is written in MyST Markdown with directives for theorems, exercises and the like. In
Jupyter, VS Code or Colab those would be shown raw; here they become ordinary Markdown. The code
cells are read by myst-nb's own reader, so they are the very cells that the book shows.
"""

import ast
import hashlib
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import nbformat
import yaml
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[2]
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
OPEN = re.compile(r"^(?P<fence>`{3,}|:{3,}|~{3,})\{(?P<name>[^}]+)\}\s*(?P<title>.*)$")
OPTION = re.compile(r"^:([\w-]+):\s*(.*)$")
ROLE = re.compile(r"\{([\w:+.-]+)\}`([^`]+)`")
TARGET = re.compile(r"^\(([^)]+)\)=\s*$")
DROPPED = {
    "only", "raw", "tableofcontents", "contents", "toctree", "nb-exec-table", "index",
    "bibliography", "book-status", "eval-rst", "exercise-end", "solution-end",
}  # fmt: skip
BOXES = {
    "admonition", "note", "tip", "hint", "important", "warning", "caution", "attention", "danger",
    "seealso", "dropdown", "sidebar", "margin", "topic", "card", "tab-item", "grid-item-card",
}  # fmt: skip
COUNTED = {"exercise", "figure"}
PLAIN = {"grid", "grid-item", "tab-set", "div", "container", "epigraph", "rubric"}


# The first cell of every notebook; a chapter does not have it.
SET_UP = """\
# Uses the book's package; where it is missing, installs it from the wheel in a folder above.
import importlib.util, subprocess, sys
from pathlib import Path

found = importlib.util.find_spec("collapse")
if found and not Path(found.origin).with_name("schedules.py").exists():
    raise ImportError(f"{found.origin} is another project's package of this name. "
                      "Remove it: %pip uninstall -y collapse; restart; run this cell again")
if not found:
    here = Path.cwd()
    wheels = [w for up in [here, *here.parents] for w in up.glob("collapse_loops-*.whl")]
    if not wheels:
        raise ModuleNotFoundError("Put collapse_loops-*.whl of the book's archive beside this "
                                  "notebook. (collapse on the public index is another package.)")
    wanted = f"{wheels[0]}[EXTRAS]"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)"""


# The numbers of the sentences, as the last run of each chapter computed them.
NUMBERS = Path("book", "numbers.json")


def code_of(made):
    """The code cells of a notebook that are its chapter's."""
    cells = [cell for cell in made.cells if cell.cell_type == "code"]
    return [cell for cell in cells if "set-up" not in cell.metadata.get("tags", [])]


class NotPlain(ValueError):
    """A piece of a chapter for which the notebooks have no plain form."""


def chapters(root=ROOT):
    """The pages of the book with code in them, as paths below book/."""
    pages = sorted((root / "book").rglob("*.md"))
    return [
        page.relative_to(root / "book")
        for page in pages
        if is_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    ]


def committed(root=ROOT):
    """The notebooks that are there, as paths below notebooks/."""
    folder = root / "notebooks"
    found = [path.relative_to(folder) for path in folder.rglob("*.ipynb")]
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def read(page, root=ROOT):
    """The chapter as myst-nb reads it: Markdown still with its directives."""
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    extensions = settings["parse"]["myst_enable_extensions"]
    text = (root / "book" / page).read_text(encoding="utf-8")
    config = MdParserConfig(enable_extensions=set(extensions))
    return read_myst_markdown_notebook(text, config, path=root / "book" / page)


def notebook(page, root=ROOT, numbers=None):
    """The chapter as a notebook of plain Markdown, without outputs, with fixed cell ids.

    Its sentences have the numbers given, name -> text, or those of NUMBERS.
    """
    if numbers is None:
        numbers = last_numbers(root).get(name_of(page), {})
    made = read(page, root)
    made.metadata = nbformat.from_dict(METADATA)
    writer = Writer(page, root, numbers)
    extras = "book,gpt" if any("collapse.experiments" in x.source for x in made.cells) else "book"
    cells = []
    for cell in made.cells:
        if cell.cell_type == "code":
            cells.append(cell)
            figure = cell.metadata.get("mystnb", {}).get("figure", {})
            if figure.get("caption"):
                head = f"**{labels(root)[0][figure['name']]}.**"
                text = f"{head} {writer.inline(figure['caption'].strip())}"
                cells.append(nbformat.v4.new_markdown_cell(text))
        else:
            cell.source = writer.text(cell.source)
            if cell.source:
                cells.append(cell)
    first = nbformat.v4.new_code_cell(SET_UP.replace("EXTRAS", extras))
    first.metadata["tags"] = ["set-up"]
    cells.insert(1, first)
    if writer.cited:
        works = [f"- {writer.reference(key)}" for key in sorted(set(writer.cited))]
        cells.append(nbformat.v4.new_markdown_cell("\n".join(["**References**", "", *works])))
    seen = {}
    for cell in cells:
        name = hashlib.sha256(f"{cell.cell_type} {cell.source}".encode()).hexdigest()[:8]
        seen[name] = seen.get(name, 0) + 1
        cell["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"
    made.cells = cells
    return made


def dumps(made):
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def all_plain(root=ROOT, numbers=None):
    """Every notebook of notebooks/ as it should be: path below notebooks/ -> text."""
    labels.cache_clear()
    numbers = last_numbers(root) if numbers is None else numbers
    return {
        page.with_suffix(".ipynb"): dumps(notebook(page, root, numbers.get(name_of(page), {})))
        for page in chapters(root)
    }


def name_of(page):
    """What the chapter is called in NUMBERS and on the command line: theory/recursion."""
    return Path(page).with_suffix("").as_posix()


def last_numbers(root=ROOT):
    """The numbers of NUMBERS: chapter -> name -> text."""
    return json.loads((root / NUMBERS).read_text(encoding="utf-8"))


def glued(ran):
    """What `glue` kept in a notebook that ran: name -> text.

    >>> kept = {"scrapbook": {"name": "a", "mime_prefix": "x/"}}
    >>> cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output(
    ...     "display_data", {"x/text/plain": "'0.27'"}, metadata=kept)])
    >>> glued(nbformat.v4.new_notebook(cells=[cell]))
    {'a': '0.27'}
    """
    found = {}
    for cell in code_of(ran):
        for output in cell.get("outputs", []):
            if kept := output.get("metadata", {}).get("scrapbook"):
                text = output["data"][f"{kept.get('mime_prefix', '')}text/plain"]
                found[kept["name"]] = ast.literal_eval(text) if text[0] in "'\"" else text
    return found


def in_order(root):
    """The pages as the table of contents has them, each with the number of its chapter or None."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapter = 0
    yield root / f"{contents['root']}.md", None
    for part in contents["parts"]:
        for page in part["chapters"]:
            chapter += bool(part.get("numbered"))
            yield root / f"{page['file']}.md", chapter if part.get("numbered") else None


@cache
def labels(root):
    """What each label of the book is called in a sentence, for a heading its page, and numbers.

    The numbers are those of the pages: (page, kind) -> one for each box of the kind in turn.
    """
    known, pages, numbers, count = {}, {}, {}, Counter()

    def next_of(kind, chapter, page):
        count[kind, chapter] += 1
        number = f"{chapter}.{count[kind, chapter]}" if chapter else f"{count[kind, chapter]}"
        numbers.setdefault((page, kind), []).append(number)
        return number

    for page, chapter in in_order(root):
        waiting, box = [], None
        for line in page.read_text(encoding="utf-8").splitlines():
            if found := TARGET.match(line):
                waiting.append(found[1])
            elif line.startswith("#") and waiting:
                known.update(dict.fromkeys(waiting, line.lstrip("# ").strip()))
                pages.update(dict.fromkeys(waiting, page))
                waiting = []
            elif found := OPEN.match(line.strip()):
                kind, title = found["name"].removesuffix("-start"), found["title"].strip()
                if kind == "picture" and title not in known:
                    known[title] = f"Figure {next_of('figure', chapter, page)}"
                counted = (kind.startswith("prf:") and kind != "prf:proof") or kind in COUNTED
                box = kind, title, next_of(kind, chapter, page) if counted else ""
            elif box and (found := OPTION.match(line.strip())) and found[1] in ("label", "name"):
                if box[0] == "math":  # numbered only if it has a label
                    box = *box[:2], next_of("math", chapter, page)
                known[found[2]] = called(*box, found[2])
            elif found := re.search(r"(?:^\s+|[{,]\s*)name: (fig-[\w-]+)", line):
                if found[1] not in known:
                    known[found[1]] = f"Figure {next_of('figure', chapter, page)}"
            elif found := re.match(r"^\s*\$\$\s*\(([\w:.-]+)\)\s*$", line):
                known[found[1]] = f"({next_of('math', chapter, page)})"
    return known, pages, numbers


def called(kind, title, number, label):
    if kind.startswith("prf:"):
        return f"{kind[4:].capitalize()} {label}"
    if kind in ("exercise", "solution"):
        return f"{kind.capitalize()} {number}{f' ({title})' if title else ''}"
    return {"math": f"({number})", "figure": f"Figure {number}"}.get(kind, title or label)


@cache
def references(root):
    path = root / "book" / "references.bib"
    return parse_file(str(path), bib_format="bibtex").entries if path.exists() else {}


class Writer:
    """Turns the MyST Markdown of one page into plain Markdown."""

    def __init__(self, page, root, glued):
        self.page, self.root, self.glued = page, root, glued
        self.cited = []
        place = root / "book" / page
        self.numbers = {k: iter(v) for (of, k), v in labels(root)[2].items() if of == place}

    def fail(self, what):
        raise NotPlain(
            f"book/{self.page}: the notebooks have no plain form for {what}; "
            "use another one or teach it to book/_ext/plain.py"
        )

    def text(self, source):
        text = "\n".join(self.lines(source.split("\n"))).strip("\n")
        return re.sub(r"\n{3,}", "\n\n", text)

    def lines(self, lines):
        done, paragraph, lines = [], [], list(lines)

        def flush():
            # roles may run over line ends, so a paragraph is rewritten as one text
            done.extend(self.inline("\n".join(paragraph)).split("\n") if paragraph else [])
            paragraph.clear()

        while lines:
            line = lines.pop(0)
            if found := OPEN.match(line.strip()):
                flush()
                indent = len(line) - len(line.lstrip())
                block = self.directive(found, take_block(found["fence"], lines, indent))
                done += [" " * indent + line if line else "" for line in block]
            elif found := re.match(r"^\s*(`{3,}|~{3,})", line):
                flush()
                done += [line, *take_block(found[1], lines), found[0]]
            elif TARGET.match(line) or line.startswith("% "):
                flush()
            elif found := re.match(r"^(\s*\$\$)\s*\(([\w:.-]+)\)\s*$", line):
                number = labels(self.root)[0][found[2]].strip("()")
                paragraph += [f"\\tag{{{number}}}", found[1]]
            else:
                paragraph.append(line)
                if not line.strip():
                    flush()
        flush()
        return done

    def directive(self, found, body):
        name, title = found["name"], self.inline(found["title"])
        options, body = take_options(body)
        label = options.get("label") or options.get("name")
        if name in DROPPED:
            return []
        if name == "prf:proof":
            return ["", "**Proof.** " + self.first(body), *self.rest(body), "", "∎", ""]
        if name.startswith("prf:"):
            head = f"**{name[4:].capitalize()} {next(self.numbers[name])}**"
            head += f" ({title})." if title else "."
            return quote([head, "", *self.lines(body)])
        if name in ("exercise", "exercise-start"):
            head = f"**Exercise {next(self.numbers['exercise'])}{f' ({title})' if title else ''}.**"
            return ["", head, "", *self.lines(body), ""]
        if name in ("solution", "solution-start"):
            of = labels(self.root)[0].get(found["title"].strip(), title)
            of = of[0].lower() + of[1:]
            return ["", f"**Solution of {of}.**", "", *self.lines(body), ""]
        if name == "math":
            number = labels(self.root)[0][label].strip("()") if label else None
            return ["", "$$", *body, *([f"\\tag{{{number}}}"] if number else []), "$$", ""]
        if name in ("figure", "image"):
            target = self.link(found["title"].strip())
            return ["", f"![{options.get('alt', '')}]({target})", "", *self.lines(body), ""]
        if name == "table":
            return ["", f"**Table.** {title}", "", *self.lines(body), ""]
        if name == "list-table":
            return self.list_table(title, body, int(options.get("header-rows") or 0))
        if name in ("code", "code-block"):
            return [f"```{title}", *body, "```"]
        if name == "loop":
            return quote(["*On the page one can drag this.*", "", *self.lines(body)])
        if name == "picture":
            figure = labels(self.root)[0].get(found["title"].strip())
            if figure is None:
                self.fail(f"a picture of the unknown figure {found['title']!r}")
            return ["", *self.lines(body), "", f"*{figure} stands below, where it is drawn.*", ""]
        if name == "glossary":
            return self.lines(body)
        if name in BOXES:
            head = title or {"seealso": "See also"}.get(name, name.capitalize())
            return quote([f"**{head}**", "", *self.lines(body)])
        if name in PLAIN:
            return self.lines(body)
        return self.fail(f"the directive {{{name}}}")

    def first(self, body):
        return self.inline(next((line for line in body if line.strip()), ""))

    def rest(self, body):
        start = next((i for i, line in enumerate(body) if line.strip()), 0)
        return self.lines(body[start + 1 :])

    def list_table(self, title, body, head):
        rows = []
        for line in body:
            if found := re.match(r"^\s*[*-] +- +(.*)$", line):
                rows.append([found[1]])
            elif found := re.match(r"^\s+- *(.*)$", line):
                rows[-1].append(found[1])
            elif line.strip():
                rows[-1][-1] += " " + line.strip()
        rows = [[self.inline(cell) for cell in row] for row in rows]
        rows = rows if head else [[""] * len(rows[0]), *rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + " --- |" * len(rows[0]))
        return ["", *([f"**Table.** {title}", ""] if title else []), *lines, ""]

    def inline(self, text):
        text = ROLE.sub(self.role, text)
        text = re.sub(r"\[([^\]]*)\]\(#([\w:.-]+)\)", self.inner_link, text)
        return re.sub(r"(\]\()([^)#\s]+?)(#[^)\s]*)?\)", self.outer_link, text)

    def role(self, found):
        name, text = found[1], " ".join(found[2].split())
        said, target = text, text
        if named := re.match(r"^(.*?)\s*<(.+)>$", text):
            said, target = named[1], named[2]
        known, pages, _ = labels(self.root)
        called_so = known.get(target)
        if name in ("ref", "numref", "prf:ref", "eq", "term", "doc", "download", "any"):
            if name == "doc":
                return f"[{said if named else self.title(target)}]({self.link(target + '.md')})"
            if name == "term":
                return said
            if called_so is None:
                self.fail(f"a reference to the unknown label {target!r}")
            said = said if named and "%s" not in said and "{" not in said else called_so
            page = pages.get(target, self.root / "book" / self.page).relative_to(self.root)
            if page == Path("book", self.page):
                return said
            return f"[{said}]({self.link(f'/{page.as_posix()}')})"
        if name.startswith("cite"):
            keys = [key.strip() for key in text.split(",")]
            self.cited += keys
            said = "; ".join(self.authors(key, name) for key in keys)
            return said if name in ("cite:t", "cite:ts") else f"({said})"
        if name.startswith("glue"):
            return self.glued.get(text, f"⟨{text}⟩")  # not run since it was written
        if name == "math":
            return f"${text}$"
        if name in ("code", "func", "meth", "class", "mod", "attr", "data", "exc", "obj", "kbd",
                    "file", "command") or name.startswith("py:"):  # fmt: skip
            return f"`{said.removeprefix('~').removeprefix('.')}`"
        if name == "run-time":
            return "as long as the book's status page says"
        if name in ("sub", "sup", "abbr", "octicon", "claim"):
            return said
        return self.fail(f"the role {{{name}}}")

    def entry(self, key):
        if key not in references(self.root):
            self.fail(f"the citation of {key!r}, which is not in book/references.bib")
        return references(self.root)[key]

    def authors(self, key, role):
        entry = self.entry(key)
        names = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
        said = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        year = entry.fields.get("year", "")
        said = f"{said} ({year})" if role in ("cite:t", "cite:ts") else f"{said}, {year}"
        return re.sub(r"[{}]", "", said)

    def reference(self, key):
        entry = self.entry(key)
        fields = entry.fields
        where = fields.get("journal") or fields.get("booktitle") or fields.get("publisher") or ""
        people = "; ".join(str(person) for person in entry.persons.get("author", []))
        said = f"{people} ({fields.get('year', '')}). {fields.get('title', '')}."
        said += f" {where}." if where else ""
        if fields.get("doi"):
            said += f" doi:{fields['doi']}"
        elif fields.get("url"):
            said += f" <{fields['url']}>"
        return re.sub(r"[{}]", "", said).replace("..", ".")

    def title(self, target):
        page = (self.root / "book" / self.page).parent / f"{target.strip('/')}.md"
        if target.startswith("/"):
            page = self.root / f"{target.strip('/')}.md"
        found = re.search(r"^# (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        return found[1] if found else target

    def inner_link(self, found):
        return found[1] or labels(self.root)[0].get(found[2], found[2])

    def outer_link(self, found):
        return f"{found[1]}{self.link(found[2])}{found[3] or ''})"

    def link(self, target):
        """A path as seen from the notebook: to its neighbour, or back into book/."""
        depth = len(self.page.parts)
        full = (self.root / "book" / self.page).parent / target
        if target.startswith("/"):
            full = self.root / target.strip("/")
        if not full.is_file():  # an address, or brackets in a formula
            return target
        inside = Path(*full.resolve().relative_to(self.root.resolve()).parts)
        if inside.parts[0] == "book" and inside.relative_to("book") in chapters(self.root):
            inside = Path("notebooks", inside.relative_to("book")).with_suffix(".ipynb")
        return "../" * depth + inside.as_posix()


def take_block(fence, lines, indent=0):
    """Take from `lines` the body of a block up to the line that closes its fence."""
    body = []
    while lines:
        line = lines.pop(0)
        if re.match(rf"^\s*{re.escape(fence[0])}{{{len(fence)},}}\s*$", line):
            break
        body.append(line[indent:] if not line[:indent].strip() else line)
    return body


def take_options(body):
    """Split the options of a directive (:key: value, or YAML between ---) from its text."""
    body = list(body)
    if body and body[0].strip() == "---":
        end = next(i for i, line in enumerate(body[1:], 1) if line.strip() == "---")
        return yaml.safe_load("\n".join(body[1:end])) or {}, body[end + 1 :]
    options = {}
    while body and (found := OPTION.match(body[0].strip())):
        options[found[1]] = found[2]
        body.pop(0)
    while body and not body[0].strip():
        body.pop(0)
    return options, body


def quote(lines):
    while lines and not lines[-1].strip():
        lines.pop()
    return ["", *[f"> {line}".rstrip() for line in lines], ""]
