/** What the task shows of a tested model beside its metrics, drawn by the kind of each panel. */

import { escaped, makeChart } from "../charts.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { roleOf, withAlpha } from "../theme.js";

const ROW = 24; // pixels of a label
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross", "x", "triangle-down", "star", "pentagon", "hexagon"];
const MOST_NAMED = 16; // clusters in a legend
const KINDS = { label_table: labelTable, residuals, cluster_profile: clusterProfile, cluster_map: clusterMap,
  anomaly_scores: anomalyScores, forecast, horizon };

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
  const said = () => `${part}${format.plural(data.num_examples, `test ${data.noun ?? "example"}`)}; on the diagonal, a prediction is right.`;
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

function forecast(model, { title, data }) {
  const said = () => `Three of ${format.plural(data.num_examples, "test window")}, by the error of the seasonal floor: an easy, `
    + `a usual and a hard one, in steps of ${data.step}. Band: 80 % of all test errors at that step.`;
  const ahead = data.windows[0].true.map((_, i) => i + 1);
  const columns = ["true", "predicted", "low", "high", "seasonal"];
  const [low, high] = [0.06, 1.04];
  const width = (high - low) / data.windows.length;
  const axis = (place) => place ? String(place + 1) : "";
  return makeChart({
    title, caption: said, summary: said, height: 300,
    draw: (colours) => {
      const own = colours[roleOf(model.run.training_mode)] ?? colours.text;
      const line = (window, place, name, look) => ({ type: "scatter", mode: "lines", x: ahead, y: window[name],
        xaxis: `x${axis(place)}`, yaxis: `y${axis(place)}`, ...look });
      return {
        data: data.windows.flatMap((window, place) => [
          line(window, place, "low", { line: { width: 0 }, showlegend: false, hoverinfo: "skip" }),
          line(window, place, "high", { line: { width: 0 }, fill: "tonexty", fillcolor: withAlpha(own, 0.18), name: "80 % of errors",
            showlegend: !place, hoverinfo: "skip" }),
          line(window, place, "seasonal", { line: { color: colours.grey, dash: "dash", width: 1.5 }, name: "seasonal floor", showlegend: !place }),
          line(window, place, "true", { line: { color: colours.text, width: 1.5 }, name: "true", showlegend: !place }),
          line(window, place, "predicted", { line: { color: own, width: 2 }, name: "forecast", showlegend: !place }),
        ]),
        layout: {
          showlegend: true, dragmode: false, hovermode: "x",
          ...Object.fromEntries(data.windows.flatMap((window, place) => [
            [`xaxis${axis(place)}`, { domain: [low + place * width, low + (place + 0.86) * width], anchor: `y${axis(place)}`, fixedrange: true,
              title: `MAE ${format.number(window.mae)}, floor ${format.number(window.seasonal_mae)}` }],
            [`yaxis${axis(place)}`, { anchor: `x${axis(place)}`, fixedrange: true, title: place ? "" : escaped(data.target) }],
          ])),
        },
      };
    },
    table: () => ({
      columns: [{ label: "Window", numeric: true }, { label: "Step ahead", numeric: true },
        ...columns.map((label) => ({ label, numeric: true }))],
      rows: data.windows.flatMap((window) => ahead.map((step, i) => [window.rank, step, ...columns.map((name) => window[name][i])])),
    }),
  });
}

function horizon(model, { title, data }) {
  const said = () => "Mean absolute error of each step ahead. Seasonal floor: the same step of the last season; persistence floor: "
    + "the last value.";
  const ahead = data.mae.model.map((_, i) => i + 1);
  const names = { model: "forecast", seasonal: "seasonal floor", persistence: "persistence floor" };
  return makeChart({
    title, caption: said, summary: said, height: 300,
    draw: (colours) => ({
      data: Object.entries(names).map(([key, name]) => ({ type: "scatter", mode: "lines", x: ahead, y: data.mae[key], name,
        line: key === "model" ? { color: colours[roleOf(model.run.training_mode)] ?? colours.text, width: 2 }
          : { color: colours.grey, width: 1.5, dash: key === "seasonal" ? "dash" : "dot" } })),
      layout: { showlegend: true, dragmode: false, hovermode: "x",
        xaxis: { title: `Steps of ${escaped(data.step)} ahead`, fixedrange: true },
        yaxis: { title: `MAE of ${escaped(data.target)}`, rangemode: "tozero", fixedrange: true } },
    }),
    table: () => ({
      columns: [{ label: "Step ahead", numeric: true }, ...Object.values(names).map((label) => ({ label, numeric: true }))],
      rows: ahead.map((step, i) => [step, ...Object.keys(names).map((key) => data.mae[key][i])]),
    }),
  });
}
