/** The x-axis of a run's curves: steps, examples seen, wall time or bytes sent. */

import { throttle } from "../dom.js";
import { byteUnit } from "../format.js";

const REFRESH_MS = 2000;
const FEW = 8; // steps
const TITLES = {
  examples: "Training examples seen",
  seconds: "Seconds since start",
  bytes: "Traffic (up + down)",
};

/** The x-axis that the viewer chose, and the place of each step on it. */
export class Axes {
  /**
   * @param {object} model
   * @param {object} parts
   * @param {(path: string) => Promise<object>} parts.fetchJSON
   * @param {string} parts.chosen "step", "examples", "seconds" or "bytes"
   */
  constructor(model, { fetchJSON, chosen }) {
    Object.assign(this, { model, fetchJSON });
    this.chosen = chosen in TITLES ? chosen : "step";
    this.places = new Map();
    this.listeners = new Set();
    this.load = throttle(() => this.#load(), REFRESH_MS);
    if (this.chosen !== "step") this.load();
  }

  /** Choices as `[key, words]`. */
  get options() {
    const steps = this.model.unit === "round" ? "Round" : "Epoch";
    const shared = [["step", steps], ["examples", "Examples"], ["seconds", "Time"]];
    return this.model.unit === "round" ? [...shared, ["bytes", "Bytes"]] : shared;
  }

  get title() {
    if (this.chosen === "bytes") return `${TITLES.bytes} (${this.#sent().unit})`;
    return TITLES[this.chosen] ?? (this.model.unit === "round" ? "Server round" : "Epoch");
  }

  choose(key) {
    this.chosen = key;
    if (key !== "step") this.load();
    this.listeners.forEach((listener) => listener());
  }

  listen(listener) {
    this.listeners.add(listener);
  }

  /** Steps have been added: their places are asked for when the axis needs them. */
  grow() {
    if (this.chosen !== "step") this.load();
  }

  /** Where a curve's points lie, in a new array (Plotly looks for changes by identity); null: not known yet. */
  of(series) {
    if (this.chosen === "step") return series.x.slice();
    const unit = this.#unit();
    return series.x.map((step) => (this.places.has(step) ? this.places.get(step) / unit : null));
  }

  /** Where one step lies; null: not known yet. */
  at(step) {
    if (this.chosen === "step") return step;
    return this.places.has(step) ? this.places.get(step) / this.#unit() : null;
  }

  /** Plotly's axis. */
  layout() {
    const { chosen } = this;
    return { title: this.title, unifiedhovertitle: { text: this.#hover() }, rangemode: chosen === "step" ? "normal" : "tozero",
      ...(chosen === "step" && this.#steps() < FEW ? { dtick: 1 } : {}), // half a round is no tick
      ...(chosen === "examples" ? { tickformat: "~s" } : {}) };
  }

  /** What a place is called in the label beside the pointer. */
  #hover() {
    if (this.chosen === "examples") return "%{x:,d} examples";
    if (this.chosen === "seconds") return "%{x:.1f} s";
    if (this.chosen === "bytes") return `%{x:,.3~f} ${this.#sent().unit}`;
    return `${this.model.unit === "round" ? "Round" : "Epoch"} %{x}`;
  }

  destroy() {
    this.load.cancel();
    this.listeners.clear();
  }

  /** Up to where the longest curve goes: a run need not have any metric of its own. */
  #steps() {
    let last = 0;
    for (const series of this.model.series.values()) last = Math.max(last, series.x.at(-1) ?? 0);
    return last;
  }

  /** What the axis counts in: Plotly writes no space between a number and its unit. */
  #unit() {
    return this.chosen === "bytes" ? this.#sent().size : 1;
  }

  #sent() {
    return byteUnit(Math.max(0, ...this.places.values()));
  }

  async #load() {
    let steps;
    try {
      steps = await this.fetchJSON(`/api/runs/${this.model.id}/steps`);
    } catch (error) {
      console.warn("the x-axis could not be loaded:", error.message);
      return;
    }
    const values = steps[this.chosen];
    if (!values) return;
    this.places = new Map(steps.step.map((step, i) => [step, values[i]]).filter(([, place]) => place !== null));
    this.listeners.forEach((listener) => listener());
  }
}
