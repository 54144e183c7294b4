"""The built book in a real browser: nothing from elsewhere, nothing broken, readable by everyone.

Skipped without a built book or a Chromium; under CI=true that is a failure.
"""

import functools
import http.server
import importlib.util
import io
import os
import re
import shutil
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "_ext"))
CHROMIUMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
BROWSER = next(filter(None, map(shutil.which, CHROMIUMS)), None)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
# Findings of the theme itself: its search button and its logo.
THEME = {("label-content-name-mismatch", "search-button"), ("region", "logo__image")}
# A formula has the colour of the text around it, and contrast is half of the time; every other
# rule reads formulas, too.
NOT_FORMULAS = (
    '; axe.configure({rules: [{id: "color-contrast", '
    'selector: "*:not(mjx-container, mjx-container *)"}]})'
)
MADE_UP = re.compile(r"\.(svg|png|jpe?g|gif)$|^[0-9a-f]{16,}", re.IGNORECASE)


def skip(reason):
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def pages():
    """Every page of the table of contents; the redirect at the top and the indices are not."""
    found = sorted((HTML / "book").rglob("*.html"))
    return [path.relative_to(HTML).as_posix() for path in found]


@functools.cache
def chapters():
    """The pages of the numbered parts."""
    from plain import in_order

    found = [page.relative_to(ROOT) for page, number in in_order(ROOT) if number]
    return {page.with_suffix(".html").as_posix() for page in found}


@pytest.fixture(scope="module")
def soups():
    if not (HTML / "index.html").exists():
        skip("no built book: make book builds it")
    from bs4 import BeautifulSoup

    paths = sorted(HTML.rglob("*.html"))
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in paths
        if "_static" not in path.parts
    }


@pytest.fixture(scope="module")
def address(soups):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=HTML)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@contextmanager
def browser():
    if BROWSER is None:
        skip("no Chromium: sudo apt-get install chromium, or put a Chrome on the PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def axe():
    from axe_playwright_python.base import AXE_SCRIPT
    from axe_playwright_python.sync_playwright import Axe

    return Axe(AXE_SCRIPT + NOT_FORMULAS)


@pytest.fixture(scope="module")
def visits(address, axe):
    """Every page opened at both widths and in both themes: (page, what was wrong) pairs."""
    wrong = {"requests": [], "errors": [], "width": [], "axe": [], "picture": [], "weight": [],
             "letters": []}  # fmt: skip

    def visit(context, name, theme):
        page, here, loading = context.new_page(), f"{name} ({theme})", True

        def answered(response):
            ours = response.url.startswith((address, "data:", "blob:"))
            if loading and not (ours and response.status < 400):
                wrong["requests"].append((here, response.url, response.status))

        def asked(request):
            if loading and not request.url.startswith((address, "data:", "blob:")):
                wrong["requests"].append((here, request.url))

        def said(text):
            if loading:
                wrong["errors"].append((here, text))

        page.on("request", asked)
        page.on("response", answered)
        page.on("pageerror", lambda error: said(str(error)))
        page.on("console", lambda line: line.type == "error" and said(line.text))
        page.goto(address + name, wait_until="load")
        page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
        files, size = page.evaluate(WEIGHT)
        if files >= FILES or size >= BYTES:
            wrong["weight"].append((here, files, size))
        if theme == "light":
            wrong["letters"] += [(here, x) for x in page.evaluate(LETTERS) if not in_font(*x)]
        page.set_viewport_size(NARROW)
        wide = page.evaluate(TOO_WIDE)
        if wide:
            wrong["width"].append((here, wide))
        loading = False  # axe asks for style sheets again, at addresses of its own making
        if theme == "light":
            wrong["axe"] += [(here, "360 px", *found) for found in findings(axe, page)]
        page.set_viewport_size(WIDE)
        wrong["axe"] += [(here, *found) for found in findings(axe, page)]
        if theme == "light" and name in chapters():
            wrong["picture"] += [(here, top) for top in [page.evaluate(FIRST_PICTURE)] if top > 900]
        page.close()

    to_do = list(product(("light", "dark"), pages()))

    def work(_):
        with browser() as chromium:
            themes = {t: chromium.new_context(color_scheme=t, viewport=WIDE) for t, _ in to_do}
            while to_do:
                theme, name = to_do.pop()
                visit(themes[theme], name, theme)

    with ThreadPoolExecutor(2) as two:
        list(two.map(work, range(2)))
    return wrong


FILES, BYTES = 20, 1_500_000  # fewer than these at a first visit
WEIGHT = """() => {
  const all = ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind));
  return [all.length, all.reduce((sum, one) => sum + one.encodedBodySize, 0)];
}"""
# What formulas draw, each with the files of the fonts where it is looked for.
LETTERS = """() => {
  const rules = [...document.styleSheets].flatMap(sheet => [...sheet.cssRules]);
  const fonts = new Map(rules.filter(rule => rule instanceof CSSFontFaceRule)
    .map(({style}) => [style.fontFamily, style.src.match(/([^/]+[.]woff)"/)?.[1]]));
  const found = new Set();
  for (const e of document.querySelectorAll("mjx-container *")) {
    for (const place of ["::before", "::after"]) {
      const {content, fontFamily} = getComputedStyle(e, place);
      const files = fontFamily.split(", ").map(name => fonts.get(name)).filter(Boolean);
      if (files.length && content[0] === '"') found.add(JSON.stringify([files, content]));
    }
  }
  return [...found].map(text => JSON.parse(text)).map(([files, text]) => [files, JSON.parse(text)]);
}"""


@functools.cache
def letters(path):
    from fontTools.ttLib import TTFont

    return set(TTFont(path).getBestCmap())


def in_font(files, text):
    """Every letter is in the font that has it in the whole MathJax."""
    whole = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static"
    fonts = "mathjax/output/chtml/fonts/woff-v2"
    for letter in map(ord, text):
        has = [name for name in files if letter in letters(whole / fonts / name)]
        if has and letter not in letters(HTML / "_static" / fonts / has[0]):
            return False
    return True


# Where the first figure or explorer starts, in px from the top of the page.
FIRST_PICTURE = """Math.min(...[...document.querySelectorAll("figure, collapse-loop")]
  .map(e => e.getBoundingClientRect().top + scrollY).concat(1e9))"""


# The text of the page is at most as wide as the window; else: what sticks out, innermost first.
TOO_WIDE = """async () => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return null;
  const scrolls = e => e.tagName !== "MAIN" &&
    (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
  const out = [...document.querySelectorAll("main *")].reverse()
    .filter(e => e.getBoundingClientRect().right > room + 1 && !scrolls(e));
  return `${document.documentElement.scrollWidth} px: ` +
    out.slice(0, 3).map(e => e.outerHTML.slice(0, 90)).join(" | ");
}"""


def findings(axe, page):
    for rule in axe.run(page).response["violations"]:
        for node in rule["nodes"]:
            if not any(rule["id"] == known and part in node["html"] for known, part in THEME):
                yield rule["id"], node["html"][:150]


def test_every_request_stays_here_and_is_answered(visits):
    assert visits["requests"] == []


def test_no_error_in_the_browser(visits):
    assert visits["errors"] == []


def test_no_page_scrolls_sideways_on_a_telephone(visits):
    assert visits["width"] == []


def test_a_picture_first(visits):
    """In every chapter, reference apart, it starts within the first window."""
    assert len(chapters()) >= 24 and chapters() <= set(pages())
    assert visits["picture"] == []


def test_a_caption_does_not_answer_what_the_page_asks(address, soups):
    """Behind a question it is folded, by book.js: readers without scripts and paper have it."""
    asked = {
        path.relative_to(HTML).as_posix(): figures
        for path, soup in soups.items()
        if (figures := soup.select("figure.asked"))
    }
    assert sum(map(len, asked.values())) >= 20
    for name, figures in asked.items():
        assert all(figure.find("figcaption").get_text(strip=True) for figure in figures), name
    with browser() as chromium:
        page = chromium.new_page(viewport=WIDE)
        page.goto(address + max(asked, key=lambda name: len(asked[name])))
        text = page.locator("figure.asked .caption-text").first
        assert not text.is_visible()
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert text.is_visible()


def test_a_notebook_has_the_numbers_of_its_page(soups):
    """Figures, theorems and the like, exercises, equations, whatever their order: pictures move."""
    import nbformat

    seen = 0
    for path, soup in soups.items():
        page = path.relative_to(HTML).with_suffix(".ipynb")
        notebook = ROOT / "notebooks" / Path(*page.parts[1:])
        if page.parts[0] != "book" or not notebook.is_file():
            continue
        cells = nbformat.read(notebook, 4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        shown = {}
        for span in soup.select("span.caption-number"):
            kind, number = span.get_text().split()
            shown.setdefault(kind.replace("Fig.", "Figure"), []).append(number)
        shown["Equation"] = [span.get_text().strip("()\n ¶#") for span in soup.select("span.eqno")]
        for kind, numbers in shown.items():
            head = r"\\tag\{(.+?)\}" if kind == "Equation" else rf"^(?:> )?\*\*{kind} ([\d.]*\d)\b"
            told = re.findall(head, text, re.MULTILINE)
            assert sorted(told) == sorted(numbers), (path.name, kind)
            seen += len(numbers)
    assert seen > 200


def test_icons_that_style_sheets_show_are_in_their_fonts(soups):
    from fontTools.ttLib import TTFont

    styles = "".join(path.read_text("utf-8") for path in (HTML / "_static").glob("book-*.css"))
    shown = set(map(ord, re.findall("[\ue000-\uf8ff]", styles)))
    there = set()
    for path in (HTML / "_static").rglob("fa-*.ttf"):
        there |= set(TTFont(path).getBestCmap())
    assert len(shown) >= 10 and shown <= there
    assert not re.search(r"fa-[^)]*\.woff2", styles)


def test_the_letters_of_formulas_are_in_their_fonts(visits):
    """Which light.py makes smaller, without having seen the formulas drawn."""
    assert visits["letters"] == []
    main, double = ["MathJax_Zero.woff", "MathJax_Main-Regular.woff"], ["MathJax_AMS-Regular.woff"]
    assert in_font(main, "∑≤1") and in_font(double, "E") and not in_font(double, "⊮")


def test_pages_are_light(visits):
    """A first visit, of which three quarters of a megabyte is MathJax, shared by all pages."""
    assert visits["weight"] == []


def test_terms_lead_to_the_glossary_once_a_page(soups):
    seen = 0
    for path, soup in soups.items():
        links = [a["href"] for a in soup.select("a:has(> .std-term.first)")]
        assert len(links) == len(set(links)), path.name
        assert all("glossary.html#term-" in link for link in links), path.name
        assert not soup.select(":is(h1, h2, h3, .proof, .exercise) .std-term.first"), path.name
        seen += len(links)
    assert seen >= 60  # that they exist is what the strict build checks


def test_accessibility(visits):
    assert visits["axe"] == []


def test_a_planted_fault_is_found(address, axe):
    """In the text, and in a formula whatever is not its contrast."""
    formula = '<mjx-container class="MathJax" tabindex="0">%s</mjx-container>'
    pale = '<span style="color: #888; background: #999">pale</span>'
    planted = {
        "color-contrast": [f"<p>{pale}</p>", f"<p>{pale} beside {formula % 'x'}</p>"],
        "image-alt": ["<p><img src='#'></p>", f"<p>{formula % '<img src=x>'}</p>"],
        None: [f"<p>{formula % pale}</p>"],
    }
    with browser() as chromium:
        page = chromium.new_page(viewport=WIDE)
        page.goto(address + min(pages(), key=lambda name: (HTML / name).stat().st_size))
        before = set(findings(axe, page))
        for rule, faults in planted.items():
            for fault in faults:
                page.evaluate(
                    """fault => {
                      document.querySelector("#planted")?.remove();
                      document.querySelector("article section").insertAdjacentHTML(
                        "beforeend", `<div id="planted">${fault}</div>`);
                    }""",
                    fault,
                )
                found = {rule for rule, _ in set(findings(axe, page)) - before}
                assert found == ({rule} if rule else set()), fault


def test_figures_are_described(soups):
    wrong = []
    for path, soup in soups.items():
        for image in soup.select("main img"):
            alt = (image.get("alt") or "").strip()
            if not alt or MADE_UP.search(alt):
                wrong.append((path.name, image.get("src"), alt))
            figure = image.find_parent("figure")
            if image.find_parent(class_="cell_output") and not (
                figure and figure.find("figcaption")
            ):
                wrong.append((path.name, image.get("src"), "no caption"))
    assert wrong == []


def test_links_and_anchors(soups):
    anchors = {
        path: {tag.get("id") for tag in soup.find_all(id=True)}
        | {tag.get("name") for tag in soup.find_all("a", attrs={"name": True})}
        for path, soup in soups.items()
    }
    wrong = []
    for path, soup in soups.items():
        for tag in soup.select("a[href], img[src], script[src], link[href]"):
            link = tag.get("href") or tag.get("src")
            if link in ("#", "") or re.match(r"[a-z]+:", link):
                continue
            target, anchor = urldefrag(urljoin(path.as_uri(), link))
            file = Path(unquote(target.partition("?")[0]).removeprefix("file://"))
            if not file.is_file() or (anchor and file in anchors and unquote(anchor) not in
                                      anchors[file]):  # fmt: skip
                wrong.append((path.relative_to(HTML).as_posix(), link))
    assert wrong == []


def test_every_page_has_a_language_a_title_and_one_main_heading(soups):
    wrong = [
        name
        for name in pages()
        if not soups[HTML / name].html.get("lang")
        or not soups[HTML / name].title.text.strip()
        or len(soups[HTML / name].select("article h1")) != 1
    ]
    assert wrong == []


# To take home


NUMBER = re.compile(r"\{glue:text\}`([^`]+)`")
DIGITS = re.compile(r"\d[\d,.]*")
TRAINED = {"experiments/gpt", "experiments/network"}  # what a network learns differs by processor


def near(shown, known, chaotic=False):
    """The same words, and numbers that are equal but for 1% and one in the last digit, or 50%."""
    ours, theirs = (DIGITS.findall(text) for text in (shown, known))
    if DIGITS.sub("#", shown) != DIGITS.sub("#", known) or len(ours) != len(theirs):
        return chaotic and DIGITS.sub("#", shown)[-1:] == DIGITS.sub("#", known)[-1:]
    for pair in zip(ours, theirs, strict=True):
        a, b = (number.rstrip(".,").replace(",", "") for number in pair)
        if a.count(".") > 1 or b.count(".") > 1:
            return a == b
        slack = 1.01 * 10.0 ** -len(b.partition(".")[2])
        if abs(float(a) - float(b)) > slack + (0.5 if chaotic else 0.01) * abs(float(b)):
            return False
    return True


def test_numbers_may_differ_by_a_processor_and_no_more():
    assert near("about 1.23%", "about 1.24%") and not near("about 1.23%", "about 1.33%")
    assert near("12,345", "12,399") and not near("12,345", "13,345") and not near("3.1", "-3.1")
    assert near("+0.41", "+0.52", chaotic=True) and not near("+0.41", "+0.52")


def test_every_chapter_offers_its_notebook_with_its_numbers(soups):
    """Those that the page shows, and the notebooks of the repository have the same."""
    from plain import chapters, last_numbers, name_of

    seen = 0
    for chapter in chapters():
        page, known = HTML / "book" / chapter.with_suffix(".html"), last_numbers()[name_of(chapter)]
        wanted = NUMBER.findall((ROOT / "book" / chapter).read_text(encoding="utf-8"))
        shown = [span.get_text() for span in soups[page].select("span.pasted-text")]
        stale = f"book/numbers.json has other numbers than the page of {chapter}: make notebooks"
        ours, chaotic = [known.get(name, "none") for name in wanted], name_of(chapter) in TRAINED
        assert len(shown) == len(ours), stale
        for text in sorted(shown, key=lambda text: text not in ours):  # the equal ones first
            match = [x for x in ours if x == text] or [x for x in ours if near(text, x, chaotic)]
            assert match, (stale, text)
            ours.remove(match[0])
        button = soups[page].find("a", href=re.compile(r"\.ipynb$"))
        text = (page.parent / unquote(button["href"])).resolve().read_text(encoding="utf-8")
        committed = ROOT / "notebooks" / chapter.with_suffix(".ipynb")
        held = committed.read_text(encoding="utf-8")
        assert DIGITS.sub("#", text) == DIGITS.sub("#", held) or chaotic, (
            f"{chapter}: make notebooks"
        )
        seen += len(wanted)
    assert seen > 200


def test_the_archive_is_whole(soups):
    from plain import chapters

    names = zipfile.ZipFile(HTML / "notebooks.zip").namelist()
    assert {f"notebooks/{c.with_suffix('.ipynb').as_posix()}" for c in chapters()} < set(names)
    wheels = [name for name in names if name.endswith(".whl")]
    assert len(wheels) == 1 and "README.txt" in names and "book/data/gpt-laptop.json" in names
    with zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(HTML / "notebooks.zip").read(*wheels))) as held:
        assert "collapse/engine.py" in held.namelist()


# Without a network, and on paper


@pytest.fixture
def opened(soups):
    """A page opened from the disk: its address begins with file://."""
    with browser() as chromium:
        page = chromium.new_page(viewport=WIDE)

        def visit(name):
            name, mark, query = name.partition("?")
            page.goto((HTML / name).as_uri() + mark + query)
            page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
            return page

        yield visit


def test_the_book_works_from_the_disk(opened):
    page = opened("book/theory/regimes.html")
    assert page.locator("mjx-container").count() > 100
    inline = "mjx-container[tabindex='0']:not([display='true'])"  # wide ones can be scrolled
    assert page.locator(inline).count() == 0
    link = page.locator("article a.reference[href$='#B1']").first
    link.scroll_into_view_if_needed()
    link.hover()
    tip = page.locator("[data-tippy-root]")
    tip.wait_for()
    assert "without fresh data" in tip.inner_text()
    page = opened("book/theory/map.html")  # without a formula, so MathJax comes with the tip
    assert not page.evaluate("MathJax.startup?.promise")
    page.locator("article a[href$='#B3']").first.focus()
    page.locator("[data-tippy-root] mjx-container").first.wait_for()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("how much real data", "practice"),
        ("LLM", "practice"),
        ("fine-tune", "practice"),
        ("rho", "notation"),
    ],
)
def test_search_answers_from_the_disk(opened, asked, found):
    page = opened(f"search.html?q={asked.replace(' ', '+')}")
    page.locator("#search-results li a").first.wait_for()
    page.wait_for_timeout(1000)  # results come in one by one
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any(f"/{found}.html" in link for link in links[:5]), links


def test_folded_code_opens_and_stays_open(opened):
    page = opened("book/theory/recursion.html")
    shut = "div.cell details.hide:not([open])"
    assert page.locator(shut).count() > 5
    page.get_by_role("button", name="Show all code").press("Enter")
    assert page.locator(shut).count() == 0
    page.reload()
    assert page.locator(shut).count() == 0


def test_paper_shows_what_is_folded_but_no_code_of_service(opened):
    page = opened("book/theory/recursion.html")
    proof = page.locator(".proof.dropdown p:not(.admonition-title)").first
    service = page.locator("div.cell.folded details.hide").first
    assert not proof.is_visible() and service.is_visible()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert proof.is_visible() and not service.is_visible()


def test_drawings_further_down_come_later_and_are_on_paper(address, soups):
    waiting = "[...document.images].filter(one => !one.naturalWidth).length"
    tall = "document.documentElement.scrollHeight"
    with browser() as chromium:
        page = chromium.new_page(viewport=WIDE)
        page.goto(address + "book/models/regression.html", wait_until="load")
        page.evaluate("MathJax.startup.promise")
        assert page.evaluate(waiting) >= 2
        before = page.evaluate(tall)
        page.evaluate("for (const one of document.images) one.loading = 'eager'")
        page.wait_for_function(f"{waiting} === 0")
        assert abs(page.evaluate(tall) - before) < 5  # so links lead where they should
        page = chromium.new_page(viewport=WIDE)  # which has none of them yet
        page.goto(address + "book/models/regression.html", wait_until="load")
        assert page.evaluate(waiting) >= 2
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        page.wait_for_function(f"{waiting} === 0")
