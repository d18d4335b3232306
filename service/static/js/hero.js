/** The comparison chart: pooled, federated and local runs, with summary sentence, controls and final test values. */

import { getJSON, isAbort, withQuery } from "./api.js";
import { inOrder, nameClass } from "./catalogue.js";
import { makeChart } from "./charts.js";
import { choiceGroup, selectBox } from "./controls.js";
import { h, replace, s, throttle, uniqueId } from "./dom.js";
import { capital, label, metricName, number, stageName } from "./format.js";
import { finalPanel } from "./hero/final.js";
import { heroFigure, heroTable } from "./hero/figure.js";
import { gainsPanel } from "./hero/gains.js";
import { AXES, comparable, groupWords, groupsOf, lastValue, mean, stepWords } from "./hero/lines.js";
import { pictureNotes } from "./hero/notes.js";
import { errorPanel, loadingPanel, warningsPanel } from "./notice.js";
import { loadPlotly } from "./plotly.js";
import { setParams } from "./router.js";
import { lineOf } from "./theme.js";

const REFRESH_MS = 500;
const LONGEST_METRIC = 200;
const STAGES = ["train", "val", "test"];

/**
 * The comparison of `runs`. Its choices live in the address: `metric`, `stage`, `over` (the x-axis) and `hide`.
 *
 * @param {object} options
 * @param {number[]} options.runs ids
 * @param {object} [options.params] the address's query, as `router.params()` gives it
 * @param {number} [options.level] level of its headings, 3 unless told
 * @param {(comparison: object) => void} [options.onData] called with each answer of `/api/compare`
 * @returns {{element: HTMLElement, refresh: () => void, destroy: () => void}} `refresh` may be called at any rate: it
 *   asks the server at most twice a second, and never while an answer is on its way
 */
export function heroSection({ runs, params = {}, level = 3, onData = () => {} }) {
  const state = {
    metric: (params.metric ?? "").slice(0, LONGEST_METRIC), // empty: the server's choice
    stage: STAGES.includes(params.stage) ? params.stage : "val",
    axis: Object.hasOwn(AXES, params.over) ? params.over : "examples",
    hidden: new Set((params.hide ?? "").split(",").filter(Boolean)),
  };
  let comparison = null;
  let request = null;
  let busy = false;
  let again = false;
  let chart = null;

  const group = uniqueId("hero");
  const sentence = h("p", { class: "hero-sentence" });
  const metric = selectBox({ legend: "Metric", name: `${group}-metric`, choices: [], value: state.metric,
    onChoose: (value) => choose({ metric: value }) });
  const stage = choiceGroup({ legend: "Stage", name: `${group}-stage`, value: state.stage, legendShown: true,
    choices: STAGES.map((one) => [one, capital(stageName(one))]), onChoose: (value) => choose({ stage: value }) });
  const axis = choiceGroup({ legend: "Over", name: `${group}-axis`, value: state.axis, legendShown: true,
    choices: axisChoices([]), onChoose: (value) => {
      state.axis = value;
      setParams({ over: value === "examples" ? null : value });
      chart?.update();
    } });
  const legend = h("ul", { class: "hero-legend", "aria-label": "Legend; press an entry to hide its line" });
  const place = h("div", { class: "hero-picture" }, loadingPanel());
  const trouble = h("div", { hidden: true });
  const final = finalPanel({ level });
  const gains = gainsPanel({ level });
  const doubts = h("div");
  // The answer first: sentence, doubts and final values; then the curves that led there.
  const element = h("section", { class: "hero", "aria-label": "Pooled compared with federated" },
    h("div", { class: "hero-answer" }, sentence, doubts), final.element,
    h("div", { class: "hero-main" },
      h("div", { class: "hero-controls" }, metric.element, stage.element, axis.element), legend, trouble, place),
    gains.element);

  function choose(change) {
    Object.assign(state, change);
    setParams(change.stage === "val" ? { stage: null } : change);
    request?.abort();
    load();
  }

  async function load() {
    const own = new AbortController();
    request = own;
    busy = true;
    again = false;
    const query = { runs: runs.join(","), metric: state.metric, stage: state.stage };
    try {
      const answer = await getJSON(withQuery("/api/compare", query), { signal: own.signal });
      if (own !== request) return;
      if (unheardOf(answer, state.metric)) {
        choose({ metric: "" });
        return;
      }
      comparison = answer;
      nameClass(answer.positive);
      trouble.hidden = true;
      draw();
      onData(answer);
    } catch (error) {
      if (isAbort(error) || own !== request) return;
      // Keep the current chart; the header already shows that the server does not respond.
      if (comparison && error.status === 0) return;
      replace(comparison ? trouble : place, errorPanel(error, { retry: load }));
      trouble.hidden = comparison === null;
    } finally {
      if (own === request) {
        busy = false;
        if (again) refresh();
      }
    }
  }

  const refresh = throttle(() => {
    if (busy) again = true;
    else load();
  }, REFRESH_MS);

  function draw() {
    const names = inOrder(new Set([...comparison.metrics, comparison.metric]));
    metric.offer(names.map((name) => [name, capital(metricName(name))]));
    metric.set(comparison.metric);
    axis.offer(axisChoices(comparison.runs));
    if (state.axis === "bytes" && !hasBytes(comparison.runs)) state.axis = "examples";
    axis.set(state.axis);
    if (sentence.textContent !== resultText(comparison)) {
      replace(sentence, comparison.result.map(({ text, strong }) => (strong ? h("strong", { text }) : text)));
    }
    const warned = comparison.warnings.join("\n");
    if (doubts.dataset.warned !== warned) {
      doubts.dataset.warned = warned; // an unfolded list stays unfolded
      replace(doubts, warningsPanel(comparison.warnings));
    }
    drawLegend();
    final.update(comparison);
    gains.update(comparison);
    element.classList.toggle("with-final", !final.element.hidden);
    chart ??= makePicture();
    chart.update();
  }

  function makePicture() {
    const made = makeChart({
      title: pictureTitle, level, height: () => (window.innerWidth < 560 ? 400 : 480),
      draw: (colours, { width }) => heroFigure(comparison, { axis: state.axis, hidden: state.hidden, colours, width }),
      table: () => heroTable(comparison),
      summary: () => resultText(comparison),
      caption: () => pictureNotes(comparison),
    });
    replace(place, made.element);
    return made;
  }

  const pictureTitle = () => capital(label(`${comparison.stage}/${comparison.metric}`));

  function drawLegend() {
    const items = groupsOf(comparable(comparison.runs)).map((group) => [
      group.key, lineOf(group), groupWords(group), mean(group.runs.map((run) => lastValue(run) ?? run.test))]);
    const key = JSON.stringify([items, [...state.hidden]]);
    if (legend.dataset.key === key) return;
    legend.dataset.key = key;
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.group : null;
    replace(legend, items.map(([group, { kind, stroke }, words, value]) => h("li", {}, h("button",
      { class: "legend-item", type: "button", dataset: { group }, "aria-pressed": String(!state.hidden.has(group)),
        on: { click: () => toggle(group) } },
      s("svg", { viewBox: "0 0 24 8", width: 24, height: 8, "aria-hidden": "true" },
        s("path", { class: `mode-line ${kind}`, d: "M1 4H23", "stroke-dasharray": stroke })),
      words, h("b", { text: number(value) })))));
    if (focused) legend.querySelector(`[data-group="${focused}"]`)?.focus();
  }

  function toggle(group) {
    if (state.hidden.has(group)) state.hidden.delete(group);
    else state.hidden.add(group);
    setParams({ hide: [...state.hidden].join(",") });
    drawLegend();
    chart?.update();
  }

  refresh();
  loadPlotly().catch(() => {}); // while the answer is on its way; the chart says so when it fails
  return {
    element,
    refresh,
    destroy() {
      request?.abort();
      request = null;
      refresh.cancel();
      chart?.destroy();
    },
  };
}

const resultText = ({ result }) => result.map(({ text }) => text).join("");

/** Whether none of the runs knows the metric that the address asks for. */
function unheardOf({ metrics, runs, final }, metric) {
  return metric !== "" && metrics.length > 0 && !metrics.includes(metric) && !final.some((one) => one.metric === metric)
    && runs.every((run) => run.value.length === 0 && run.test === null);
}

function axisChoices(runs) {
  return Object.entries({ ...AXES, step: stepWords(runs) }).filter(([key]) => key !== "bytes" || hasBytes(runs))
    .map(([key, { words }]) => [key, words]);
}

function hasBytes(runs) {
  return runs.some((run) => run.role === "federated" && run.bytes?.some((value) => value !== null));
}
