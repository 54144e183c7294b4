// A box that scrolls sideways must be reachable from the keyboard.
function reachable() {
  const boxes = "mjx-container[display='true'], div.math, .cell_output, .output, .pst-scrollable-table-container, pre";
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  }
}
window.addEventListener("load", () => {
  const math = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
  Promise.resolve(math).then(reachable);
});
window.addEventListener("resize", reachable);
