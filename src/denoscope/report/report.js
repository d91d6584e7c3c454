"use strict";
// Sorts a table by the column whose header button is pressed: numbers by value, text by the reader's alphabet, what is missing last.
(() => {
  const compare = (a, b, numeric) => {
    if (a === "" || b === "") return (a === "") - (b === "") || 0;
    return numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
  };
  const value = (text) => (text === "inf" ? "Infinity" : text === "-inf" ? "-Infinity" : text);
  const sort = (table, header) => {
    const column = header.cellIndex;
    const down = header.getAttribute("aria-sort") === "ascending";
    const numeric = header.classList.contains("number");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [value(row.cells[column].dataset.sort), row]);
    keyed.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b, numeric) : (down ? -1 : 1) * compare(a, b, numeric)));
    body.append(...keyed.map(([, row]) => row));
    for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  for (const table of document.querySelectorAll("table.sortable"))
    for (const header of table.tHead.rows[0].cells) header.querySelector("button").addEventListener("click", () => sort(table, header));
  document.documentElement.dataset.ready = "sortable";
})();
