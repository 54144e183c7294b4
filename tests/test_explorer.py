"""The explorer of the pages, book/_static/loop.js, run in a Chromium against the package."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from test_pages import BROWSER, NARROW, browser, skip

import collapse
from collapse import design, exact
from collapse.targets import words

FILE = Path(__file__).resolve().parents[1] / "book" / "_static" / "loop.js"
CALL = "({name, args}) => customElements.get('collapse-loop')[name](...args)"


@pytest.fixture(scope="module")
def page():
    if BROWSER is None:
        skip("no Chromium: sudo apt-get install chromium, or put a Chrome on the PATH")
    with browser() as chromium:
        page = chromium.new_page(viewport=NARROW)
        page.add_script_tag(path=FILE)
        yield page


def call(page, name, *args):
    return page.evaluate(CALL, {"name": name, "args": args})


def test_it_is_small_and_asks_for_nothing():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.encode()) < 40 * 1024
    for word in ("fetch(", "import(", "XMLHttpRequest", "http://", "https://"):
        assert word not in text.replace("http://www.w3.org/", "")


def test_recursion_and_plateau_are_those_of_the_package(page):
    """500 random plans, to 1e-12."""
    rng = np.random.default_rng(1)
    for _ in range(500):
        T = int(rng.integers(1, 60))
        n, growth = int(rng.integers(2, 5000)), float(rng.choice([0, rng.random() * 2]))
        share, decay = float(rng.random()), float(rng.choice([0, rng.random() * 2]))
        scheme = str(rng.choice(["mixture", "accumulate", "replace"]))
        made = call(page, "plan", {"scheme": scheme, "n": n, "share": share, "decay": decay,
                                   "growth": growth, "T": T})  # fmt: skip
        size, falls = collapse.power(n, growth), collapse.power(share, -decay, maximum=1.0)
        if scheme == "mixture":
            plan = collapse.mixture(size, falls, T)
        elif scheme == "accumulate":
            plan = collapse.accumulate(size, T, alpha=falls)
        else:
            plan = collapse.replace(size, T)
        assert made["n"] == plan.n.tolist()
        np.testing.assert_allclose(made["alpha"], plan.alpha, rtol=1e-13, atol=0)
        rho = call(page, "inflation", made)
        np.testing.assert_allclose(rho, exact.inflation(plan), rtol=1e-12, atol=0)
        rest = call(page, "plateau", share, n)
        assert rest == pytest.approx(float(exact.plateau(share, n)), rel=1e-12)


def test_shares_gains_and_losses_are_those_of_the_package(page):
    rng = np.random.default_rng(2)
    for _ in range(50):
        n, share, T = int(rng.integers(2, 300)), float(rng.random()), int(rng.integers(1, 30))
        made = call(page, "plan", {"n": n, "share": share, "T": T})
        gain = call(page, "aware", made)["gain"]
        np.testing.assert_allclose(gain, collapse.aware(n, share, T).gain, rtol=1e-11)
        rho = 1 / n + (1 - 1 / n) * float(rng.random())
        needed = call(page, "freshNeeded", rho, n)
        assert needed == pytest.approx(float(design.fresh_needed(rho, n)), rel=1e-11, abs=1e-14)
    plan = collapse.mixture(60, 0.1, 20)
    made = call(page, "plan", {"n": 60, "share": 0.1, "T": 20})
    chances = call(page, "missing", 0.05, made)
    exactly = [law[0] for law in exact.token_law(0.05, plan)]
    np.testing.assert_allclose(chances, exactly, rtol=1e-9)


def test_its_binomial_draws_have_the_law(page):
    """Means and variances of 40,000 draws; false alarm 1e-6 in all, sees 5% in a variance."""
    script = """([n, p, seed]) => { const E = customElements.get("collapse-loop");
        const u = E.chance(seed);
        return Array.from({length: 40000}, () => E.binomial(n, p, u)); }"""
    cases = [(10, 0.3), (200, 0.02), (200, 0.4), (5000, 0.7)]
    limit = norm.isf(1e-6 / 2 / (2 * len(cases)))
    for i, (n, p) in enumerate(cases):
        x = np.array(page.evaluate(script, [n, p, i + 1]), dtype=float)
        var = n * p * (1 - p)
        kurtosis = 3 + (1 - 6 * p * (1 - p)) / var
        assert abs(x.mean() - n * p) < limit * np.sqrt(var / x.size)
        off = np.sqrt((kurtosis - 1) / x.size)
        assert abs(x.var() / var - 1) < limit * off < 0.05


def test_its_words_are_those_of_the_package(page):
    found = page.evaluate("[...customElements.get('collapse-loop').WORDS]")
    english = words(300)
    assert len(found) == len(set(found)) == 48
    assert set(found) <= set(english.tokens)


@pytest.mark.parametrize("view", ["full", "words", "pairs", "plateau", "phase", "strategies",
                                  "budget", "odds", "runs", "practice"])  # fmt: skip
def test_every_view_can_be_used_from_the_keyboard(page, view):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    tag = f"<collapse-loop view='{view}'>text</collapse-loop>"
    page.evaluate("tag => { document.body.innerHTML = tag }", tag)
    loop = page.locator("collapse-loop")
    assert loop.locator("output").first.inner_text().strip()
    control, said = loop.locator("input").first, loop.evaluate("e => e.shadowRoot.innerHTML")
    before = control.input_value()
    control.focus()
    page.keyboard.press("ArrowDown" if before == control.get_attribute("max") else "ArrowUp")
    assert control.input_value() != before
    page.keyboard.press("Tab")  # a number counts when it is left
    assert loop.evaluate("e => e.shadowRoot.innerHTML") != said
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    unnamed = loop.evaluate("""e => [...e.shadowRoot.querySelectorAll("input, button, select")]
        .filter(x => !(x.labels?.length || x.textContent.trim() || x.getAttribute("aria-label")))
        .map(x => x.outerHTML)""")
    assert unnamed == [] and errors == []


def test_a_guess_is_drawn_compared_and_kept_in_the_address(page, tmp_path):
    """By keyboard, and by a pointer; who opens the address sees the same guess and plan."""
    tag = "<collapse-loop view='full'>text</collapse-loop>"
    script = FILE.read_text(encoding="utf-8")
    place = tmp_path / "explorer.html"
    place.write_text(f"<!doctype html><meta charset=utf-8><script>{script}</script>{tag}", "utf-8")
    context = page.context.browser.new_context(viewport=NARROW)
    seen = context.new_page()
    seen.goto(place.as_uri())
    chart = seen.locator("collapse-loop svg").first
    chart.focus()
    for _ in range(9):
        seen.keyboard.press("ArrowRight")
    assert chart.get_attribute("aria-valuenow") == "100"
    for _ in range(5):
        seen.keyboard.press("ArrowDown")  # 200 / 10^0.5, rounded at each step
    guess = chart.get_attribute("aria-valuetext")
    assert "63.1" in guess and "generation 100" in guess
    seen.locator("collapse-loop button", has_text="One in ten, and samples grow").click()
    box = chart.bounding_box()
    seen.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    seen.mouse.down()
    seen.mouse.up()
    seen.wait_for_timeout(500)
    address = seen.url
    assert "guess=" in address and "growth=1" in address and "share=0.1" in address
    again = context.new_page()
    again.goto(address)
    read = "e => e.shadowRoot.querySelector('path.mine').getAttribute('d')"
    drawn = seen.locator("collapse-loop").evaluate(read)
    assert drawn.count("L") == 10 and again.locator("collapse-loop").evaluate(read) == drawn
    again.locator("collapse-loop button", has_text="Show what happens").click()
    again.wait_for_function(
        """() => document.querySelector("collapse-loop").shadowRoot
        .querySelector("output").innerText.includes("your guess was 63.1")""",
        timeout=30_000,
    )
    context.close()
