/** Each class by itself against all others, as a table: support, precision, recall, F1 and AUROC. */

import { specOf } from "../catalogue.js"; // plain names: here a metric is of each class, not of the positive one
import { h } from "../dom.js";
import { capital, number } from "../format.js";
import { dataTable } from "../table.js";

const SCORES = ["precision", "recall", "f1", "auroc"];

/**
 * @param {object[]} scores `per_class` of `/api/runs/ID/predictions`
 * @param {{threshold: number|null}} given at which threshold of two classes; null for more
 * @returns {HTMLElement}
 */
export function classTable(scores, { threshold }) {
  const measured = SCORES.map((name) => ({ label: capital(specOf(name).label), numeric: true,
    format: (value) => number(value) }));
  const table = dataTable({ caption: "Each class against the rest", captionHidden: true, sortable: true, download: true,
    columns: ["Class", { label: "Test rows", numeric: true }, ...measured],
    rows: scores.map((row) => [row.class, row.support, ...SCORES.map((name) => row[name])]) });
  const at = threshold === null ? "" : ` At the run's own threshold, ${number(threshold, { digits: 2 })}.`;
  return h("section", { class: "panel", "aria-label": "Each class" }, h("h3", { text: "Each class" }), table.element,
    h("p", { class: "note", text: `Each class against all others.${at} “–”: not defined, as the class is never predicted `
      + "or has no test row." }));
}
