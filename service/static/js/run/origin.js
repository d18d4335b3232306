/** How a run was made: command line, commit, versions, log, and what it used of the machine over time. */

import { isAbort } from "../api.js";
import { makeChart } from "../charts.js";
import { h, replace, setText, throttle } from "../dom.js";
import * as format from "../format.js";
import { commandLine } from "../notice.js";

const REFRESH_MS = 10_000; // as often as a long run is sampled

/**
 * @param {object} model
 * @param {{fetchJSON: Function, fetchText: Function}} parts
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function originSection(model, { fetchJSON, fetchText }) {
  const facts = h("div");
  const grid = h("div", { class: "run-grid" });
  const note = h("p", { class: "muted", text: "Loading what the run used of the machine…" });
  const log = logPanel(model, fetchText);
  let kept = model.run.kept ?? []; // what is not there is not asked for
  let drawn = "";
  let charts = [];
  let columns = null;
  let gone = false;

  function drawFacts() {
    const key = JSON.stringify(model.run.summary?.environment ?? null);
    if (key === drawn) return;
    drawn = key;
    replace(facts, factsOf(model.run.summary?.environment));
  }

  async function load() {
    try {
      if (!kept.includes("resources") && !model.finished) ({ kept } = await fetchJSON(`/api/runs/${model.id}`));
      log.element.hidden = !kept.includes("log");
      if (!kept.includes("resources")) {
        setText(note, "What the run used of the machine was not kept here: it was trained elsewhere, or has just begun.");
        return;
      }
      columns = await fetchJSON(`/api/runs/${model.id}/resources`);
    } catch (error) {
      if (!isAbort(error) && columns === null) setText(note, `${error.message}.`);
      return;
    }
    if (gone) return;
    setText(note, "Of the run: its process and those that it started, 100 % is one core. Of the machine: everything on it, "
      + "100 % is all cores.");
    if (!charts.length) {
      charts = chartsOf(() => columns);
      replace(grid, charts.map((chart) => chart.element));
    }
    charts.forEach((chart) => chart.update());
  }

  const refresh = throttle(() => {
    load();
    log.refresh();
  }, REFRESH_MS);
  drawFacts();
  load();
  return {
    element: h("div", {}, facts, log.element, note, grid),
    update(changes) {
      if (changes.run) drawFacts();
      if (changes.run || changes.metrics.size) refresh();
    },
    destroy() {
      gone = true;
      refresh.cancel();
      charts.forEach((chart) => chart.destroy());
    },
  };
}

function factsOf(environment) {
  if (!environment) return [h("p", { class: "muted", text: "This run was made before command line and versions were stored." })];
  const { commands = [], commits = {}, packages = {}, python, system, cpus, folder } = environment;
  const rows = [
    ["Commit of fedtwin", commits.fedtwin], ["Commit of the working folder", commits.folder], ["Working folder", folder],
    ["Python", python], ["System", system], ["Processor cores", cpus],
    ["Packages", Object.entries(packages).map(([name, version]) => `${name} ${version}`).join(", ")],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  return [
    commands.map((command, place) => commandLine(command, place === 0 ? "Started with:" : "Resumed with:")),
    h("div", { class: "table-frame", role: "region", "aria-label": "Versions", tabindex: "0" },
      h("table", { class: "data run-config run-versions" }, h("caption", { class: "visually-hidden", text: "What the run was made with" }),
        h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row", text: name }),
          h("td", {}, h("code", { text: value }))))))),
  ];
}

function logPanel(model, fetchText) {
  const text = h("pre", { class: "run-log", tabindex: "0", "aria-label": "Log", role: "region" });
  const element = h("details", { class: "run-details", on: { toggle: () => refresh() } }, h("summary", { text: "Log" }), text);

  async function refresh() {
    if (!element.open) return;
    const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
    try {
      setText(text, await fetchText(`/api/runs/${model.id}/log`));
    } catch (error) {
      if (text.textContent === "") setText(text, error.message);
      return;
    }
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  return { element, refresh };
}

/** Processor, memory and, where there is one, GPU. */
function chartsOf(columns) {
  const hasGpu = columns().gpu.some((value) => value !== null);
  const all = [
    ["Processor", "%", ["cpu", "machine_cpu"]], ["Memory", "B", ["memory", "machine_memory"]],
    ...(hasGpu ? [["GPU", "%", [null, "gpu"]], ["GPU memory", "B", [null, "gpu_memory"]]] : []),
  ];
  return all.map(([title, unit, keys]) => resourceChart(title, { unit, keys, columns }));
}

function resourceChart(title, { unit, keys, columns }) {
  const names = ["This run", "Machine"];
  const scale = () => (unit === "B" ? format.byteUnit(Math.max(0, ...keys.flatMap((key) => columns()[key] ?? [])))
    : { unit: "%", size: 1 });
  const known = () => keys.map((key, place) => [key, names[place]]).filter(([key]) => key !== null);
  const seconds = () => columns().time.map((time) => (time - columns().time[0]) / 1000);
  const last = (key) => columns()[key].findLast((value) => value !== null) ?? null;
  const written = (value) => (unit === "B" ? format.bytes(value) : `${format.number(value, { digits: 0 })} %`);
  const said = () => known().map(([key, name]) => `${name} ${written(last(key))}`).join(" · ");
  return makeChart({ title, height: 210, caption: said, summary: () => `Latest values: ${said()}.`,
    draw: (colours) => ({
      data: known().map(([key, name], place) => ({ type: "scatter", mode: "lines", name, x: seconds(),
        y: columns()[key].map((value) => (value === null ? null : value / scale().size)),
        line: { width: 2, color: place === 0 && keys[0] !== null ? colours.text : colours.grey,
          dash: place === 0 && keys[0] !== null ? "solid" : "dot" },
        hovertemplate: `%{y:.4~g} ${scale().unit}` })),
      layout: { xaxis: { title: "Time since the first sample (s)", rangemode: "tozero",
        unifiedhovertitle: { text: "%{x:.0f} s" } }, yaxis: { title: scale().unit, rangemode: "tozero" }, showlegend: false },
    }),
    table: () => ({
      columns: [{ label: "Seconds", numeric: true },
        ...known().map(([, name]) => ({ label: `${name} (${unit})`, numeric: true }))],
      rows: seconds().map((second, i) => [second, ...known().map(([key]) => columns()[key][i])]),
    }),
  });
}
