// A box that scrolls sideways must be reachable from the keyboard, and be seen to scroll.
function scrolls(box, wide) {
  const atEnd = () => {
    box.classList.toggle("at-end", box.scrollLeft + box.clientWidth > box.scrollWidth - 8);
  };
  if (wide) box.setAttribute("tabindex", "0");
  if (wide && !box.classList.contains("scrolls")) box.addEventListener("scroll", atEnd);
  box.classList.toggle("scrolls", wide);
  atEnd();
}
function reachable() {
  const boxes = "mjx-container[display='true'], div.math, .cell_output, .output, .pst-scrollable-table-container, pre";
  for (const box of document.querySelectorAll("mjx-container:not([display='true'])")) {
    const wide = box.querySelector("mjx-math")?.getBoundingClientRect().width > box.clientWidth + 1;
    box.classList.toggle("wide", wide);  // only such a one scrolls, and is a stop of the tab key
    if (!wide) box.removeAttribute("tabindex");
    scrolls(box, wide);
  }
  for (const box of document.querySelectorAll(boxes)) {
    scrolls(box, box.scrollWidth > box.clientWidth + 1);
  }
}
window.addEventListener("load", () => {
  const math = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
  Promise.resolve(math).then(reachable);
});
window.addEventListener("resize", reachable);

// One switch on every page with folded code: show all of it, remembered.
window.addEventListener("DOMContentLoaded", () => {
  const cells = [...document.querySelectorAll("div.cell details.hide, details.check")];
  if (!cells.length) return;
  const key = "show-all-code", button = document.createElement("button");
  let shown = false;
  try { shown = localStorage.getItem(key) === "yes"; } catch { /* storage is off */ }
  const set = value => {
    shown = value;
    cells.forEach(cell => { cell.open = shown; });
    button.textContent = shown ? "Hide code" : "Show all code";
    button.setAttribute("aria-pressed", shown);
  };
  button.type = "button";
  button.className = "show-code";
  button.addEventListener("click", () => {
    set(!shown);
    try { localStorage.setItem(key, shown ? "yes" : "no"); } catch { /* storage is off */ }
  });
  document.querySelector("main article h1")?.after(button);
  set(shown);
});

// A caption that answers what the page has just asked waits until it is opened.
window.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll("figure.asked > figcaption")) {
    const text = caption.querySelector(".caption-text"), box = document.createElement("details");
    box.innerHTML = "<summary>Looked and guessed? How to read it</summary>";
    text.before(box);
    box.append(text);
    window.addEventListener("beforeprint", () => { box.open = true; });
  }
});

// Every theorem, exercise and the like can be linked to.
window.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("div.proof[id], div.exercise[id]")) {
    const title = box.querySelector(".admonition-title"), link = document.createElement("a");
    link.className = "headerlink";
    link.href = `#${box.id}`;
    link.textContent = "#";
    link.title = "Link to this";
    title?.append(link);
  }
});

// Search shows a sentence of each page: formulas in it as one would read them.
window.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const letters = { alpha: "α", rho: "ρ", pi: "π", Sigma: "Σ", theta: "θ", beta: "β", sum: "Σ",
    infty: "∞", ge: "≥", le: "≤", to: "→", cdot: "·", dots: "…", sigma: "σ", kappa: "κ" };
  const read = text => text.replace(/\\[([][\s\S]*?\\[)\]]/g, formula => formula.slice(2, -2)
    .replace(/\\([A-Za-z]+)/g, (_, name) => letters[name] ?? "").replace(/[{}\\$]/g, ""));
  const words = Search.htmlToText;
  Search.htmlToText = (...page) => read(words(...page));
});

// What links show comes when one is pointed at, or reached with the keyboard, for the first time.
function bring(scripts) {
  return scripts.reduce((before, script) => before.then(() => new Promise((done, failed) => {
    const copy = document.createElement("script");
    copy.onload = done;
    copy.onerror = failed;
    copy.src = script.src;
    script.replaceWith(copy);
  })), Promise.resolve());
}
window.addEventListener("DOMContentLoaded", () => {
  const article = document.querySelector("article.bd-article");
  const scripts = [...document.querySelectorAll("script[type='later']")];
  if (!article || !scripts.length) return;
  const kinds = ["pointerover", "focusin"];
  const begin = event => {
    if (!event.target.closest?.("a[href]")) return;
    for (const kind of kinds) article.removeEventListener(kind, begin);
    bring(scripts).then(() => window.MathJax?.startup?.promise).then(() => {
      window.onload();
      for (const link of article.querySelectorAll("a:is(:hover, :focus)")) link._tippy?.show();
    });
  };
  for (const kind of kinds) article.addEventListener(kind, begin);
});

// Paper has every drawing, wherever the reader has been.
window.addEventListener("beforeprint", () => {
  for (const image of document.querySelectorAll("img[loading='lazy']")) image.loading = "eager";
});
