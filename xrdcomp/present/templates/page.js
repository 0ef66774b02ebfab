"use strict";
(() => {
  // Decimal point or comma: one button, kept for the next page where the browser allows.
  const button = document.getElementById("decimal");
  const numbers = document.querySelectorAll("[data-path], td.number, figure.static text");
  const write = comma => {
    for (const item of numbers) {
      const walker = document.createTreeWalker(item, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode;
        text.data = comma ? text.data.replace(/(\d)\.(\d)/g, "$1,$2") : text.data.replace(/(\d),(\d)/g, "$1.$2");
      }
    }
    document.documentElement.dataset.decimal = comma ? "," : ".";
    document.dispatchEvent(new Event("xrdcomp-decimal"));
    if (button) { button.textContent = comma ? "Numbers: 1,5" : "Numbers: 1.5"; button.setAttribute("aria-pressed", String(comma)); }
  };
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => write(document.documentElement.dataset.decimal !== ","));
    write(location.hash === "#decimal=comma");
  }
  // Paper shows the answer on two sheets; what is folded or an appendix is printed where the reader asks for it.
  const appendix = document.getElementById("appendix");
  if (appendix) {
    appendix.hidden = false;
    appendix.addEventListener("click", () => {
      const all = document.documentElement.dataset.print !== "all";
      document.documentElement.dataset.print = all ? "all" : "";
      for (const item of document.querySelectorAll("details")) item.open = all;
      appendix.textContent = all ? "Print: with appendix" : "Print: two sheets";
      appendix.setAttribute("aria-pressed", String(all));
    });
  }
})();
