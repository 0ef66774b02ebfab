"use strict";
(() => {
  const table = document.getElementById("results"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const value = (row, i) => { const cell = row.cells[i]; return "value" in cell.dataset ? (cell.dataset.value === "" ? -Infinity : +cell.dataset.value) : cell.textContent; };
  heads.forEach((head, i) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => { const x = value(a, i), y = value(b, i); const order = typeof x === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true }); return down ? -order : order; });
      body.append(...rows);
    });
  });
  const filter = document.getElementById("filter"), status = document.getElementById("status"), shown = document.getElementById("shown");
  const apply = () => {
    const text = filter.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const keep = (!status.value || row.dataset.status === status.value) && (!text || row.textContent.toLowerCase().includes(text));
      row.hidden = !keep;
      count += keep;
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length} shown`;
  };
  filter.addEventListener("input", apply);
  status.addEventListener("change", apply);
})();
