/** Notes below the comparison chart: which gap, which band, and what is not comparable. */

import { capital, label } from "../format.js";
import { groupsOf } from "./lines.js";

/**
 * Sentences under the picture.
 *
 * @param {object} comparison answer of `/api/compare`
 * @returns {string}
 */
export function pictureNotes(comparison) {
  return [...gapNotes(comparison), ...stageNotes(comparison)].join(" ");
}

function stageNotes({ runs, stage }) {
  if (stage !== "val" || !runs.some((run) => run.role === "local")) return [];
  return ["Local: each client is validated on its own rows, so its line is not comparable here; on the test set it is."];
}

function gapNotes(comparison) {
  const { gaps, metric, stage } = comparison;
  const differs = new Map(groupsOf(comparison.runs).map((group) => [group.key, group.differs]));
  const drawn = gaps.some(({ value }) => value.length > 0);
  const what = `Gap: pooled minus federated, in ${label(`${stage}/${metric}`)}, at equal training examples seen.`;
  const each = gaps.flatMap((gap) => {
    const head = gap.value.length === 0 ? "No gap" : gap.band === null ? "No interval" : "Band";
    const of = differs.get(gap.group);
    return [`${head}${of ? ` (${of})` : ""}: ${gap.why}.`, ...gap.notes.map(capital)];
  });
  return drawn ? [what, ...each] : each;
}
