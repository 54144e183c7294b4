"""Light pages: what the theme loads and the book does not use goes, the rest comes in few files.

The style sheets of a page become one file and its scripts another; MathJax is put together from the
components that the formulas need, without menu and speech.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

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

    return ICON.sub(used, text)


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

    @cache
    def style(path):
        return style_sheet(path, static, icons)

    for path, heavy in pages.items():
        page = together(heavy, path, STYLE, static, style)
        if "searchtools.js" not in page:  # which does not wait for the others
            page = together(page, path, SCRIPT, static, script)
        path.write_text(MATHJAX.sub("mathjax/book.js", page), encoding="utf-8")
    text = "".join((static / "mathjax" / f"{x}.js").read_text(encoding="utf-8") for x in MATH)
    (static / "mathjax" / "book.js").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", lighten, priority=900)  # the theme writes pygments.css late
    return {"parallel_read_safe": True, "parallel_write_safe": True}
