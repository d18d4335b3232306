/** A confusion matrix as a chart: counts, coloured by the share of each true class. */

import { escaped, makeChart } from "../charts.js";
import * as format from "../format.js";
import { roleOf } from "../theme.js";

const WRITTEN = 12; // classes up to which the cells hold numbers

/**
 * @param {object} model
 * @param {() => {matrix: number[][], title: string}} given `matrix[true][predicted]`
 * @returns {{element: HTMLElement, update: () => void, destroy: () => void}}
 */
export function confusionChart(model, given) {
  return makeChart({ title: given().title, height: 330, draw: (colours) => draw(model, given().matrix, colours),
    table: () => table(model, given().matrix), caption: () => said(model, given().matrix),
    summary: () => said(model, given().matrix) });
}

/** The names of `size` classes. */
export function classNames(model, size) {
  return Array.from({ length: size }, (_, i) => model.run.classes?.[i] ?? `class ${i}`);
}

function draw(model, matrix, colours) {
  const names = classNames(model, matrix.length).map((name) => escaped(name.length > 16 ? `${name.slice(0, 15)}…` : name));
  const shares = matrix.map((row) => row.map((count) => count / Math.max(1, row.reduce((a, b) => a + b, 0))));
  const places = names.map((_, i) => i);
  const words = matrix.map((row, i) => row.map((count, j) =>
    (matrix.length === 2 ? `<b>${format.count(count)}</b><br>${format.percent(shares[i][j])}` : format.count(count))));
  const trace = {
    type: "heatmap", z: shares, x: places, y: places, zmin: 0, zmax: 1, showscale: false, xgap: 2, ygap: 2, text: words,
    colorscale: [[0, colours.grid], [1, colours[roleOf(model.run.training_mode)] ?? colours.text]],
    texttemplate: matrix.length > WRITTEN ? "" : "%{text}", textfont: { size: matrix.length === 2 ? 17 : 12 },
    customdata: matrix.map((row, i) => row.map((count, j) => `${names[j]} instead of ${names[i]}: `.repeat(i === j ? 0 : 1)
      + `${format.count(count)} (${format.percent(shares[i][j])} of true ${names[i]})`)),
    hovertemplate: "%{customdata}<extra></extra>",
  };
  const axis = { tickvals: places, ticktext: names, showgrid: false, fixedrange: true, ticks: "" };
  return { data: [trace], layout: { hovermode: "closest", dragmode: false, margin: { l: 70, r: 8, t: 6, b: 44 },
    xaxis: { ...axis, title: "Predicted class", tickangle: matrix.length > 5 ? -40 : 0 },
    yaxis: { ...axis, title: "True class", autorange: "reversed" } } };
}

function said(model, matrix) {
  const total = matrix.flat().reduce((a, b) => a + b, 0);
  const right = matrix.reduce((sum, row, i) => sum + row[i], 0);
  const share = format.percent(total ? right / total : 0);
  return `Accuracy ${share} (${format.count(right)} of ${format.plural(total, "example")}). `
    + "Coloured by row share.";
}

function table(model, matrix) {
  const names = classNames(model, matrix.length);
  return {
    columns: ["True class", ...names.map((name) => ({ label: `Predicted ${name}`, numeric: true }))],
    rows: matrix.map((row, i) => [names[i], ...row]),
  };
}
