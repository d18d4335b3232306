/** The header of the run page: name, status, progress, liveness, facts and links to its twins. */

import { withQuery } from "../api.js";
import { ago, now, setAgo } from "../clock.js";
import { h, replace, s, setAttribute, setText } from "../dom.js";
import * as format from "../format.js";
import { warningsPanel } from "../notice.js";
import { LINES, roleOf } from "../theme.js";
import { manageSection } from "./manage.js";
import { bestOf, isSilent, progressOf, secondsLeft } from "./pace.js";

const FEW_TWINS = 4; // links to more of them start folded: the result must stay in the first screen

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function headerSection(model) {
  const title = h("h1", { class: "run-title" });
  const description = h("p", { class: "run-description" });
  const badges = h("div", { class: "run-badges" });
  const live = liveBadge(model);
  const manage = manageSection(model);
  const bar = h("div", { class: "run-bar", role: "progressbar", "aria-label": "Progress", "aria-valuemin": "0" },
    h("span", { class: "run-bar-fill" }));
  const steps = h("strong", { class: "run-steps" });
  const left = h("span", { class: "muted" });
  const progress = h("div", { class: "run-progress" }, h("div", { class: "run-progress-text" }, steps, left), bar);
  const notes = h("div", { class: "run-notes" });
  const facts = h("dl", { class: "run-facts" });
  const family = h("nav", { class: "run-family", "aria-label": "Twins of this run" });
  const element = h("header", { class: "run-header" },
    h("p", { class: "run-crumb" }, h("a", { href: "/", text: "Runs" }), " / ",
      model.run.sweep_id !== null && [h("a", { href: `/runs/${model.run.sweep_id}`, text: `sweep ${model.run.sweep_id}` }), " / "],
      `run ${model.id}`),
    h("div", { class: "run-title-row" }, title, badges, live.element), description, manage.element, progress, notes, facts, family);

  function drawWords() {
    const { run } = model;
    const role = roleOf(run.training_mode);
    setText(title, run.name);
    setText(description, run.description);
    description.hidden = !run.description;
    replace(badges,
      h("span", { class: `mode ${role}` }, roleLine(role), format.modeName(run.training_mode)),
      h("span", { class: `status ${run.status}`, text: run.status }));
    replace(notes,
      run.error && h("section", { class: "run-error", "aria-label": "Error" },
        h("h2", { text: "Error" }), h("pre", { text: run.error })),
      run.stop_reason && h("p", { class: "run-stop" },
        h("strong", { text: run.status === "completed" ? "Stopped early: " : "Stopped: " }), run.stop_reason),
      run.training_mode !== "compare" && warningsPanel(run.summary?.warnings));
    const unfolded = family.querySelector("details")?.open ?? false;
    replace(family, familyOf(model, { unfolded }));
    family.hidden = !family.childElementCount;
  }

  function drawFacts() {
    replace(facts, factsOf(model).map(([name, value]) => h("div", {}, h("dt", { text: name }), h("dd", {}, value))));
  }

  function drawProgress() {
    const done = progressOf(model);
    progress.hidden = !done;
    if (!done) return;
    const whole = done.total === null ? "" : ` of ${format.count(done.total)}`;
    setText(steps, `${format.capital(done.unit)} ${format.count(done.done)}${whole}`);
    const seconds = secondsLeft(model, now());
    setText(left, seconds === null ? "" : seconds < 1 ? "almost done" : `${roughly(seconds)} remaining`);
    setAttribute(bar, "aria-valuenow", done.done);
    setAttribute(bar, "aria-valuemax", done.total);
    setAttribute(bar, "aria-valuetext", steps.textContent);
    bar.firstChild.style.setProperty("--share", String(done.total ? done.done / done.total : 0));
    element.dataset.status = model.run.status;
  }

  function tick() {
    drawProgress();
    live.update();
  }

  const timer = setInterval(tick, 1000);
  drawWords();
  drawFacts();
  tick();
  return {
    element,
    update(changes) {
      if (changes.run) {
        drawWords();
        manage.update();
      }
      if (changes.run || changes.clients || changes.rounds || changes.metrics?.size) drawFacts();
      tick();
    },
    destroy() {
      clearInterval(timer);
    },
  };
}

function liveBadge(model) {
  const word = h("strong");
  const when = ago(null);
  const about = h("span", { class: "run-live-about" });
  const element = h("span", { class: "run-live" }, h("span", { class: "run-dot", "aria-hidden": "true" }), word, about, when);

  function update() {
    const [state, text, more, iso] = liveness(model);
    setAttribute(element, "data-state", state);
    setText(word, text);
    setText(about, more);
    when.hidden = iso === null;
    if (iso !== null) setAgo(when, iso);
  }

  return { element, update };
}

function liveness(model) {
  const { state, retryAt } = model.connection;
  const newest = model.newest === null ? null : new Date(model.newest).toISOString();
  if (model.finished) return ["ended", "Ended", "", model.run.ended];
  if (state === "waiting") {
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    return ["lost", "Connection lost", `reconnecting in ${seconds} s · updated`, newest];
  }
  if (state === "connecting") return ["lost", "Connecting", newest ? "updated" : "", newest];
  if (state === "refused") return ["lost", "Not connected", model.connection.reason ?? "", null];
  if (state === "stale") return ["lost", "No data from the server", newest ? "updated" : "", newest];
  if (["compare", "sweep"].includes(model.run.training_mode)) return ["live", "Live", "", null]; // its rows are those of its runs
  if (newest === null) return ["live", "Live", model.run.status === "pending" ? "not started yet" : "no data yet", null];
  if (isSilent(model, now())) return ["stale", "Stale", "updated", newest];
  return ["live", "Live", "updated", newest];
}

function factsOf(model) {
  const { run } = model;
  const facts = [];
  const add = (name, value) => value !== null && value !== undefined && value !== "" && facts.push([name, value]);
  add("Data", run.data);
  add("Model", run.model);
  add("Strategy", run.strategy);
  if (model.clients.size) add("Clients", format.count(model.clients.size));
  const seeds = [...new Set(run.family.members.map((member) => member.seed))];
  const compares = run.training_mode === "compare" && seeds.length; // its own seed trains nothing
  if (run.training_mode === "sweep") add("Seeds", [...new Set(run.trials.map((trial) => trial.seed))].join(", "));
  else add(compares && seeds.length > 1 ? "Seeds" : "Seed", compares ? seeds.join(", ") : String(run.seed));
  add("Started", format.dateTime(run.started));
  if (run.ended) add("Duration", format.duration(run.seconds));
  const best = bestOf(model);
  if (best) add(`Best ${format.label(best.key)}`, format.number(best.value));
  const tested = model.finals.get(`test/${run.monitor?.key.split("/")[1]}`);
  if (tested !== undefined) add(`Test ${format.metricName(run.monitor.key.split("/")[1])}`, format.number(tested));
  const bytes = [...model.rounds.values()].reduce((sum, round) => sum + round.bytes_down + round.bytes_up, 0);
  if (bytes) add("Traffic (up + down)", format.bytes(bytes));
  add("Host", run.host);
  return facts;
}

function familyOf(model, { unfolded }) {
  const { parent, members } = model.run.family;
  const others = members.filter((member) => member.id !== model.id);
  if (!others.length) return [];
  const all = members.map((member) => member.id).join(",");
  const twins = h("ul", {}, others.map((member) => h("li", {},
    h("a", { class: `run-twin mode ${member.role}`, href: `/runs/${member.id}` }, roleLine(member.role),
      `${format.modeName(member.role)}${member.client_name === null ? "" : `, ${member.client_name}`}`,
      h("span", { class: "muted", text: ` seed ${member.seed}` })))));
  return [
    h("a", { class: "button", href: withQuery("/compare", { runs: all }), text: "Compare all" }),
    parent && parent !== model.id && h("a", { class: "button", href: `/runs/${parent}`, text: `Comparison ${parent}` }),
    others.length <= FEW_TWINS ? twins
      : h("details", { class: "run-twins", open: unfolded }, h("summary", { text: `${format.plural(others.length, "other run")}` }), twins),
  ];
}

function roleLine(role) {
  return LINES[role] && s("svg", { class: "mode-line", viewBox: "0 0 24 8", "aria-hidden": "true" },
    s("path", { d: "M1 4H23", "stroke-dasharray": LINES[role].stroke }));
}

function roughly(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds / 5) * 5} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return format.duration(seconds);
}
