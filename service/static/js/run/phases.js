/** Time per phase of each round: training, waiting for the last replies, evaluation, server. */

import { makeChart } from "../charts.js";
import * as format from "../format.js";
import { extremes } from "./series.js";
import { median } from "./spans.js";

const MOST = 400; // rounds drawn
const PHASES = [
  ["train", "Training (until half replied)"],
  ["wait", "Waiting for the rest"],
  ["val", "Client evaluation"],
  ["server", "Server"],
  ["rest", "Other"],
];

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: () => void, destroy: () => void}}
 */
export function phasesChart(model) {
  const known = new Map(); // round to its record and its parts, which do not change any more

  function measured() {
    const rounds = [...model.rounds.values()].filter(({ round }) => round > 0).sort((a, b) => a.round - b.round);
    return rounds.map((record) => {
      const { round } = record;
      if (known.get(round)?.record !== record) known.set(round, { record, parts: phasesOf(model, record) });
      return { round, seconds: record.seconds, parts: known.get(round).parts };
    }).filter(({ parts }) => parts !== null);
  }

  return makeChart({
    title: "Time per phase", height: () => (window.innerWidth < 560 ? 340 : 250),
    draw: (colours) => draw(measured(), colours), caption: () => said(measured()), summary: () => said(measured()),
    table: () => table(measured()),
  });
}

/**
 * Seconds of a round: `train` (until half of the replies were there), `wait` (until the last, or the time was over),
 * `val` (evaluation on the clients), `server` and `rest`; null where the curves do not hold all of it.
 */
function phasesOf(model, record) {
  const { round } = record;
  const reply = (stage, client) => model.curve(stage, "reply_seconds", client)?.at(round);
  if (!record.replied.length || !record.replied.every((client) => reply("train", client))) return null;
  const replies = (stage) => [...model.clients.keys()].map((client) => reply(stage, client)).filter(Boolean);
  const [trained, evaluated] = [replies("train"), replies("val")];
  const train = median(trained.map((reply) => reply.value));
  const val = Math.max(0, ...evaluated.map((reply) => reply.value));
  const between = (from, to) => (from && to ? Math.max(0, (to - from) / 1000) : 0);
  const trainDone = trained[0].time; // these rows are written when all replies have been judged
  const valDone = evaluated[0]?.time ?? null;
  const tested = model.curve("test", "loss")?.at(round)?.time;
  const parts = {
    train,
    wait: Math.max(0, between(Date.parse(record.began), trainDone) - train),
    val,
    server: between(trainDone, valDone && valDone - val * 1000) + between(valDone ?? trainDone, tested),
  };
  const sum = Object.values(parts).reduce((total, part) => total + part, 0);
  return { ...parts, rest: Math.max(0, record.seconds - sum) };
}

function draw(all, colours) {
  const shown = extremes(all.map(({ seconds }) => seconds), MOST).map((i) => all[i]);
  const looks = { train: [colours.federated, ""], wait: [colours.bad, "/"], val: [colours.clients[0], ""],
    server: [colours.text, ""], rest: [colours.grey, ""] };
  const data = PHASES.map(([key, name]) => ({
    type: "bar", name, x: shown.map(({ round }) => round), y: shown.map(({ parts }) => parts[key]),
    marker: { color: looks[key][0], line: { width: 1, color: colours.background },
      pattern: { shape: looks[key][1], fillmode: "overlay", fgcolor: colours.background, size: 5, solidity: 0.25 } },
    hovertemplate: "%{y:.3~f} s",
  }));
  return { data, layout: { barmode: "stack", bargap: 0.15, showlegend: true, legend: { traceorder: "normal" },
    xaxis: { title: "Server round" }, yaxis: { title: "Seconds", rangemode: "tozero" } } };
}

function said(all) {
  if (!all.length) return "No complete rounds yet.";
  const sum = (key) => all.reduce((total, { parts }) => total + parts[key], 0);
  const total = PHASES.reduce((whole, [key]) => whole + sum(key), 0);
  return "Training: until half the clients replied; server: aggregation and central evaluation. "
    + `Waiting for the slower half: ${format.percent(total ? sum("wait") / total : 0)} of the time of `
    + `${format.plural(all.length, "round")}; server: ${format.percent(total ? sum("server") / total : 0)}.`;
}

function table(all) {
  return {
    columns: [{ label: "Round", numeric: true }, ...PHASES.map(([, name]) => ({ label: `${name} (s)`, numeric: true })),
      { label: "Total (s)", numeric: true }],
    rows: all.map(({ round, seconds, parts }) => [round, ...PHASES.map(([key]) => parts[key]), seconds]),
  };
}
