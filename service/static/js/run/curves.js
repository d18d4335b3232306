/** Loss and metrics of the global or pooled model: one chart per metric with all its stages. */

import { inOrder, specOf } from "../catalogue.js";
import { makeChart } from "../charts.js";
import { choiceGroup } from "../controls.js";
import { h, replace, s } from "../dom.js";
import * as format from "../format.js";
import { params, setParams } from "../router.js";
import { roleOf } from "../theme.js";
import { stageStroke, stageStyle } from "./stages.js";

const STAGES = ["train", "val", "test"];
const MOST_SMOOTH = 0.95;
const ROOM = 0.02; // beyond the ends of a share

/**
 * @param {object} model
 * @param {{axes: object}} parts
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function curvesSection(model, { axes }) {
  const charts = new Map();
  const grid = h("div", { class: "run-grid" });
  const legend = h("ul", { class: "run-legend", "aria-label": "Lines" });
  const empty = h("p", { class: "muted", text: "No curves yet; data follows after the first epoch." });
  const asked = Number.parseFloat(params().smooth);
  const look = { smooth: Number.isFinite(asked) ? Math.min(MOST_SMOOTH, Math.max(0, asked)) : 0, log: params().log === "1" };
  const controls = h("div", { class: "run-controls" }, axisChoice(axes), lookControls(look, () => {
    charts.forEach((chart) => chart.update());
  }), legend);
  const element = h("div", {}, controls, empty, grid);

  function arrange() {
    const names = metricNames(model);
    empty.hidden = names.length > 0;
    controls.hidden = !empty.hidden;
    const stages = STAGES.filter((stage) => names.some((name) => model.curve(stage, name)));
    replace(legend, stages.map((stage) => h("li", {},
      s("svg", { class: `run-line ${stage} ${roleOf(model.run.training_mode)}`, viewBox: "0 0 24 8", "aria-hidden": "true" },
        s("path", { d: "M1 4H23", "stroke-dasharray": stageStroke(stage) })),
      format.capital(format.stageName(stage)))),
    model.finals.size > 0 && h("li", {}, h("span", { "aria-hidden": "true", text: "★" }), "Test of the selected model"));
    if (names.join() === [...charts.keys()].join()) return;
    for (const name of names) if (!charts.has(name)) charts.set(name, metricChart(model, name, axes, look));
    const ordered = names.map((name) => [name, charts.get(name)]);
    charts.clear();
    ordered.forEach(([name, chart]) => charts.set(name, chart));
    replace(grid, ordered.map(([, chart]) => chart.element));
  }

  axes.listen(() => charts.forEach((chart) => chart.update()));
  arrange();
  return {
    element,
    update(changes) {
      if (!changes.metrics.size && !changes.run) return;
      arrange();
      for (const [name, chart] of charts) {
        if (changes.run || STAGES.some((stage) => changes.metrics.has(`${stage}/${name}`))) chart.update();
      }
    },
    destroy() {
      charts.forEach((chart) => chart.destroy());
    },
  };
}

function metricNames(model) {
  const names = new Set(model.metricKeys().map((key) => key.slice(key.indexOf("/") + 1)));
  return inOrder([...names].filter((name) => specOf(name).source !== "server"));
}

function metricChart(model, name, axes, look) {
  const curves = () => STAGES.map((stage) => model.curve(stage, name)).filter(Boolean);
  const final = () => (model.finals.has(`test/${name}`) ? model.finals.get(`test/${name}`) : null);

  function draw(colours) {
    const role = roleOf(model.run.training_mode);
    const unit = specOf(name).unit ? ` ${specOf(name).unit}` : "";
    const data = curves().flatMap((series) => {
      const { color, dash, symbol } = stageStyle(series.stage, { role, colours });
      const few = series.length <= 30;
      const line = {
        type: "scatter", mode: few ? "lines+markers" : "lines", name: format.capital(format.stageName(series.stage)),
        x: axes.of(series), y: series.y.slice(), connectgaps: false, line: { color, dash, width: 2 },
        marker: { color, symbol, size: 5 }, hovertemplate: `%{y:.4~f}${unit}`,
      };
      if (look.smooth === 0) return [line];
      return [{ ...line, mode: "lines", opacity: 0.3, line: { ...line.line, width: 1 }, showlegend: false },
        { ...line, mode: "lines", x: axes.of(series), y: smoothed(series.y, look.smooth), name: `${line.name}, smoothed` }];
    });
    const tested = testedPoint(model, axes);
    if (final() !== null && tested !== null) {
      data.push({
        type: "scatter", mode: "markers", name: "Test of the selected model", x: [tested], y: [final()],
        marker: { symbol: "star", size: 13, color: colours.text, line: { color: colours.background, width: 1 } },
        hovertemplate: `%{y:.4~f}${unit}`,
      });
    }
    const range = inLog() ? { type: "log" } : rangeOf(name, curves());
    return { data, layout: { hovermode: "x unified", margin: { l: 54, b: 44 }, // that adapt would draw every chart twice
      uirevision: `keep ${inLog()}`,
      xaxis: { ...axes.layout(), automargin: false }, yaxis: { ...range, automargin: false } } };
  }

  const positive = () => curves().every((series) => series.y.every((value) => value === null || value > 0));
  const inLog = () => look.log && positive();

  function table() {
    const steps = [...new Set(curves().flatMap((series) => series.x))].sort((a, b) => a - b);
    const unit = format.capital(model.unit);
    const values = (step) => curves().map((series) => series.at(step)?.value ?? null);
    return {
      columns: [{ label: unit, numeric: true }, ...curves().map((series) => ({
        label: format.capital(format.stageName(series.stage)), numeric: true }))],
      rows: steps.map((step) => [step, ...values(step)]),
    };
  }

  function summary() {
    const now = curves().map((series) => `${format.stageName(series.stage)} ${format.number(series.last())}`);
    if (final() !== null) now.push(`selected model ${format.number(final())}`);
    return now.join(" · ");
  }

  function caption() {
    const more = [];
    if (curves().some((series) => series.thinned)) more.push("Downsampled; minima and maxima are kept. All values: Downloads");
    if (look.log && !positive()) more.push("Linear: a logarithmic scale needs values above 0");
    return [summary(), ...more].join(". ");
  }

  return makeChart({ title: format.capital(format.metricName(name)), height: 230, caption, draw, table,
    summary: () => `Latest values: ${summary()}.` });
}

/** Plotly's own range would be far too wide for a small constant, and would leave [0, 1], which a share cannot. */
function rangeOf(name, curves) {
  const [low, high] = format.isShare(name) ? [-ROOM, 1 + ROOM] : [-Infinity, Infinity];
  const values = new Set(curves.flatMap((series) => series.y).filter((value) => value !== null));
  const [value] = values;
  if (values.size !== 1 || value === 0) return low === -ROOM ? { autorangeoptions: { clipmin: low, clipmax: high } } : {};
  const half = Math.abs(value) / 2;
  return { range: [Math.max(low, value - half), Math.min(high, value + half)], tickformat: "~g" };
}

/** Where on the axis the tested model stands, or null. */
function testedPoint(model, axes) {
  const step = model.run.summary?.test_round ?? model.run.summary?.test_epoch ?? null;
  return step === null ? null : axes.at(step);
}

/** The choice of the x-axis, kept in the URL as `x`. */
function axisChoice(axes) {
  return choiceGroup({ legend: "Over", legendShown: true, name: "run-axis", choices: axes.options, value: axes.chosen,
    onChoose: (key) => {
      setParams({ x: key === "step" ? null : key });
      axes.choose(key);
    } }).element;
}

/** How curves are drawn, kept in the URL as `smooth` and `log`. */
function lookControls(look, onChange) {
  const shown = h("output", { for: "curve-smooth", class: "curve-smooth", text: look.smooth.toFixed(2) });
  const slider = h("input", { type: "range", id: "curve-smooth", min: "0", max: String(MOST_SMOOTH), step: "0.05",
    value: String(look.smooth), on: { input: () => {
      look.smooth = Number(slider.value);
      shown.textContent = look.smooth.toFixed(2);
      setParams({ smooth: look.smooth === 0 ? null : look.smooth });
      onChange();
    } } });
  const log = h("input", { type: "checkbox", checked: look.log, on: { change: () => {
    look.log = log.checked;
    setParams({ log: look.log ? "1" : null });
    onChange();
  } } });
  return [h("span", { class: "select-box" }, h("label", { for: "curve-smooth", text: "Smoothing" }), slider, shown),
    h("label", { class: "run-check" }, log, " Log scale")];
}

/**
 * An exponential moving average that begins without bias, as TensorBoard's; gaps stay gaps.
 *
 * @param {(number|null)[]} values
 * @param {number} weight of what came before, in [0, 1)
 */
export function smoothed(values, weight) {
  let sum = 0;
  let seen = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    seen += 1;
    return sum / (1 - weight ** seen);
  });
}
