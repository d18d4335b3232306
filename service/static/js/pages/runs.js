/** The list of runs with status, progress and best metric; search, filters and selection are kept in the URL. */

import { announce } from "../announce.js";
import { isAbort, withQuery } from "../api.js";
import { choiceGroup } from "../controls.js";
import { h, replace, setText, throttle } from "../dom.js";
import { modeName, plural } from "../format.js";
import { commandLine, errorPanel, loadingPanel } from "../notice.js";
import { setParams } from "../router.js";
import { HIDEABLE, runsTable } from "../runs/table.js";
import { listView } from "../runs/view.js";

const LIMIT = 50;
const MOST_A_PAGE = 200; // of the server
const MOST = 1000; // runs that are sorted or grouped
const LONGEST_SEARCH = 200;
const MODES = [["", "All"], ["sweep", "Sweeps"], ["compare", "Comparisons"], ["federated", "Federated"], ["centralized", "Pooled"],
  ["local", "Local"]];
const STATUSES = ["running", "pending", "completed", "failed", "stopped"];

/**
 * Mount the list.
 *
 * @param {HTMLElement} root
 * @param {{params: object, getJSON: Function, openStream: Function}} context
 * @returns {() => void} unmount
 */
export function mount(root, { params, getJSON, openStream }) {
  const known = (value, choices) => (choices.includes(value) ? value : ""); // an address may come from anywhere
  const filters = { q: (params.q ?? "").slice(0, LONGEST_SEARCH), mode: known(params.mode, MODES.map(([mode]) => mode)),
    status: known(params.status, STATUSES) };
  const selected = new Set((params.select ?? "").split(",").map(Number).filter(Boolean));
  const runs = new Map();
  let next = null;
  let request = null;
  let asked = false; // whether any answer has come
  let gone = false;

  const summary = h("p", { class: "page-summary" });
  const search = h("input", { type: "search", class: "search", value: filters.q, maxlength: LONGEST_SEARCH, placeholder: "Name, data, model, strategy, tag …",
    "aria-label": "Search runs", autocomplete: "off", spellcheck: "false",
    on: { input: () => filterSoon("q", search.value.trim()) } });
  const modes = choiceGroup({ legend: "Mode", name: "mode", choices: MODES, value: filters.mode,
    onChoose: (value) => filter("mode", value) });
  const status = h("select", { class: "select", "aria-label": "Status",
    on: { change: () => filter("status", status.value) } },
    h("option", { value: "", text: "Any status" }),
    STATUSES.map((one) => h("option", { value: one, text: one })));
  status.value = filters.status;
  const table = runsTable({ onSelect: select, onSort: (key) => view.sortBy(key) });
  const view = listView({ params, hideable: HIDEABLE, onChange: (needsAll) => (needsAll ? fillUp() : draw()),
    onFold: (closed) => table.foldAll(closed), loadSettings: () => getJSON(withQuery("/api/settings", filters)) });
  const place = h("div", { class: "runs-place" }, loadingPanel("Loading runs…"));
  const older = h("button", { class: "button", type: "button", text: "Show older runs", hidden: true,
    on: { click: () => load({ more: true }) } });
  const chosen = h("strong");
  const compare = h("a", { class: "button primary", text: "Compare" });
  const tray = h("div", { class: "tray", role: "region", "aria-label": "Selection", hidden: true }, chosen,
    h("span", { class: "tray-end" },
      h("button", { class: "button", type: "button", text: "Clear", on: { click: clear } }), compare));
  replace(root,
    h("div", { class: "page-head" }, h("h1", { text: "Runs" }), summary),
    h("div", { class: "filters", role: "search" }, search, modes.element, status),
    view.element, place, h("div", { class: "runs-foot" }, older), tray);

  const soon = throttle(draw, 100);
  const again = throttle(() => {
    if (older.disabled) setTimeout(again, 1000); // an answer is on its way already
    else load();
  }, 1000);
  let typing = null;

  function filter(key, value) {
    filters[key] = value;
    setParams({ [key]: value });
    runs.clear();
    asked = false;
    load();
  }

  function filterSoon(key, value) {
    clearTimeout(typing);
    typing = setTimeout(() => filter(key, value), 180);
  }

  function select(id, on) {
    if (on) selected.add(id);
    else selected.delete(id);
    setParams({ select: [...selected].join(",") });
    draw();
  }

  function clear() {
    selected.clear();
    setParams({ select: null });
    draw();
  }

  async function load({ more = false, quiet = false } = {}) {
    if (gone) return;
    request?.abort();
    request = new AbortController();
    const { signal } = request;
    older.disabled = true;
    const query = { ...filters, limit: quiet ? MOST_A_PAGE : LIMIT, before: more ? next : null };
    const shown = [...runs.keys()];
    try {
      const answer = await getJSON(withQuery("/api/runs", query), { signal });
      const known = runs.size;
      if (!more) forgetMissing(shown, answer);
      for (const run of answer.runs) runs.set(run.id, run);
      // A first page read again must not forget that older ones are already shown.
      if (more || known <= answer.runs.length) next = answer.next;
      asked = true;
      draw();
      if (!more) view.refresh();
      if (!quiet && view.needsAll()) setTimeout(fillUp);
    } catch (error) {
      if (isAbort(error)) return;
      if (runs.size === 0) replace(place, errorPanel(error, { retry: () => load() }));
    } finally {
      if (!signal.aborted) older.disabled = false;
    }
  }

  /** What is sorted or grouped is all that matches, not the newest page of it. */
  async function fillUp() {
    draw();
    while (!gone && view.needsAll() && next !== null && runs.size < MOST) {
      const before = runs.size;
      await load({ more: true, quiet: true });
      if (runs.size === before) return;
    }
  }

  /** Runs that were shown before the first page was asked for again, belong on it and are not there: deleted. */
  function forgetMissing(shown, answer) {
    const there = new Set(answer.runs.map((run) => run.id));
    const oldest = answer.next === null ? 0 : Math.min(...there);
    for (const id of shown) if (id >= oldest && !there.has(id)) forget(id);
  }

  function forget(id) {
    runs.delete(id);
    if (selected.delete(id)) setParams({ select: [...selected].join(",") });
  }

  function draw() {
    if (!asked) return;
    const training = (run) => run.status === "running" && !["compare", "sweep"].includes(run.training_mode);
    const running = [...runs.values()].filter(training).length;
    const filtered = Boolean(filters.q || filters.mode || filters.status);
    document.title = running ? `${running} running · fedtwin` : "Runs · fedtwin";
    if (runs.size === 0) replace(place, filtered ? nothingFound() : nothingYet());
    else {
      table.update([...runs.values()], selected, view.state());
      if (table.element.parentNode !== place) replace(place, table.element);
    }
    view.element.hidden = runs.size === 0;
    const words = [running && `${running} running`, `${plural(runs.size, "run")}${next === null ? "" : " shown"}`];
    setText(summary, runs.size === 0 ? "" : words.filter(Boolean).join(", "));
    older.hidden = next === null || runs.size === 0;
    tray.hidden = selected.size === 0;
    setText(chosen, selected.size === 1 ? "1 run selected; select another" : `${selected.size} runs selected`);
    compare.hidden = selected.size < 2;
    compare.href = `/compare?runs=${[...selected].join(",")}`;
  }

  function nothingFound() {
    const words = [filters.q && `“${filters.q}”`, filters.mode && modeName(filters.mode), filters.status];
    return h("div", { class: "notice" }, h("p", { text: `No run matches ${words.filter(Boolean).join(", ")}.` }),
      h("button", { class: "button", type: "button", text: "Show all runs", on: { click: () => {
        Object.assign(filters, { q: "", mode: "", status: "" });
        search.value = status.value = "";
        modes.set("");
        setParams(filters);
        load();
      } } }));
  }

  function take(messages) {
    const changes = messages.filter((message) => message.type === "run_status").map((message) => message.run);
    for (const run of changes) {
      const before = runs.get(run.id)?.status;
      if (before === "running" && run.status !== "running") announce(`Run ${run.id}, ${run.name}: ${run.status}.`);
      if (runs.has(run.id) || (!filters.q && matches(run))) runs.set(run.id, run);
      else if (filters.q && matches(run)) again(); // only the server knows what a search finds
    }
    const deleted = messages.filter((message) => message.type === "run_deleted").map((message) => message.run_id);
    deleted.forEach(forget);
    if (changes.length || deleted.length) soon();
  }

  const matches = (run) => (!filters.mode || run.training_mode === filters.mode)
    && (!filters.status || run.status === filters.status);

  let lost = false;
  const stream = openStream("/ws/runs", { onMessages: take, onState: (state) => {
    if (state === "live" && lost) again(); // what happened in between was not streamed
    if (state === "live" || state === "waiting") lost = state === "waiting";
  } });
  load();

  return () => {
    gone = true;
    stream.close();
    request?.abort();
    clearTimeout(typing);
    soon.cancel();
    again.cancel();
  };
}

function nothingYet() {
  return h("div", { class: "notice start" }, h("h2", { text: "No runs yet" }),
    h("p", { text: "Start a run in a terminal; it appears here automatically and updates live." }),
    commandLine("make demo", "Pooled and federated on handwritten digits, offline:"),
    commandLine("fedtwin compare partition=dirichlet 'compare.seeds=[1,2,3]'", "A comparison with three seeds:"),
    commandLine("fedtwin federated federation.num_clients=10 federation.num_rounds=20", "A federated run:"));
}
