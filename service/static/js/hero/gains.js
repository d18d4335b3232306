/** What each site gains against training alone, as a table; hidden where no site trained alone. */

import { h, replace, setText } from "../dom.js";
import { capital, metricName, number } from "../format.js";
import { dataTable } from "../table.js";

const NOTE = "Alone: the model that a site trains on its own rows only. A gain above 0: the federated model is better for "
  + "the site. Test: all models on the same test set. Own rows: the site's own validation rows, of which there may be few.";

/**
 * @param {{level: number}} options level of its heading
 * @returns {{element: HTMLElement, update: (comparison: object) => void}}
 */
export function gainsPanel({ level }) {
  const place = h("div");
  const about = h("p", { class: "note" });
  const element = h("section", { class: "panel gains-panel", hidden: true },
    h(`h${level}`, { text: "What each site gains" }), place, about);
  let drawn = "";

  return {
    element,
    update({ site_gains: gains }) {
      element.hidden = !gains;
      const key = JSON.stringify(gains);
      if (!gains || key === drawn) return;
      drawn = key;
      const caption = `${capital(metricName(gains.metric))} of each site, alone and federated`;
      replace(place, dataTable({ caption, captionHidden: true, sortable: true, download: true, columns: columns(gains),
        rows: gains.rows.map((row) => [row.name, row.num_examples, row.alone, row.federated, row.gain, interval(row),
          row.own_alone, row.own_federated, row.own_gain]) }).element);
      setText(about, `${capital(metricName(gains.metric))}. ${NOTE}`);
    },
  };
}

function columns({ confidence }) {
  const measured = (label) => ({ label, numeric: true, format: (value) => number(value) });
  const signed = (label) => ({ label, numeric: true, format: (value) => number(value, { signed: true }) });
  return ["Site", { label: "Training rows", numeric: true }, measured("Test: alone"), measured("Test: federated"),
    signed("Gain"), `${100 * confidence} % CI`, measured("Own rows: alone"), measured("Own rows: federated"),
    signed("Gain on own rows")];
}

function interval({ low, high }) {
  return low === null || high === null ? null : `[${number(low, { signed: true })}, ${number(high, { signed: true })}]`;
}
