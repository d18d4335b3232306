/** Data tables that assistive technology understands: caption, scopes, sorting by buttons, a page of rows at a time. */

import { h, replace, setText } from "./dom.js";
import { count, number } from "./format.js";

const PAGE = 200;

/**
 * A table of data with a caption; long ones show 200 rows at a time; wide ones scroll inside their frame.
 *
 * @param {object} options
 * @param {string} options.caption
 * @param {boolean} [options.captionHidden] only for screen readers
 * @param {Array<string|{label: string, numeric?: boolean, format?: (value: *) => string|Node}>} options.columns
 *   the first column heads its row; without `format`, numbers are written by `number`, null is "–"
 * @param {Array<Array<*>>} options.rows cells in the order of the columns; a cell may be a Node, shown as it is
 * @param {boolean} [options.sortable] heads become buttons that sort
 * @param {boolean} [options.download] a button below saves the rows as CSV
 * @returns {{element: HTMLElement, update: (rows: Array<Array<*>>, columns?: Array) => void}}
 */
export function dataTable({ caption, captionHidden = false, columns, rows, sortable = false, download = false }) {
  let heads = columns.map(column);
  let data = rows;
  let order = null; // {index, up}
  let visible = PAGE;

  const head = h("tr");
  const body = h("tbody");
  const more = h("button", { class: "button small", type: "button", on: { click: () => {
    visible += PAGE;
    draw();
  } } });
  const save = h("button", { class: "button small", type: "button", text: "Save as CSV", hidden: !download,
    on: { click: () => saveCSV(caption, heads, sorted()) } });
  const frame = h("div", { class: "table-frame", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", { class: "data" }, h("caption", { class: captionHidden ? "visually-hidden" : null, text: caption }),
      h("thead", {}, head), body));
  const foot = h("div", { class: "table-foot" }, more, save);
  const element = h("div", { class: "data-table" }, frame, foot);

  function sorted() {
    if (!order) return data;
    const by = (a, b) => compare(a[order.index], b[order.index]) * (order.up ? 1 : -1);
    return [...data].sort(by);
  }

  function drawHead() {
    replace(head, heads.map((one, index) => {
      const state = order?.index === index ? (order.up ? "ascending" : "descending") : null;
      const cell = h("th", { scope: "col", class: one.numeric ? "numeric" : null, "aria-sort": state });
      if (!sortable) return replace(cell, one.label);
      return replace(cell, h("button", { class: "sort", type: "button", text: one.label, on: { click: () => {
        order = { index, up: order?.index === index ? !order.up : !one.numeric };
        drawHead();
        draw();
        head.children[index].querySelector("button").focus();
      } } }));
    }));
  }

  // Rows and cells stay and are patched, so that focus, and a click that has begun, outlive an update.
  function draw() {
    const all = sorted();
    const shown = all.slice(0, visible);
    while (body.rows.length > shown.length) body.lastChild.remove();
    while (body.rows.length < shown.length) body.append(h("tr"));
    shown.forEach((row, place) => {
      const line = body.rows[place];
      while (line.cells.length > row.length) line.lastChild.remove();
      row.forEach((value, index) => fill(line.cells[index] ?? line.appendChild(cell(index)), value, heads[index]));
    });
    const left = all.length - visible;
    more.hidden = left <= 0;
    setText(more, `Show ${count(Math.min(PAGE, left))} more of ${count(left)}`);
    foot.hidden = more.hidden && save.hidden;
  }

  function cell(index) {
    return index === 0 ? h("th", { scope: "row" }) : h("td");
  }

  drawHead();
  draw();
  return {
    element,
    update(nextRows, nextColumns = null) {
      data = nextRows;
      if (nextColumns) {
        heads = nextColumns.map(column);
        drawHead();
      }
      draw();
    },
  };
}

function column(one) {
  return typeof one === "string" ? { label: one, numeric: false } : { numeric: false, ...one };
}

function fill(cell, value, one) {
  cell.classList.toggle("numeric", one.numeric);
  const content = shown(value, one);
  if (!(content instanceof Node)) setText(cell, content);
  else if (cell.childNodes.length !== 1 || cell.firstChild !== content) replace(cell, content);
}

function shown(value, one) {
  if (value instanceof Node) return value;
  if (one.format) return one.format(value);
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? count(value) : number(value, { digits: 4 });
}

function compare(a, b) {
  const none = (value) => value === null || value === undefined;
  if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
  const key = (value) => (value instanceof Node ? value.textContent : value);
  const [x, y] = [key(a), key(b)];
  return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en-US");
}

function saveCSV(name, heads, rows) {
  const quote = (value) => {
    const text = value instanceof Node ? value.textContent : value === null || value === undefined ? "" : String(value);
    // A cell that begins like a formula is disarmed: names may come from clients.
    const safe = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [heads.map((one) => quote(one.label)), ...rows.map((row) => row.map(quote))];
  saveFile(`${name}.csv`, new Blob([lines.map((line) => line.join(",")).join("\r\n")], { type: "text/csv" }));
}

/** Hand `blob` to the browser as a download with a file name made of `name`. */
export function saveFile(name, blob) {
  const url = URL.createObjectURL(blob);
  const file = name.replaceAll(/[^\w.-]+/g, "_").replace(/_+(\.\w+)$/, "$1");
  h("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
