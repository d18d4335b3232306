/** ROC, precision-recall and calibration charts of the test predictions, with the operating point. */

import { escaped, makeChart } from "../charts.js";
import * as format from "../format.js";
import { roleOf, withAlpha } from "../theme.js";

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const SQUARE = { range: [-0.02, 1.02], fixedrange: true };

/**
 * @param {object} model
 * @param {object} given what `/api/runs/ID/predictions` says
 * @param {() => ?object} point the operating point of two classes (`operatingPoint`), or null
 * @returns {Array} charts
 */
export function predictionCharts(model, given, point) {
  const charts = [];
  const context = { model, given, point };
  if (given.roc) charts.push(rocChart(context));
  else if (given.roc_classes) charts.push(rocClassesChart(context));
  if (given.pr) charts.push(prChart(context));
  if (given.calibration) charts.push(calibrationChart(context));
  return charts;
}

/** What follows from the counts at one place of the sweep; a rate without examples is null. */
export function operatingPoint(sweep, place) {
  const [tp, fp, tn, fn] = ["tp", "fp", "tn", "fn"].map((key) => sweep[key][place]);
  const over = (part, whole) => (whole > 0 ? part / whole : null);
  return {
    threshold: sweep.threshold[place], tp, fp, tn, fn, accuracy: over(tp + tn, tp + fp + tn + fn), recall: over(tp, tp + fn),
    specificity: over(tn, tn + fp), precision: over(tp, tp + fp), f1: over(2 * tp, 2 * tp + fp + fn),
  };
}

function rocChart({ model, given, point }) {
  const { fpr, tpr, threshold, auroc } = given.roc;
  return makeChart({
    title: "ROC", height: 330, caption: () => `AUROC ${format.number(auroc)}. The diagonal is chance.`,
    summary: () => `AUROC ${format.number(auroc)}.`,
    draw: (colours) => ({
      data: [straight([0, 1], colours),
        curve(fpr, tpr, { model, colours, template: "false positives %{x:.1%}, recall %{y:.1%}" }),
        marker(point() && { x: 1 - point().specificity, y: point().recall }, { point, colours })],
      layout: squared("False positive rate", "Recall (true positive rate)"),
    }),
    table: () => columnsOf({ "False positive rate": fpr, Recall: tpr, Threshold: threshold }),
  });
}

function rocClassesChart({ given }) {
  const classes = given.roc_classes.map((one) => ({ ...one, name: String(given.classes[one.class]) }));
  return makeChart({
    title: "ROC, each class against the rest", height: 330,
    caption: () => `AUROC from ${extreme(classes, Math.min)} to ${extreme(classes, Math.max)}. The diagonal is chance.`,
    draw: (colours) => ({
      data: [straight([0, 1], colours), ...classes.map(({ name, fpr, tpr, auroc }, i) => ({
        type: "scatter", mode: "lines", name: escaped(name), x: fpr, y: tpr,
        line: { width: 1.8, color: colours.clients[i % colours.clients.length], dash: DASHES[i % DASHES.length] },
        hovertemplate: `${escaped(name)}, AUROC ${format.number(auroc)}: `
          + "false positives %{x:.1%}, recall %{y:.1%}<extra></extra>",
      }))],
      layout: { ...squared("False positive rate", "Recall"), showlegend: classes.length <= 12,
        legend: { orientation: "v", x: 1, xanchor: "right", y: 0, yanchor: "bottom", font: { size: 11 } } },
    }),
    table: () => ({ columns: ["Class", { label: "AUROC", numeric: true }],
      rows: classes.map((one) => [one.name, one.auroc]) }),
  });
}

function prChart({ model, given, point }) {
  const { recall, precision, threshold, average_precision: average } = given.pr;
  const share = operatingPoint(given.sweep, 0);
  const base = (share.tp + share.fn) / given.num_examples;
  return makeChart({
    title: "Precision and recall", height: 330,
    caption: () => `Average precision ${format.number(average)}; the dotted line is chance `
      + `(${format.percent(base)} positive).`,
    summary: () => `Average precision ${format.number(average)}.`,
    draw: (colours) => ({
      data: [straight([base, base], colours),
        curve(recall, precision, { model, colours, template: "recall %{x:.1%}, precision %{y:.1%}", shape: "vh" }),
        marker(point() && { x: point().recall, y: point().precision }, { point, colours })],
      layout: squared("Recall", "Precision"),
    }),
    table: () => columnsOf({ Recall: recall, Precision: precision, Threshold: threshold }),
  });
}

function calibrationChart({ model, given, point }) {
  const { lower, upper, confidence, accuracy, count, ece } = given.calibration;
  const binary = Boolean(given.sweep);
  const known = count.map((n, i) => i).filter((i) => count[i] > 0);
  const most = Math.max(1, ...count);
  return makeChart({
    title: "Calibration", height: 330,
    caption: () => `Expected calibration error ${format.number(ece)}. The diagonal is perfect calibration; `
      + "bars: number of examples (right axis).",
    summary: () => `Expected calibration error ${format.number(ece)}.`,
    draw: (colours) => {
      const color = colours[roleOf(model.run.training_mode)] ?? colours.text;
      const data = [
        // Exactly 1 has a bin without width.
        { type: "bar", x: known.map((i) => (lower[i] + upper[i]) / 2), y: known.map((i) => count[i]),
          width: known.map((i) => Math.max(0.012, (upper[i] - lower[i]) * 0.92)), yaxis: "y2",
          marker: { color: withAlpha(colours.grey, 0.35) },
          customdata: known.map((i) => format.count(count[i])), hovertemplate: "%{customdata} examples<extra></extra>" },
        straight([0, 1], colours),
        { type: "scatter", mode: "lines+markers", x: known.map((i) => confidence[i]), y: known.map((i) => accuracy[i]),
          line: { color, width: 2 }, marker: { color, size: 7 },
          customdata: known.map((i) => format.count(count[i])),
          hovertemplate: "confidence %{x:.1%}, observed %{y:.1%} of %{customdata}<extra></extra>" },
      ];
      const layout = squared(binary ? "Probability of the positive class" : "Confidence in the predicted class",
        binary ? "Observed frequency" : "Accuracy");
      // The bars have a scale of their own, at the right, and stay below the curve.
      layout.yaxis2 = { title: "Examples", overlaying: "y", side: "right", range: [-0.02 * 4 * most, 1.02 * 4 * most],
        fixedrange: true, showgrid: false, tickvals: [0, most / 2, most].map(Math.round), tickformat: ",d" };
      layout.margin = { r: 56 };
      const at = point()?.threshold ?? null;
      if (at !== null) {
        layout.shapes = [{ type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper",
          line: { color: colours.text, width: 1, dash: "dot" } }];
      }
      return { data, layout };
    },
    table: () => columnsOf({ From: lower, To: upper, Examples: count, "Mean confidence": confidence, Observed: accuracy }),
  });
}

function curve(x, y, { model, colours, template, shape = "linear" }) {
  return { type: "scatter", mode: "lines", x, y, hovertemplate: `${template}<extra></extra>`,
    line: { color: colours[roleOf(model.run.training_mode)] ?? colours.text, width: 2.2, shape } };
}

function marker(place, { point, colours }) {
  const known = place && place.x !== null && place.y !== null;
  return { type: "scatter", mode: "markers", x: known ? [place.x] : [], y: known ? [place.y] : [], cliponaxis: false,
    marker: { symbol: "circle", size: 13, color: colours.background, line: { color: colours.text, width: 3 } },
    hovertemplate: point() ? `threshold ${format.number(point().threshold, { digits: 2 })}<extra></extra>` : "" };
}

function straight(y, colours) {
  return { type: "scatter", mode: "lines", x: [0, 1], y, hoverinfo: "skip", showlegend: false,
    line: { color: colours.grey, dash: "dot", width: 1 } };
}

function squared(x, y) {
  return { hovermode: "closest", dragmode: false, xaxis: { ...SQUARE, title: x, tickformat: ".0%" },
    yaxis: { ...SQUARE, title: y, tickformat: ".0%" } };
}

function columnsOf(columns) {
  const values = Object.values(columns);
  return { columns: Object.keys(columns).map((label) => ({ label, numeric: true })),
    rows: values[0].map((_, i) => values.map((column) => column[i])) };
}

function extreme(classes, choose) {
  return format.number(choose(...classes.map((one) => one.auroc).filter((value) => value !== null)));
}
