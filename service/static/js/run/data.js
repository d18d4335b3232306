/** What was read before training: rows by value and side, patients, and what was ignored or guessed. */

import { h } from "../dom.js";
import * as format from "../format.js";
import { dataTable } from "../table.js";

const SIDES = ["train", "val", "test"];

/** Whether the run says what it read; runs of earlier versions do not. */
export function hasData(model) {
  return Boolean(model.run.summary?.data?.rows);
}

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: () => void, destroy: () => void}}
 */
export function dataSection(model) {
  const data = model.run.summary.data;
  const sides = SIDES.filter((side) => data.rows[side]);
  const facts = [["Read from", data.origin], ["Layout", data.layout], ["Positive class", data.positive],
    ...groupsOf(data, sides), ...spansOf(data, sides), ...Object.entries(data.facts ?? {})].filter(([, text]) => text);
  return {
    element: h("div", {},
      h("dl", { class: "run-data-facts" }, facts.map(([name, text]) =>
        h("div", {}, h("dt", { text: format.capital(name) }), h("dd", { text })))),
      rowsTable(data, sides),
      data.notes?.length > 0 && h("ul", { class: "run-data-notes" }, data.notes.map((note) => h("li", { text: note })))),
    update() {}, // known before training, and the same ever after
    destroy() {},
  };
}

function rowsTable(data, sides) {
  const rows = Object.entries(data.counts).flatMap(([variable, values]) =>
    Object.entries(values).map(([value, own]) => line(`${variable} ${value}`, own, sides)));
  return dataTable({ caption: "Rows by side", columns: ["Rows", ...[...sides, "all"].map((label) => ({ label, numeric: true }))],
    rows: [...rows, line("all", data.rows, sides)] }).element;
}

function line(name, counts, sides) {
  const own = sides.map((side) => counts[side] ?? 0);
  return [name, ...own, own.reduce((sum, count) => sum + count, 0)];
}

function groupsOf({ groups, group_noun: noun }, sides) {
  if (!groups) return [];
  return [[`${noun}s`, sides.map((side) => `${side} ${format.count(groups[side] ?? 0)}`).join(", ")]];
}

function spansOf({ spans }, sides) {
  return Object.entries(spans ?? {}).map(([variable, own]) =>
    [variable, sides.filter((side) => own[side]).map((side) => `${side} ${own[side].map((end) => format.number(end)).join(" to ")}`).join(", ")]);
}
