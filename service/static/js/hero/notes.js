/** What has to be known of the picture to read it right: which gap, which band, and what cannot be compared. */

import { capital, isUneven, label, metricName } from "../format.js";
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

/** Whether the stage's pooled and federated values are of different kinds: no gap can be stated from them. */
export function isUnlike({ stage, metric, runs }) {
  return stage === "val" && isUneven(metric) && runs.some((run) => run.role === "federated");
}

function stageNotes(comparison) {
  const { metric, runs, stage } = comparison;
  if (stage !== "val") return [];
  const local = runs.some((run) => run.role === "local");
  return [
    isUnlike(comparison) && `On validation the federated ${metricName(metric)} is a mean over the clients, and suffers from `
      + "classes that a client does not have; the pooled one is over all rows. Test has both on the same rows.",
    local && "Local only: each client is validated on its own rows, so its line cannot be compared with the others here; "
      + "on the test rows it can.",
  ].filter(Boolean);
}

function gapNotes(comparison) {
  const { gaps, metric, stage } = comparison;
  const differs = new Map(groupsOf(comparison.runs).map((group) => [group.key, group.differs]));
  const drawn = gaps.some(({ value }) => value.length > 0);
  const what = `Gap: pooled minus federated, in ${label(`${stage}/${metric}`)}, at the same number of training examples seen.`;
  const each = gaps.flatMap((gap) => {
    const head = gap.value.length === 0 ? "No gap" : gap.band === null ? "No band" : "Band";
    const of = differs.get(gap.group);
    return [`${head}${of ? ` (${of})` : ""}: ${gap.why}.`, ...gap.notes.map(capital)];
  });
  return drawn ? [what, ...each] : each;
}
