"use strict";
(() => {
  // Decimal point or comma: one button, kept for the next page where the browser allows.
  const button = document.getElementById("decimal");
  const numbers = document.querySelectorAll("[data-path], td.number");
  const write = comma => {
    for (const item of numbers) {
      const walker = document.createTreeWalker(item, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode;
        text.data = comma ? text.data.replace(/(\d)\.(\d)/g, "$1,$2") : text.data.replace(/(\d),(\d)/g, "$1.$2");
      }
    }
    document.documentElement.dataset.decimal = comma ? "," : ".";
    if (button) { button.textContent = comma ? "Numbers: 1,5" : "Numbers: 1.5"; button.setAttribute("aria-pressed", String(comma)); }
  };
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => write(document.documentElement.dataset.decimal !== ","));
    write(location.hash === "#decimal=comma");
  }
  // Paper shows tables that are folded on the screen only where the reader unfolded them.
})();
