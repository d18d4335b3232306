/** The form for a training or a sweep: checked by the server as one types, with the settings that come of it. */

import { authorization, change, mayTrain, signInPanel } from "../access.js";
import { announce } from "../announce.js";
import { getJSON, isAbort } from "../api.js";
import { choiceGroup } from "../controls.js";
import { h, replace, setText } from "../dom.js";
import { plural } from "../format.js";
import { errorPanel, loadingPanel } from "../notice.js";
import { navigate } from "../router.js";
import { field, select, settingField } from "../submit/fields.js";
import { configText, gridLines, parsed, parsedLines, valueAt } from "../submit/values.js";

const TYPING_MS = 350;
const MODES = [["compare", "Comparison"], ["federated", "Federated"], ["centralized", "Pooled"], ["sweep", "Sweep"]];
const TRIALS = [["comparison", "Comparison"], ["federated", "Federated"], ["pooled", "Pooled"]];
const SEEDS = ["seed", "compare.seeds"]; // a sweep has its own
const PRIORITIES = ["critical", "high", "normal", "low"];
const STARTS = [["now", "As soon as a worker is free"], ["at", "At a time"], ["cron", "Again and again"]];
// Settings that are seen at once; the others unfold.
const FIRST = new Set(["trainer.max_epochs", "federation.num_clients", "federation.num_rounds", "federation.local_epochs", "partition.alpha",
  "partition.classes_per_client", "partition.sigma", "partition.column", "trainer.optimizer.lr", "data.batch_size", "seed"]);
const GROUP_WORDS = { experiment: ["Preset", "none"], task: ["Task", null], model: ["Model", null],
  partition: ["Partition", null], strategy: ["Strategy", null] };
// Fields of the request by the name with which the server's problems begin.
const REQUEST = /^(dataset|run_name|tags|priority|run_at|max_retries|use_existing_model|schedule)\b/;

/**
 * Mount the form.
 *
 * @param {HTMLElement} root
 * @returns {() => void} unmount
 */
export function mount(root) {
  const request = new AbortController();
  const { signal } = request;
  const head = h("div", { class: "page-head" }, h("h1", { text: "New training" }));
  if (!mayTrain()) {
    replace(root, head, signInPanel("Submitting a training"));
    return () => {};
  }
  let form = null;
  replace(root, head, loadingPanel());
  getJSON("/api/experiments/form", { signal, headers: authorization() }).then((offered) => {
    form = trainingForm(offered);
    replace(root, head, form.element);
  }).catch((error) => {
    if (!isAbort(error)) replace(root, head, errorPanel(error, { retry: () => navigate("/submit") }));
  });
  return () => {
    request.abort();
    form?.close();
  };
}

function trainingForm(offered) {
  let mode = "compare";
  let start = "now";
  let config = null; // the last valid settings
  let timer = null;
  let checking = null;
  let sending = null; // {key, text} of a request that may have arrived: sent again, it is the same job

  const text = (more = {}) => h("input", { class: "search", type: "text", autocomplete: "off", spellcheck: "false",
    on: { input: soon, change: soon }, ...more });
  const data = dataField(offered.datasets);
  const groups = Object.fromEntries(offered.groups.map((group) => [group.name, groupField(group)]));
  const name = field({ label: "Run name", control: text({ maxlength: 200 }), help: "Empty: of data and model." });
  const base = field({ label: "Start from a model", control: text({ placeholder: "NAME@production" }),
    help: "Weights of a registered version: NAME, NAME@1.2.0 or NAME@production. Empty: new weights." });
  const further = field({ label: "One NAME=VALUE a line", help: "As on the command line; the command's --help lists all settings.",
    control: h("textarea", { class: "search text-area", rows: 4, spellcheck: "false", placeholder: "trainer.gradient_clip=1.0", on: { input: soon } }) });
  const priority = field({ label: "Priority", control: select(PRIORITIES.map((one) => [one, one]), { change: soon }) });
  priority.control.value = "normal";
  const at = field({ label: "Time", control: text({ type: "datetime-local" }), help: `Not before; in ${zone()}.` });
  const cron = field({ label: "Schedule", control: text({ placeholder: "30 2 * * MON" }), help: "Minute, hour, day of month, month, day of week." });
  const clock = field({ label: "Time zone", control: text({ value: zone() }) });
  const trial = field({ label: "A trial is a", control: select(TRIALS, { change: soon }) });
  const grid = field({ label: "Grid: NAME=VALUE,VALUE a line", help: "Every combination is a trial. Also range(2,9,2); with a search interval(0.1,0.5), tag(log,interval(0.001,0.1)).",
    control: h("textarea", { class: "search text-area", rows: 4, spellcheck: "false", placeholder: "strategy=fedavg,fedprox", on: { input: soon } }) });
  const seeds = field({ label: "Seeds", control: text({ placeholder: "1,2,3" }), help: "Each combination is trained with each. Empty: one seed." });
  const search = field({ label: "Search", control: text({ inputmode: "numeric" }),
    help: "Empty: all combinations. A number: so many, each proposed by what those before reached on validation rows." });
  const retries = field({ label: "Retries", control: text({ inputmode: "numeric", value: "2" }), help: "After failures that may pass; at most 10." });
  const tags = field({ label: "Tags", control: text(), help: "One word each, with commas or spaces between." });
  const common = offered.settings.map((setting) => settingField(setting, soon));
  const own = new Map(); // fields of the settings of one choice, by "group=choice"
  const commonPlace = h("div", { class: "field-grid" });
  const morePlace = h("div", { class: "field-grid" });
  const moreFold = h("details", { class: "form-fold" }, h("summary", { text: "More settings" }), morePlace);
  const ownPlace = h("div", { class: "field-grid" });
  const ownPart = part("Settings of the model and the strategy", ownPlace);

  const trialsPart = part("Trials", [grid.element, h("div", { class: "field-grid" }, trial.element, seeds.element, search.element)]);

  const verdict = h("p", { class: "verdict-line", text: "Checking…" });
  const list = h("ul", { class: "problem-list" });
  const resolved = h("pre", { class: "model-card", tabindex: "0", "aria-label": "Resolved settings" });
  const submit = h("button", { class: "button primary", type: "submit", text: "Submit" });
  const modes = choiceGroup({ legend: "Mode", legendShown: true, name: "mode", choices: MODES, value: mode, onChoose: (value) => {
    mode = value;
    soon();
  } });
  const starts = choiceGroup({ legend: "Start", legendShown: true, name: "start", choices: STARTS, value: start, onChoose: (value) => {
    start = value;
    soon();
  } });
  const element = h("form", { class: "training-form", novalidate: true, on: { submit: (event) => {
    event.preventDefault();
    send();
  } } },
  h("div", { class: "form-parts" },
    part("What to train", [modes.element, h("div", { class: "field-grid" }, data.element, groups.experiment.element,
      groups.task.element, groups.model.element, groups.partition.element, groups.strategy.element, name.element, base.element)]),
    trialsPart, part("Settings", [h("p", { class: "muted", text: "What is left empty has its default." }), commonPlace, moreFold]),
    ownPart, part("Further settings", further.element),
    part("When", [starts.element, h("div", { class: "field-grid" }, at.element, cron.element, clock.element, priority.element, retries.element, tags.element)])),
  h("aside", { class: "form-check panel", "aria-label": "Check" },
    h("div", { class: "form-verdict", role: "status" }, verdict), list, submit,
    h("details", { class: "form-resolved" }, h("summary", { text: "Resolved settings" }), resolved)));

  function dataField(names) {
    const options = h("datalist", { id: "datasets" }, ["digits", ...names].map((one) => h("option", { value: one })));
    const help = names.length ? "An uploaded dataset, a file or folder in the server's data folders, or digits. Empty: digits, or what the preset says."
      : "digits, which are built in. Upload data of your own at Datasets, or start the server with --data FOLDER.";
    return field({ label: "Data", help, more: options,
      control: text({ list: "datasets", placeholder: "digits" }) });
  }

  function groupField(group) {
    const [words, none] = GROUP_WORDS[group.name];
    const choices = group.choices.map((one) => [one.name, one.name]);
    const control = select([["", none ?? `${group.default} (default)`], ...choices], { change: () => {
      explain();
      soon();
    } });
    const made = field({ label: words, control });
    const explain = () => made.explain(group.choices.find((one) => one.name === control.value)?.help ?? "");
    return { ...made, group };
  }

  /** The choice of a group that is in force: chosen, or that of the settings that come of the others. */
  function chosen(group) {
    return groups[group].control.value || valueAt(config ?? {}, `${group}.name`) || groups[group].group.default;
  }

  function ownFields(group) {
    const choice = chosen(group);
    const key = `${group}=${choice}`;
    const settings = groups[group].group.choices.find((one) => one.name === choice)?.settings ?? [];
    if (!own.has(key)) own.set(key, settings.map((setting) => settingField(setting, soon)));
    return own.get(key);
  }

  /** The mode of what is trained: of a sweep, that of its trials. */
  function trained() {
    return mode === "sweep" ? { comparison: "compare", pooled: "centralized" }[trial.control.value] ?? trial.control.value : mode;
  }

  const appliesTo = (one) => one.setting.modes.includes(trained()) && !(mode === "sweep" && SEEDS.includes(one.key));

  function shownCommon() {
    const inForce = (key) => common.find((one) => one.key === key)?.value() ?? (key === "partition.name" ? chosen("partition")
      : valueAt(config ?? {}, key) ?? offered.settings.find((one) => one.key === key)?.default);
    return common.filter(({ key, setting: { only_with: only } }) => (!only || only.values.includes(inForce(only.key)))
      && (config === null || valueAt(config, key) !== undefined)).filter(appliesTo);
  }

  function shownOwn() {
    return [...ownFields("model"), ...(groups.strategy.group.modes.includes(trained()) ? ownFields("strategy") : [])].filter(appliesTo);
  }

  /** What is asked for, and the lines of it that cannot be sent. */
  function asked() {
    const lines = parsedLines(further.control.value);
    const overrides = {};
    for (const [group, one] of Object.entries(groups)) {
      if (one.control.value && one.group.modes.includes(trained())) overrides[group] = one.control.value;
    }
    for (const one of [...shownCommon(), ...shownOwn()]) if (one.value() !== undefined) overrides[one.key] = one.value();
    const given = (one) => one.control.value.trim() || null;
    const time = new Date(at.control.value);
    const wrong = lines.wrong.map((problem) => [further, problem]);
    if (start === "at" && Number.isNaN(time.getTime())) wrong.push([at, "Enter a date and a time."]);
    if (start === "cron" && !given(cron)) wrong.push([cron, "Enter a schedule, such as 30 2 * * MON."]);
    const body = { config_overrides: { ...overrides, ...lines.settings }, priority: priority.control.value,
      max_retries: /^\d+$/.test(retries.control.value.trim()) ? Number(retries.control.value) : retries.control.value,
      tags: tags.control.value.split(/[\s,]+/).filter(Boolean) };
    if (given(data)) body.dataset = given(data);
    if (given(name)) body.run_name = given(name);
    if (given(base) && mode !== "sweep") body.use_existing_model = given(base);
    if (mode === "sweep") {
      const axes = gridLines(grid.control.value);
      wrong.push(...axes.wrong.map((problem) => [grid, problem]));
      body.plan = { mode: trial.control.value, grid: axes.grid };
      if (given(seeds)) body.plan.seeds = parsed(given(seeds), "array");
      if (given(search)) body.plan.search = { trials: parsed(given(search), "integer") };
    }
    if (start === "at" && !Number.isNaN(time.getTime())) body.run_at = time.toISOString();
    if (start === "cron" && given(cron)) body.schedule = { cron: given(cron), time_zone: given(clock) ?? "UTC" };
    return { body, wrong };
  }

  function fieldOf(problem) {
    const request = problem.match(REQUEST)?.[1];
    if (request === "schedule") return problem.includes("zone") ? clock : cron;
    if (request) return { dataset: data, run_name: name, tags, priority, run_at: at, max_retries: retries, use_existing_model: base }[request];
    if (/^(plan|sweep)\b/.test(problem)) return /seed/.test(problem) ? seeds : /search/.test(problem) ? search : grid;
    const words = problem.match(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*/g) ?? [];
    const typedLines = Object.keys(parsedLines(further.control.value).settings);
    if (typedLines.includes(words[0])) return further;
    const axes = mode === "sweep" ? Object.keys(gridLines(grid.control.value).grid) : [];
    if (words.some((word) => axes.includes(word))) return grid;
    const there = [...shownCommon(), ...shownOwn()];
    if (groups[words[0]]) return groups[words[0]];
    const found = words.map((word) => there.find((one) => one.key === word)
      ?? (typedLines.includes(word) ? further : null)).find(Boolean);
    return found ?? (/^data(\.|=)/.test(problem) ? data : null);
  }

  /** Each problem beside its field, and all of them in one list. */
  function tell(problems) {
    const all = problems.map((problem) => (Array.isArray(problem) ? problem : [fieldOf(problem), problem]));
    const fields = [data, name, base, grid, trial, seeds, search, further, priority, at, cron, clock, retries, tags, ...Object.values(groups), ...common,
      ...[...own.values()].flat()];
    for (const one of fields) one.tell(all.filter(([place]) => place === one).map(([, words]) => words));
    replace(list, all.map(([place, words]) => h("li", {}, place
      ? h("button", { class: "link-button", type: "button", text: words, on: { click: () => place.control.focus() } }) : words)));
    list.hidden = all.length === 0;
    if (all.some(([place]) => place && morePlace.contains(place.control))) moreFold.open = true;
    setText(verdict, all.length ? `${plural(all.length, "problem")}.` : "Valid.");
    verdict.dataset.state = all.length ? "bad" : "good";
    return all;
  }

  function draw() {
    for (const one of Object.values(groups)) one.element.hidden = !one.group.modes.includes(trained());
    trialsPart.hidden = mode !== "sweep";
    base.element.hidden = mode === "sweep";
    at.element.hidden = start !== "at";
    cron.element.hidden = clock.element.hidden = start !== "cron";
    const shown = shownCommon();
    for (const one of shown) one.setDefault(valueIfUnset(one));
    place(commonPlace, shown.filter(({ key }) => FIRST.has(key)));
    place(morePlace, shown.filter(({ key }) => !FIRST.has(key)));
    const more = shownOwn();
    for (const one of more) one.setDefault(valueIfUnset(one));
    place(ownPlace, more);
    ownPart.hidden = more.length === 0;
    for (const [group, one] of Object.entries(groups)) {
      if (!one.control.value && GROUP_WORDS[group][1] === null) setText(one.control.options[0], `${chosen(group)} (default)`);
    }
    setText(resolved, config ? configText(config) : "");
  }

  const defaults = new Map();

  function valueIfUnset(one) {
    const now = one.value() === undefined ? valueAt(config ?? {}, one.key) : undefined;
    if (now !== undefined) defaults.set(one.key, now);
    return defaults.has(one.key) ? defaults.get(one.key) : one.setting.default;
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(check, TYPING_MS);
    draw();
  }

  async function check() {
    checking?.abort();
    const own = checking = new AbortController();
    const { body, wrong } = asked();
    try {
      const found = await change("POST", `/api/experiments/validate?mode=${mode}`, body, { signal: own.signal });
      if (found.valid) config = found.config;
      draw();
      const fresh = asked();
      // A choice may have brought other fields, whose values were not sent.
      if (JSON.stringify(fresh.body) !== JSON.stringify(body)) soon();
      tell([...wrong, ...found.errors]);
    } catch (error) {
      if (isAbort(error)) return;
      if (error.errors?.length) tell([...wrong, ...error.errors]);
      else {
        setText(verdict, error.message);
        verdict.dataset.state = "bad";
      }
    }
  }

  async function send() {
    clearTimeout(timer);
    checking?.abort();
    const { body, wrong } = asked();
    if (wrong.length) {
      focusFirst(tell(wrong));
      return;
    }
    const words = JSON.stringify([mode, body]);
    if (sending?.text !== words) sending = { text: words, key: `page-${[...crypto.getRandomValues(new Uint32Array(4))].join("-")}` };
    submit.disabled = true;
    try {
      const begun = await change("POST", `/api/experiments/${mode}`, body, { headers: { "Idempotency-Key": sending.key } });
      announce(body.schedule ? `Schedule ${begun.id} is made.` : `Job ${begun.id} is queued.`, { urgent: true });
      navigate(body.schedule ? "/jobs" : `/jobs/${begun.id}`);
    } catch (error) {
      submit.disabled = false;
      if (error.errors?.length) focusFirst(tell(error.errors));
      else {
        setText(verdict, error.message);
        verdict.dataset.state = "bad";
      }
    }
  }

  function focusFirst(all) {
    (all.find(([place]) => place)?.[0].control ?? list.querySelector("button") ?? submit).focus();
  }

  draw();
  check();
  return {
    element,
    close() {
      clearTimeout(timer);
      checking?.abort();
    },
  };
}

function part(title, content) {
  return h("fieldset", { class: "form-part panel" }, h("legend", {}, h("h2", { text: title })), content);
}

/** Let `place` hold these fields in their order; those that stay are not moved, so that the focus stays in them. */
function place(holder, fields) {
  const wanted = fields.map((one) => one.element);
  for (const child of [...holder.children]) if (!wanted.includes(child)) child.remove();
  wanted.forEach((one, index) => {
    if (holder.children[index] !== one) holder.insertBefore(one, holder.children[index] ?? null);
  });
}

function zone() {
  return Intl.DateTimeFormat("en-US").resolvedOptions().timeZone || "UTC";
}
