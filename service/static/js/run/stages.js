/** Line styles of the three stages: colour, dash and marker. */

import { LINES } from "../theme.js";

/**
 * @param {"train"|"val"|"test"} stage
 * @param {{role: string, colours: object}} look `role` is the run's, `colours` are of `palette`
 * @returns {{color: string, dash: string, symbol: string}} for Plotly
 */
export function stageStyle(stage, { role, colours }) {
  if (stage === "val") return { color: colours[role], dash: "solid", symbol: LINES[role].symbol };
  if (stage === "train") return { color: colours.muted, dash: "dash", symbol: "x-thin-open" };
  return { color: colours.text, dash: "dot", symbol: "square" };
}

/** The same dash for SVG. */
export function stageStroke(stage) {
  return { val: "none", train: "6 3", test: "1.5 3" }[stage];
}
