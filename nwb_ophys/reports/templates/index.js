"use strict";
(() => {
  const table = document.querySelector("table.sortable");
  const body = table.tBodies[0];
  const value = (row, column) => row.cells[column].dataset.value || "";
  const compare = (a, b, numeric) => numeric
    ? (a === "" ? -Infinity : Number(a)) - (b === "" ? -Infinity : Number(b))
    : a.localeCompare(b, undefined, { numeric: true });
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows];
      rows.sort((a, b) => compare(value(a, column), value(b, column), head.dataset.sort === "number"));
      if (descending) rows.reverse();
      body.append(...rows);
    });
  });
})();
