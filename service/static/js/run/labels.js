/** The distribution of a variable over the clients: stacked bars of counts or shares, and each client's distance. */

import { escaped, makeChart } from "../charts.js";
import { choiceGroup } from "../controls.js";
import { h } from "../dom.js";
import * as format from "../format.js";
import { params, setParams } from "../router.js";
import { shortName } from "./names.js";

const ROW = 26; // pixels of a client
const LEGEND_LINE = 19;
const MOST_CLASSES = 10; // with a colour of their own
const PATTERNS = ["", "/", "", "x", "", "\\", "", ".", "", "-"]; // neighbours differ without colour too

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function labelsSection(model) {
  let shown = params().labels === "shares" ? "shares" : "counts";
  const legendLines = () => Math.floor(spread(model).classes.length / (window.innerWidth < 560 ? 3 : 8));
  const height = () => 92 + ROW * (model.clients.size + 1) + LEGEND_LINE * legendLines();
  const chart = makeChart({ title: "Training labels per client", height, caption: () => said(model),
    draw: (colours) => draw(model, { colours, shares: shown === "shares" }), table: () => table(model),
    summary: () => said(model) });
  const choice = choiceGroup({ legend: "Show", legendShown: true, name: "labels", value: shown,
    choices: [["counts", "Counts"], ["shares", "Shares"]], onChoose: (value) => {
      shown = value;
      setParams({ labels: value === "counts" ? null : value });
      chart.update();
    } });
  return {
    element: h("div", {}, h("div", { class: "run-controls" }, choice.element), chart.element),
    update(changes) {
      if (!changes.clients && !changes.run) return;
      chart.plot.style.height = `${height()}px`;
      chart.update();
    },
    destroy: chart.destroy,
  };
}

/** Whether any client says how often each value of a variable occurs. */
export function hasCounts(model) {
  return [...model.clients.values()].some(({ profile }) => Object.keys(profile.counts).length > 0);
}

/** Clients by id with their counts of the first variable, and its values; a client may say nothing of it. */
function spread(model) {
  const all = [...model.clients.values()].sort((a, b) => a.client_id - b.client_id);
  const variable = all.flatMap(({ profile }) => Object.keys(profile.counts))[0];
  const classes = [...new Set(all.flatMap(({ profile }) => Object.keys(profile.counts[variable] ?? {})))];
  const clients = all.map((client) => ({ ...client, counts: classes.map((name) => client.profile.counts[variable]?.[name] ?? 0) }));
  const total = classes.map((_, i) => clients.reduce((sum, { counts }) => sum + counts[i], 0));
  const told = clients.filter(({ counts }) => sumOf(counts));
  // An example may have several labels, or none: its labels are counted then, not examples.
  const one = told.every(({ counts, num_examples: size }) => sumOf(counts) === size);
  return { clients, classes, total, noun: one ? "example" : variable };
}

function draw(model, { colours, shares }) {
  const { clients, classes, total, noun } = spread(model);
  const rows = [...clients.map((client) => [client.name, client.counts]), ["all clients", total]];
  // The counts of all clients would dwarf those of each: they are drawn as shares alone.
  const drawn = shares ? rows : rows.slice(0, -1);
  const common = total.map((_, i) => i).sort((a, b) => total[b] - total[a]);
  const own = new Set(classes.length > MOST_CLASSES ? common.slice(0, MOST_CLASSES - 1) : common);
  const groups = classes.map((name, i) => [name, [i]]).filter(([, [i]]) => own.has(i));
  const others = classes.map((_, i) => i).filter((i) => !own.has(i));
  if (others.length) groups.push([`${others.length} others`, others]);
  const data = groups.map(([name, members], place) => {
    const counts = drawn.map(([, all]) => members.reduce((sum, i) => sum + all[i], 0));
    const part = counts.map((count, row) => count / Math.max(1, sumOf(drawn[row][1])));
    return {
      type: "bar", orientation: "h", name: escaped(name), width: 0.76,
      y: drawn.map((_, row) => row), x: shares ? part : counts,
      marker: { color: colours.clients[place % colours.clients.length], line: { width: 1, color: colours.background },
        pattern: { shape: PATTERNS[place % PATTERNS.length], fillmode: "overlay", fgcolor: colours.background, size: 7,
          solidity: 0.16 } },
      customdata: counts.map((count, row) => [escaped(drawn[row][0]), format.count(count), format.percent(part[row])]),
      hovertemplate: `%{customdata[0]}: ${escaped(name)} %{customdata[1]} (%{customdata[2]})<extra></extra>`,
    };
  });
  return { data, layout: {
    barmode: "stack", hovermode: "closest", showlegend: true, dragmode: false,
    legend: { y: 1, yanchor: "bottom", traceorder: "normal" },
    xaxis: { title: shares ? `Share of the client's training ${escaped(noun)}s` : `Training ${escaped(noun)}s`, fixedrange: true,
      tickformat: shares ? ".0%" : "~s", range: shares ? [0, 1] : undefined },
    yaxis: { tickvals: drawn.map((_, row) => row), ticktext: drawn.map(([name]) => escaped(shortName(name))),
      range: [drawn.length - 0.4, -0.6], fixedrange: true, showgrid: false },
  } };
}

function said(model) {
  const { clients, total, noun } = spread(model);
  if (!clients.length) return "No clients yet.";
  const far = clients.map((client) => [client.name, distance(client.counts, total)]).sort((a, b) => b[1] - a[1]);
  const average = far.reduce((sum, [, one]) => sum + one, 0) / far.length;
  const examples = clients.reduce((sum, { num_examples: size }) => sum + size, 0);
  const labels = noun === "example" ? "" : ` with ${format.plural(sumOf(total), noun)}`;
  return `${format.plural(examples, "training example")}${labels} on ${format.plural(clients.length, "client")}. `
    + `Most skewed: ${far[0][0]} (label distance ${format.number(far[0][1], { digits: 2 })}, `
    + `mean ${format.number(average, { digits: 2 })}).`;
}

function table(model) {
  const { clients, classes, total } = spread(model);
  return {
    columns: ["Client", { label: "Examples", numeric: true }, ...classes.map((name) => ({ label: name, numeric: true })),
      { label: "Distance", numeric: true, format: (value) => format.number(value, { digits: 2 }) }],
    rows: clients.map(({ name, counts, num_examples: size }) => [name, size, ...counts, distance(counts, total)]),
  };
}

/** Label distance: total variation between the label distributions of a client and of all clients, in [0, 1]. */
function distance(counts, total) {
  const [own, all] = [sumOf(counts), sumOf(total)];
  if (!own || !all) return 0;
  return counts.reduce((sum, count, i) => sum + Math.abs(count / own - total[i] / all), 0) / 2;
}

function sumOf(counts) {
  return counts.reduce((sum, count) => sum + count, 0);
}
