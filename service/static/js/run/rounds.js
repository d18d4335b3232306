/** The stored rows of a few rounds, in full: read when the Gantt chart needs them, then updated by the stream. */

const NAMES = new Set(["loss", "seconds", "reply_seconds", "bytes_down"]);
const CLOSE = 2000; // ids that are read through rather than searched
const PAGE = 5000;
const MOST_ROUNDS = 100;

/** Rows by round; the curves of the page may be thinned out, and hold one local epoch a round. */
export class RoundRows {
  /**
   * @param {object} model
   * @param {{fetchJSON: (path: string) => Promise<object>, onLoad: () => void}} parts
   */
  constructor(model, { fetchJSON, onLoad }) {
    Object.assign(this, { model, fetchJSON, onLoad });
    this.rows = new Map(); // round to rows by id
    this.complete = new Set();
    // Later rounds come with the stream, whole.
    this.behind = Math.max(0, ...[...model.series.values()].map((series) => series.x.at(-1) ?? 0));
    this.loading = null;
    model.listenToRows((row) => this.#keep(row));
  }

  /** The rows of a round, as far as they are known. */
  of(round) {
    return [...(this.rows.get(round)?.values() ?? [])];
  }

  /** Whether all rows of some rounds are here, or will come with the stream. */
  has(rounds) {
    return rounds.every((round) => round > this.behind || this.complete.has(round));
  }

  /** See to it that some rounds are read; `onLoad` is called when they are. */
  async want(rounds) {
    const missing = rounds.filter((round) => round <= this.behind && !this.complete.has(round));
    if (!missing.length || this.loading) return;
    this.loading = this.#read(missing[0], missing.at(-1));
    try {
      await this.loading;
      for (let round = missing[0]; round <= missing.at(-1); round += 1) this.complete.add(round);
    } catch (error) {
      console.warn("the rows of rounds could not be loaded:", error.message);
      return;
    } finally {
      this.loading = null;
    }
    this.#prune(rounds);
    this.onLoad();
  }

  async #read(first, last) {
    let after = await this.#before(first);
    for (;;) {
      const { rows, cursor, more } = await this.#page(after, PAGE);
      rows.forEach((row) => this.#keep(row));
      if (!more || rows.some((row) => row.round > last)) return;
      after = cursor;
    }
  }

  /** An id before all rows of a round: rows are stored in the order of their rounds. */
  async #before(round) {
    let low = 0;
    let high = this.model.cursor;
    while (high - low > CLOSE) {
      const middle = Math.floor((low + high) / 2);
      const { rows } = await this.#page(middle, 20);
      const found = rows.find((row) => row.round !== null)?.round ?? Infinity;
      if (found < round) low = middle;
      else high = middle;
    }
    return low;
  }

  #page(after, limit) {
    return this.fetchJSON(`/api/runs/${this.model.id}/metrics?after=${after}&limit=${limit}`);
  }

  #keep(row) {
    if (row.round === null || !NAMES.has(row.name)) return;
    if (!this.rows.has(row.round)) this.rows.set(row.round, new Map());
    this.rows.get(row.round).set(row.id, row);
  }

  #prune(wanted) {
    for (const round of [...this.rows.keys()].sort((a, b) => a - b)) {
      if (this.rows.size <= MOST_ROUNDS) return;
      if (wanted.includes(round)) continue;
      this.rows.delete(round);
      this.complete.delete(round);
      this.behind = Math.max(this.behind, round);
    }
  }
}

/** The last round of which there is a row or a record. */
export function lastRound(model) {
  let last = Math.max(0, model.curve("train", "loss")?.x.at(-1) ?? 0);
  for (const round of model.rounds.keys()) last = Math.max(last, round);
  return last;
}
