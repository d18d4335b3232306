/** What the task shows of a tested model beside its metrics, drawn by the kind of each panel. */

import { escaped, makeChart } from "../charts.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { roleOf } from "../theme.js";

const ROW = 24; // pixels of a label
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross", "x", "triangle-down", "star", "pentagon", "hexagon"];
const MOST_NAMED = 16; // clusters in a legend
const KINDS = { label_table: labelTable, residuals, cluster_profile: clusterProfile, cluster_map: clusterMap,
  anomaly_scores: anomalyScores };

/** The panels of a run that are drawn here; the confusion matrix is part of the evaluation. */
export function panelsOf(model) {
  return (model.run.summary?.panels ?? []).filter(({ kind }) => kind in KINDS);
}

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function panelsSection(model) {
  const charts = panelsOf(model).map((panel) => KINDS[panel.kind](model, panel));
  return {
    element: h("div", { class: "run-grid wide" }, ...charts.map(({ element }) => element)),
    update() {},
    destroy() {
      charts.forEach((chart) => chart.destroy());
    },
  };
}

function labelTable(model, { title, data }) {
  const [first] = Object.keys(data.values);
  const said = () => `${format.plural(data.labels.length, "label")} on the test rows.`;
  return makeChart({
    title, caption: said, summary: said, height: 70 + ROW * data.labels.length,
    draw: (colours) => ({
      data: [{ type: "bar", orientation: "h", y: data.labels.map(escaped), x: data.values[first],
        marker: { color: colours[roleOf(model.run.training_mode)] ?? colours.text },
        hovertemplate: "%{y}: %{x:.3f}<extra></extra>" }],
      layout: { showlegend: false, dragmode: false, xaxis: { title: format.metricName(first), range: [0, 1], fixedrange: true },
        yaxis: { autorange: "reversed", fixedrange: true, automargin: true } },
    }),
    table: () => ({
      columns: ["Label", { label: "Examples", numeric: true },
        ...Object.keys(data.values).map((name) => ({ label: format.metricName(name), numeric: true }))],
      rows: data.labels.map((label, i) => [label, data.counts[i], ...Object.values(data.values).map((column) => column[i])]),
    }),
  });
}

function residuals(model, { title, data }) {
  const part = data.true.length < data.num_examples ? `${format.count(data.true.length)} of ` : "";
  const said = () => `${part}${format.plural(data.num_examples, "test example")}; on the diagonal, a prediction is right.`;
  const ends = [Math.min(...data.true), Math.max(...data.true)];
  return makeChart({
    title, caption: said, summary: said, height: 360,
    draw: (colours) => ({
      data: [
        { type: "scatter", mode: "lines", x: ends, y: ends, line: { color: colours.grey, width: 1.5 }, hoverinfo: "skip" },
        { type: "scatter", mode: "markers", x: data.true, y: data.predicted,
          marker: { size: 5, opacity: 0.6, color: colours[roleOf(model.run.training_mode)] ?? colours.text },
          hovertemplate: "true %{x:.4g}, predicted %{y:.4g}<extra></extra>" },
      ],
      layout: { showlegend: false, hovermode: "closest", dragmode: false,
        xaxis: { title: `True ${escaped(data.target)}`, fixedrange: true },
        yaxis: { title: `Predicted ${escaped(data.target)}`, fixedrange: true } },
    }),
    table: () => ({
      columns: ["True", "Predicted", "Error"].map((label) => ({ label, numeric: true })),
      rows: data.true.map((value, i) => [value, data.predicted[i], data.predicted[i] - value]),
    }),
  });
}

function clusterProfile(model, { title, data }) {
  const part = data.inputs.length < data.num_inputs ? `; the ${data.inputs.length} of ${data.num_inputs} inputs that differ most` : "";
  const said = () => `${format.plural(data.sizes.length, "cluster")} of test rows: mean of a cluster less that of all other `
    + `rows, in deviations within both (Cohen's d)${part}.`;
  const most = Math.max(...data.effects.flat().map((value) => Math.abs(value ?? 0))) || 1;
  const names = data.sizes.map((size, place) => `${place} (${format.plural(size, "row")})`);
  return makeChart({
    title, caption: said, summary: said, height: 150 + 2 * ROW * data.sizes.length,
    draw: (colours) => ({
      data: [{ type: "heatmap", z: data.effects, x: data.inputs.map(escaped), y: names, zmin: -most, zmax: most, xgap: 1, ygap: 1,
        colorscale: [[0, colours.pooled], [0.5, colours.surface], [1, colours.federated]],
        hovertemplate: "cluster %{y}<br>%{x}: %{z:+.2f}<extra></extra>" }],
      layout: { dragmode: false, hovermode: "closest", xaxis: { fixedrange: true, automargin: true, tickangle: -40, showgrid: false },
        yaxis: { title: "Cluster", autorange: "reversed", fixedrange: true, automargin: true, type: "category", showgrid: false } },
    }),
    table: () => ({
      columns: ["Cluster", { label: "Examples", numeric: true }, ...data.inputs.map((label) => ({ label, numeric: true }))],
      rows: data.effects.map((own, place) => [String(place), data.sizes[place], ...own]),
    }),
  });
}

function clusterMap(model, { title, data }) {
  const part = data.x.length < data.num_examples ? `${format.count(data.x.length)} of ` : "";
  const said = () => `${part}${format.plural(data.num_examples, "test example")} on the plane of their two main components.`;
  const of = (axis, place) => data[axis].filter((_, i) => data.cluster[i] === place);
  const [first, second] = data.explained.map((share) => format.percent(share, { digits: 0 }));
  const places = Array.from({ length: data.clusters }, (_, place) => place);
  return makeChart({
    title, caption: said, summary: said, height: 380,
    draw: (colours) => ({
      data: places.map((place) => ({ type: "scatter", mode: "markers", name: `cluster ${place}`, x: of("x", place), y: of("y", place),
        marker: { size: 6, opacity: 0.7, symbol: SYMBOLS[place % SYMBOLS.length], color: colours.clients[place % colours.clients.length] },
        hovertemplate: `cluster ${place}<extra></extra>` })),
      layout: { showlegend: data.clusters <= MOST_NAMED, hovermode: "closest", dragmode: false,
        xaxis: { title: `First component (${first} of the variance)`, fixedrange: true },
        yaxis: { title: `Second component (${second})`, fixedrange: true } },
    }),
    table: () => ({
      columns: ["Cluster", ...["First component", "Second component"].map((label) => ({ label, numeric: true }))],
      rows: data.x.map((value, i) => [String(data.cluster[i]), value, data.y[i]]),
    }),
  });
}

function anomalyScores(model, { title, data }) {
  const order = data.timed ? ", in order of time" : "";
  const series = data.series.length > 1 ? `, ${data.series.length} series one behind the other (dotted lines)` : "";
  const said = () => `${format.plural(data.num_examples, "test example")}${order}${series}: the largest ratio of score to control `
    + "limit among consecutive ones. Shaded: anomalies; dots above 1: alarms.";
  const ends = [...data.row.slice(1), data.num_examples];
  const events = data.row.flatMap((row, i) => (data.anomaly[i] && !(data.anomaly[i - 1] && i) ? [[row, endOf(i)]] : []));
  function endOf(i) {
    while (data.anomaly[i + 1]) i += 1;
    return ends[i];
  }
  const alarms = data.row.map((_, i) => i).filter((i) => data.alarm[i]);
  return makeChart({
    title, caption: said, summary: said, height: 320,
    draw: (colours) => ({
      data: [
        { type: "scatter", mode: "lines", x: data.row, y: data.ratio, name: "score / limit",
          line: { width: 1, color: colours[roleOf(model.run.training_mode)] ?? colours.text },
          hovertemplate: "from row %{x}: %{y:.3g}<extra></extra>" },
        { type: "scatter", mode: "markers", x: alarms.map((i) => data.row[i]), y: alarms.map((i) => data.ratio[i]), name: "alarm",
          marker: { size: 4, color: colours.bad }, hoverinfo: "skip" },
      ],
      layout: { showlegend: false, dragmode: false, hovermode: "closest",
        xaxis: { title: `Test row${order}`, fixedrange: true, showgrid: false },
        yaxis: { title: "Score / limit", type: "log", fixedrange: true },
        shapes: [
          ...events.map(([x0, x1]) => ({ type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "below",
            line: { width: 0 }, fillcolor: colours.grey, opacity: 0.25 })),
          ...data.series.slice(1).map((x) => ({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
            line: { width: 1, dash: "dot", color: colours.grey } })),
          { type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: 1, y1: 1, line: { width: 1, color: colours.text } },
        ] },
    }),
    table: () => ({
      columns: ["From row", "Score / limit", "Anomaly", "Alarm"].map((label) => ({ label, numeric: true })),
      rows: data.row.map((row, i) => [row, data.ratio[i], data.anomaly[i], data.alarm[i]]),
    }),
  });
}
