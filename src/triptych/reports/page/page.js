"use strict";
// Sort tables, and draw curves as charts that show values. Without this script the page has the same content.

const HEIGHT = 250, TOP = 10, BOTTOM = 40, LEFT = 62, RIGHT = 12; // pixels

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
for (const data of document.querySelectorAll("script.curves")) {
  const figure = data.closest("figure");
  const charts = JSON.parse(data.textContent).map(makeChart);
  figure.classList.remove("wide"); // a chart fits into one column
  figure.querySelector("img").replaceWith(...charts.map((chart) => chart.element));
  const draw = () => charts.forEach((chart) => chart.draw());
  draw();
  addEventListener("resize", draw);
}

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

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(name, attributes, ...children) {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
}

function show(value) {
  if (value === null) return "–";
  const style = { maximumSignificantDigits: 5 };
  if (value !== 0 && Math.abs(value) < 1e-3) style.notation = "scientific";
  return new Intl.NumberFormat("en", style).format(value);
}

/** Return about `count` round numbers between two values, at distances of `least` or more. */
function ticks(low, high, count, least = 0) {
  const rough = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max([1, 2, 5, 10].find((factor) => factor * unit >= rough * 0.999) * unit, least);
  const places = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) places.push(Number((k * step).toPrecision(12)));
  return places;
}

/** Make a chart of lines over steps. The legend shows the values at the step under the pointer; arrow keys also select it. */
function makeChart({ x, y, steps, lines }) {
  const last = steps.length - 1;
  const later = Math.max(1, Math.floor(steps.length / 10));
  const range = (from) => {
    const values = lines.flatMap((line) => line.values.slice(from)).filter((value) => value !== null);
    return values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  };
  const spread = (from) => range(from)[1] - range(from)[0];
  const largeStart = steps.length >= 5 && spread(0) > 3 * spread(later); // the first values hide the later changes
  let first = largeStart ? later : 0;
  let chosen = last;

  const picture = svg("svg", { role: "img", tabindex: 0 });
  picture.setAttribute("aria-label", `${y} by ${x}: ${lines.map((line) => line.label).join("; ")}. Arrow keys select the ${x}.`);
  const place = html("b", {});
  const values = lines.map(() => html("b", {}));
  const legend = html("p", { className: "legend" }, html("span", {}, `${x} `, place));
  legend.setAttribute("aria-live", "polite");
  lines.forEach((line, index) => {
    const swatch = html("i", {});
    swatch.style.borderTop = `3px ${line.dashed ? "dashed" : "solid"} ${line.colour}`;
    legend.append(html("span", {}, swatch, `${line.label} `, values[index]));
  });
  const element = html("div", { className: "chart" }, html("p", { className: "axis" }, y), picture, legend);
  if (largeStart) {
    const button = html("button", { type: "button" });
    const say = () => (button.textContent = first ? `Show from ${x} ${steps[0]} on` : `Show from ${x} ${steps[later]} on`);
    button.addEventListener("click", () => {
      first = first ? 0 : later;
      chosen = Math.max(chosen, first);
      say();
      draw();
    });
    say();
    element.append(button);
  }

  let xs, marks;
  function draw() {
    const width = picture.clientWidth || 600;
    const [low, high] = range(first);
    const margin = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    const [bottom, top] = [low - margin, high + margin];
    const span = steps[last] - steps[first] || 1;
    xs = (index) => LEFT + ((steps[index] - steps[first]) / span) * (width - LEFT - RIGHT);
    const ys = (value) => TOP + ((top - value) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    picture.replaceChildren();
    for (const value of ticks(bottom, top, 5)) {
      picture.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: ys(value), y2: ys(value) }));
      picture.append(svg("text", { x: LEFT - 6, y: ys(value) + 4, "text-anchor": "end" }, show(value)));
    }
    for (const step of ticks(steps[first], steps[last], Math.min(8, width / 70), 1)) {
      const at = LEFT + ((step - steps[first]) / span) * (width - LEFT - RIGHT);
      picture.append(svg("text", { x: at, y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, show(step)));
    }
    picture.append(svg("text", { x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x));
    const guide = svg("line", { class: "guide", y1: TOP, y2: HEIGHT - BOTTOM });
    picture.append(guide);
    marks = { guide, dots: [], ys };
    for (const line of lines) {
      let path = "";
      line.values.forEach((value, index) => {
        if (index < first || value === null) return;
        path += `${path && line.values[index - 1] !== null ? "L" : "M"}${xs(index).toFixed(1)} ${ys(value).toFixed(1)}`;
      });
      const style = { fill: "none", stroke: line.colour, "stroke-width": 2, "stroke-dasharray": line.dashed ? "5 4" : "none" };
      picture.append(svg("path", { d: path, ...style }));
      const dot = svg("circle", { r: 4, fill: line.colour });
      marks.dots.push(dot);
      picture.append(dot);
    }
    choose(chosen);
  }

  function choose(index) {
    chosen = Math.min(last, Math.max(first, index));
    marks.guide.setAttribute("x1", xs(chosen));
    marks.guide.setAttribute("x2", xs(chosen));
    place.textContent = show(steps[chosen]);
    lines.forEach((line, index) => {
      const value = line.values[chosen];
      values[index].textContent = show(value);
      marks.dots[index].setAttribute("visibility", value === null ? "hidden" : "visible");
      if (value !== null) {
        marks.dots[index].setAttribute("cx", xs(chosen));
        marks.dots[index].setAttribute("cy", marks.ys(value));
      }
    });
  }

  picture.addEventListener("pointermove", (event) => {
    const at = event.clientX - picture.getBoundingClientRect().left;
    let nearest = first;
    for (let index = first; index <= last; index++) {
      if (Math.abs(xs(index) - at) < Math.abs(xs(nearest) - at)) nearest = index;
    }
    choose(nearest);
  });
  picture.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: first, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
  return { element, draw };
}
