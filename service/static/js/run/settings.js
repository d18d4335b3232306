/** The resolved config of a run: searchable, and compared with that of another run. */

import { selectBox } from "../controls.js";
import { h, replace, setText } from "../dom.js";
import * as format from "../format.js";
import { params, setParams } from "../router.js";

const DEFAULTS = "defaults"; // of this version, in place of another run

/**
 * @param {object} model
 * @param {{fetchJSON: (path: string) => Promise<object>}} parts
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function settingsSection(model, { fetchJSON }) {
  const twin = model.run.family.members.find((member) => member.id !== model.id && member.seed === model.run.seed);
  const usual = String(twin?.id ?? DEFAULTS);
  const state = { words: params().config ?? "", other: params().with ?? usual, only: params().differences === "1" };
  let differences = null; // key to the other run's value
  let request = 0;

  const search = h("input", { type: "search", class: "search", value: state.words, placeholder: "Name or value",
    "aria-label": "Search the config", autocomplete: "off", spellcheck: "false",
    on: { input: () => choose({ words: search.value.trim() }) } });
  const members = selectBox({ legend: "Compare with", name: "run-beside", value: state.other,
    choices: otherRuns(model, state.other), onChoose: (value) => load({ other: value }) });
  const only = h("input", { type: "checkbox", checked: state.only, on: { change: () => choose({ only: only.checked }) } });
  const onlyLabel = h("label", { class: "run-check" }, only, " Differences only");
  const number = h("input", { class: "search run-id", type: "number", min: "1", "aria-label": "Id of another run",
    placeholder: "run id" });
  const another = h("form", { class: "run-other", on: { submit: (event) => {
    event.preventDefault();
    if (!number.value) return;
    members.offer(otherRuns(model, number.value));
    members.set(number.value);
    load({ other: number.value });
  } } }, number, h("button", { class: "button small", type: "submit", text: "Add" }));
  const note = h("p", { class: "muted", role: "status" });
  const head = h("tr");
  const body = h("tbody");
  const element = h("div", {}, h("div", { class: "run-controls" }, search, members.element, another, onlyLabel), note,
    h("div", { class: "table-frame", role: "region", "aria-label": "All settings", tabindex: "0" },
      h("table", { class: "data run-config" }, h("caption", { class: "visually-hidden", text: "Config of this run" }),
        h("thead", {}, head), body)));

  function choose(change) {
    Object.assign(state, change);
    setParams({ config: state.words, differences: state.only ? "1" : null });
    draw();
  }

  async function load(change) {
    Object.assign(state, change);
    setParams({ with: state.other === usual ? null : state.other });
    differences = null;
    request += 1;
    const own = request;
    draw();
    if (!state.other) return;
    try {
      const { rows } = state.other === DEFAULTS ? await fetchJSON(`/api/runs/${model.id}/changed`)
        : await fetchJSON(`/api/runs/${model.id}/diff?with=${encodeURIComponent(state.other)}`);
      if (own !== request) return;
      differences = new Map(rows.map((row) => [row.key, { right: row.default, ...row }]));
      draw();
    } catch (error) {
      if (own === request) setText(note, error.message);
    }
  }

  function draw() {
    const beside = differences !== null;
    onlyLabel.hidden = !beside;
    const own = new Map(flat(model.run.config));
    const keys = [...own.keys(), ...[...(differences?.keys() ?? [])].filter((key) => !own.has(key))];
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = keys.map((key) => {
      const differs = beside && differences.has(key);
      const here = own.has(key) ? written(own.get(key)) : "–";
      return { key, differs, here, there: differs ? written(differences.get(key).right) : here };
    }).filter(({ key, differs, here, there }) => (differs || !beside || !state.only)
      && words.every((word) => `${key} ${here} ${there}`.toLowerCase().includes(word)));
    const names = ["Setting", `Run ${model.id}`, ...(beside ? [format.capital(named(state.other))] : [])];
    replace(head, names.map((text) => h("th", { scope: "col", text })));
    replace(body, rows.map(({ key, differs, here, there }) => h("tr", { class: differs ? "differs" : null },
      h("th", { scope: "row" }, h("code", { text: key })), h("td", {}, h("code", { text: here })),
      beside && h("td", {}, h("code", { text: there }), differs && h("span", { class: "run-differs", text: "differs" })))));
    const shown = `${format.count(rows.length)} of ${format.plural(keys.length, "setting")}`;
    setText(note, beside ? `${shown}; ${format.plural(differences.size, "difference")} from ${named(state.other)}.` : `${shown}.`);
  }

  load({});
  let drawn = JSON.stringify(model.run.config);
  return {
    element,
    update(changes) {
      if (!changes.run) return;
      members.offer(otherRuns(model, state.other));
      if (JSON.stringify(model.run.config) === drawn) return;
      drawn = JSON.stringify(model.run.config); // a resumed run may have a different config
      load({});
    },
    destroy() {
      request += 1;
    },
  };
}

function otherRuns(model, chosen) {
  const others = model.run.family.members.filter(({ id }) => id !== model.id).map(({ id, role, seed, client_name: client }) =>
    [String(id), `run ${id}: ${format.modeName(role)}${client === null ? "" : ` ${client}`}, seed ${seed}`]);
  if (chosen && chosen !== DEFAULTS && !others.some(([value]) => value === chosen)) others.push([chosen, `run ${chosen}`]);
  return [["", "none"], [DEFAULTS, "the defaults"], ...others];
}

function named(other) {
  return other === DEFAULTS ? "the defaults" : `run ${other}`;
}

/** A nested config as `[dotted key, value]`. */
function flat(config, prefix = "") {
  return Object.entries(config).flatMap(([key, value]) => {
    const nested = value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;
    return nested ? flat(value, `${prefix}${key}.`) : [[prefix + key, value]];
  });
}

function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
