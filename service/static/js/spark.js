/** Sparklines as inline SVG: one line a run, lines of one group on one scale, as long as the run has come. */

import { s } from "./dom.js";
import { LINES } from "./theme.js";

const WIDTH = 160;
const HEIGHT = 30;
const PAD = 3;

/**
 * A picture of the monitored metric over the training budget.
 *
 * @param {Array<{role: string, values: Array<number|null>, share: number}>} lines `share`: how much of the budget the
 *   values cover, in [0, 1]
 * @param {{low: number, high: number}|null} scale of all lines that are compared; null: nothing to draw
 * @param {string} label what it shows, for screen readers
 * @returns {SVGElement}
 */
export function sparkline(lines, scale, label) {
  const drawn = scale ? lines.flatMap((line) => draw(line, scale)) : [];
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, drawn);
}

/** The scale that holds the values of all `lines`; null when there is no value. */
export function commonScale(lines) {
  let low = Infinity;
  let high = -Infinity;
  for (const { values } of lines) {
    for (const value of values) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return null;
  return low === high ? { low: low - 0.5, high: high + 0.5 } : { low, high };
}

function draw({ role, values, share }, { low, high }) {
  const last = values.length - 1;
  const reach = (WIDTH - 2 * PAD) * Math.min(1, Math.max(share, last > 0 ? 0.02 : 0));
  const x = (index) => PAD + (last > 0 ? (index / last) * reach : reach);
  const y = (value) => HEIGHT - PAD - ((value - low) / (high - low)) * (HEIGHT - 2 * PAD);
  let path = "";
  let pen = "M";
  let end = null;
  values.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    end = [x(index), y(value)];
    path += `${pen}${end[0].toFixed(1)} ${end[1].toFixed(1)}`;
    pen = "L";
  });
  if (end === null) return [];
  return [
    s("path", { class: `spark-line ${role}`, d: path, "stroke-dasharray": LINES[role]?.stroke ?? "none" }),
    s("circle", { class: `spark-end ${role}`, cx: end[0].toFixed(1), cy: end[1].toFixed(1), r: 2.2 }),
  ];
}
