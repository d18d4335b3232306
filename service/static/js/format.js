/** Numbers, times and names as a reader wants them; always in English, whatever locale the browser reports. */

import { labelOf, specOf } from "./catalogue.js";

const LOCALE = "en-US"; // Chromium under LANG=C.UTF-8 reports en-US@posix, which Intl refuses
const NONE = "–";
const MINUS = "−";
const STAGES = { train: "training", val: "validation", test: "test" };
const MODES = { centralized: "pooled", federated: "federated", local: "local", compare: "comparison", sweep: "sweep" };
const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];

/**
 * A measured number: `digits` decimals, fewer for large values, `3.2e-4` for tiny ones, "–" for null.
 *
 * @param {number|null|undefined} value
 * @param {{digits?: number, signed?: boolean}} [options] `signed` also writes the plus
 */
export function number(value, { digits = 3, signed = false } = {}) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  let text;
  if (size !== 0 && size < 0.5 * 10 ** -digits) text = size.toExponential(1);
  else if (size >= 1e7) text = size.toExponential(2);
  else text = fixed(size, size >= 1000 ? 0 : size >= 100 ? Math.min(1, digits) : digits);
  return (value < 0 ? MINUS : signed && value > 0 ? "+" : "") + text;
}

/** A whole number with thousands separators. */
export function count(value) {
  return Number.isFinite(value) ? sign(value) + fixed(Math.abs(value), 0) : NONE;
}

/** A share in [0, 1] as per cent. */
export function percent(value, { digits = 1 } = {}) {
  return Number.isFinite(value) ? `${sign(value)}${fixed(Math.abs(value) * 100, digits)} %` : NONE;
}

/** A length of time in seconds: "0.4 s", "12.5 s", "3 min 05 s", "2 h 10 min", "3 d 4 h". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds < 0.995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${fixed(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A rough age in seconds: "5 s", "3 min", "2 h", "4 d". */
export function age(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** Bytes in decimal units: "3.92 MB". */
export function bytes(value) {
  if (!Number.isFinite(value)) return NONE;
  const { unit, size } = byteUnit(value);
  const part = Math.abs(value) / size;
  return `${sign(value)}${fixed(part, unit === "B" || part >= 99.95 ? 0 : part >= 9.995 ? 1 : 2)} ${unit}`;
}

/** The unit in which to write a number of bytes, and how many bytes it has. */
export function byteUnit(value) {
  let place = 0;
  while (Math.abs(value) / 1000 ** place >= 999.5 && place < BYTES.length - 1) place += 1;
  return { unit: BYTES[place], size: 1000 ** place };
}

/** A time of day with its date, in the viewer's time zone. */
export function dateTime(iso) {
  const time = new Date(iso ?? NaN);
  if (Number.isNaN(time.getTime())) return NONE;
  return time.toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "medium" });
}

/** A metric's name for people: "auroc" is "AUROC", "average_precision" is "average precision". */
export function metricName(name) {
  return labelOf(name);
}

/** A stage for people: "val" is "validation". */
export function stageName(stage) {
  return STAGES[stage] ?? stage;
}

/** A training mode for people: "centralized" is "pooled". */
export function modeName(mode) {
  return MODES[mode] ?? mode;
}

/** A metric key for people: "val/auroc" is "AUROC (validation)". */
export function label(key) {
  const [stage, ...rest] = key.split("/");
  return rest.length ? `${metricName(rest.join("/"))} (${stageName(stage)})` : metricName(stage);
}

/** Whether the metric is always in [0, 1]. */
export function isShare(name) {
  const { low, high } = specOf(name);
  return low === 0 && high === 1;
}

/** `text` with its first letter in upper case. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A count with its noun: plural(1, "round") is "1 round", plural(6, "round") is "6 rounds". */
export function plural(value, noun, many = `${noun}s`) {
  return `${count(value)} ${value === 1 ? noun : many}`;
}

function fixed(value, digits) {
  return value.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function sign(value) {
  return value < 0 ? MINUS : "";
}

function pad(value) {
  return String(value).padStart(2, "0");
}
