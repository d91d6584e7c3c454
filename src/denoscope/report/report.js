"use strict";
// Tables are sorted by the header that is pressed: numbers by value, text by the reader's alphabet, what is missing last.
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
// Contents stand open beside the page and folded on a phone; a link opens the folded section that it leads to, and print opens all.
(() => {
  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width:64rem)");
  const place = () => contents && (contents.open = wide.matches);
  place();
  wide.addEventListener("change", place);
  const unfold = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const fold = target && target.querySelector(":scope > details.folded");
    if (fold) fold.open = true;
  };
  unfold();
  addEventListener("hashchange", unfold);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });
})();
// What scrolls fades at the side where it goes on.
(() => {
  const show = (box) => {
    box.classList.toggle("right", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
    box.classList.toggle("down", box.scrollTop + box.clientHeight < box.scrollHeight - 1);
  };
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => show(entry.target)));
  for (const box of document.querySelectorAll(".scroll")) {
    box.addEventListener("scroll", () => show(box), { passive: true });
    watch.observe(box);
  }
})();
// A slider shows the pictures of its place.
(() => {
  const show = (input) => {
    const card = input.closest(".card");
    const word = input.dataset.words.split("|")[input.value];
    for (const stack of card.querySelectorAll(".stack"))
      [...stack.children].forEach((image, place) => (image.hidden = place !== Number(input.value)));
    card.querySelector("output").textContent = word;
    input.setAttribute("aria-valuetext", word);
  };
  for (const input of document.querySelectorAll(".card input")) {
    input.addEventListener("input", () => show(input));
    show(input);
  }
})();
