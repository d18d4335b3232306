/** Evaluation of the tested model with a movable threshold; during a federated run, the last central evaluation. */

import { h, replace, setAttribute, setText } from "../dom.js";
import * as format from "../format.js";
import { params, setParams } from "../router.js";
import { classTable } from "./classes.js";
import { examplesPanel } from "./examples.js";
import { classNames, confusionChart } from "./confusion.js";
import { operatingPoint, predictionCharts } from "./predictions.js";

const RATES = ["accuracy", "recall", "specificity", "precision", "f1"]; // at a threshold

/**
 * @param {object} model
 * @param {{fetchJSON: (path: string) => Promise<object>}} parts
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function evaluationSection(model, { fetchJSON }) {
  const note = h("p", { class: "muted" });
  const sweepPlace = h("div");
  const grid = h("div", { class: "run-grid" });
  const classes = h("div", { class: "run-classes" });
  let charts = [];
  let shown = null; // what the charts stand for: "round", "summary", "predictions" or nothing
  let asked = false;

  function show(kind, next, ...above) {
    charts.forEach((chart) => chart.destroy());
    charts = next;
    shown = kind;
    replace(sweepPlace, above);
    replace(classes);
    replace(grid, charts.map((chart) => chart.element));
    grid.hidden = !charts.length;
  }

  function showRound() {
    const newest = lastEvaluation(model);
    if (!newest) {
      if (shown) show(null, []);
      setText(note, "No evaluation yet.");
      return;
    }
    const values = Object.entries(newest.metrics).filter(([, value]) => value !== null)
      .map(([name, value]) => `${format.metricName(name)} ${format.number(value)}`).join(" · ");
    const later = newest.confusion ? " Curves and threshold follow after the final test." : "";
    setText(note, `Global model after round ${newest.round} on ${format.plural(newest.num_examples, "test example")}: `
      + `${values}.${later}`);
    if (!newest.confusion) return;
    if (shown !== "round") {
      const title = "Last central evaluation";
      show("round", [confusionChart(model, () => ({ matrix: lastEvaluation(model).confusion, title }))]);
    }
    charts.forEach((chart) => chart.update());
  }

  function showSummary(why) {
    const { confusion, test } = model.run.summary;
    const values = Object.entries(test ?? {}).map(([name, value]) => `${format.metricName(name)} ${format.number(value)}`);
    setText(note, `${whichModel(model)}: ${values.join(" · ")}.${why}`);
    const title = "Confusion matrix (test)";
    show("summary", confusion ? [confusionChart(model, () => ({ matrix: confusion, title }))] : []);
  }

  function showPredictions(given) {
    const several = given.sweep ? "" : " Threshold and precision-recall are available for "
      + "two-class tasks.";
    setText(note, `${whichModel(model)} on ${format.plural(given.num_examples, "test example")}.${several}`);
    if (!given.sweep) {
      const matrix = { matrix: given.confusion, title: "Confusion matrix" };
      show("predictions", [confusionChart(model, () => matrix), ...predictionCharts(model, given, () => null)]);
      replace(classes, classTable(given.per_class, { threshold: null }), examplesPanel(model, fetchJSON));
      return;
    }
    const slider = thresholdSlider(model, given, () => charts.forEach((chart) => chart.update()));
    const matrix = () => {
      const { tn, fp, fn, tp } = slider.point();
      return { matrix: [[tn, fp], [fn, tp]], title: "Confusion matrix" };
    };
    show("predictions", [confusionChart(model, matrix), ...predictionCharts(model, given, slider.point)], slider.element);
    replace(classes, classTable(given.per_class, given), examplesPanel(model, fetchJSON));
  }

  async function load() {
    asked = true;
    if (!hasCurves(model)) {
      showSummary("");
      return;
    }
    try {
      showPredictions(await fetchJSON(`/api/runs/${model.id}/predictions`));
    } catch (error) {
      showSummary(error.status === 404 ? " Its predictions are not available on this server." : ` ${error.message}.`);
    }
  }

  function update(changes = { run: true, evaluations: true }) {
    const tested = Boolean(model.run.summary?.test) && model.finished;
    if (!tested) asked = false; // a resumed run is tested again
    if (tested && !asked) load();
    else if (!tested && (changes.evaluations || changes.run)) showRound();
  }

  update();
  return {
    element: h("div", {}, note, sweepPlace, grid, classes),
    update,
    destroy() {
      charts.forEach((chart) => chart.destroy());
    },
  };
}

/** Whether there is anything to evaluate yet, or will be. */
export function canEvaluate(model) {
  return model.evaluations.size > 0 || Boolean(model.run.summary?.test);
}

/** Whether the tested model predicts classes, whose curves the server draws from its predictions. */
function hasCurves(model) {
  return Boolean(model.run.summary.confusion);
}

function lastEvaluation(model) {
  let last = null;
  for (const one of model.evaluations.values()) if (last === null || one.round > last.round) last = one;
  return last;
}

function whichModel(model) {
  const { test_round: round, test_epoch: epoch } = model.run.summary;
  if (round !== undefined) return `Model of round ${round}`;
  return epoch === undefined ? "Tested model" : `Model of epoch ${epoch}`;
}

/** The slider over the sweep's thresholds; kept in the URL as `threshold`. */
function thresholdSlider(model, given, onMove) {
  const { sweep } = given;
  const nearest = (value) => sweep.threshold.reduce((best, one, i) =>
    (Math.abs(one - value) < Math.abs(sweep.threshold[best] - value) ? i : best), 0);
  const own = nearest(given.threshold);
  const asked = Number.parseFloat(params().threshold);
  let place = Number.isFinite(asked) ? nearest(asked) : own;
  const input = h("input", { type: "range", id: "threshold", min: "0", max: String(sweep.threshold.length - 1), step: "1",
    value: String(place), on: { input: () => move(Number(input.value)) } });
  const value = h("output", { class: "run-threshold-value", for: "threshold" });
  const reset = h("button", { class: "button small", type: "button", on: { click: () => move(own) },
    text: `Reset to ${format.number(given.threshold, { digits: 2 })}` });
  const rates = new Map(RATES.map((key) => [key, h("dd")]));
  const element = h("div", { class: "run-threshold" },
    h("div", { class: "run-threshold-row" }, h("label", { for: "threshold", text: "Threshold" }), input, value, reset),
    h("p", { class: "muted", text: `“${classNames(model, 2)[1]}” is predicted if its probability exceeds the `
      + "threshold. To select a threshold, use validation data (trainer.threshold=val), not this test set." }),
    h("dl", { class: "run-rates" }, RATES.map((key) => h("div", {}, h("dt", { text: format.capital(format.metricName(key)) }),
      rates.get(key)))));

  function draw() {
    const point = operatingPoint(sweep, place);
    const text = format.number(point.threshold, { digits: 2 });
    input.value = String(place);
    const rest = `recall ${format.percent(point.recall)}, specificity ${format.percent(point.specificity)}`;
    setAttribute(input, "aria-valuetext", `${text}: ${rest}`);
    setText(value, text);
    for (const [key, cell] of rates) setText(cell, point[key] === null ? "–" : format.percent(point[key]));
    reset.disabled = place === own;
  }

  function move(next) {
    place = next;
    setParams({ threshold: place === own ? null : sweep.threshold[place].toFixed(2) });
    draw();
    onMove();
  }

  draw();
  return { element, point: () => operatingPoint(sweep, place) };
}
