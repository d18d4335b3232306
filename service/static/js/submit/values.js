/** Values of settings as text: typed ones as JSON, those of the server as a reader wants them. */

const WHOLE = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * What somebody typed for a setting; what is no value of its kind stays text, and the server says what it expected.
 *
 * @param {string} text
 * @param {string} kind of `FormSetting`, or "other"
 * @returns {*} a JSON value
 */
export function parsed(text, kind) {
  const given = text.trim();
  if (given === "null") return null;
  if (kind === "string" || kind === "choice") return given;
  if (kind === "array" && !given.startsWith("[")) return given.split(",").map((one) => parsed(one, "other"));
  if (WHOLE.test(given) || NUMBER.test(given)) return Number(given);
  try {
    return JSON.parse(given);
  } catch {
    const list = kind !== "integer" && kind !== "number" && given.match(/^\[(.*)\]$/s);
    return list ? list[1].split(",").map((one) => parsed(one, "other")) : given;
  }
}

/**
 * Further settings, one `name=value` a line.
 *
 * @param {string} text
 * @returns {{settings: object, wrong: string[]}} `wrong`: lines that are none
 */
export function parsedLines(text) {
  const { found, wrong } = pairs(text, "NAME=VALUE, such as trainer.num_threads=2");
  return { settings: Object.fromEntries(found.map(([name, value]) => [name, parsed(value, "other")])), wrong };
}

/**
 * Axes of a sweep's grid, one `name=value,value` a line; the server reads the values.
 *
 * @param {string} text
 * @returns {{grid: object, wrong: string[]}} `wrong`: lines that are none
 */
export function gridLines(text) {
  const { found, wrong } = pairs(text, "NAME=VALUE,VALUE, such as strategy=fedavg,fedprox");
  return { grid: Object.fromEntries(found), wrong };
}

function pairs(text, expected) {
  const found = [];
  const wrong = [];
  for (const line of text.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    if (at < 1) wrong.push(`${line}: expected ${expected}`);
    else found.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
  }
  return { found, wrong };
}

/** A value in one line, as one would type it. */
export function typed(value) {
  if (value === null || value === undefined) return "null";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The value at a dotted name; undefined where there is none. */
export function valueAt(config, key) {
  return key.split(".").reduce((section, name) => (section !== null && typeof section === "object" ? section[name] : undefined), config);
}

/** A configuration as indented lines, sections after plain values. */
export function configText(config, indent = "") {
  const isSection = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0;
  const all = Object.entries(config);
  return [
    ...all.filter(([, value]) => !isSection(value)).map(([name, value]) => `${indent}${name}: ${typed(value)}`),
    ...all.filter(([, value]) => isSection(value)).map(([name, value]) => `${indent}${name}:\n${configText(value, `${indent}  `)}`),
  ].join("\n");
}
