/** The page of one run: its state, and the sections that show it. */

import { announce } from "../announce.js";
import { getText } from "../api.js";
import { nameClass } from "../catalogue.js";
import { h, replace, throttle } from "../dom.js";
import * as format from "../format.js";
import { heroSection } from "../hero.js";
import { errorPanel, loadingPanel } from "../notice.js";
import { loadPlotly } from "../plotly.js";
import { params as currentParams } from "../router.js";
import { Axes } from "../run/axes.js";
import { clientsSection } from "../run/clients.js";
import { curvesSection } from "../run/curves.js";
import { dataSection, hasData } from "../run/data.js";
import { downloadsSection } from "../run/downloads.js";
import { canEvaluate, evaluationSection } from "../run/evaluation.js";
import { headerSection } from "../run/header.js";
import { hasCounts, labelsSection } from "../run/labels.js";
import { RunModel } from "../run/model.js";
import { progressOf } from "../run/pace.js";
import { originSection } from "../run/origin.js";
import { panelsOf, panelsSection } from "../run/panels.js";
import { hasRanges, rangesSection } from "../run/ranges.js";
import { sectionNav } from "../run/sections.js";
import { settingsSection } from "../run/settings.js";
import { timelineSection } from "../run/timeline.js";
import { trialsSection } from "../run/trials.js";

const HERO_MS = 1500; // each refresh is a request to the server
const FAMILY_MS = 1000;

/**
 * Mount the page.
 *
 * `document.body.dataset` says what the page holds: `streamed` rows, whose ids are above `since` and at most `cursor`;
 * `repeated`, the rows that came twice and were ignored; `rows`, the streamed ones and the points of the snapshot.
 *
 * @param {HTMLElement} root
 * @param {{id: number, params: object, getJSON: Function, openStream: Function}} context
 * @returns {() => void} unmount
 */
export function mount(root, { id, params, getJSON, openStream }) {
  let shown = null;

  async function start() {
    shown?.destroy();
    shown = null;
    const model = new RunModel({ id, fetchJSON: getJSON, openStream, frame: (draw) => requestAnimationFrame(draw) });
    shown = { destroy: () => model.close() };
    replace(root, loadingPanel(`Loading run ${id}…`));
    loadPlotly().catch(() => {}); // while the server reads the run; charts that need it say what is wrong
    try {
      await model.load();
      if (model.closed) return;
      nameClass(model.run.summary?.data?.positive);
      const page = build(root, model, { params, getJSON, openStream });
      shown = page;
      await model.open();
      if (!model.closed) page.fill();
    } catch (error) {
      if (model.closed) return;
      shown?.destroy();
      replace(root, errorPanel(error, { retry: start }));
    }
  }

  start();
  return () => {
    shown?.destroy();
    nameClass(null);
    for (const key of ["rows", "since", "streamed", "cursor", "repeated"]) delete document.body.dataset[key];
  };
}

/** The head at once; the sections by `fill`, when the curves are there. */
function build(root, model, { params, getJSON, openStream }) {
  const axes = new Axes(model, { fetchJSON: getJSON, chosen: params.x });
  const parts = { axes, fetchJSON: getJSON, fetchText: getText };
  const header = headerSection(model);
  const nav = sectionNav();
  const body = h("div", { class: "run-sections" }, loadingPanel("Loading curves…"));
  const sections = sectionsOf(model, parts);
  let family = null;
  replace(root, header.element, nav.element, body);

  /** Mount what can be shown by now; what has no place in this run is not there at all. */
  function arrange() {
    for (const section of sections) {
      if (section.mounted || !section.wanted()) continue;
      section.mounted = section.build();
      const titleId = `${section.key}-title`;
      section.element = h("section", { class: "run-section", id: section.key, "aria-labelledby": titleId },
        h("h2", { id: titleId, text: section.title }), section.mounted.element);
    }
    const there = sections.filter((section) => section.mounted);
    if (there.length === body.childElementCount) return;
    there.forEach(({ element }, place) => {
      if (body.children[place] !== element) body.insertBefore(element, body.children[place] ?? null);
    });
    nav.offer(there);
  }

  function drawHead(changes) {
    const { held, since, streamed, cursor, repeated } = model;
    Object.assign(document.body.dataset, { rows: held + streamed, since, streamed, cursor, repeated });
    document.title = pageTitle(model);
    header.update(changes);
  }

  function tell(changes) {
    drawHead(changes);
    arrange();
    if (changes.metrics.size) axes.grow();
    for (const section of sections) section.mounted?.update(changes);
  }

  return {
    fill() {
      model.listen(tell);
      model.onRound = (round) => announce(spoken(model, round));
      model.onEnd = (status) => announce(`Run ${status}`);
      drawHead({ run: true });
      replace(body);
      arrange();
      nav.restore();
      if (!trainsItself(model.run)) family = followFamily(model, openStream);
    },
    destroy() {
      model.close();
      family?.close();
      axes.destroy();
      nav.destroy();
      header.destroy();
      sections.forEach((section) => section.mounted?.destroy());
    },
  };
}

function sectionsOf(model, parts) {
  const federated = model.run.training_mode === "federated";
  const trains = trainsItself(model.run);
  const other = model.run.training_mode === "centralized" ? "federated" : "pooled";
  const title = trains ? `Compared with ${other}` : "Result";
  const hasTwins = () => model.run.family.members.length > (trains ? 1 : 0);
  return [
    { key: "trials", title: "Trials", wanted: () => model.run.trials.length > 0, build: () => trialsSection(model) },
    { key: "twins", title, wanted: hasTwins, build: () => twins(model) },
    { key: "clients", title: "Clients", wanted: () => model.clients.size > 0, build: () => clientsSection(model, parts) },
    { key: "rounds", title: "Rounds", wanted: () => federated && model.series.size > 0,
      build: () => timelineSection(model, parts) },
    { key: "curves", title: "Curves", wanted: () => trains, build: () => curvesSection(model, parts) },
    { key: "labels", title: "Labels", wanted: () => hasCounts(model), build: () => labelsSection(model) },
    { key: "ranges", title: "Ranges", wanted: () => hasRanges(model), build: () => rangesSection(model) },
    { key: "evaluation", title: "Evaluation", wanted: () => trains && canEvaluate(model),
      build: () => evaluationSection(model, parts) },
    { key: "panels", title: "Predictions", wanted: () => panelsOf(model).length > 0, build: () => panelsSection(model) },
    { key: "data", title: "Data", wanted: () => hasData(model), build: () => dataSection(model) },
    { key: "origin", title: "System", wanted: () => true, build: () => originSection(model, parts) },
    { key: "config", title: "Config", wanted: () => true, build: () => settingsSection(model, parts) },
    { key: "downloads", title: "Downloads", wanted: () => true, build: () => downloadsSection(model) },
  ];
}

/** The hero picture of the run's family; built anew when the family grows. */
function twins(model) {
  const place = h("div");
  const refresh = throttle(() => hero.refresh(), HERO_MS);
  let ids = [];
  let hero = null;

  function draw() {
    const next = model.run.family.members.map((member) => member.id);
    if (next.join() === ids.join()) return;
    ids = next;
    hero?.destroy();
    hero = heroSection({ runs: ids, params: currentParams(), level: 3 });
    replace(place, hero.element);
  }

  draw();
  return {
    element: place,
    update(changes) {
      if (changes.run) draw();
      if (changes.metrics.size || changes.run) refresh();
    },
    destroy() {
      refresh.cancel();
      hero.destroy();
    },
  };
}

/** Whether a run measures something itself: comparisons and sweeps are made of other runs. */
function trainsItself(run) {
  return !["compare", "sweep"].includes(run.training_mode);
}

/** A comparison, or a sweep, has no rows of its own: what its children do is heard on the stream of all runs. */
function followFamily(model, openStream) {
  const refresh = throttle(() => model.refresh().catch((error) => console.warn(error.message)), FAMILY_MS);
  const stream = openStream("/ws/runs", { onMessages: (messages) => {
    if (messages.some((message) => message.run?.parent_id === model.id)) refresh();
  } });
  return {
    close() {
      refresh.cancel();
      stream.close();
    },
  };
}

function pageTitle(model) {
  const progress = progressOf(model);
  const running = model.run.status === "running" && progress ? `${progress.unit} ${progress.done} · ` : "";
  return `${running}${model.run.name} · fedtwin`;
}

function spoken(model, number) {
  const { unit, total } = progressOf(model);
  const key = model.run.monitor.key;
  const [stage, ...name] = key.split("/");
  const value = model.curve(stage, name.join("/"))?.at(number)?.value ?? null;
  const left = Object.keys(model.rounds.get(number)?.failed ?? {}).length;
  return [`${format.capital(unit)} ${number}${total ? ` of ${total}` : ""} complete`,
    value === null ? null : `${format.label(key)} ${format.number(value)}`,
    left ? `${format.plural(left, "reply", "replies")} dropped` : null].filter(Boolean).join(", ");
}
