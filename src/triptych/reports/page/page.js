"use strict";
// Sort tables, and show the values of curves. Without this script the page has the same content.

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
for (const chart of document.querySelectorAll(".chart")) showValues(chart);

/** Make each heading a button that sorts: ascending, descending, original order. */
function makeSortable(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = next[head.getAttribute("aria-sort") ?? "none"];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order !== "none") head.setAttribute("aria-sort", order);
      const sign = { none: 0, ascending: 1, descending: -1 }[order];
      body.append(...[...rows].sort((one, other) => compare(one.cells[column], other.cells[column], sign)));
    });
  });
}

/** Compare two cells: numbers by value, words alphabetically. Empty cells are last in both directions. */
function compare(one, other, sign) {
  const [a, b] = [one.dataset.sort, other.dataset.sort];
  if (!sign) return 0;
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
}

/** Show the values at the step under the pointer in the legend of a chart; arrow keys also select the step. */
function showValues(chart) {
  const { steps, values, xs, ys } = JSON.parse(chart.querySelector("script").textContent);
  const picture = chart.querySelector("svg");
  const guide = picture.querySelector(".guide");
  const dots = picture.querySelectorAll("circle");
  const [place, ...shown] = chart.querySelectorAll("b");
  const last = steps.length - 1;
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
  let chosen = last;
  function choose(index) {
    chosen = Math.min(last, Math.max(0, index));
    place.textContent = number.format(steps[chosen]);
    guide.setAttribute("d", `M${xs[chosen]} 8V184`);
    values.forEach((line, index) => {
      shown[index].textContent = line[chosen] === null ? "–" : number.format(line[chosen]);
      dots[index].setAttribute("visibility", line[chosen] === null ? "hidden" : "visible");
      dots[index].setAttribute("cx", xs[chosen]);
      dots[index].setAttribute("cy", ys[index][chosen] ?? 0);
    });
  }
  picture.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse()).x;
    const distances = xs.map((x) => Math.abs(x - at));
    choose(distances.indexOf(Math.min(...distances)));
  });
  picture.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
}
