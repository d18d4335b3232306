/** The trials of a sweep, each with a link to its run; and its cells, with means over the seeds. */

import { h, replace } from "../dom.js";
import * as format from "../format.js";
import { dataTable } from "../table.js";

const NUMBERS = ["pooled", "federated", "gap"];

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function trialsSection(model) {
  const cells = h("div");
  const trials = h("div");

  function draw() {
    const { run } = model;
    replace(cells, run.summary.cells?.some((cell) => cell.seeds.length) ? cellsTable(run.summary.cells) : null);
    replace(trials, trialsTable(run.trials));
  }

  draw();
  return {
    element: h("div", {}, cells, trials),
    update(changes) {
      if (changes.run) draw();
    },
    destroy() {},
  };
}

function cellsTable(cells) {
  const names = NUMBERS.filter((name) => cells.some((cell) => cell[name]));
  const label = cells.find((cell) => cell.label)?.label ?? "";
  return dataTable({ caption: `${label} on the test rows, mean over the seeds, 95 % CI`,
    columns: ["Settings", { label: "Seeds", numeric: true }, ...names.map((name) => ({ label: format.capital(name), numeric: true }))],
    rows: cells.map((cell) => [nameOf(cell.settings), `${cell.seeds.length} of ${cell.trials}`,
      ...names.map((name) => interval(cell[name], { signed: name === "gap" }))]) }).element;
}

function trialsTable(trials) {
  return dataTable({ caption: "Trials", columns: [{ label: "Trial", numeric: true }, "Settings", { label: "Seed", numeric: true }, "Status", "Run"],
    rows: trials.map((trial) => [trial.number, nameOf(trial.settings), String(trial.seed),
      h("span", { class: `status ${trial.status}`, title: trial.error, text: trial.status }),
      trial.run_id === null ? "" : h("a", { href: `/runs/${trial.run_id}`, text: `run ${trial.run_id}` })]) }).element;
}

function nameOf(settings) {
  return settings.join(" ") || "as they are";
}

function interval(number, { signed }) {
  if (!number) return "";
  const [mean, low, high] = [number.mean, number.low, number.high].map((value) => format.number(value, { signed }));
  return number.low === null ? mean : `${mean} [${low}, ${high}]`;
}
