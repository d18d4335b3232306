/** Charts: a figure with its Plotly plot, its data table and its PNG; drawn by frame, and only while in view. */

import { h, plain, setAttribute, setText, throttle, uniqueId } from "./dom.js";
import { loadPlotly, merged } from "./plotly.js";
import { dataTable, saveFile } from "./table.js";
import { thinned } from "./thin.js";
import { onTheme, palette } from "./theme.js";

const FRAME_BUDGET_MS = 12; // of one frame; what is left is drawn in the next
const MOST_BUCKETS = 500; // of one line: twice as many points
const CONFIG = { displayModeBar: false, displaylogo: false, doubleClick: "reset", locale: "en-US" };
const queue = new Set();
let frame = null;

/**
 * A figure: heading, plot, caption, a button that shows the data as a table, and one that saves a PNG.
 *
 * `update()` may be called at any rate: the plot is redrawn at most once per animation frame, only while it is in view
 * (and once when it comes into view), and never so often that drawing takes more than a third of the time.
 *
 * @param {object} options
 * @param {string|(() => string)} options.title heading, and the PNG's file name
 * @param {string|(() => string)} [options.caption] a sentence below the plot
 * @param {number|(() => number)} [options.height] pixels, 260 unless told
 * @param {(palette: object, size: {width: number}) => {data: object[], layout: object}} options.draw Plotly's traces
 *   and layout; the layout is merged into the page's own (fonts, colours, margins). Called again for a new theme or
 *   size. Lines of more than a thousand points are thinned out on the way, their extremes stay
 * @param {() => {columns: Array, rows: Array<Array>}} options.table the same numbers for `dataTable`
 * @param {() => string} [options.summary] one sentence that says what the plot shows, for screen readers
 * @param {boolean} [options.png] a PNG button, true unless told
 * @param {number} [options.level] level of the heading, 3 unless told
 * @param {Node[]} [options.controls] nodes between the heading and the buttons
 * @param {boolean} [options.compact] a small multiple: no buttons, tight margins; `table` may be left out
 * @returns {{element: HTMLElement, plot: HTMLElement, update: () => void, destroy: () => void}}
 */
export function makeChart(options) {
  const { height = 260, draw, table = null, summary = null, png = true, level = 3, compact = false } = options;
  const id = uniqueId("chart");
  const plot = h("div", { class: "plot", role: "img", "aria-labelledby": id });
  const heading = h(`h${level}`, { id, class: "chart-title" });
  const note = h("figcaption", { class: "caption" });
  const holder = h("div", { class: "chart-data", id: `${id}-data`, hidden: true });
  const dataButton = h("button", { class: "button small", type: "button", "aria-expanded": "false",
    "aria-controls": holder.id, text: "Data", on: { click: toggleTable } });
  const pngButton = h("button", { class: "button small", type: "button", text: "PNG", on: { click: savePNG } });
  const resetButton = h("button", { class: "button small", type: "button", text: "Reset", on: { click: () => {
    resets += 1;
    request();
  } } });
  const screenButton = h("button", { class: "button small", type: "button", text: "⤢", title: "Full screen", on: { click: fullScreen } });
  const element = h("figure", { class: compact ? "chart compact" : "chart" },
    h("div", { class: "chart-head" }, heading,
      h("div", { class: "chart-tools" }, options.controls,
        !compact && resetButton, !compact && document.fullscreenEnabled && screenButton,
        !compact && table && dataButton, !compact && png && pngButton)),
    plot, note, holder);

  let visible = false;
  let wanted = true;
  let destroyed = false;
  let shown = null; // the open data table
  let notBefore = 0;
  let timer = null;
  let width = 0;
  let drawnAxes = null;
  let resets = 0; // each one forgets what was zoomed into

  const chart = { paint, fail };
  const value = (one) => (typeof one === "function" ? one() : one);
  const title = () => value(options.title);

  function request() {
    wanted = true;
    if (!visible || destroyed || timer !== null) return;
    const wait = notBefore - performance.now();
    if (wait <= 0) enqueue(chart);
    else {
      timer = setTimeout(() => {
        timer = null;
        if (visible && wanted) enqueue(chart);
      }, wait);
    }
  }

  function fail(error) {
    setText(plot, `${error.message}: the chart is unavailable; its data can still be shown.`);
  }

  function paint(Plotly) {
    if (destroyed || !visible || width === 0) return;
    if (drawnAxes === null) plot.replaceChildren();
    wanted = false;
    const began = performance.now();
    const colours = palette();
    const { data, layout } = draw(colours, { width });
    const full = merged(layout, { colours, width, height: isFull() ? roomOf(element, plot) : value(height), compact });
    full.uirevision = `${full.uirevision} ${resets}`;
    // Plotly trips over axes that come, go or are anchored anew: it starts afresh then.
    const axes = axesOf(full);
    if (drawnAxes !== null && drawnAxes !== axes) Plotly.purge(plot);
    drawnAxes = axes;
    plot.style.height = `${full.height}px`;
    const lines = data.map((trace) => thinned(trace, Math.min(width, MOST_BUCKETS)));
    Plotly.react(plot, lines, full, CONFIG);
    const text = summary?.();
    setAttribute(plot, "aria-labelledby", text ? null : id);
    setAttribute(plot, "aria-label", text ? `${title()}. ${text}` : null);
    const took = performance.now() - began;
    notBefore = began + 3 * took;
  }

  function update() {
    setText(heading, title());
    setAttribute(dataButton, "aria-label", `Data of ${title()}`);
    setAttribute(pngButton, "aria-label", `PNG of ${title()}`);
    setAttribute(resetButton, "aria-label", `Reset the view of ${title()}`);
    setAttribute(screenButton, "aria-label", isFull() ? `Leave full screen of ${title()}` : `Full screen of ${title()}`);
    setText(note, value(options.caption) ?? "");
    note.hidden = note.textContent === "";
    request();
    if (shown) refreshTable();
  }

  function isFull() {
    return document.fullscreenElement === element;
  }

  function fullScreen() {
    const change = isFull() ? document.exitFullscreen() : element.requestFullscreen();
    change.catch((error) => console.warn("no full screen:", error.message));
  }

  const refreshTable = throttle(() => {
    if (!shown) return;
    const { columns, rows } = table();
    shown.update(rows, columns);
  }, 1000);

  function toggleTable() {
    const open = holder.hidden;
    holder.hidden = !open;
    dataButton.setAttribute("aria-expanded", String(open));
    const look = { caption: title(), captionHidden: true, sortable: true, download: true };
    shown = open ? dataTable({ ...look, ...table() }) : null;
    holder.replaceChildren(...(shown ? [shown.element] : []));
  }

  async function savePNG() {
    const Plotly = await loadPlotly().catch(fail);
    if (!Plotly) return;
    const colours = palette();
    const { data, layout } = draw(colours, { width });
    const full = merged(layout, { colours, width, height: value(height), compact });
    const legend = data.filter((trace) => trace.name && trace.showlegend !== false).length > 1;
    const head = legend ? 56 : 32;
    Object.assign(full, {
      paper_bgcolor: colours.surface, height: full.height + head, showlegend: legend,
      margin: { ...full.margin, t: full.margin.t + head },
      title: { text: escaped(title()), x: 12 / full.width, y: 1 - 8 / (full.height + head), xanchor: "left",
        yanchor: "top", font: { size: 15 } },
      legend: { ...full.legend, x: 0, y: 1, yanchor: "bottom" },
    });
    const url = await Plotly.toImage({ data, layout: full, config: { locale: "en-US" } },
      { format: "png", width: full.width, height: full.height, scale: 2 });
    saveFile(`${title()}.png`, dataBlob(url));
  }

  const seen = new IntersectionObserver((entries) => {
    visible = entries.at(-1).isIntersecting;
    if (visible && wanted) request();
  }, { rootMargin: "120px" });
  const sized = new ResizeObserver((entries) => {
    const next = Math.floor(entries.at(-1).contentRect.width);
    if (next === width) return;
    width = next;
    request();
  });
  element.addEventListener("fullscreenchange", () => {
    setText(screenButton, isFull() ? "Leave full screen" : "⤢");
    update();
  });
  plot.style.height = `${value(height)}px`;
  seen.observe(plot);
  sized.observe(plot);
  const unfollow = onTheme(request);
  update();

  return {
    element,
    plot,
    update,
    destroy() {
      destroyed = true;
      clearTimeout(timer);
      refreshTable.cancel();
      queue.delete(chart);
      seen.disconnect();
      sized.disconnect();
      unfollow();
      if (drawnAxes !== null) window.Plotly.purge(plot);
    },
  };
}

/** How high a plot may be in a figure that fills the screen. */
function roomOf(element, plot) {
  const others = [...element.children].filter((child) => child !== plot).reduce((sum, child) => sum + child.offsetHeight, 0);
  return Math.max(200, window.innerHeight - others - 48);
}

/** Text that Plotly may take as it is: it reads a few tags in labels, and names come from clients. */
export function escaped(text) {
  return plain(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function enqueue(chart) {
  queue.add(chart);
  if (frame !== null) return;
  frame = -1; // until the library is there
  loadPlotly().then(schedule, (error) => {
    frame = null;
    queue.forEach((one) => one.fail(error));
    queue.clear();
  });
}

function schedule(Plotly) {
  frame = requestAnimationFrame(() => {
    const began = performance.now();
    for (const chart of queue) {
      queue.delete(chart);
      try {
        chart.paint(Plotly);
      } catch (error) {
        console.error(error); // one chart that cannot be drawn must not keep the others from it
      }
      if (performance.now() - began > FRAME_BUDGET_MS) break;
    }
    frame = null;
    if (queue.size) schedule(Plotly);
  });
}

function axesOf(layout) {
  return Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).sort()
    .map((key) => `${key} ${layout[key].anchor ?? ""} ${layout[key].overlaying ?? ""}`).join();
}

function dataBlob(url) {
  const [head, body] = url.split(",");
  const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5, head.indexOf(";")) });
}
