"""Idea before code: cells that set up, draw, keep numbers or check are folded on the page.

So is whatever stands before the first figure of a page. What stays open teaches: it says what a
loop is and asks the package about it. The rule is below; the tags `open` and `fold` on a cell
overrule it. What `book.check` prints folds to one line. Notebooks are not touched.

```{picture} fig-name``` shows a figure before the cells that draw it; its text is what to guess. A
caption folds where the sentence before it asks something, so that it does not give the answer.
"""

import ast
import re

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

SERVICE = {"check", "glue", "style"}  # of collapse.book


def folded(source, metadata=None):
    """True if a cell only imports, names constants, draws, keeps numbers for sentences or asserts.

    >>> folded("import numpy as np\\nSEED = 3"), folded("plan = collapse.replace(10, 5)")
    (True, False)
    >>> folded("assert x < 1"), folded("fig, ax = plt.subplots()"), folded("book.glue('a', 1)")
    (True, True, True)
    """
    metadata = metadata or {}
    tags = set(metadata.get("tags", []))
    if tags & {"open", "fold"}:
        return "fold" in tags
    if metadata.get("mystnb", {}).get("figure"):
        return True
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic
        return False
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "attr", getattr(called, "id", None))
        owner = getattr(getattr(called, "value", None), "id", None)
        if isinstance(node, ast.Assert) or owner == "plt" or (owner == "book" and name in SERVICE):
            return True
    return all(map(sets_up, tree.body))


def sets_up(node):
    plain = ast.Constant, ast.Name, ast.Tuple, ast.List, ast.UnaryOp, ast.expr_context, ast.unaryop
    return isinstance(node, (ast.Import, ast.ImportFrom)) or (
        isinstance(node, ast.Assign)
        and all(isinstance(part, plain) for part in ast.walk(node.value))
    )


def fold(app, doctree):
    cells = [x for x in doctree.findall(nodes.container) if x.get("nb_element") == "cell_code"]
    figures = [bool(cell["cell_metadata"].get("mystnb", {}).get("figure")) for cell in cells]
    first = figures.index(True) if True in figures else 0
    for i, cell in enumerate(cells):
        source = next(cell.findall(nodes.literal_block), None)
        if source is None or "hide_mode" in cell or within_a_box(cell):
            continue
        early = i < first and "open" not in cell["cell_metadata"].get("tags", [])
        if early or folded(source.astext(), cell["cell_metadata"]):
            cell["hide_mode"] = "input"
            cell["prompt_show"], cell["prompt_hide"] = "Show code", "Hide code"
            cell["classes"].append("folded")


CHECK = re.compile(r"^   t    simulated .*\n(?:.*\n)+?agrees: .*(?:\n|$)", re.MULTILINE)


def fold_checks(app, doctree):
    """A table of a check becomes one line that unfolds; what else a cell prints stays."""
    for block in list(doctree.findall(nodes.literal_block)):
        text = block.astext()
        if not CHECK.search(text):
            continue
        new, at = [], 0
        for found in [*CHECK.finditer(text), None]:
            between = text[at : found.start() if found else len(text)]
            if between.strip():
                new.append(printed(block, between))
            if found:
                opening = f'<details class="check"><summary>{in_a_line(found[0])}</summary>'
                new.append(nodes.raw("", opening, format="html"))
                new += [printed(block, found[0]), nodes.raw("", "</details>", format="html")]
                at = found.end()
        i = block.parent.index(block)
        block.parent[i : i + 1] = new  # replace_self would give the first its classes


def printed(block, text):
    copy = block.copy()
    copy += nodes.Text(text.strip("\n"))
    copy.rawsource = text.strip("\n")  # it is this that is coloured
    return copy


def in_a_line(table):
    rows = table.strip("\n").splitlines()[1:-1]
    worst = max(abs(float(row.split()[-1])) for row in rows)
    return f"agrees: {len(rows)} row{'s' * (len(rows) > 1)}, largest |z| {worst:.1f}"


def within_a_box(node):
    """Solutions fold as a whole."""
    while node.parent is not None:
        node = node.parent
        if {"dropdown", "solution"} & set(node.get("classes", [])):
            return True
    return False


class Picture(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self):
        if not self.content:
            raise self.error("picture needs a text: what to look for, or to guess")
        inside = nodes.container(classes=["picture"], figure=self.arguments[0])
        self.set_source_info(inside)
        self.state.nested_parse(self.content, self.content_offset, inside)
        return [inside]


def move_pictures(app, doctree):
    """A chapter that has not been run (`make page` of another) has no figure to move yet."""
    cells = [x for x in doctree.findall(nodes.container) if x.get("nb_element") == "cell_code"]
    known = [x["cell_metadata"].get("mystnb", {}).get("figure", {}).get("name") for x in cells]
    figures = {name: x for x in doctree.findall(nodes.figure) for name in x["names"]}
    for place in list(doctree.findall(lambda x: isinstance(x, nodes.container) and "figure" in x)):
        name = place["figure"]
        if name not in known:
            known = ", ".join(filter(None, known)) or "a figure of this page"
            raise ValueError(f"{place.source}: picture must be one of {known}, found {name!r}")
        if name in figures:
            figures[name].parent.remove(figures[name])
            place.append(figures[name])


def fold_captions(app, doctree):
    """Marks a figure whose caption answers what the text before it asks; book.js folds it."""
    for figure in doctree.findall(nodes.figure):
        before, node = None, figure
        while before is None and node.parent is not None:
            at = node.parent.index(node)
            texts = [x for x in node.parent[:at] if isinstance(x, nodes.paragraph)]
            if texts or isinstance(node, nodes.section):
                before = texts[-1].astext() if texts else ""
            node = node.parent
        if before and before.rstrip().endswith("?"):
            figure["classes"].append("asked")


def setup(app):
    app.add_directive("picture", Picture)
    app.connect("doctree-read", move_pictures)
    app.connect("doctree-read", fold_captions)
    app.connect("doctree-read", fold)
    app.connect("doctree-read", fold_checks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
