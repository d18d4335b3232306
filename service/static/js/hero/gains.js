/** What joining brings each site, as tables; hidden where no site trained alone. */

import { h, replace, setText } from "../dom.js";
import { capital, metricName, number } from "../format.js";
import { dataTable } from "../table.js";

const MODELS = { pooled: "Pooled", federated: "Federated", alone: "Alone", fine_tuned: "Fine-tuned" };
const NOTE = "Alone: the model that a site trains on its own rows only. Gain: federated against alone; above 0, joining is "
  + "better for the site.";
const TUNED = "Fine-tuned: the federated model, trained on at the site.";
const COMMON = "All sites are tested on the same test rows. Own rows: the site's own validation rows, of which there may be few.";
const OWN = "Each site is tested on its own test rows.";

/**
 * @param {{level: number}} options level of its heading
 * @returns {{element: HTMLElement, update: (comparison: object) => void}}
 */
export function gainsPanel({ level }) {
  const place = h("div");
  const about = h("p", { class: "note" });
  const element = h("section", { class: "panel gains-panel", hidden: true },
    h(`h${level}`, { text: "What joining brings each site" }), place, about);
  let drawn = "";

  return {
    element,
    update({ site_gains: gains }) {
      element.hidden = !gains;
      const key = JSON.stringify(gains);
      if (!gains || key === drawn) return;
      drawn = key;
      const caption = `${capital(metricName(gains.metric))} of each site`;
      const models = Object.keys(MODELS).filter((key) => gains.rows.some((row) => typeof row[key] === "number"));
      const own = gains.tests === "own";
      replace(place, dataTable({ caption, captionHidden: true, sortable: true, download: true,
        columns: columns(gains, models, own), rows: gains.rows.map((row) => cells(row, models, own, hasNotes(gains.rows))) }).element,
      ...(gains.cross ? [cross(gains)] : []));
      setText(about, [`${capital(metricName(gains.metric))}.`, own ? OWN : COMMON, NOTE,
        ...(models.includes("fine_tuned") ? [TUNED] : [])].join(" "));
    },
  };
}

function columns({ confidence, rows }, models, own) {
  return ["Site", { label: "Training rows", numeric: true }, { label: "Test rows", numeric: true },
    ...models.map((key) => measured(MODELS[key])), signed("Gain"), `${100 * confidence} % CI`,
    ...(own ? (hasNotes(rows) ? ["Note"] : []) : [measured("Own rows: alone"), measured("Own rows: federated"), signed("Gain on own rows")])];
}

function cells(row, models, own, noted) {
  return [row.name, row.num_examples, row.num_test, ...models.map((key) => row[key]), row.gain, interval(row),
    ...(own ? (noted ? [row.note] : []) : [row.own_alone, row.own_federated, row.own_gain])];
}

function hasNotes(rows) {
  return rows.some((row) => row.note);
}

function cross({ metric, cross: { models, tests, values } }) {
  const caption = `${capital(metricName(metric))} of each model on the test rows of each site`;
  return dataTable({ caption, sortable: true, download: true, columns: ["Model", ...tests.map(measured)],
    rows: values.map((row, place) => [models[place], ...row]) }).element;
}

function measured(label) {
  return { label, numeric: true, format: (value) => number(value) };
}

function signed(label) {
  return { label, numeric: true, format: (value) => number(value, { signed: true }) };
}

function interval({ low, high }) {
  return low === null || high === null ? null : `[${number(low, { signed: true })}, ${number(high, { signed: true })}]`;
}
