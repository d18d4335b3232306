/** Curves of a comparison: groups of runs that differ in the seed only, latest values and means over seeds. */

import { capital, plural } from "../format.js";

/** Roles in the order in which they are drawn and named. */
export const ROLES = ["pooled", "federated", "local"];

/** The x-axes: key in the data and in the address, words of the switch, title of the axis. */
export const AXES = {
  step: { words: "Round", title: "Round (federated), epoch (others)" },
  examples: { words: "Examples", title: "Training examples seen" },
  seconds: { words: "Time", title: "Seconds since start" },
  bytes: { words: "Bytes", title: "Traffic (up + down)" },
};

/**
 * The points of `run` that have a place on `axis` and a value.
 *
 * @param {object} run of `/api/compare`
 * @param {string} axis a key of `AXES`
 * @param {number} [unit] that x is counted in
 * @returns {{x: number[], y: (number|null)[]}} a value that was not finite is a gap in the line
 */
export function curve(run, axis, unit = 1) {
  const places = run[axis] ?? [];
  const x = [];
  const y = [];
  places.forEach((place, index) => {
    if (place === null || place === undefined) return;
    x.push(place / unit);
    y.push(run.value[index] ?? null);
  });
  return { x, y };
}

/**
 * The mean of several runs at the steps that all of them have reached, so that runs of different length do not bend it.
 *
 * @param {object[]} runs of `/api/compare`
 * @param {string} axis a key of `AXES`
 * @param {number} [unit] that x is counted in
 * @returns {{x: number[], y: number[]}} at the mean place of each step
 */
export function meanCurve(runs, axis, unit = 1) {
  const steps = new Map();
  for (const run of runs) {
    run.step.forEach((step, index) => {
      const [place, value] = [run[axis][index], run.value[index]];
      if (place === null || value === null) return;
      if (!steps.has(step)) steps.set(step, { places: [], values: [] });
      steps.get(step).places.push(place / unit);
      steps.get(step).values.push(value);
    });
  }
  const begun = runs.filter((run) => lastValue(run) !== null).length;
  const points = [...steps].filter(([, { values }]) => values.length === begun)
    .sort(([a], [b]) => a - b).map(([, { places, values }]) => [mean(places), mean(values)]);
  return { x: points.map(([place]) => place), y: points.map(([, value]) => value) };
}

/** What the steps of `runs` are called: "Round", "Epoch", or both where they differ. */
export function stepWords(runs) {
  const units = new Set(runs.map((run) => run.unit));
  if (units.size > 1) return { words: AXES.step.words, title: AXES.step.title };
  const word = units.has("epoch") ? "Epoch" : "Round";
  return { words: word, title: word };
}

/** The last value of `run` that is a number; null when there is none. */
export function lastValue(run) {
  return run.value.findLast((value) => value !== null && value !== undefined) ?? null;
}

/** The mean of `values` without the nulls; null when none is left. */
export function mean(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

/**
 * Groups of runs that differ in the seed only, in the order of their roles; means are taken within a group.
 *
 * @param {object[]} runs of `/api/compare`
 * @returns {Array<{key: string, role: string, variant: number, differs: string, runs: object[]}>} `variant`: 0 for the
 *   first group of a role
 */
export function groupsOf(runs) {
  const groups = new Map();
  for (const { group: key, role, differs } of runs) {
    const variant = Number(key.split("-")[1] ?? 1) - 1;
    if (!groups.has(key)) groups.set(key, { key, role, variant, differs, runs: runs.filter((run) => run.group === key) });
  }
  return [...groups.values()].sort((a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || a.variant - b.variant);
}

/** The runs that can be compared with each other in the stage that is shown. */
export function comparable(runs) {
  return runs.filter(({ apart }) => !apart);
}

/** A group with how many of its runs have come to a value: "Federated", "Federated (strategy.name=fedprox), mean of 3 runs". */
export function groupWords({ role, differs, runs }) {
  const name = `${capital(role)}${differs ? ` (${differs})` : ""}`;
  const begun = runs.filter((run) => (lastValue(run) ?? run.test) !== null).length;
  return begun < 2 ? name : `${name}, mean of ${plural(begun, "run")}`;
}
