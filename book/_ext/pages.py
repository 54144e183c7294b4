"""Small things the pages need: proofs that fold, clean scripts and roles, the status tables."""

import importlib.metadata
import pickle
import platform
import re
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx_proof.directive import ProofDirective

LIBRARIES = ["numpy", "scipy", "matplotlib", "joblib", "jupyter-book", "Sphinx", "nbmake"]
SEED = re.compile(r"^SEED = ([\d_]+)", re.MULTILINE)


class StatusTable(nodes.General, nodes.Element):
    """Stands on the page until every page was read and the run times are known."""


class BookStatus(SphinxDirective):
    def run(self):
        return [StatusTable()]


class RunTime(nodes.Inline, nodes.Element):
    """Stands in a sentence until the run time of its page is known."""


class RunTimeRole(SphinxRole):
    """{run-time}`this page`: how long the page ran, as the status page has it, in round numbers."""

    def run(self):
        return [RunTime()], []


class FillRunTime(SphinxPostTransform):
    default_priority = 8

    def run(self, **kwargs):
        for place in list(self.document.findall(RunTime)):
            run = NbMetadataCollector.get_exec_data(self.env, self.env.docname) or {}
            place.replace_self(nodes.Text(about(run.get("runtime"))))


def about(seconds):
    """A run time in a sentence: it differs from machine to machine."""
    if seconds is None:
        return "not measured yet"
    if seconds < 7.5:
        return "a few seconds"
    if seconds < 87.5:
        return f"about {5 * round(seconds / 5)} seconds"
    return f"about {max(2, round(seconds / 60))} minutes"


class FillStatus(SphinxPostTransform):
    default_priority = 8  # before references are resolved

    def run(self, **kwargs):
        for place in list(self.document.findall(StatusTable)):
            place.replace_self([self.versions(), self.chapters()])

    def versions(self):
        rows = [("Python", platform.python_version())]
        rows += [(name, importlib.metadata.version(name)) for name in LIBRARIES]
        rows += [("Machine", f"{platform.system()} {platform.machine()}")]
        return table(["Software", "Version"], [[nodes.Text(x) for x in row] for row in rows])

    def chapters(self):
        rows = []
        for name in sorted(self.env.found_docs, key=list(self.env.toctree_order).index):
            run = NbMetadataCollector.get_exec_data(self.env, name)
            if run is None:
                continue
            link = nodes.reference("", self.env.titles[name].astext(), internal=True)
            link["refuri"] = self.app.builder.get_relative_uri(self.env.docname, name)
            seed = SEED.search(Path(self.env.doc2path(name)).read_text(encoding="utf-8"))
            seconds = run.get("runtime")
            rows.append(
                [
                    link,
                    nodes.Text(seed[1].replace("_", "") if seed else "draws nothing"),
                    nodes.Text("unknown" if seconds is None else f"{seconds:.1f} s"),
                ]
            )
        return table(["Chapter", "Seed", "Run time"], rows)


def table(head, rows):
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    lines = [
        nodes.row("", *[nodes.entry("", nodes.paragraph("", "", cell)) for cell in row])
        for row in [[nodes.Text(text) for text in head], *rows]
    ]
    group += nodes.thead("", lines[0])
    group += nodes.tbody("", *lines[1:])
    return nodes.table("", group, classes=["colwidths-auto", "status"])


def status_pages(app, env):
    """Write the status page in every build: any chapter's run time may have changed."""
    order = ["book/welcome"]
    for name in order:  # the list grows while it is read: a walk through the tables of contents
        order += [child for child in env.toctree_includes.get(name, []) if child not in order]
    env.toctree_order = order + sorted(env.found_docs - set(order))
    return [name for name in env.found_docs if name.endswith("/status")]


class Proof(ProofDirective):
    """A proof with a title, so that it folds, and with an id of its own.

    The directive of sphinx-proof writes "Proof. " into the text instead, which breaks
    `:class: dropdown` in the browser and any proof that begins with a formula.
    """

    def run(self):
        box = nodes.admonition(classes=["proof", *self.options.get("class", [])])
        box["ids"] = [f"proof-{self.env.new_serialno('proof')}"]
        box += nodes.title("", "Proof")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def forget_moved_labels(app, env, docnames):
    """A label that moved to another page is no duplicate; its old page may be read later."""
    for registry in ("proof_list", "sphinx_exercise_registry"):
        known = getattr(env, registry, {})
        for label in [label for label, entry in known.items() if entry["docname"] in docnames]:
            del known[label]
    equations = env.get_domain("math").equations
    for label in [label for label, (page, _) in equations.items() if page in docnames]:
        del equations[label]


def all_tips(app, exception):
    """What links show needs the text of every page, also of those that this build did not write."""
    if exception is not None or app.builder.name != "html" or not hasattr(app.env, "tippy_data"):
        return
    kept, pages = Path(app.doctreedir, "tips.pickle"), app.env.tippy_data["pages"]
    if kept.exists():
        for name, page in pickle.loads(kept.read_bytes()).items():
            if name in app.env.found_docs:
                pages.setdefault(name, page)
    kept.write_bytes(pickle.dumps(pages))


def clean_page(app, pagename, templatename, context, doctree):
    """Drop scripts registered twice, an error in the browser, and those of live kernels, unused.

    An entry of the bibliography stands in a list and so is an item of it to a screen reader, and
    folded code is called what is written there.
    """
    seen, once = set(), []
    for script in context.get("script_files", []):
        content = getattr(script, "attributes", {}).get("body") or ""
        name = f"{getattr(script, 'filename', script)} {content}"
        if name not in seen and "thebe" not in name.lower():
            once.append(script)
        seen.add(name)
    context["script_files"] = once
    body = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')
    context["body"] = body.replace(' aria-label="Toggle hidden content"', "")  # it has its words


def setup(app):
    app.add_node(StatusTable)
    app.add_directive("book-status", BookStatus)
    app.add_post_transform(FillStatus)
    app.add_node(RunTime)
    app.add_role("run-time", RunTimeRole())
    app.add_post_transform(FillRunTime)
    app.connect("env-before-read-docs", forget_moved_labels)
    app.connect("env-updated", status_pages)
    app.add_directive_to_domain("prf", "proof", Proof, override=True)
    app.connect("html-page-context", clean_page, priority=900)
    app.connect("build-finished", all_tips, priority=100)  # before they are written
    app.add_js_file("book.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
