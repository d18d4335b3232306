/** One curve in memory: a stage, a name and a client (or the aggregate); `model` appends the rows that stream in. */

export const MOST_POINTS = 4000;

export const keyOf = (stage, name, clientId) => `${stage}/${name}/${clientId ?? ""}`;

/** Points by ascending step; past `MOST_POINTS` they are thinned, minima, maxima and gaps stay. */
export class Series {
  constructor({ stage, name, clientId = null }) {
    Object.assign(this, { stage, name, clientId });
    this.x = [];
    this.y = []; // null where the value is not finite
    this.time = []; // milliseconds since 1970
    this.thinned = false; // whether steps are left out
  }

  get metric() {
    return `${this.stage}/${this.name}`;
  }

  get length() {
    return this.x.length;
  }

  /** What `/api/runs/ID/series` says of one curve. */
  static from(given) {
    const series = new Series({ ...given, clientId: given.client_id });
    series.x = given.x.slice();
    series.y = given.y.slice();
    series.time = given.time.slice();
    series.thinned = given.sampled;
    return series;
  }

  /** Add a row; of several local epochs in a round the last one stands for the round, as in the aggregate. */
  add({ step, value, time }) {
    let place = this.x.length;
    while (place > 0 && this.x[place - 1] > step) place -= 1; // rows of a repeated round may come late
    const known = place > 0 && this.x[place - 1] === step;
    const point = { x: step, y: value, time: Date.parse(time) };
    for (const [column, item] of Object.entries(point)) {
      this[column].splice(known ? place - 1 : place, known ? 1 : 0, item);
    }
    if (this.x.length > MOST_POINTS) this.#thin();
  }

  /** The newest value that is a number, or null. */
  last() {
    for (let i = this.y.length - 1; i >= 0; i -= 1) if (this.y[i] !== null) return this.y[i];
    return null;
  }

  /** The point at one step, or null. */
  at(step) {
    let first = 0;
    let end = this.x.length;
    while (first < end) {
      const middle = (first + end) >> 1;
      if (this.x[middle] < step) first = middle + 1;
      else end = middle;
    }
    return this.x[first] === step ? { value: this.y[first], time: this.time[first] } : null;
  }

  #thin() {
    const keep = extremes(this.y, MOST_POINTS / 2);
    for (const column of ["x", "y", "time"]) {
      this[column] = keep.map((i) => this[column][i]);
    }
    this.thinned = true;
  }
}

/**
 * Places that keep a curve's look: the first and the last, and of each bucket its minimum, maximum and first gap.
 * @param {(number|null)[]} y
 * @param {number} most at least 8; a little fewer are kept, unless there are many gaps
 * @returns {number[]} ascending
 */
export function extremes(y, most) {
  if (y.length <= most) return y.map((_, i) => i);
  const kept = new Set([0, y.length - 1]);
  const buckets = Math.floor(most / 2) - 1;
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const from = Math.floor((bucket * y.length) / buckets);
    const to = Math.floor(((bucket + 1) * y.length) / buckets);
    let low = null;
    let high = null;
    let gap = null;
    for (let i = from; i < to; i += 1) {
      if (y[i] === null) gap ??= i;
      else {
        if (low === null || y[i] < y[low]) low = i;
        if (high === null || y[i] > y[high]) high = i;
      }
    }
    for (const place of [low, high, gap]) if (place !== null) kept.add(place);
  }
  return [...kept].sort((a, b) => a - b);
}
