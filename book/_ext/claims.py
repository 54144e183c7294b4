"""The claims of the book, read from claims.yml: a page of them, a map of them, a link to any."""

import re
import textwrap
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "book" / "claims.yml"
ENTRIES = "book/reference/claims"  # the page with an entry for every claim
WIDTH, BOX, HEIGHT, GAP, ROW = 740, 130, 44, 40, 5  # of the map, in pixels; ROW in boxes
LANE = 10  # the room that a line needs between two boxes


def load(file=FILE):
    """The parts and the claims, both by their letters and numbers."""
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    return read["parts"], {claim["id"]: claim for claim in read["claims"]}


def place(env, claim):
    """Document and anchor of a claim: its theorem, else the page about it, else its entry."""
    if known := getattr(env, "proof_list", {}).get(claim["label"]):
        return known["docname"], claim["label"]
    if claim["status"] == "not yet":
        return ENTRIES, f"claim-{claim['id']}"
    return f"book/{claim['page']}", ""


def resolve(app, env, node, content):
    """Resolve the role `claim`: {claim}`A2`, or {claim}`the recursion <A2>`."""
    claim = load()[1].get(node["reftarget"]) if node["reftype"] == "claim" else None
    return claim and make_refnode(app.builder, node["refdoc"], *place(env, claim), content)


class Count(SphinxRole):
    """How many claims have this status; `all` counts all of them."""

    def run(self):
        found = [claim["status"] for claim in load()[1].values()]
        return [nodes.Text(str(found.count(self.text) if self.text != "all" else len(found)))], []


class Page(SphinxDirective):
    def link(self, target, content, domain="", kind="claim"):
        about = {"refdomain": domain, "reftype": kind, "reftarget": target, "refexplicit": True}
        return pending_xref("", content, refdoc=self.env.docname, refwarn=True, **about)

    def links(self, ids):
        return [self.link(x, nodes.inline("", x)) for x in ids]


class Table(Page):
    """Every claim: its statement, its standing, and where to look it up."""

    def run(self):
        parts, claims = load()
        tests = {}
        for file in [FILE, *sorted((ROOT / "tests").glob("test_*.py"))]:
            self.env.note_dependency(str(file))
            for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.M):
                tests[name] = f"tests/{file.name}::{name}"
        made = []
        for letter, title in parts.items():
            part = nodes.section(ids=[f"part-{letter.lower()}"], names=[])
            part += nodes.title("", f"{letter}. {title}")
            part += [self.entry(c, tests) for c in claims.values() if c["id"][0] == letter]
            made.append(part)
        return made

    def entry(self, claim, tests):
        late = claim["status"] == "not yet"
        box = nodes.container(classes=["claim"], ids=[f"claim-{claim['id']}"])
        title = nodes.inline("", claim["title"])
        title = title if late else self.link(claim["id"], title)
        box += nodes.paragraph("", "", nodes.strong("", claim["id"]), nodes.Text(" "), title)
        self.state.nested_parse(StringList(claim["statement"].splitlines()), 0, box)
        code = [nodes.literal("", name.removeprefix("collapse.")) for name in claim["functions"]]
        if not late:
            names = zip(claim["functions"], code, strict=True)
            code = [self.link(name, text, "py", "obj") for name, text in names]
        facts = {
            "Standing": [nodes.Text(f"{claim['status']}; {', '.join(claim['kind'])}")],
            "Rests on": self.links(claim["rests_on"]),
            "Code": code,
            "Tests": [nodes.literal("", tests.get(name, name)) for name in claim["tests"]],
        }
        lines = nodes.field_list()
        for name, values in facts.items():
            if values:
                body = nodes.field_body("", nodes.paragraph("", "", *commas(values)))
                lines += nodes.field("", nodes.field_name("", name), body)
        return box + lines


class MapNode(nodes.General, nodes.Element):
    """Stands on the page until the places of all theorems are known."""


class Map(Page):
    """Which claim rests on which: a picture, and the same as a list."""

    def run(self):
        self.env.note_dependency(str(FILE))
        box = nodes.admonition("", nodes.title("", "The map as a list"), classes=["dropdown"])
        box += nodes.bullet_list()
        for name, claim in load()[1].items():
            line = nodes.paragraph("", "", *self.links([name]), nodes.Text(f" {claim['title']}"))
            if claim["rests_on"]:
                line += [nodes.Text(", rests on "), *commas(self.links(claim["rests_on"]))]
            box[-1] += nodes.list_item("", line)
        return [MapNode(), box]


def commas(values):
    return [x for value in values for x in (nodes.Text(", "), value)][1:]


def draw(app, doctree, docname):
    for node in list(doctree.findall(MapNode)):
        node.replace_self(nodes.raw("", svg(app, docname, *load()), format="html"))


def svg(app, docname, parts, claims):
    rows, below = layout(claims)
    at = {item: (x, row * (HEIGHT + GAP) + 8) for row, xs in enumerate(rows) for item, x in xs}
    ...
