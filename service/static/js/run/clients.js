/** The clients as small multiples: one panel per client on a shared scale, with the aggregate in grey. */

import { inOrder, specOf } from "../catalogue.js";
import { makeChart } from "../charts.js";
import { selectBox } from "../controls.js";
import { h, replace, setText, throttle } from "../dom.js";
import * as format from "../format.js";
import { params, setParams } from "../router.js";
import { dataTable } from "../table.js";
import { extremes } from "./series.js";

const SHOWN = 24;
const POINTS = 300; // a panel is about as many pixels wide
const ROOM = 0.02; // beyond the ends of a share
const SORT_MS = 1500; // panels that jump at every row cannot be read
const ORDERS = [["worst", "Worst first"], ["best", "Best first"], ["examples", "Most examples first"], ["name", "By name"]];

/**
 * @param {object} model
 * @param {{axes: object}} parts
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function clientsSection(model, { axes }) {
  const state = { metric: params().client_metric ?? null, order: ORDERS.some(([order]) => order === params().client_order) ? params().client_order : "worst", all: false };
  const panels = new Map();
  let shared = null; // the scale of all panels, worked out once a change
  const metricSelect = selectBox({ legend: "Metric", name: "client-metric", choices: [], value: "",
    onChoose: (metric) => choose({ metric }) });
  const orderSelect = selectBox({ legend: "Order", name: "client-order", choices: ORDERS, value: state.order,
    onChoose: (order) => choose({ order }) });
  const note = h("p", { class: "muted" });
  const grid = h("ol", { class: "run-panels" });
  const more = h("button", { class: "button", type: "button", on: { click: () => choose({ all: true }) } });
  const numbers = dataTable({ caption: "Client metrics", captionHidden: true, sortable: true, download: true,
    columns: [], rows: [] });
  const details = h("details", { class: "run-details", on: { toggle: drawTable } },
    h("summary", { text: "Data" }), numbers.element);
  const element = h("div", {},
    h("div", { class: "run-controls" }, metricSelect.element, orderSelect.element),
    note, grid, more, details);

  function choose(change) {
    Object.assign(state, change);
    setParams({ client_metric: state.metric, client_order: state.order === "worst" ? null : state.order });
    arrange();
    redraw();
  }

  function redraw() {
    shared = null;
    panels.forEach(({ chart }) => chart.update());
  }

  /** Whether the scale of the panels does not hold all values any more. */
  function grown() {
    return JSON.stringify(scale(model, { state, axes })) !== JSON.stringify(shared);
  }

  function drawSelect() {
    const keys = metricKeys(model);
    if (!keys.includes(state.metric)) state.metric = usual(model, keys);
    metricSelect.offer(keys.map((key) => [key, format.capital(format.label(key))]));
    metricSelect.set(state.metric ?? "");
  }

  function arrange() {
    drawSelect();
    const ordered = ranking(model, state);
    const shown = state.all ? ordered : ordered.slice(0, SHOWN);
    for (const { client } of shown) if (!panels.has(client.client_id)) panels.set(client.client_id, panel(client));
    const nodes = shown.map(({ client }) => panels.get(client.client_id).element);
    if (nodes.length !== grid.children.length || nodes.some((node, i) => node !== grid.children[i])) replace(grid, nodes);
    more.hidden = shown.length === ordered.length;
    setText(more, `Show all ${ordered.length} clients`);
    setText(note, state.metric === null ? "No client metrics yet." : sentence(model, state, ordered));
    drawTable();
  }

  function drawTable() {
    if (!details.open) return;
    numbers.update(ranking(model, state).map(({ client, last }) => {
      const y = model.curve(...parts(state.metric), client.client_id)?.y.filter((value) => value !== null) ?? [];
      return [client.name, client.num_examples, last, y.length ? least(y) : null, y.length ? most(y) : null];
    }), ["Client", { label: "Training examples", numeric: true }, { label: "Latest", numeric: true },
      { label: "Minimum", numeric: true }, { label: "Maximum", numeric: true }]);
  }

  function panel(client) {
    const curve = () => (state.metric === null ? null : model.curve(...parts(state.metric), client.client_id));
    const chart = makeChart({
      title: client.name, level: 3, compact: true, height: 146,
      caption: () => `${format.number(curve()?.last())} · ${format.plural(client.num_examples, "example")}`,
      draw: (colours) => {
        shared ??= scale(model, { state, axes });
        return drawPanel(model, { state, axes, colours, shared, series: curve() });
      },
      summary: () => `${format.label(state.metric ?? "")}: latest value ${format.number(curve()?.last())}.`,
    });
    return { chart, element: h("li", {}, chart.element) };
  }

  const later = throttle(arrange, SORT_MS);
  axes.listen(redraw);
  arrange();
  return {
    element,
    update(changes) {
      if (changes.clients) arrange();
      const changed = changes.ofClients.get(state.metric);
      if (changed || (state.metric === null && changes.ofClients.size)) later();
      if (changes.metrics.has(state.metric) || (changed && grown())) redraw();
      else if (changed) changed.forEach((client) => panels.get(client)?.chart.update());
    },
    destroy() {
      later.cancel();
      panels.forEach(({ chart }) => chart.destroy());
    },
  };
}

function drawPanel(model, { state, axes, colours, shared, series }) {
  const behind = state.metric === null ? null : model.curve(...parts(state.metric));
  const lines = [[behind, colours.grey, 1.5], [series, colours.federated, 2]].filter(([curve]) => curve);
  const data = lines.map(([curve, color, width]) => {
    const keep = extremes(curve.y, POINTS);
    const places = axes.of(curve);
    const name = curve === behind ? "aggregate" : "client";
    return { type: "scatter", mode: keep.length > 1 ? "lines" : "markers", name, x: keep.map((i) => places[i]),
      y: keep.map((i) => curve.y[i]), line: { color, width }, marker: { color, size: 5 }, hovertemplate: "%{y:.4~f}" };
  });
  // Margins that adapt would draw every panel twice.
  const bare = { fixedrange: true, automargin: false };
  const under = { text: axes.title, font: { size: 10.5 }, standoff: 2 };
  return { data, layout: { dragmode: false, margin: { l: 40, b: 36 },
    xaxis: { ...axes.layout(), ...bare, title: under, range: shared.x },
    yaxis: { ...bare, title: undefined, range: shared.y } } };
}

/** The ends of both axes that all panels share, rounded so that they seldom move. */
function scale(model, { state, axes }) {
  const ends = { x: [Infinity, -Infinity], y: [Infinity, -Infinity] };
  const take = (end, values) => {
    for (const value of values) {
      if (value === null) continue;
      if (value < end[0]) end[0] = value;
      if (value > end[1]) end[1] = value;
    }
  };
  for (const client of state.metric === null ? [] : [null, ...model.clients.keys()]) {
    const series = model.curve(...parts(state.metric), client);
    if (!series) continue;
    const places = axes.of(series);
    take(ends.x, [places[0], places.at(-1)]);
    take(ends.y, series.y);
  }
  const [low, high] = ends.y;
  const step = 10 ** Math.floor(Math.log10(high - low || Math.abs(high) || 1)) / 2;
  const share = state.metric !== null && format.isShare(parts(state.metric)[1]);
  const within = (value) => (share ? Math.min(1 + ROOM, Math.max(-ROOM, value)) : value);
  const [from, to] = [ends.x[0], model.finished ? ends.x[1] : beyond(ends.x[1])];
  return { x: from < to ? [from, to] : undefined,
    y: low <= high ? [within(Math.floor(low / step) * step - step / 5), within(Math.ceil(high / step) * step + step / 5)]
      : undefined };
}

/** A round number beyond a value: the scale of a run that goes on should not change with every step. */
function beyond(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return size * [1, 1.5, 2, 3, 4, 6, 8, 10].find((part) => part * size >= value);
}

function ranking(model, { metric, order }) {
  const all = [...model.clients.values()].map((client) => ({
    client, last: metric === null ? null : model.curve(...parts(metric), client.client_id)?.last() ?? null }));
  const sign = metric !== null && isLowerBetter(model, metric) ? -1 : 1;
  const byName = (a, b) => a.client.name.localeCompare(b.client.name, "en-US", { numeric: true });
  const byValue = (a, b) => (a.last === null || b.last === null
    ? Number(a.last === null) - Number(b.last === null) : sign * (a.last - b.last));
  const compare = {
    worst: byValue,
    best: (a, b) => (a.last === null || b.last === null ? byValue(a, b) : -byValue(a, b)),
    examples: (a, b) => b.client.num_examples - a.client.num_examples,
    name: byName,
  }[order] ?? byValue;
  return all.sort((a, b) => compare(a, b) || byName(a, b));
}

function sentence(model, state, ordered) {
  const known = ordered.map(({ last }) => last).filter((last) => last !== null);
  const range = known.length ? `, latest values ${format.number(least(known))} to ${format.number(most(known))}` : "";
  const average = model.curve(...parts(state.metric))?.last() ?? null;
  const mean = average === null ? "" : `, aggregate ${format.number(average)}`;
  return `${format.capital(format.label(state.metric))} of ${format.plural(ordered.length, "client")}${range}${mean}. `
    + "Shared scale; grey: aggregate."
    + (ordered.some(({ client }) => model.curve(...parts(state.metric), client.client_id)?.thinned)
      ? " Downsampled; minima and maxima are kept. All values: Downloads." : "");
}

function metricKeys(model) {
  const keys = model.metricKeys({ ofClients: true });
  return ["val", "train", "test"].flatMap((stage) => {
    const names = keys.filter((key) => parts(key)[0] === stage).map((key) => parts(key)[1]);
    return inOrder(names.filter(isOfClient)).map((name) => `${stage}/${name}`);
  });
}

/** What a client's model or machine is judged by; bytes and learning rates are much the same for all. */
function isOfClient(name) {
  const { source, unit } = specOf(name);
  return source === "outputs" || unit === "s";
}

function isLowerBetter(model, key) {
  const better = specOf(parts(key)[1]).better;
  return better === null ? model.run.monitor?.key === key && model.run.monitor.mode === "min" : better === "lower";
}

function usual(model, keys) {
  const monitored = model.run.monitor?.key;
  return keys.includes(monitored) ? monitored : keys[0] ?? null;
}

function parts(key) {
  const [stage, ...name] = key.split("/");
  return [stage, name.join("/")];
}

const least = (values) => values.reduce((a, b) => Math.min(a, b));
const most = (values) => values.reduce((a, b) => Math.max(a, b));
