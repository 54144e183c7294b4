"""Light pages: what the theme loads and the book does not use goes, the rest comes in few files.

The style sheets of a page become one file and its scripts another; MathJax is put together from the
components that the formulas need, without menu and speech. Style rules for what no page has go, and
so do icons that none shows and letters that no formula has; drawings keep a hundredth of a point.
What a page needs only later, comes later: a drawing further down when one gets near it, what links
show when one points at a link (book.js does it), MathJax on a page without formulas then, too.
"""

import hashlib
import math
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
LATER = r"""<script (?:defer(?:="defer")? )?(src="[^"]*_static/(?:%s)[^"]*")></script>"""
TIPS = re.compile(LATER % "vendor/popper|vendor/tippy|tippy/")
FORMULAS = re.compile(LATER % "mathjax/book")
IMAGE = re.compile(r"""<img (?!loading=)([^>]*src="[^"]*_images/([^"]+\.svg)"[^>]*?) ?/?>""")
SIZE = re.compile(r"""<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt["]""")
MATH = (
    "startup", "core", "input/tex-base", "input/tex/extensions/ams",
    "input/tex/extensions/newcommand", "output/chtml", "output/chtml/fonts/tex",
    "a11y/assistive-mml",
)  # fmt: skip
# The fonts of formulas that are large and on many pages, and what no command of a formula names.
LETTERS = ("AMS-Regular", "Main-Regular", "Math-Italic")
UNNAMED = {*range(0x20, 0x180), *range(0x2C6, 0x2DE), *map(ord, "′″−∗∣∥…⋯√→↦\u0338\u2061\u2062")}
# Of the two formats of each icon font, the one that stays is made small.
WOFF2 = re.compile(r"""url\([^)]*/fa-[^)]*\.woff2\) format\("woff2"\),""")
DRAWN = re.compile(r"""( d=")([^"]+)""")
ALIKE = re.compile(
    r"""<g([^>]*)>((?:<use [^>]*?)( style="(?!(?:[^"]* )?opacity)[^"]*")/>"""
    r"""(?:<use [^>]*?\3/>)*)</g>"""
)
PLACE = re.compile(r"""( (?:x|y)=")([^"]+)""")
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
        smaller(path, shown)
        path.with_suffix(".woff2").unlink(missing_ok=True)


def fewer_letters(folder, pages, program):
    """The fonts of formulas with the letters that the pages' commands are defined to draw."""
    said = set(re.findall(r"\\([A-Za-z]+)", pages))
    drawn = re.findall(r"""["\\]*\b([A-Za-z]+)"?:\[?"\\u([0-9a-f]{4})""", program)
    drawn = {int(number, 16) for name, number in drawn if name in said}
    for name in LETTERS:
        smaller(folder / f"MathJax_{name}.woff", drawn | UNNAMED, flavor="woff")


def smaller(path, shown, **options):
    """A font with these glyphs alone."""
    options = subset.Options(**options)
    options.drop_tables += ["FFTM"]  # dates
    font = subset.load_font(str(path), options)
    small = subset.Subsetter(options)
    small.populate(unicodes=shown)
    small.subset(font)
    subset.save_font(font, str(path), options)


def compact(drawing):
    """An SVG of Matplotlib's with the same strokes in fewer bytes.

    Places are rounded to a hundredth of a point and points of a line go that lie within three of
    it; paths count from point to point; marks that look alike say so once.

    >>> compact('<g id="a"> <path d="M 1.236 2 L 2 2.01 L 3 2 Q 4 2 4 1.5 z"/> </g>')
    '<g id="a"><path d="m1.24 2l1.76 0q1 0 1-.5z"/></g>'
    >>> compact(_) == _
    True
    >>> compact('<use x="1.23456" y="2" transform="scale(0.015625)"/>')
    '<use x="1.23" y="2" transform="scale(0.015625)"/>'
    >>> compact('<g><use x="1" style="fill: red"/><use x="2" style="fill: red"/></g>')
    '<g style="fill: red"><use x="1"/><use x="2"/></g>'
    """
    drawing = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r">\s+<", "><", drawing)
    drawing = ALIKE.sub(lambda x: f"<g{x[1]}{x[3]}>{x[2].replace(x[3], '')}</g>", drawing)
    drawing = PLACE.sub(lambda x: f"{x[1]}{hundredths(round(100 * float(x[2])))}", drawing)
    return DRAWN.sub(lambda x: f"{x[1]}{path(x[2])}", drawing)


def hundredths(number):
    """A whole number of hundredths, as short as SVG allows.

    >>> [hundredths(x) for x in (0, 5, -50, 1200, -1234)]
    ['0', '.05', '-.5', '12', '-12.34']
    """
    whole, rest = divmod(abs(number), 100)
    text = f"{whole or ''}" + (f".{rest:02}".rstrip("0") if rest else "")
    return "-" * (number < 0) + (text or "0")


def path(drawn):
    """The d of a path in relative whole hundredths; as it is unless it says M, L, Q, C, z alone."""
    words = drawn.split()
    if words[0] != "M" or not set("".join(words)) <= set("MLQCz0123456789-."):
        return drawn
    steps = []  # (letter, points), points in hundredths
    for word in words:
        if word.isalpha():
            steps.append((word, []))
        else:
            steps[-1][1].append(round(100 * float(word)))
    steps = [(letter, list(zip(x[::2], x[1::2], strict=True))) for letter, x in steps]
    done, at, start, last = [], (0, 0), (0, 0), ""
    for letter, points in straightened(steps):
        if letter == "z":
            done, at, last = [*done, "z"], start, ""
            continue
        said = [hundredths(x - y) for point in points for x, y in zip(point, at, strict=True)]
        text = "".join(x if x[0] == "-" else f" {x}" for x in said)
        done.append(text if letter == last != "M" else letter.lower() + text.lstrip())
        at, last = points[-1], letter
        start = at if letter == "M" else start
    return "".join(done)


def straightened(steps):
    """Without the points of a line that lie within three hundredths of it."""
    kept, line = [], []
    for letter, points in [*steps, ("", [])]:
        if letter == "L":
            line += points
            continue
        if line:
            first = kept[-1][1][-1] if kept and kept[-1][1] else line[0]
            kept += [("L", [point]) for point in thinned([first, *line])[1:]]
        kept, line = [*kept, (letter, points)], []
    return kept[:-1]


def thinned(points, within=3):
    """The corners of a line that runs as near as that to all its points: Douglas and Peucker."""
    keep, spans = {0, len(points) - 1}, [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        (ax, ay), (bx, by) = points[first], points[last]
        length = math.hypot(bx - ax, by - ay)

        def away(i, ax=ax, ay=ay, bx=bx, by=by, length=length):
            x, y = points[i][0] - ax, points[i][1] - ay
            along = ((bx - ax) * x + (by - ay) * y) / length**2 if length else 0
            along = min(max(along, 0), 1)
            return math.hypot(x - along * (bx - ax), y - along * (by - ay))

        far = max(range(first + 1, last), key=away, default=None)
        if far is not None and away(far) > within:
            keep.add(far)
            spans += [(first, far), (far, last)]
    return [point for i, point in enumerate(points) if i in keep]


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


def later(page, images):
    """The page with what is not needed at once marked so: for the browser, or for book.js."""
    page = TIPS.sub(r'<script type="later" \1></script>', page)
    if 'class="math' not in page:
        page = FORMULAS.sub(r'<script type="later" \1></script>', page)
    seen = []

    def image(found):
        """With its size, so that nothing moves when it comes; the first one comes at once."""
        seen.append(found[2])
        size = SIZE.search((images / found[2]).read_text(encoding="utf-8"))
        if not size:
            return found[0]
        width, height = (round(float(x) * 4 / 3) for x in size.groups())
        loading = "lazy" if len(seen) > 1 else "eager"
        return f'<img loading="{loading}" width="{width}" height="{height}" {found[1]}/>'

    return IMAGE.sub(image, page)


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
        page = later(MATHJAX.sub("mathjax/book.js", heavy), out / "_images")
        page = together(page, path, STYLE, static, style)
        if "searchtools.js" not in page:  # which does not wait for the others
            page = together(page, path, SCRIPT, static, script)
        path.write_text(page, encoding="utf-8")
        pages[path] = page
    wanted = "".join(pages.values())
    for path in [*static.glob("tippy/**/*.js"), *static.glob("book-*.*")]:
        if path.name not in wanted:  # of an earlier build
            path.unlink()
    styles = [path.read_text(encoding="utf-8") for path in static.glob("book-*.css")]
    fewer_icons(static / "vendor" / "fontawesome" / "webfonts", "".join(styles))
    for path in (out / "_images").glob("*.svg"):
        path.write_text(compact(path.read_text(encoding="utf-8")), encoding="utf-8")
    text = "".join((static / "mathjax" / f"{x}.js").read_text(encoding="utf-8") for x in MATH)
    (static / "mathjax" / "book.js").write_text(text, encoding="utf-8")
    fewer_letters(static / "mathjax/output/chtml/fonts/woff-v2", wanted, text)


def setup(app):
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    app.add_config_value("light", own, "html")  # once it changes, every page is written anew
    app.connect("build-finished", lighten, priority=900)  # the theme writes pygments.css late
    return {"parallel_read_safe": True, "parallel_write_safe": True}
