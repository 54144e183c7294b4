"""The explorer on a page: ```{loop} words``` with a text for those who cannot drag.

book/_static/loop.js is loaded where a page has one. Without scripts, on paper and in a PDF the
text stands there alone.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

FILE = Path(__file__).resolve().parents[1] / "_static" / "loop.js"


def views():
    """The names that the script knows."""
    text = FILE.read_text(encoding="utf-8")
    return sorted(set(re.findall(r"VIEWS\.(\w+) =", text)))


class Loop(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self):
        view = self.arguments[0]
        if view not in views():
            raise self.error(f"loop must be one of {', '.join(views())}, found {view!r}")
        if not self.content:
            raise self.error("loop needs a text for readers who cannot drag")
        inside = nodes.container(classes=["loop-text"])
        self.state.nested_parse(self.content, self.content_offset, inside)
        opening = f'<collapse-loop view="{view}">'
        return [
            nodes.raw("", opening, format="html"),
            inside,
            nodes.raw("", "</collapse-loop>", format="html"),
        ]


def load(app, pagename, templatename, context, doctree):
    """The script, only where it is wanted."""
    if doctree is not None and any(
        "<collapse-loop" in x.astext() for x in doctree.findall(nodes.raw)
    ):
        app.add_js_file("loop.js", loading_method="defer")


def setup(app):
    app.add_directive("loop", Loop)
    app.connect("html-page-context", load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
