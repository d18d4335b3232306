/** Groups of the list of runs: each comparison with its twins, other runs by themselves, newest first. */

import { roleOf } from "../theme.js";

const ROLES = ["pooled", "federated", "local"];

/**
 * Groups of `runs`, the one with the newest run first. A sweep and its trials are groups of their own.
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
    const parent = comparing ? run.id : run.sweep_id === null ? run.parent_id : null; // a trial stands by itself
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

/** The share of its budget that a run has used, in [0, 1]; 1 where the budget is not known. */
export function shareOf(run) {
  const { done = 0, total = null } = run.progress ?? {};
  return total ? Math.min(1, done / total) : 1;
}

/** What the list can be sorted by: the value of a run, null where it has none. */
const SORTS = {
  Run: (run) => run.name.toLowerCase(),
  Mode: (run) => run.training_mode,
  Status: (run) => run.status,
  Best: (run) => (run.training_mode === "compare" ? run.gap?.gap ?? null : run.best?.value ?? null),
  Age: (run) => run.id,
  Duration: (run) => run.seconds,
};

/**
 * Groups in the order that the viewer chose; those without a value come last, whichever way.
 *
 * @param {object[]} groups of `groupRuns`
 * @param {{key: string, up: boolean}} sort a key of `SORTS`, or a setting
 * @param {object} settings by name, then by the run's id
 */
export function sortGroups(groups, { key, up }, settings) {
  const value = (group) => {
    const run = group.comparison ?? group.members[0];
    return (SORTS[key] ? SORTS[key](run) : settings[key]?.[run.id]) ?? null;
  };
  const sign = up ? 1 : -1;
  return groups.map((group, place) => ({ group, place, own: value(group) })).sort((a, b) => {
    if (a.own === null || b.own === null) return Number(a.own === null) - Number(b.own === null) || a.place - b.place;
    const both = typeof a.own === "number" && typeof b.own === "number";
    const order = both ? a.own - b.own : String(a.own).localeCompare(String(b.own), "en-US", { numeric: true });
    return sign * order || a.place - b.place;
  }).map(({ group }) => group);
}

/** Groups by the value of a setting of theirs, in the order in which the values come: `[value, groups]`. */
export function bySetting(groups, key, settings) {
  const found = new Map();
  for (const group of groups) {
    const run = group.comparison ?? group.members[0];
    const value = { mode: run.training_mode, status: run.status }[key] ?? settings[key]?.[run.id] ?? null;
    if (!found.has(value)) found.set(value, []);
    found.get(value).push(group);
  }
  return [...found];
}
