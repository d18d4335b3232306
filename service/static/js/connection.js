/** The connection badge in the header: state of the page's streams (live, stale, waiting, rejected). */

import { announce } from "./announce.js";
import { h, replace, setText } from "./dom.js";
import { age } from "./format.js";

const WORST_FIRST = ["refused", "waiting", "stale", "connecting", "live"];

/** Show in `place` the state of whichever open stream is worst; nothing while no stream is open. */
export function startConnectionBadge(place) {
  const streams = new Map();
  const word = h("span", { class: "connection-text" });
  const again = h("button", { class: "button small", type: "button", text: "Retry now",
    on: { click: () => streams.forEach((stream) => stream.retry()) } });
  replace(place, h("span", { class: "dot", "aria-hidden": "true" }), word, again);
  let told = null;

  function draw() {
    const all = [...streams.values()];
    const worst = WORST_FIRST.map((state) => all.find((one) => one.state === state)).find(Boolean) ?? null;
    place.hidden = worst === null;
    if (worst === null) return;
    place.dataset.state = worst.state;
    again.hidden = worst.state !== "waiting" && worst.state !== "refused";
    setText(word, words(worst));
    const lost = worst.state === "waiting" || worst.state === "refused";
    if (lost && told !== "lost") announce("Connection lost. Showing the latest data received.", { urgent: true });
    if (worst.state === "live" && told === "lost") announce("Reconnected.", { urgent: true });
    if (lost || worst.state === "live") told = lost ? "lost" : "live";
  }

  window.addEventListener("fedtwin-connection", ({ detail }) => {
    if (detail.state === "closed") streams.delete(detail.key);
    else streams.set(detail.key, detail);
    draw();
  });
  setInterval(draw, 1000);
  draw();
}

function words({ state, retryAt, lastEvent, reason }) {
  if (state === "live") return "Live";
  if (state === "connecting") return "Connecting…";
  if (state === "stale") return `No data for ${age((Date.now() - lastEvent) / 1000)}`;
  if (state === "refused") return reason;
  return `Reconnecting in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`;
}
