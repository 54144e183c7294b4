"""The first time a chapter uses a term of the glossary, the word leads there."""

import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref

GLOSSARY = Path(__file__).resolve().parents[1] / "reference" / "glossary.md"
# Words that are mostly said in their everyday sense, or on every page.
COMMON = {
    "accumulate", "aware", "batch", "burst", "collapse", "context", "coverage", "divisor", "drift",
    "epoch", "exact", "filter", "gain", "generation", "horizon", "improvement", "label", "plan",
    "pool", "price", "radius", "replace", "risk", "scheme", "steady", "target", "token", "weighted",
}  # fmt: skip
APART = (nodes.reference, nodes.literal, nodes.title, nodes.math, nodes.raw, nodes.emphasis)
BOXES = {"proof", "exercise", "solution", "dropdown", "loop-text", "picture"}


@cache
def terms():
    """Every term, longest first, as a pattern that also finds its plural and a line's end in it."""
    block = re.search(r"```\{glossary\}\n(.*?)```", GLOSSARY.read_text("utf-8"), re.DOTALL)[1]
    found = [line for line in block.splitlines() if line and not line[0].isspace()]
    return {
        term: re.compile(r"(?<![\w-])" + r"\s".join(map(re.escape, term.split())) + r"s?(?![\w-])")
        for term in sorted(found, key=len, reverse=True)
        if term not in COMMON
    }


def apart(text):
    node = text.parent
    while node is not None:
        if isinstance(node, APART) or BOXES & set(node.get("classes", [])):
            return True
        node = node.parent
    return not any(isinstance(x, nodes.paragraph) for x in (text.parent, text.parent.parent))


def link(app, doctree):
    page = app.env.docname
    if "/reference/" in page or not page.startswith("book/"):
        return
    app.env.note_dependency(str(GLOSSARY))
    for term, pattern in terms().items():
        for text in list(doctree.findall(nodes.Text)):
            found = None if apart(text) else pattern.search(text)
            if found is None:
                continue
            to = pending_xref(
                "", refdomain="std", reftype="term", reftarget=term, refexplicit=True, refdoc=page
            )
            to += nodes.inline("", found[0], classes=["std", "std-term", "first"])
            parts = [nodes.Text(text[: found.start()]), to, nodes.Text(text[found.end() :])]
            i = text.parent.index(text)
            text.parent[i : i + 1] = [part for part in parts if part.astext()]
            break


def setup(app):
    app.connect("doctree-read", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
