/** One row of the list of runs: built once, then updated in place, so that focus and selection are kept. */

import { ago, setAgo } from "../clock.js";
import { h, replace, s, setAttribute, setText } from "../dom.js";
import { capital, count, duration, label, metricName, modeName, number, plural } from "../format.js";
import { commonScale, sparkline } from "../spark.js";
import { LINES, roleOf } from "../theme.js";
import { shareOf } from "./groups.js";

/** Heads of the columns, in the order of the cells. */
export const COLUMNS = ["Select", "Run", "Mode", "Status", "Best", "Curve", "Age"];

/**
 * A row.
 *
 * @param {object} options
 * @param {"alone"|"member"|"comparison"|"absent"} options.kind "absent": a comparison that is not in the list itself
 * @param {number} options.id
 * @param {(id: number, on: boolean) => void} options.onSelect
 * @param {() => void} [options.onFold] of a comparison: shows or hides its runs
 * @returns {{element: HTMLElement, update: (run: object|null, group: object, selected: boolean, more: object) => void}}
 */
export function runRow({ kind, id, onSelect, onFold }) {
  const comparing = kind === "comparison" || kind === "absent";
  const box = h("input", { type: "checkbox", "aria-label": `Select run ${id} to compare`,
    on: { change: () => onSelect(id, box.checked) } });
  const link = h("a", { class: "run-link", href: `/runs/${id}` });
  const serial = h("span", { class: "run-number", text: kind === "member" ? null : `#${id}` });
  const about = h("div", { class: "run-about" });
  const mode = h("span", { class: "mode" });
  const state = h("span", { class: "status" });
  const detail = h("span", { class: "status-detail" });
  const bar = h("div", { class: "bar" }, h("div", { class: "bar-fill" }));
  const best = h("span", { class: "best-value" });
  const bestKey = h("span", { class: "best-key" });
  const curve = h("div", { class: "curve" });
  const started = ago(null);
  const pulse = ago(null);
  const took = h("span");
  const alive = h("span", { class: "muted" }, "updated ", pulse);
  // A comparison expands to all its runs, including those not started yet.
  const compare = h("a", { class: "button small run-compare", href: `/compare?runs=${id}`, text: "Compare" });
  const fold = h("button", { class: "fold", type: "button", on: { click: onFold } });
  const extra = new Map(); // cells of settings
  const cell = (name, ...children) => h("td", { role: "cell", class: `c-${name}` }, ...children);
  const element = h("tr", { role: "row", class: `run-row ${kind}` },
    cell("select", !comparing && h("label", { class: "tick" }, box)),
    h("th", { role: "rowheader", scope: "row", class: "c-run" },
      h("div", { class: "run-name" }, comparing && fold, link, serial, comparing && compare), about),
    cell("mode", mode),
    cell("status", h("div", { class: "status-line" }, state, detail), bar),
    cell("best", best, bestKey),
    cell("curve", curve),
    cell("age", started, took, alive));
  let drawn = "";

  function update(run, group, selected, { folded = false, columns = [], settings = {} } = {}) {
    box.checked = selected;
    if (!comparing) box.parentNode.hidden = run?.training_mode === "sweep"; // its trials can be compared, not itself
    fold.hidden = group.members.length === 0;
    setAttribute(fold, "aria-expanded", String(!folded));
    for (const [key, node] of extra) if (!columns.includes(key)) {
      node.remove();
      extra.delete(key);
    }
    for (const key of columns) {
      if (!extra.has(key)) extra.set(key, h("td", { role: "cell", class: "c-extra", dataset: { label: key } }));
      setText(extra.get(key), settings[key]?.[id] ?? "–");
      element.append(extra.get(key));
    }
    element.classList.toggle("selected", selected);
    setText(link, kind === "member" ? `Run ${id}` : run?.name || `Comparison ${id}`);
    compare.hidden = group.members.length === 0;
    setAttribute(compare, "aria-label", `Compare the runs of ${link.textContent}`);
    setAttribute(fold, "aria-label", `Runs of ${link.textContent}`);
    setMode(mode, run?.training_mode ?? "compare");
    setText(about, run ? aboutText(run, kind) : "not in this list (older or filtered)");
    about.title = run?.description ?? "";
    if (run) setStatus(run, group);
    if (comparing) setGap(run);
    else setBest(run?.best ?? null);
    drawCurve(run, group);
    started.hidden = took.hidden = !run;
    setAgo(started, run?.started ?? null);
    alive.hidden = !run?.last_event || run.status !== "running";
    setAgo(pulse, run?.last_event ?? null);
    setText(took, run?.ended ? `took ${duration(run.seconds)}` : "");
  }

  function setBest(shown) {
    setText(best, number(shown?.value ?? null));
    setText(bestKey, shown ? shortLabel(shown.key) : "");
    bestKey.title = shown ? `best ${label(shown.key)}` : "";
  }

  function setGap(run) {
    const gap = run?.gap ?? null;
    setText(best, gap?.text.gap ?? "");
    best.hidden = !gap;
    const running = run && !run.ended;
    setText(bestKey, gap ? `gap in ${gap.label}` : running ? "no gap yet" : "");
    bestKey.title = gap ? ["What federation costs (+ is worse)", gap.text.interval, gap.text.counted].filter(Boolean).join(", ") : "";
  }

  function setStatus(run, group) {
    setText(state, run.status);
    setAttribute(state, "class", `status ${run.status}`);
    const [text, share] = progressText(run, group);
    setText(detail, text);
    bar.hidden = share === null || run.status === "completed";
    bar.firstChild.style.width = `${(100 * (share ?? 0)).toFixed(1)}%`;
    bar.dataset.status = run.status;
    const why = run.error ?? run.stop_reason;
    setAttribute(detail, "title", why);
    detail.classList.toggle("wrong", run.status === "failed");
  }

  function drawCurve(run, group) {
    const line = (one) => ({ role: roleOf(one.training_mode), values: one.sparkline, share: shareOf(one) });
    const all = group.members.map(line);
    const own = comparing ? all.filter((one) => one.role !== "local") : [line(run)];
    const scale = commonScale(all);
    const key = JSON.stringify([own, scale]);
    if (key === drawn) return;
    drawn = key;
    const has = own.some((one) => one.values.some((value) => value !== null));
    const what = comparing ? "pooled and federated" : label(run.monitor.key);
    replace(curve, has ? sparkline(own, scale, `Curve so far: ${what}`) : null);
  }

  return { element, update };
}

function setMode(element, mode) {
  const role = roleOf(mode);
  if (element.dataset.mode === mode) return;
  element.dataset.mode = mode;
  setAttribute(element, "class", `mode ${role}`);
  const line = LINES[role] && s("svg", { class: "mode-line", viewBox: "0 0 24 8", "aria-hidden": "true" },
    s("path", { d: "M1 4H23", "stroke-dasharray": LINES[role].stroke }));
  replace(element, line, h("span", { text: modeName(mode) }));
}

function aboutText(run, kind) {
  const seed = run.training_mode === "sweep" ? null : `seed ${run.seed}`;
  const sweep = run.sweep_id === null ? null : `sweep ${run.sweep_id}`;
  const parts = kind === "member" ? [run.client_name, seed, run.strategy] : kind === "comparison" ? [sweep, run.data, run.model]
    : [sweep, run.data, run.model, run.strategy, run.client_name, seed];
  return [...parts, run.description].filter(Boolean).join(" · ");
}

function progressText(run, group) {
  if (run.status === "failed") {
    return [tellingLine(run.error ?? "no reason was recorded"), run.progress ? shareOf(run) : null];
  }
  if (run.training_mode === "compare") {
    const over = group.members.filter((one) => one.ended).length;
    const begun = group.members.length;
    if (run.status === "completed") return [plural(begun, "run"), null];
    const all = Math.max(begun, run.planned_runs ?? 0); // those that have yet to begin are none of the group's members
    return [all ? `${over} of ${plural(all, "run")} finished` : "", all ? sumShares(group.members) / all : null];
  }
  const { unit, done, total } = run.progress ?? {};
  if (!unit) return ["", null];
  if (run.status === "completed") {
    const early = run.stop_reason && done < total ? ", stopped early" : "";
    return [`${plural(done, unit)}${early}`, null];
  }
  return [total ? `${unit} ${count(done)} of ${count(total)}` : `${unit} ${count(done)}`, shareOf(run)];
}

function sumShares(members) {
  return members.reduce((sum, run) => sum + (run.ended ? 1 : shareOf(run)), 0);
}

/** What happened, of a text that may go on with details; of a traceback, its end. */
function tellingLine(text) {
  const lines = text.trim().split("\n");
  return capital(lines.at(lines[0].startsWith("Traceback") ? -1 : 0));
}

function shortLabel(key) {
  const [stage, ...name] = key.split("/");
  return `${stage} ${metricName(name.join("/"))}`;
}
