/** The server's clock as the page knows it, and the elements that show an age and tick without a request. */

import { h } from "./dom.js";
import { age } from "./format.js";

let offset = 0; // milliseconds that the server's clock is ahead of this browser's

/** Learn the server's clock from a time it has just sent (ISO 8601). */
export function synchronise(iso) {
  const ahead = Date.parse(iso) - Date.now();
  if (Number.isFinite(ahead)) offset = Math.abs(ahead) < 1000 ? 0 : ahead;
}

/** Milliseconds since the epoch, by the server's clock. */
export function now() {
  return Date.now() + offset;
}

/**
 * A `<time>` that shows how long ago `iso` was, and goes on counting by itself.
 *
 * @param {string|null} iso
 * @param {{suffix?: string}} [options] " ago" unless told
 */
export function ago(iso, { suffix = " ago" } = {}) {
  const element = h("time", { class: "age", dataset: { suffix } });
  setAgo(element, iso);
  return element;
}

/** Let `element`, made by `ago`, count from `iso`. */
export function setAgo(element, iso) {
  if (element.getAttribute("datetime") !== (iso ?? "")) {
    element.setAttribute("datetime", iso ?? "");
    if (iso) element.title = new Date(iso).toLocaleString("en-US", { dateStyle: "medium", timeStyle: "medium" });
  }
  show(element);
}

/** Let all ages of the page tick, once a second. */
export function startTicking() {
  setInterval(() => document.querySelectorAll("time.age").forEach(show), 1000);
}

function show(element) {
  const then = Date.parse(element.getAttribute("datetime"));
  const seconds = Number.isFinite(then) ? Math.max(0, (now() - then) / 1000) : null;
  const text = seconds === null ? "–" : seconds < 1 ? "now" : age(seconds) + element.dataset.suffix;
  if (element.textContent !== text) element.textContent = text;
}
