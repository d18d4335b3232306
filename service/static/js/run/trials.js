/** The trials of a sweep, each with a link to its run; and its cells, with means over the seeds. */

import { withQuery } from "../api.js";
import { h, replace } from "../dom.js";
import * as format from "../format.js";
import { dataTable } from "../table.js";

const NUMBERS = ["pooled", "federated", "gap"];

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function trialsSection(model) {
  const search = h("p", { hidden: true });
  const cells = h("div");
  const trials = trialsTable(model.run);
  const compare = h("p", {},
    h("a", { class: "button", href: withQuery("/compare", { runs: model.run.id }), text: "Compare curves" }));

  function draw() {
    const { run } = model;
    const tested = run.summary.cells?.filter((cell) => NUMBERS.some((name) => cell[name])) ?? [];
    replace(search, searchWords(run));
    search.hidden = !run.summary.search;
    replace(cells, tested.length ? cellsTable(tested) : null);
    trials.update(trialRows(run));
    compare.hidden = run.trials.every((trial) => trial.run_id === null);
  }

  draw();
  return {
    element: h("div", {}, search, compare, cells, trials.element),
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
    rows: cells.map((cell) => [(cell.is_winner ? "winner: " : "") + nameOf(cell.settings), `${cell.seeds.length} of ${cell.trials}`,
      ...names.map((name) => interval(cell[name], { signed: name === "gap" }))]) }).element;
}

function trialsTable(run) {
  const objectives = objectivesOf(run).map(({ words, text }) => ({ label: format.capital(words), numeric: true, format: text }));
  return dataTable({ caption: "Trials", sortable: true, rows: trialRows(run),
    columns: [{ label: "Trial", numeric: true }, "Settings", { label: "Seed", numeric: true }, "Status", ...objectives, "Run"] });
}

function trialRows(run) {
  const objectives = objectivesOf(run);
  return run.trials.map((trial) => [trial.number, nameOf(trial.settings), String(trial.seed),
    h("span", { class: `status ${trial.status}`, title: trial.error, text: statusOf(trial) }),
    ...objectives.map((_, place) => trial.search?.values?.[place] ?? null),
    trial.run_id === null ? "" : h("a", { href: `/runs/${trial.run_id}`, text: `run ${trial.run_id}` })]);
}

/** How a search goes: what it seeks, how many trials it pruned, and its best one so far. */
function searchWords(run) {
  const { search } = run.summary;
  if (!search) return "";
  const objectives = objectivesOf(run);
  const [{ words, text, higher }] = objectives;
  const known = run.trials.filter((trial) => trial.search?.values);
  const pruned = run.trials.filter((trial) => trial.status === "pruned").length;
  const better = (a, b) => (higher ? b.search.values[0] - a.search.values[0] : a.search.values[0] - b.search.values[0]);
  const best = known.sort(better)[0];
  return [`Seeks ${objectives.map((one) => `${one.higher ? "high" : "low"} ${one.words}`).join(" and ")}. `,
    best ? h("span", {}, `Best${objectives.length > 1 ? ` ${words}` : ""}${run.ended ? "" : " so far"}: `, h("strong", { text: text(best.search.values[0]) }),
      ` (trial ${best.number}: ${nameOf(best.settings)}). `) : "No trial has ended yet. ",
    pruned ? `${format.plural(pruned, "trial")} pruned: stopped early, as the first values were worse than those of others.` : ""];
}

/** The objectives of a search, in the order of a trial's values. */
function objectivesOf({ summary: { search } }) {
  if (!search) return [];
  const metric = format.label(search.key);
  return search.objectives.map((name) => ({
    words: { metric, gap: `gap in ${metric}` }[name] ?? name,
    text: { bytes: format.bytes, seconds: format.duration, gap: (value) => format.number(value, { signed: true }) }[name] ?? format.number,
    higher: name === "metric" && search.mode === "max",
  }));
}

function statusOf({ status, search }) {
  return search?.tested ? `${status}, tested` : status;
}

function nameOf(settings) {
  return settings.join(" ") || "as they are";
}

function interval(number, { signed }) {
  if (!number) return "";
  const [mean, low, high] = [number.mean, number.low, number.high].map((value) => format.number(value, { signed }));
  return number.low === null ? mean : `${mean} [${low}, ${high}]`;
}
