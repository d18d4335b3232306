/** Final test values of both twins, with the gap and its confidence interval in numbers and drawn. */

import { h, replace, s, setText } from "../dom.js";
import { capital, isShare } from "../format.js";

const WIDTH = 84;
const PAD = 5;
const HEIGHT = 16;
const NOTE = "Gap: what federation costs, selected models on the same test set; positive is worse (▲), negative better (▼). "
  + "↑ higher, ↓ lower is better.";
const ARROWS = { higher: "\u00a0↑", lower: "\u00a0↓" };

/**
 * A panel with one row a metric; hidden while no final value is known.
 *
 * @param {{level: number}} options level of its heading
 * @returns {{element: HTMLElement, update: (comparison: object) => void}}
 */
export function finalPanel({ level }) {
  const body = h("tbody");
  const local = h("th", { scope: "col", class: "numeric", text: "Local" });
  const heads = [h("th", { scope: "col", text: "Metric" }), h("th", { scope: "col", class: "numeric", text: "Pooled" }),
    h("th", { scope: "col", class: "numeric", text: "Federated" }), local,
    h("th", { scope: "col", class: "numeric", text: "Gap" }),
    h("th", { scope: "col" }, h("span", { class: "visually-hidden", text: "Interval" }))];
  const note = h("p", { class: "note" });
  const frame = h("div", { class: "table-frame", role: "region", "aria-label": "Final test values", tabindex: "0" },
    h("table", { class: "data final" }, h("caption", { class: "visually-hidden", text: "Final test values" }),
      h("thead", {}, h("tr", {}, heads)), body));
  const element = h("section", { class: "panel final-panel", hidden: true },
    h(`h${level}`, { text: "Final test values" }), frame, note);
  let drawn = "";

  return {
    element,
    update({ final, metric }) {
      const rows = final ?? [];
      element.hidden = rows.length === 0;
      const key = JSON.stringify([rows, metric]);
      if (key === drawn) return;
      drawn = key;
      const shares = rows.filter(({ metric: name }) => isShare(name));
      const common = shares.length ? scaleOf(shares) : null;
      const withLocal = rows.some((row) => Number.isFinite(row.local));
      local.hidden = !withLocal;
      element.classList.toggle("with-local", withLocal);
      replace(body, rows.map((row) => finalRow(row, { chosen: row.metric === metric,
        scale: shares.includes(row) ? common : common ? null : scaleOf([row]), withLocal })));
      setText(note, rows.length ? `${sampleOf(rows)}${NOTE}` : "");
    },
  };
}

function finalRow(row, { chosen, scale, withLocal }) {
  const { text } = row; // as the terminal and the report print it
  return h("tr", { class: chosen ? "chosen" : null },
    h("th", { scope: "row", text: `${capital(row.label)}${ARROWS[row.better] ?? ""}` }),
    h("td", { class: "numeric", text: text.pooled }),
    h("td", { class: "numeric", text: text.federated }),
    withLocal ? h("td", { class: "numeric", text: text.local ?? "–" }) : null,
    h("td", { class: "numeric" }, h("span", { class: `verdict ${row.verdict}`, text: text.verdict }), " ",
      h("b", { text: text.gap }), h("span", { class: "range", text: text.interval, title: text.counted })),
    h("td", {}, scale && drawable(row) ? intervalPicture(row, scale) : null));
}

/** What the intervals are from: "95 % CI, 57 test patients. ". */
function sampleOf(rows) {
  const { confidence, text } = rows.find((row) => row.text.interval && row.text.counted) ?? rows[0];
  return [`${Number((100 * confidence).toPrecision(4))} % CI`, text.counted].filter(Boolean).join(", ").concat(". ");
}

/** Shares have one scale. On it, a metric without bounds would squeeze their intervals: it has its own, or none. */
function scaleOf(rows) {
  const ends = rows.filter(drawable).flatMap((row) => [row.gap, row.low, row.high]);
  return { low: Math.min(0, ...ends), high: Math.max(0, ...ends) };
}

function drawable({ gap, low, high }) {
  return [gap, low, high].every(Number.isFinite);
}

function intervalPicture({ gap, low, high }, scale) {
  const x = (value) => (PAD + ((value - scale.low) / (scale.high - scale.low || 1)) * (WIDTH - 2 * PAD)).toFixed(1);
  const middle = HEIGHT / 2;
  return s("svg", { class: "interval", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" },
    s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: HEIGHT }),
    s("line", { class: "range", x1: x(low), x2: x(high), y1: middle, y2: middle }),
    s("circle", { class: "point", cx: x(gap), cy: middle, r: 3.5 }));
}
