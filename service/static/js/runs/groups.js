/** Groups of the list of runs: each comparison with its twins, other runs by themselves, newest first. */

import { roleOf } from "../theme.js";

const ROLES = ["pooled", "federated", "local"];

/**
 * Groups of `runs`, the one with the newest run first.
 *
 * @param {Iterable<object>} runs RunSummary
 * @returns {Array<{key: number, comparison: object|null, parent: number|null, members: object[]}>} `parent` is the id
 *   of the comparison, also where the comparison itself is not among `runs`; `comparison` is null then, and where the
 *   group is one run alone. Members: by seed, pooled before federated before local.
 */
export function groupRuns(runs) {
  const groups = new Map();
  const group = (key, parent) => {
    if (!groups.has(key)) groups.set(key, { key, comparison: null, parent, members: [], newest: 0 });
    return groups.get(key);
  };
  for (const run of runs) {
    const comparing = run.training_mode === "compare";
    const parent = comparing ? run.id : run.parent_id;
    const own = group(parent ?? run.id, parent);
    if (comparing) own.comparison = run;
    else own.members.push(run);
    own.newest = Math.max(own.newest, run.id);
  }
  const rank = (run) => ROLES.indexOf(roleOf(run.training_mode));
  for (const { members } of groups.values()) {
    members.sort((a, b) => a.seed - b.seed || rank(a) - rank(b) || a.id - b.id);
  }
  return [...groups.values()].sort((a, b) => b.newest - a.newest);
}

/**
 * The difference that the list can already show: mean best value of the pooled runs minus that of the federated ones.
 *
 * @param {object[]} members RunSummary
 * @returns {{key: string, value: number}|null} null unless both sides have a value of the same metric
 */
export function bestGap(members) {
  const bests = (role) => members.filter((run) => roleOf(run.training_mode) === role)
    .map((run) => run.best).filter((best) => Number.isFinite(best?.value));
  const [pooled, federated] = [bests("pooled"), bests("federated")];
  if (!pooled.length || !federated.length) return null;
  const { key } = pooled[0];
  if (![...pooled, ...federated].every((best) => best.key === key)) return null;
  const mean = (all) => all.reduce((sum, best) => sum + best.value, 0) / all.length;
  return { key, value: mean(pooled) - mean(federated) };
}

/** The share of its budget that a run has used, in [0, 1]; 1 where the budget is not known. */
export function shareOf(run) {
  const { done = 0, total = null } = run.progress ?? {};
  return total ? Math.min(1, done / total) : 1;
}
