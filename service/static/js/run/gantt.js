/** The Gantt chart of selected rounds: one row per client and one for the server. */

import { escaped, makeChart } from "../charts.js";
import * as format from "../format.js";
import { withAlpha } from "../theme.js";
import { nameOf, shortName } from "./names.js";
import { spansOf } from "./spans.js";

const ROW = 26; // pixels
const MOST_ROWS = 40;
const NARROW = 560; // the legend takes several lines
const UNITS = [["hours", 3600, 4 * 3600], ["minutes", 60, 600], ["seconds", 1, 0]]; // unit, seconds in it, from this on
const DONE = {
  train: "trained and replied", val: "evaluated and replied", aggregate: "aggregated", test: "central evaluation",
};

/**
 * @param {object} model
 * @param {object} parts
 * @param {() => number[]} parts.rounds those to show
 * @param {object} parts.rows their stored rows, a `RoundRows`
 * @returns {{element: HTMLElement, update: () => void, destroy: () => void}}
 */
export function ganttChart(model, { rounds, rows: stored }) {
  const arrange = () => ({
    ...arranged(rounds(), rounds().flatMap((round) => spansOf(model, round, stored.of(round)))),
    loaded: stored.has(rounds()),
  });
  let rows = arrange();
  const height = () => (window.innerWidth < NARROW ? 170 : 92) + ROW * (rows.clients.length + 1);
  const chart = makeChart({ title: "Timeline", height, caption: () => said(model, rows),
    draw: (colours, { width }) => draw(model, { rows, colours, width }), table: () => table(model, rows),
    summary: () => said(model, rows) });
  return {
    element: chart.element,
    update() {
      rows = arrange();
      chart.plot.style.height = `${height()}px`;
      chart.update();
    },
    destroy: chart.destroy,
  };
}

function arranged(rounds, spans) {
  const longest = new Map();
  for (const { client, from, to } of spans) {
    if (client !== null) longest.set(client, Math.max(longest.get(client) ?? 0, to - from));
  }
  const slowest = [...longest.keys()].sort((a, b) => longest.get(b) - longest.get(a)).slice(0, MOST_ROWS);
  return { rounds, spans, clients: slowest.sort((a, b) => a - b), hidden: longest.size - slowest.length };
}

function draw(model, { rows, colours, width: pixels }) {
  const began = Date.parse(model.run.started);
  const seconds = (time) => (time - began) / 1000;
  const end = seconds(Math.max(began, ...rows.spans.map((span) => span.to)));
  const [unit, size] = UNITS.find(([, , from]) => end >= from);
  const place = (time) => seconds(time) / size;
  const rowOf = new Map([...rows.clients, null].map((client, row) => [client, row]));
  const shown = rows.spans.filter((span) => rowOf.has(span.client));
  const pale = (colour) => withAlpha(colour, 0.32);
  const words = (spans) => spans.map((span) => escaped(sentence(model, span, seconds)));

  const bars = (name, colour, spans, { pattern = "", width = 0.72, from = (span) => span.from } = {}) => ({
    type: "bar", orientation: "h", name, y: spans.map((span) => rowOf.get(span.client)),
    base: spans.map((span) => place(from(span))), x: spans.map((span) => place(span.to) - place(from(span))), width,
    marker: { color: colour, line: { width: 0 },
      pattern: { shape: pattern, fillmode: "overlay", fgcolor: colours.background, size: 6, solidity: 0.3 } },
    customdata: words(spans), hovertemplate: "%{customdata}<extra></extra>",
  });
  const marks = (name, spans, { marker, showlegend }) => ({
    type: "scatter", mode: "markers", name, marker, showlegend, x: spans.map((span) => place(span.to)),
    y: spans.map((span) => rowOf.get(span.client)), customdata: words(spans), hovertemplate: "%{customdata}<extra></extra>",
  });
  const of = (kind, outcome = "replied") => shown.filter((span) => span.kind === kind && span.outcome === outcome);
  const trained = of("train").filter((span) => span.trained !== null);
  const failed = shown.filter((span) => span.outcome !== "replied");
  const data = [
    bars("Sent, until the reply", pale(colours.federated), of("train")),
    bars("Trained", colours.federated, trained, { width: 0.44,
      from: (span) => Math.max(span.from, span.to - span.trained * 1000) }),
    bars("Evaluated", colours.clients[0], of("val"), { width: 0.44 }),
    bars("Left out", pale(colours.bad), failed, { pattern: "/" }),
    bars("Aggregation", colours.muted, of("aggregate"), { width: 0.44 }),
    bars("Central evaluation", colours.text, of("test"), { width: 0.44 }),
    marks("Left out", failed, { marker: { symbol: "x", size: 9, color: colours.bad }, showlegend: false }),
    marks("Straggler", shown.filter((span) => span.slow), {
      marker: { symbol: "hourglass", size: 11, color: colours.text }, showlegend: true }),
  ].filter((trace) => trace.y.length > 0);

  const starts = rows.rounds.map((round) => [round, model.rounds.get(round)]).filter(([, record]) => record);
  const lines = starts.map(([, record]) => ({ type: "line", layer: "below", x0: place(Date.parse(record.began)),
    x1: place(Date.parse(record.began)), y0: 0, y1: 1, yref: "paper", line: { color: colours.grid, width: 1 } }));
  const numbers = starts.map(([round, record]) => ({
    text: pixels / rows.rounds.length < 90 ? String(round) : `round ${round}`, x: place(Date.parse(record.began)), y: 1,
    yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false, font: { size: 11, color: colours.muted } }));
  const names = [...rowOf].map(([client]) => escaped(shortName(nameOf(model, client))));
  return { data, layout: {
    barmode: "overlay", hovermode: "closest", showlegend: true, shapes: lines, annotations: numbers,
    margin: { t: 44, l: 60 }, legend: { y: 1 + 20 / (ROW * names.length), yanchor: "bottom" }, // above the rounds' names
    xaxis: { title: `${format.capital(unit)} since start`, tickformat: ",.2~f", uirevision: rows.rounds.join() },
    yaxis: { tickvals: names.map((_, row) => row), ticktext: names, range: [names.length - 0.4, -0.6], fixedrange: true,
      showgrid: false },
  } };
}

function sentence(model, span, seconds) {
  const { round, client, kind, from, to, trained, outcome, reason, slow } = span;
  const length = format.duration((to - from) / 1000);
  const head = `${nameOf(model, client)}, round ${round}`;
  const at = `from ${format.duration(seconds(from))}`;
  if (outcome === "silent") return `${head}: no reply within ${length}, ${at} (${reason})`;
  if (outcome === "refused") return `${head}: reply after ${length} rejected, ${at} (${reason})`;
  const share = trained === null ? "" : `, of which ${format.duration(trained)} training`;
  return `${head}: ${DONE[kind]} in ${length}, ${at}${share}${slow ? ", a straggler" : ""}`;
}

function said(model, { rounds, spans, hidden, loaded }) {
  if (!loaded) return ""; // what is not here yet must not be counted as missing
  if (!rounds.length) return "No rounds yet.";
  const which = rounds.length === 1 ? `Round ${rounds[0]}` : `Rounds ${rounds[0]} to ${rounds.at(-1)}`;
  const replies = spans.filter((span) => span.kind === "train" && span.outcome === "replied").length;
  const left = spans.filter((span) => span.outcome !== "replied").length;
  const slow = spans.filter((span) => span.slow).length;
  const more = hidden > 0 ? ` Showing the ${MOST_ROWS} slowest clients; ${hidden} hidden.` : "";
  return `${which}: ${format.plural(replies, "training reply", "training replies")} accepted, ${left} dropped, `
    + `${format.plural(slow, "straggler")}.${more}`;
}

function table(model, { spans }) {
  const began = Date.parse(model.run.started);
  const seconds = (time) => (time - began) / 1000;
  return {
    columns: [{ label: "Node" }, { label: "Round", numeric: true }, "Phase", { label: "Start (s)", numeric: true },
      { label: "Duration (s)", numeric: true }, { label: "Training (s)", numeric: true }, "Outcome"],
    rows: spans.map((span) => [nameOf(model, span.client), span.round, DONE[span.kind], seconds(span.from),
      (span.to - span.from) / 1000, span.trained, span.reason ?? (span.slow ? "straggler" : "")]),
  };
}
