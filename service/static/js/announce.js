/** Announcements for screen readers: one polite live region, rate-limited; the newest announcement wins. */

import { tellIn } from "./dom.js";

const GAP_MS = 5000;
const URGENT_MS = 1000;
let region = null;
let waiting = null;
let last = 0;
let timer = null;

/** Take `element` (`aria-live="polite"`, in the page from the start) as the place where sentences are spoken. */
export function startAnnouncing(element) {
  region = element;
}

/**
 * Say `text`; when sentences come faster than one in 5 seconds, only the newest of them is said.
 *
 * @param {string} text
 * @param {{urgent?: boolean}} [options] `urgent`: what the viewer did or must know waits for a second at most
 */
export function announce(text, { urgent = false } = {}) {
  waiting = text;
  if (timer !== null && !urgent) return;
  clearTimeout(timer);
  timer = setTimeout(speak, Math.max(0, last + (urgent ? URGENT_MS : GAP_MS) - Date.now()));
}

/**
 * Show in `node` what came of an action, and say it.
 *
 * @param {HTMLElement} node
 * @param {string} text
 * @param {{wrong?: boolean}} [options] of `tellIn`
 */
export function tellAloud(node, text, options) {
  tellIn(node, text, options);
  announce(text, { urgent: true });
}

function speak() {
  timer = null;
  last = Date.now();
  if (region) region.textContent = waiting;
}
