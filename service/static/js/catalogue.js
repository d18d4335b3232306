/** What is known of every metric (label, better direction, bounds, unit, order), from `/api/catalogue`; `format` words it. */

import { getJSON } from "./api.js";

const known = new Map();
let loading = null;
let positive = null; // of two classes, the one whose recall and the like are shown

/** Load the catalogue, once; after a failure the next call tries again. */
export function loadCatalogue() {
  loading ??= getJSON("/api/catalogue").then(({ metrics }) => {
    metrics.forEach((spec, place) => known.set(spec.name, { ...spec, place }));
  }).catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/**
 * One metric; of a name that the catalogue does not have (a user's own metric), neither direction, bounds nor unit.
 *
 * @param {string} name without its stage
 * @returns {{name: string, label: string, better: "higher"|"lower"|null, low: number|null, high: number|null, unit: string,
 *   source: "outputs"|"training"|"server", place: number}}
 */
export function specOf(name) {
  return known.get(name) ?? { name, label: name.replaceAll("_", " "), better: null, low: null, high: null, unit: "",
    source: "outputs", place: known.size };
}

/** Name the positive class of the runs that are shown in every metric that is of it alone; null: none. */
export function nameClass(name) {
  positive = name ?? null;
}

/** A metric's name for people: "auroc" is "AUROC"; "recall" is "recall (covid)" where covid is the positive class. */
export function labelOf(name) {
  const spec = specOf(name);
  return positive !== null && spec.of_positive ? `${spec.label} (${positive})` : spec.label;
}

/** Metric names in the catalogue's order; unknown ones last, by name. */
export function inOrder(names) {
  return [...names].sort((a, b) => specOf(a).place - specOf(b).place || a.localeCompare(b, "en-US"));
}
