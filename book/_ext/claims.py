"""The claims of the book, read from claims.yml: a page of them, a map of them, a link to any."""

import re
import textwrap
from functools import cache
from html import escape
from itertools import permutations
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
ENTRIES, MAP = "book/reference/claims", "book/theory/map"
TIERS = ("A ", "BEC", "DGF", "HNW")  # the map: parts from top to bottom, from left to right
WIDTH, STEP, BOX, HEIGHT, GAP = 720, 112, 98, 50, 30  # in pixels; six boxes a row
LETTERS = 16  # in a line of a box, two lines a title


def load(file=FILE):
    """The parts by their letters, the claims by their identifiers; not to be changed."""
    return parsed(file, file.stat().st_mtime_ns)


@cache
def parsed(file, changed):
    """Once for every change of the file: a build asks hundreds of times."""
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    return read["parts"], {claim["id"]: claim for claim in read["claims"]}


# Links


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


def by_name(app, doctree):
    """{prf:ref}`A2` reads A2, as in code and tests, in place of the number of a theorem."""
    known = load()[1]
    names = doctree.findall(pending_xref)
    if any(node["reftype"] == "claim" or node["reftarget"] in known for node in names):
        app.env.note_dependency(str(FILE))
    for node in doctree.findall(pending_xref):
        if node.get("refdomain") == "prf" and node["reftarget"] in known:
            node["refdomain"], node["reftype"] = "", "claim"
            node.children = [nodes.inline("", node["reftarget"])]


class Count(SphinxRole):
    """How many claims have this status; `all` counts all of them."""

    def run(self):
        self.env.note_dependency(str(FILE))
        found = [claim["status"] for claim in load()[1].values()]
        return [nodes.Text(str(len(found) if self.text == "all" else found.count(self.text)))], []


class Page(SphinxDirective):
    def link(self, target, content, domain="", kind="claim"):
        about = {"refdomain": domain, "reftype": kind, "reftarget": target, "refexplicit": True}
        return pending_xref("", content, refdoc=self.env.docname, refwarn=True, **about)

    def links(self, names):
        return commas([self.link(name, nodes.inline("", name)) for name in names])


def commas(values):
    return [x for value in values for x in (nodes.Text(", "), value)][1:]


# The page of claims


class Table(Page):
    """Every claim: its statement, its standing, and where to look it up."""

    def run(self):
        (parts, claims), tests = load(), {}
        for file in [FILE, *sorted((ROOT / "tests").glob("test_*.py"))]:
            self.env.note_dependency(str(file))
            for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.M):
                tests[name] = f"tests/{file.name}::{name}"
        made = []
        for letter, title in parts.items():
            made.append(nodes.section("", nodes.title("", f"{letter}. {title}")))
            made[-1]["ids"] = [f"part-{letter.lower()}"]
            made[-1] += [self.entry(c, tests) for c in claims.values() if c["id"][0] == letter]
        return made

    def entry(self, claim, tests):
        late = claim["status"] == "not yet"
        box = nodes.container(classes=["claim"], ids=[f"claim-{claim['id']}"])
        title = nodes.inline("", claim["title"])
        title = title if late else self.link(claim["id"], title)
        box += nodes.paragraph("", "", nodes.strong("", claim["id"]), nodes.Text(" "), title)
        self.state.nested_parse(StringList(claim["statement"].splitlines(), str(FILE)), 0, box)
        code = {x: nodes.literal("", x.removeprefix("collapse.")) for x in claim["functions"]}
        if not late:
            code = {name: self.link(name, text, "py", "obj") for name, text in code.items()}
        facts = {
            "Standing": [nodes.Text(f"{claim['status']}; {', '.join(claim['kind'])}")],
            "Rests on": self.links(claim["rests_on"]),
            "Code": commas(code.values()) or [nodes.Text(claim["without"])],
            "Tests": commas(nodes.literal("", tests.get(x, x)) for x in claim["tests"]),
        }
        lines = nodes.field_list()
        for name, values in facts.items():
            body = nodes.field_body("", nodes.paragraph("", "", *values))
            lines += [nodes.field("", nodes.field_name("", name), body)] if values else []
        box += lines
        return box


# The map


class Picture(nodes.General, nodes.Element):
    """Stands on the page until the place of every theorem is known."""


class Map(Page):
    """Which claim rests on which: a picture, and the same as a list."""

    def run(self):
        self.env.note_dependency(str(FILE))
        box = nodes.admonition("", nodes.title("", "The map as a list"), classes=["dropdown"])
        box += nodes.bullet_list()
        for name, claim in load()[1].items():
            line = nodes.paragraph("", "", *self.links([name]), nodes.Text(f" {claim['title']}"))
            if claim["rests_on"]:
                line += [nodes.Text(": rests on "), *self.links(claim["rests_on"])]
            box[-1] += nodes.list_item("", line)
        return [Picture(), box]


def layout(claims):
    """What each claim directly rests on, the row of its box and the middle of it."""

    def below(name):
        return {name}.union(*map(below, claims[name]["rests_on"]))

    def height(name):  # of the longest chain on top of it
        return 1 + max((height(x) for x in claims if name in claims[x]["rests_on"]), default=0)

    rests, row, rows, top = {}, {}, {}, 0
    for name, claim in claims.items():  # without what follows from the rest
        on = claim["rests_on"]
        rests[name] = [x for x in on if not any(x in below(other) for other in on if other != x)]
    for tier in TIERS:
        for name in sorted((name for name in claims if name[0] in tier), key=height, reverse=True):
            row[name] = max([top, *(row[x] + 1 for x in rests[name])])
            while len(rows.get((row[name], name[0]), [])) == 6 // len(tier):
                row[name] += 1
            rows.setdefault((row[name], name[0]), []).append(name)
        top = 1 + max(row.values())

    def put(part, names):
        tier = next(tier for tier in TIERS if part in tier)
        middle = WIDTH * (tier.index(part) + 0.5) / len(tier)
        return {name: middle + STEP * (i - (len(names) - 1) / 2) for i, name in enumerate(names)}

    def length(x):
        return sum(abs(x[name] - x[above]) for name in rests for above in rests[name])

    x = {name: at for (_, part), names in rows.items() for name, at in put(part, names).items()}
    for (_, part), names in [*rows.items()] * 4:  # the shortest lines, one row after the other
        x = min((x | put(part, order) for order in permutations(names)), key=length)
    return rests, row, x


def lanes(rests, row, x):
    """Where a line passes the rows between its ends: at (claim it comes from, row), a place."""
    lane, walls = {}, {}
    for name, r in row.items():
        walls.setdefault(r, []).append((x[name], BOX / 2 + 4))
    for name in sorted(rests, key=row.get):
        ends = [end for end in rests if name in rests[end]]
        for r in range(row[name] + 1, max((row[end] for end in ends), default=0)):
            ahead = [x[end] for end in ends if row[end] > r]
            wish = (2 * lane.get((name, r - 1), x[name]) + sum(ahead) / len(ahead)) / 3
            free = [i for i in range(4, WIDTH - 3) if all(abs(i - at) >= d for at, d in walls[r])]
            lane[name, r] = min(free or [wish], key=lambda i: abs(i - wish))
            walls[r].append((lane[name, r], 4))
    return lane


def picture(parts, claims, address):
    """The map as SVG; `address` gives the link of a claim."""
    rests, row, x = layout(claims)
    lane, out, heads, marks = lanes(rests, row, x), [], [], []
    first = [min(row[name] for name in claims if name[0] in tier) for tier in TIERS]
    y = [r * (HEIGHT + GAP) + 26 * sum(r >= f for f in first) for r in range(1 + max(row.values()))]
    for letter, title in parts.items():
        ours = [name for name in claims if name[0] == letter]
        left, right = (f(x[name] for name in ours) for f in (min, max))
        top, bottom = (y[f(row[name] for name in ours)] for f in (min, max))
        out.append(
            f'<rect class="part {letter}" x="{left - STEP / 2:.0f}" y="{top - 23}" rx="6" '
            f'width="{right - left + STEP:.0f}" height="{bottom - top + HEIGHT + 29}"/>'
        )
        heads.append(
            f'<text class="part {letter}" x="{left - BOX / 2:.0f}" y="{top - 8}">'
            f"{letter}. {escape(title)}</text>"
        )
    for name in claims:
        for above in rests[name]:
            at, line = x[above], f"M{x[above]:.0f} {y[row[above]] + HEIGHT}"
            for r in range(row[above] + 1, row[name] + 1):
                to = x[name] if r == row[name] else lane[above, r]
                start, end = y[r - 1] + HEIGHT, y[r]
                line += f"C{at:.0f} {start + 18} {to:.0f} {end - 18} {to:.0f} {end}"
                line += f"V{end + HEIGHT}" if r < row[name] else ""
                at = to
            out.append(f'<path class="{above[0]} of-{above} of-{name}" d="{line}"/>')
    for name, claim in claims.items():
        left, top = round(x[name] - BOX / 2), y[row[name]]
        late = " late" if claim["status"] == "not yet" else ""
        words = textwrap.wrap(claim["title"], LETTERS)
        on = f": rests on {', '.join(claim['rests_on'])}" if claim["rests_on"] else ""
        out.append(
            f'<a class="{name[0]}{late} at-{name}" href="{escape(address(claim))}">'
            f"<title>{name} {escape(claim['title'])}{on}</title>"
            f'<rect x="{left}" y="{top}" rx="5" width="{BOX}" height="{HEIGHT}"/>'
            f'<path d="M{left} {top + 17}v-12a5 5 0 0 1 5-5h{BOX - 10}a5 5 0 0 1 5 5v12z"/>'
            f'<text class="name" x="{left + 6}" y="{top + 13}">{name}</text>'
        )
        for i, line in enumerate(words):
            down = top + 37 + 13 * (i - (len(words) - 1) / 2)
            out.append(f'<text x="{left + 6}" y="{down}">{escape(line)}</text>')
        out.append("</a>")
        marks.append(f".claims-map:has(.at-{name}:is(:hover,:focus)) .of-{name}")
    said = (
        '<title id="claims-map-title">Which claim rests on which</title><desc id="claims-map-text">'
        "Every claim is a box and a link. Lines lead down from it to what rests on it. "
        "The list below the picture says the same.</desc>"
        f"<style>{','.join(marks)}{{stroke-width:3;opacity:1}}</style>"
    )
    return (
        f'<div class="claims-map"><svg viewBox="0 0 {WIDTH} {max(y) + HEIGHT + 8}" role="group" '
        'aria-labelledby="claims-map-title" aria-describedby="claims-map-text">'
        f"{said}{' '.join(out + heads)}</svg></div>"
    )


def draw(app, doctree, docname):
    def address(claim):
        target, anchor = place(app.env, claim)
        link = app.builder.get_relative_uri(docname, target)
        return f"{link}#{anchor}" if anchor else link

    for node in list(doctree.findall(Picture)):
        node.replace_self(nodes.raw("", picture(*load(), address), format="html"))


def places_may_have_moved(app, env):
    return [name for name in (ENTRIES, MAP) if name in env.found_docs]


def setup(app):
    app.add_node(Picture)
    app.add_directive("claims-table", Table)
    app.add_directive("claims-map", Map)
    app.add_role("claim", XRefRole(innernodeclass=nodes.inline))
    app.add_role("claims-count", Count())
    app.connect("doctree-read", by_name)
    app.connect("missing-reference", resolve)
    app.connect("doctree-resolved", draw)
    app.connect("env-updated", places_may_have_moved)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
