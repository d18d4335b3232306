/** The table below the comparison chart: results and cost per run. */

import { isAbort, withQuery } from "../api.js";
import { h, s, setText, throttle } from "../dom.js";
import { bytes, count, duration, label, number, plural } from "../format.js";
import { groupsOf, lastValue } from "../hero/lines.js";
import { dataTable } from "../table.js";
import { lineOf } from "../theme.js";

const ASK_MS = 2000;
const COSTS = { examples: count, seconds: duration, bytes };

/**
 * The table.
 *
 * @param {object} options
 * @param {number[]} options.runs ids, as the address has them
 * @param {Function} options.getJSON
 * @param {(left: number[]) => void} options.removeRun called with the remaining ids when a run is removed
 * @returns {{element: HTMLElement, update: (comparison: object) => void, destroy: () => void}}
 */
export function costTable({ runs, getJSON, removeRun }) {
  const holder = h("section", { class: "panel" }, h("h2", { text: "Results and cost per run" }));
  const lines = new Map();
  const control = new AbortController();
  let table = null;
  let shown = null;
  let trained = new Map(); // by run id: the same run along its training rows

  // A pooled run has no test rows during training: its cost is read from its training rows then.
  const ask = throttle(async () => {
    try {
      const query = { runs, metric: "loss", stage: "train" };
      const answer = await getJSON(withQuery("/api/compare", query), { signal: control.signal });
      trained = new Map(answer.runs.map((run) => [run.id, run]));
      draw();
    } catch (error) {
      if (!isAbort(error)) console.warn("costs could not be loaded:", error.message);
    }
  }, ASK_MS);

  function spent(run, key) {
    const known = [run, trained.get(run.id)].map((one) => last(one?.[key])).filter((value) => value !== null);
    return known.length ? Math.max(...known) : null;
  }

  function draw() {
    const keys = Object.keys(COSTS);
    const tops = keys.map((key) => Math.max(0, ...shown.runs.map((run) => spent(run, key))));
    const rows = shown.runs.map((run) => {
      if (!lines.has(run.id)) lines.set(run.id, runLine(run, () => shown.runs, removeRun));
      const line = lines.get(run.id);
      line.update(run, keys.map((key, index) => [spent(run, key), tops[index], COSTS[key]]));
      const done = steps(spent(run, "step"), run.unit);
      return [line.name, line.status, done, lastValue(run), run.test, ...line.costs, line.out];
    });
    if (table === null) {
      table = dataTable({ caption: "Compared runs", captionHidden: true, columns: columns(shown), rows });
      holder.append(table.element);
    } else table.update(rows, columns(shown));
  }

  return {
    element: holder,
    update(comparison) {
      shown = comparison;
      draw();
      if (comparison.stage === "test") ask();
    },
    destroy() {
      control.abort();
      ask.cancel();
    },
  };
}

function columns({ stage, metric }) {
  const numeric = (words, format = undefined) => ({ label: words, numeric: true, format });
  return ["Run", "Status", numeric("Steps"), numeric(`Latest ${label(`${stage}/${metric}`)}`, number),
    numeric("Final test", number), numeric("Examples seen"), numeric("Time"), numeric("Traffic (up + down)"), "Remove"];
}

/** The nodes of one run's row: made once, patched later. */
function runLine(run, all, removeRun) {
  const { kind, stroke } = lineOf(groupsOf([run])[0]);
  const line = s("svg", { class: `mode-line ${kind}`, viewBox: "0 0 24 8", "aria-hidden": "true" },
    s("path", { d: "M1 4H23", "stroke-dasharray": stroke }));
  const link = h("a", { href: `/runs/${run.id}` });
  const status = h("span");
  const costs = Object.keys(COSTS).map(() => {
    const text = h("span");
    const bar = h("i");
    return { text, bar, node: h("span", {}, text, h("span", { class: "share", "aria-hidden": "true" }, bar)) };
  });
  const others = () => all().map((one) => one.id).filter((id) => id !== run.id);
  const out = h("button", { class: "button small", type: "button", text: "×", title: "Remove",
    on: { click: () => removeRun(others()) } });
  return {
    name: h("span", { class: `mode ${run.role}` }, line, link),
    status,
    costs: costs.map(({ node }) => node),
    out,
    update(now, values) {
      setText(link, now.label);
      out.setAttribute("aria-label", `Remove ${now.label}`);
      setText(status, now.status);
      status.className = `status ${now.status}`;
      values.forEach(([value, top, words], index) => {
        setText(costs[index].text, words(value));
        costs[index].bar.style.width = `${top > 0 && value !== null ? (100 * value) / top : 0}%`;
      });
    },
  };
}

function steps(done, unit) {
  return done === null ? "–" : plural(done, unit);
}

function last(values) {
  return values?.findLast((value) => value !== null && value !== undefined) ?? null;
}
