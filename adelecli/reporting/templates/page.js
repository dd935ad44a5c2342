"use strict";
// Sorting, filtering and keys of a report. Everything is readable without it.
(() => {
  const enlarge = (rows) => {
    const large = [...rows].some((row) => !row.classList.contains("large"));
    for (const row of rows) row.classList.toggle("large", large);
  };
  addEventListener("click", (event) => { const row = event.target.closest(".row"); if (row) enlarge([row]); });

  const table = document.querySelector("table.queue");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const search = document.getElementById("search");
  const status = document.getElementById("status");
  const decision = document.getElementById("decision"); // only where something was decided
  const count = document.getElementById("count");
  const cases = new Map([...document.querySelectorAll(".case")].map((one) => [one.dataset.id, one]));

  const value = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();
  const sort = (at, order) => {
    const sign = order === "ascending" ? 1 : -1;
    const text = table.tHead.rows[0].cells[at].classList.contains("text");
    const compare = (a, b) => text ? value(a, at).localeCompare(value(b, at)) : Number(value(a, at)) - Number(value(b, at));
    rows.sort((a, b) => sign * compare(a, b));
    body.append(...rows);
    for (const row of rows) { const one = cases.get(row.dataset.id); if (one) one.parentNode.append(one); }
  };
  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button")?.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      sort(head.cellIndex, order);
    });
  }

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = (!status.value || row.dataset.status === status.value)
        && (!decision?.value || row.dataset.decision === decision.value) && words.every((word) => text.includes(word));
      row.hidden = !fits;
      const one = cases.get(row.dataset.id);
      if (one) one.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} cases`;
  };
  search.addEventListener("input", filter);
  status.addEventListener("change", filter);
  decision?.addEventListener("change", filter);
  filter();

  // What is jumped to must not end under the bar, which has two lines in a narrow window.
  const bar = document.querySelector(".bar");
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);

  let here = null;
  const go = (step) => {
    const shown = [...document.querySelectorAll(".case:not([hidden])")];
    if (!shown.length) return;
    const at = Math.min(Math.max(shown.indexOf(here) + step, 0), shown.length - 1);
    here?.classList.remove("here");
    here = shown[at];
    here.classList.add("here");
    here.focus({ preventScroll: true });
    here.scrollIntoView({ block: "start" });
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === search) { search.value = ""; filter(); search.blur(); return; }
    if (event.target.closest("input, select, textarea")) return;
    if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
    else if (event.key === "/") search.focus();
    else if (event.key === "z" && here) enlarge(here.querySelectorAll(".row"));
    else if (event.key === "t") scrollTo(0, 0);
    else return;
    event.preventDefault();
  });
})();
