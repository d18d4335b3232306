/** A WebSocket that comes back: resumes at its cursor, with backoff and jitter, and says honestly how it is. */

import { withQuery } from "./api.js";
import { synchronise } from "./clock.js";

const FIRST_WAIT_S = 0.5;
const LONGEST_WAIT_S = 15;
const STALE_MS = 12_000; // the server sends a heartbeat every 5 s
const DEAD_MS = 30_000;
const FINAL = new Map([
  [4404, "No such run."],
  [4401, "Token required: open the URL that `fedtwin serve` printed."],
  [4403, "The server rejected this page's origin."],
]);

/**
 * Follow `path` ("/ws/runs" or "/ws/runs/3") until `close()`.
 *
 * States: "connecting"; "live"; "stale" (open, but silent for longer than heartbeats explain); "waiting" (for the next
 * attempt, at `retryAt`); "refused" (the server said that trying again is of no use, `reason` says why).
 * Each change is also a `fedtwin-connection` event on `window`: the header shows it, pages need do nothing.
 *
 * @param {string} path
 * @param {object} options
 * @param {number} [options.after] id of the last row that the page has; null: no cursor in the URL
 * @param {(messages: object[]) => void} options.onMessages one frame: messages in their order
 * @param {(state: string, details: {retryAt: ?number, lastEvent: ?number, reason: ?string}) => void} [options.onState]
 *   `retryAt` and `lastEvent` (the last frame, heartbeats too) are milliseconds since the epoch
 * @returns {{close: () => void, retry: () => void, cursor: number|null, state: string}}
 */
export function openStream(path, { after = null, onMessages, onState = () => {} }) {
  const key = Symbol(path);
  let cursor = after;
  let state = "connecting";
  let socket = null;
  let attempts = 0;
  let timer = null;
  let lastEvent = null;

  function tell(next, details = {}) {
    state = next;
    const full = { retryAt: null, reason: null, lastEvent, ...details };
    window.dispatchEvent(new CustomEvent("fedtwin-connection", { detail: { key, state, retry, ...full } }));
    if (next !== "closed") onState(next, full);
  }

  function connect() {
    tell("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const own = new WebSocket(`${scheme}//${location.host}${withQuery(path, { after: cursor })}`);
    socket = own;
    own.onopen = () => {
      lastEvent = Date.now();
      tell("live");
    };
    own.onmessage = (event) => {
      if (own === socket) receive(event.data);
    };
    own.onclose = (event) => {
      if (own !== socket) return;
      socket = null;
      if (FINAL.has(event.code)) tell("refused", { reason: FINAL.get(event.code) });
      else wait();
    };
  }

  function receive(text) {
    const messages = JSON.parse(text);
    attempts = 0;
    lastEvent = Date.now();
    for (const message of messages) {
      if (Number.isInteger(message.cursor) && !(message.cursor <= cursor)) cursor = message.cursor;
      if (message.type === "heartbeat") synchronise(message.time);
    }
    if (state !== "live") tell("live");
    onMessages(messages);
  }

  function wait() {
    const longest = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** attempts);
    attempts += 1;
    const retryAt = Date.now() + Math.random() * longest * 1000;
    tell("waiting", { retryAt });
    timer = setTimeout(connect, retryAt - Date.now());
  }

  function retry() {
    if (state !== "waiting" && state !== "refused") return;
    clearTimeout(timer);
    connect();
  }

  function drop() {
    const old = socket;
    socket = null;
    old?.close();
  }

  const watchdog = setInterval(() => {
    if (state !== "live" && state !== "stale") return;
    const silent = Date.now() - lastEvent;
    if (silent > DEAD_MS) {
      drop();
      wait();
    } else if (silent > STALE_MS && state === "live") tell("stale");
  }, 1000);
  window.addEventListener("online", retry);
  connect();

  return {
    close() {
      clearInterval(watchdog);
      clearTimeout(timer);
      window.removeEventListener("online", retry);
      drop();
      if (state !== "closed") tell("closed");
    },
    retry,
    get cursor() { return cursor; },
    get state() { return state; },
  };
}
