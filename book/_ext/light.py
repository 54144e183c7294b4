"""Light pages: what the theme loads and the book does not use goes, the rest comes in few files.

The style sheets of a page become one file and its scripts another; MathJax is put together from the
components that the formulas need, without menu and speech. Style rules for what no page has go, and
so do icons that none shows; drawings keep a hundredth of a point.
"""

import hashlib
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import tinycss2
from fontTools import subset

HEAVY = re.compile(
    r"""\s*<script src="[^"]*/fontawesome\.js[^"]*"></script>"""  # the style sheet has the icons
    r"""|\s*<link [^>]*sphinx-thebe\.css[^>]*>|\s*<script type="text/x-thebe-config">.*?</script>"""
    r"""|\s*<script>kernelName = .*?</script>|\s*<link rel="preload" as="script"[^>]*>"""
    r"""|\s*<script [^>]*design-tabs\.js[^>]*></script>""",
    re.DOTALL,
)
STYLE = re.compile(r"""[ \t]*<link [^>]*href="([^"?]+\.css)[^"]*"[^>]*>\n?""")
APART = re.compile(r"documentation_options|mathjax|_static/tippy/")
SCRIPT = re.compile(
    r"""[ \t]*<script (?:defer(?:="defer")? )?src="([^"?]+\.js)[^"]*"></script>\n?"""
)
MATHJAX = re.compile(r"""mathjax/tex-chtml\.js[^"]*""")
MATH = (
    "startup", "core", "input/tex-base", "input/tex/extensions/ams",
    "input/tex/extensions/newcommand", "output/chtml", "output/chtml/fonts/tex",
    "a11y/assistive-mml",
)  # fmt: skip
# Of the two formats of each icon font, the one that stays is made small.
WOFF2 = re.compile(r"""url\([^)]*/fa-[^)]*\.woff2\) format\("woff2"\),""")
DRAWN = re.compile(r"""( (?:d|x|y)=")([^"]+)""")
ICON = re.compile(r"((?:\.fa-[\w-]+::?before,?)+)\{(?:content|--fa):[^}]*\}")


def style_sheet(path, static, icons):
    """A style sheet as it reads in _static itself: imports inside, addresses from there."""
    text = path.read_text(encoding="utf-8")

    def inside(found):
        return style_sheet((path.parent / found[1]).resolve(), static, icons)

    def address(found):
        if found[1].startswith("data:"):
            return found[0]
        target = (path.parent / found[1]).resolve().relative_to(static)
        return f"url({target.as_posix()})"

    text = re.sub(r"""@import "([^"]+)";""", inside, text)
    text = re.sub(r"""url\(((?!["'])[^)]+)\)""", address, text)

    def used(found):
        return found[0] if icons & set(re.findall(r"fa-([\w-]+)", found[1])) else ""

    return WOFF2.sub("", ICON.sub(used, text))


def purged(rules, known):
    """Rules as text, but those for a class or an identifier that no page has.

    >>> style = ".a, .b > p {x: 1} #c.a {x: 2} @media print {.b {x: 3} p:not(.b, .d) {x: 4}}"
    >>> print(purged(tinycss2.parse_stylesheet(style, True, True), {"a"}))
    .a{x: 1}
    @media print {p:not(.b, .d) {x: 4}}
    """
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            wanted = [x for x in selectors(rule.prelude) if known.issuperset(named(x))]
            if wanted:
                head = ",".join(map(tinycss2.serialize, wanted))
                kept.append(f"{head}{{{tinycss2.serialize(rule.content)}}}")
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            inner = purged(tinycss2.parse_rule_list(rule.content, True, True), known)
            if inner:
                head = f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}"
                kept.append(f"{head}{{{inner}}}")
        elif rule.type != "whitespace":
            kept.append(rule.serialize())
    return "\n".join(kept)


def selectors(prelude):
    """The tokens of each selector of a list."""
    found = [[]]
    for token in prelude:
        if token == ",":
            found.append([])
        else:
            found[-1].append(token)
    return found


def named(selector):
    """Classes and identifiers that it asks for; those inside :not(...) and the like it may not."""
    for before, token in pairwise([None, *selector]):
        if token.type == "hash" or (before == "." and token.type == "ident"):
            yield token.value


def fewer_icons(folder, text):
    """The fonts of icons with those glyphs alone that a style sheet asks for."""
    shown = set(map(ord, re.findall("[\ue000-\uf8ff]", text)))
    for path in folder.glob("*.ttf"):
        font = subset.load_font(str(path), subset.Options())
        small = subset.Subsetter()
        small.populate(unicodes=shown)
        small.subset(font)
        font.save(str(path))
        path.with_suffix(".woff2").unlink(missing_ok=True)


def rounded(drawing):
    """An SVG whose paths and places have two digits behind the point.

    >>> rounded('<path d="M 1.23456 2 L -0.12 3.999" transform="scale(0.015625)"/>')
    '<path d="M 1.23 2 L -0.12 3.99" transform="scale(0.015625)"/>'
    """
    return DRAWN.sub(lambda x: x[1] + re.sub(r"(\.\d\d)\d+", r"\1", x[2]), drawing)


def script(path):
    """A script as a part of a longer one: not the first line, which would be strict for all."""
    return f"void 0;\n{path.read_text(encoding='utf-8')}\n"


def together(page, path, wanted, static, read):
    """The page with one link in place of those wanted, to a file with the content of all."""
    found = [link for link in wanted.findall(page) if not APART.search(link)]
    if not found:
        return page
    sources = [(path.parent / link).resolve() for link in found]
    if sources[0].name.startswith("book-"):  # a page of an earlier build: as fresh as the parts
        head = sources[0].read_text(encoding="utf-8").partition("\n")[0]
        sources = [static / name for name in head.strip("/* ").split()]
    names = " ".join(source.relative_to(static).as_posix() for source in sources)
    kind = found[0].rpartition(".")[2]
    name = f"book-{hashlib.sha256(names.encode()).hexdigest()[:8]}.{kind}"
    text = "\n".join([f"/* {names} */", *map(read, sources)])
    (static / name).write_text(text, encoding="utf-8")
    to = found[0][: found[0].index("_static/")] + f"_static/{name}"
    tag = f'<link rel="stylesheet" href="{to}" />\n'
    tag = tag if kind == "css" else f'<script defer src="{to}"></script>\n'
    first = wanted.search(page).start()
    page = wanted.sub(lambda link: link[0] if APART.search(link[1]) else "", page)
    return page[:first] + tag + page[first:]


def lighten(app, exception):
    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir).resolve()
    static = out / "_static"
    paths = [path for path in out.rglob("*.html") if static not in path.parents]
    pages = {path: HEAVY.sub("", path.read_text(encoding="utf-8")) for path in paths}
    scripts = [path.read_text(encoding="utf-8") for path in static.glob("scripts/*book*.js")]
    icons = set(re.findall(r"fa-([\w-]+)", "".join([*pages.values(), *scripts])))

    words = [*pages.values(), *(path.read_text(encoding="utf-8") for path in static.rglob("*.js"))]
    known = set(re.findall(r"[\w-]+", " ".join(words)))

    @cache
    def style(path):
        text = style_sheet(path, static, icons)
        return purged(tinycss2.parse_stylesheet(text, True, True), known)

    for path, heavy in pages.items():
        page = together(heavy, path, STYLE, static, style)
        if "searchtools.js" not in page:  # which does not wait for the others
            page = together(page, path, SCRIPT, static, script)
        path.write_text(MATHJAX.sub("mathjax/book.js", page), encoding="utf-8")
    styles = [path.read_text(encoding="utf-8") for path in static.glob("book-*.css")]
    fewer_icons(static / "vendor" / "fontawesome" / "webfonts", "".join(styles))
    for path in (out / "_images").glob("*.svg"):
        path.write_text(rounded(path.read_text(encoding="utf-8")), encoding="utf-8")
    text = "".join((static / "mathjax" / f"{x}.js").read_text(encoding="utf-8") for x in MATH)
    (static / "mathjax" / "book.js").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", lighten, priority=900)  # the theme writes pygments.css late
    return {"parallel_read_safe": True, "parallel_write_safe": True}
