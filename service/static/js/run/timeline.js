/** The rounds section: a Gantt chart of selected rounds, time per phase of all rounds, and dropped replies. */

import { selectBox } from "../controls.js";
import { h, setText } from "../dom.js";
import * as format from "../format.js";
import { params, setParams } from "../router.js";
import { dataTable } from "../table.js";
import { ganttChart } from "./gantt.js";
import { nameOf } from "./names.js";
import { phasesChart } from "./phases.js";
import { RoundRows, lastRound } from "./rounds.js";

const LENGTHS = [1, 3, 5, 10, 25];
const USUAL = 5;
const MEANING = "One row per client; last row: server. Pale bar: from the server's message to the client's reply. Solid bar: "
  + "training time measured by the client (start time not recorded, so bars are right-aligned). Cross: reply rejected or "
  + "missing. Hourglass: straggler (reply time above 1.5 times the round's median).";
const MOVING = ["train/loss", "val/loss", "test/loss", "train/reply_seconds"];

const wholeNumber = (text) => (/^[1-9]\d*$/.test(text ?? "") ? Number(text) : null);

/**
 * @param {object} model
 * @param {{fetchJSON: (path: string) => Promise<object>}} parts
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function timelineSection(model, { fetchJSON }) {
  const asked = Number(params().rounds);
  const state = { length: LENGTHS.includes(asked) ? asked : USUAL, last: wholeNumber(params().round) };
  let inView = false;
  const place = h("output", { class: "run-window" });
  const [earlier, later, newest] = [["Earlier", -1], ["Later", 1], ["Newest", 0]].map(([text, way]) =>
    h("button", { class: "button small", type: "button", text, on: { click: () => move(way) } }));
  const length = selectBox({ legend: "Show", name: "run-rounds", value: String(state.length),
    choices: LENGTHS.map((value) => [String(value), format.plural(value, "round")]),
    onChoose: (value) => choose({ length: Number(value) }) });
  const rows = new RoundRows(model, { fetchJSON, onLoad: draw });
  const gantt = ganttChart(model, { rounds: shown, rows });
  const phases = phasesChart(model);
  const failures = dataTable({ caption: "Dropped replies", sortable: true, rows: [],
    columns: ["Client", { label: "Round", numeric: true }, "Reason"] });
  const calm = h("p", { class: "muted", text: "All replies were accepted." });
  const element = h("div", {}, h("p", { class: "run-explain", text: MEANING }),
    h("div", { class: "run-controls" }, length.element, earlier, later, newest, place),
    gantt.element, phases.element, calm, h("div", { class: "run-failures" }, failures.element));

  function shown() {
    const end = Math.min(state.last ?? Infinity, lastRound(model));
    const first = Math.max(1, end - state.length + 1);
    return Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => first + i);
  }

  function move(way) {
    const end = Math.min(state.last ?? Infinity, lastRound(model)) + way * state.length;
    choose({ last: way === 0 || end >= lastRound(model) ? null : Math.max(state.length, end) });
  }

  function choose(change) {
    Object.assign(state, change);
    setParams({ rounds: state.length === USUAL ? null : state.length, round: state.last });
    draw();
  }

  function draw() {
    const rounds = shown();
    setText(place, rounds.length ? `${rounds[0]} to ${rounds.at(-1)} of ${lastRound(model)}` : "no rounds yet");
    earlier.disabled = !rounds.length || rounds[0] <= 1;
    later.disabled = state.last === null;
    newest.disabled = state.last === null;
    if (inView) rows.want(rounds);
    gantt.update();
  }

  function drawEnded() {
    const rows = [...model.rounds.values()].sort((a, b) => b.round - a.round).flatMap(({ round, failed }) =>
      Object.entries(failed).map(([client, reason]) => [nameOf(model, Number(client)), round, reason]));
    phases.element.hidden = model.rounds.size === 0;
    calm.hidden = rows.length > 0 || model.rounds.size === 0;
    failures.element.hidden = rows.length === 0;
    failures.update(rows);
  }

  // Rows are only read for a viewer who comes to look.
  const seen = new IntersectionObserver((entries) => {
    if (!entries.at(-1).isIntersecting) return;
    inView = true;
    seen.disconnect();
    draw();
  }, { rootMargin: "400px" });
  seen.observe(element);
  draw();
  drawEnded();
  return {
    element,
    update(changes) {
      const moved = MOVING.some((key) => changes.metrics.has(key) || changes.ofClients.has(key));
      if (changes.rounds || changes.clients || moved) draw();
      if (!changes.rounds) return;
      phases.update();
      drawEnded();
    },
    destroy() {
      seen.disconnect();
      gantt.destroy();
      phases.destroy();
    },
  };
}
