/** State of the run on the page: loaded once, then updated by the stream. */

import { Series, keyOf } from "./series.js";

/** Nothing yet. `metrics`: keys such as `val/accuracy`, of aggregates; `ofClients`: of clients, with their ids. */
const noChanges = () => ({
  run: false, clients: false, rounds: false, evaluations: false, connection: false,
  metrics: new Set(), ofClients: new Map(),
});

const KEYED = new Set(["rounds", "evaluations", "clients"]);

/**
 * State of one run.
 *
 * A row is taken once: what is not newer than `cursor` is counted in `repeated` and ignored. Records with a
 * key (rounds, evaluations, clients, the run) replace what was there.
 */
export class RunModel {
  /**
   * @param {object} parts
   * @param {number} parts.id
   * @param {(path: string) => Promise<object>} parts.fetchJSON
   * @param {Function} parts.openStream as in `stream.js`
   * @param {(callback: Function) => void} parts.frame such as `requestAnimationFrame`
   */
  constructor({ id, fetchJSON, openStream, frame }) {
    Object.assign(this, { id, fetchJSON, openStream, frame });
    this.run = null;
    this.series = new Map();
    this.finals = new Map(); // rows without a step: the test of the chosen model
    this.rounds = new Map();
    this.evaluations = new Map();
    this.clients = new Map();
    this.held = 0; // points of the snapshot: of a client's local epochs in a round, it has the last
    this.since = 0; // the id of the snapshot's newest row
    this.streamed = 0;
    this.repeated = 0;
    this.cursor = 0;
    this.newest = null; // milliseconds since 1970, of the newest row
    this.connection = { state: "connecting", retryAt: null, reason: null };
    this.listeners = new Set();
    this.rowListeners = new Set();
    this.onRound = null; // called with the number of a round, or epoch, that has ended
    this.onEnd = null; // called with the status in which the run has ended
    this.curves = null; // promise of the snapshot
    this.stream = null;
    this.closed = false;
    this.version = 0;
    this.pending = null;
  }

  get unit() {
    return this.run?.training_mode === "federated" ? "round" : "epoch";
  }

  get finished() {
    return ["completed", "failed", "stopped"].includes(this.run.status);
  }

  /** Load what the run is, all but its curves, which begin to load too. */
  async load() {
    this.curves = this.fetchJSON(`/api/runs/${this.id}/series`);
    this.curves.catch(() => {}); // told by `open`, which may never come
    const detail = await this.fetchJSON(`/api/runs/${this.id}`);
    this.#merge(detail, { newest: true });
  }

  /** Wait for the curves, and follow the stream from where they end. */
  async open() {
    const snapshot = await this.curves;
    if (this.closed) return;
    for (const given of snapshot.series) {
      const series = Series.from(given);
      this.series.set(keyOf(series.stage, series.name, series.clientId), series);
      this.#note(series.time.at(-1));
    }
    const points = snapshot.series.reduce((sum, series) => sum + series.total, 0);
    const rest = this.run.latest.filter((row) => this.#stepOf(row) === null && row.id <= snapshot.cursor);
    this.held = points + rest.length;
    this.since = this.cursor = snapshot.cursor;
    this.#follow();
  }

  close() {
    this.closed = true;
    this.stream?.close();
    this.listeners.clear();
    this.rowListeners.clear();
  }

  /** Call `listener` with what has changed, at most once a frame. */
  listen(listener) {
    this.listeners.add(listener);
  }

  /** Call `listener` with each row of the stream. */
  listenToRows(listener) {
    this.rowListeners.add(listener);
  }

  curve(stage, name, clientId = null) {
    return this.series.get(keyOf(stage, name, clientId));
  }

  /** Metric keys (`stage/name`) with an aggregate, or those that clients have. */
  metricKeys({ ofClients = false } = {}) {
    const keys = new Set();
    for (const series of this.series.values()) {
      if ((series.clientId !== null) === ofClients) keys.add(series.metric);
    }
    return [...keys];
  }

  /** Load everything but the curves again. */
  async refresh() {
    const before = this.version;
    const detail = await this.fetchJSON(`/api/runs/${this.id}`);
    if (!this.closed) this.#merge(detail, { newest: before === this.version });
  }

  #follow() {
    const quietly = (error) => console.warn("the run could not be reloaded:", error.message);
    let greeted = false;
    this.stream = this.openStream(`/ws/runs/${this.id}`, {
      after: this.cursor,
      onState: (state, more = {}) => {
        this.connection = { state, retryAt: more.retryAt ?? null, reason: more.reason ?? null };
        greeted = greeted && (state === "live" || state === "stale");
        this.#changed({ connection: true });
      },
      onMessages: (messages) => {
        const over = this.finished; // when it was loaded, or last refreshed: then nothing is missing
        messages.forEach((message) => this.#apply(message));
        // A record may have become visible between `load` and this connection; an end leaves a summary and files.
        const missing = !greeted || messages.some((message) => message.type === "training_end");
        if (missing && !over) this.refresh().catch(quietly);
        greeted = true;
      },
    });
  }

  #apply(message) {
    if (message.run_id !== this.id) return;
    const { type, rows = [] } = message;
    rows.forEach((row) => this.#take(row));
    if (type === "heartbeat") return;
    this.version += 1;
    if (message.run) {
      Object.assign(this.run, message.run);
      this.#changed({ run: true });
    }
    if (message.clients) this.#put("clients", message.clients, "client_id");
    if (message.evaluation) this.#put("evaluations", [message.evaluation], "round");
    if (message.record) {
      const known = this.rounds.has(message.record.round);
      this.#put("rounds", [message.record], "round");
      if (!known) this.onRound?.(message.record.round);
    }
    if (type === "epoch_end" && message.stage === "train") this.onRound?.(message.epoch);
    if (type === "training_end") this.onEnd?.(message.status);
    if (type === "early_stopping") this.run.stop_reason = message.reason;
    if (type === "error") this.run.error = message.message;
    if (type === "early_stopping" || type === "error") this.#changed({ run: true });
  }

  #take(row) {
    if (row.id <= this.cursor) {
      this.repeated += 1;
      return;
    }
    this.cursor = row.id;
    this.streamed += 1;
    this.#note(Date.parse(row.time));
    const step = this.#stepOf(row);
    const metric = `${row.stage}/${row.name}`;
    if (step === null) {
      if (row.client_id === null) this.finals.set(metric, row.value);
    } else {
      const key = keyOf(row.stage, row.name, row.client_id);
      if (!this.series.has(key)) {
        const { stage, name, client_id: clientId } = row;
        this.series.set(key, new Series({ stage, name, clientId }));
      }
      this.series.get(key).add({ ...row, step });
    }
    for (const listener of this.rowListeners) listener(row);
    const { metrics, ofClients } = this.#changed({});
    if (row.client_id === null) metrics.add(metric);
    else if (ofClients.has(metric)) ofClients.get(metric).add(row.client_id);
    else ofClients.set(metric, new Set([row.client_id]));
  }

  #stepOf(row) {
    return this.unit === "round" ? row.round : row.epoch;
  }

  #merge(detail, { newest }) {
    const { rounds, evaluations, clients } = detail;
    // Where the stream has spoken meanwhile, what it said about the run is newer.
    const taken = ([name]) => !KEYED.has(name) && (newest || !(name in this.run));
    this.run = { ...this.run, ...Object.fromEntries(Object.entries(detail).filter(taken)) };
    const absent = (held, key) => (record) => newest || !held.has(record[key]);
    this.#put("clients", clients.filter(absent(this.clients, "client_id")), "client_id");
    this.#put("rounds", rounds.filter(absent(this.rounds, "round")), "round");
    this.#put("evaluations", evaluations.filter(absent(this.evaluations, "round")), "round");
    this.#note(Date.parse(this.run.last_event ?? ""));
    for (const [name, value] of Object.entries(this.run.summary?.test ?? {})) {
      if (typeof value === "number") this.finals.set(`test/${name}`, value);
    }
    this.#changed({ run: true });
  }

  #put(what, records, key) {
    if (!records.length) return;
    for (const record of records) this[what].set(record[key], record);
    this.#changed({ [what]: true });
  }

  #note(time) {
    if (time) this.newest = Math.max(this.newest ?? 0, time);
  }

  #changed(flags) {
    if (this.pending === null) {
      this.pending = noChanges();
      this.frame(() => this.#flush());
    }
    return Object.assign(this.pending, flags);
  }

  #flush() {
    const changes = this.pending;
    this.pending = null;
    if (this.closed || !this.run) return;
    for (const listener of this.listeners) listener(changes);
  }
}
