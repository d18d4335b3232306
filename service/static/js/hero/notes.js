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
  return [...gapNotes(comparison), ...stageNotes(comparison), ...sampledNotes(comparison)].join(" ");
}

function stageNotes({ runs }) {
  const reasons = new Map(runs.filter(({ apart }) => apart).map(({ role, apart }) => [role, apart]));
  return [...reasons].map(([role, apart]) => `${capital(role)} is not drawn: ${apart}.`);
}

function sampledNotes({ runs }) {
  return runs.some(({ sampled }) => sampled) ? ["Long curves are downsampled; minima and maxima are kept."] : [];
}

function gapNotes(comparison) {
  const { better, gaps, metric, stage } = comparison;
  const differs = new Map(groupsOf(comparison.runs).map((group) => [group.key, group.differs]));
  const drawn = gaps.some(({ value }) => value.length > 0);
  const sense = better ? "what federation costs (+ is worse)" : "pooled minus federated";
  const what = `Gap: ${sense}, in ${label(`${stage}/${metric}`)}, at equal training examples seen.`;
  const each = gaps.flatMap((gap) => {
    const head = gap.yet ? "No gap yet" : gap.value.length === 0 ? "No gap" : gap.band === null ? "No interval" : "Band";
    const of = differs.get(gap.group);
    return [`${head}${of ? ` (${of})` : ""}: ${gap.why}.`, ...gap.notes.map(capital)];
  });
  return drawn ? [what, ...each] : each;
}
