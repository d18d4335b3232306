/** Time spans of what happened in a round, derived from its stored rows. */

const SLOW = 1.5; // times the median of the round
const FEWEST = 3; // replies, for a median that says something

/**
 * What happened in a round, as spans.
 *
 * All times are milliseconds since 1970 by the server's clock: the rows of a reply are stored when it is accepted, and
 * it came `reply_seconds` after its message was sent.
 *
 * @param {object} model
 * @param {number} round
 * @param {object[]} rows its stored rows
 * @returns {object[]} `{round, client, kind, from, to, trained, outcome, reason, slow}`: `client` is null for the server;
 *   `kind` is "train", "val", "aggregate" or "test"; `trained` is how many seconds the client says it trained, or null;
 *   `outcome` is "replied", "refused" (a rejected reply) or "silent" (no reply)
 */
export function spansOf(model, round, rows) {
  const record = model.rounds.get(round) ?? null;
  const before = model.rounds.get(round - 1)?.ended ?? null;
  const train = exchange(rows, "train");
  train.sent ??= record || train.replies.size ? Date.parse(record?.began ?? before ?? model.run.started) : null;
  const val = exchange(rows, "val");
  const tested = rows.find((row) => row.stage === "test" && row.client_id === null);
  const spans = [...exchanged(train, { stage: "train", round, record }), ...exchanged(val, { stage: "val", round, record })];
  const serve = (kind, from, to) => {
    if (from === null || to === null || to < from) return;
    spans.push({ round, client: null, kind, from, to, trained: null, outcome: "replied", reason: null, slow: false });
  };
  if (val.sent !== null) serve("aggregate", train.done, val.sent);
  serve("test", val.done ?? train.done, tested ? Date.parse(tested.time) : null);
  return spans;
}

/** The middle of some numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** One message to each client and its replies: when it was sent, who replied when, when all were judged. */
function exchange(rows, stage) {
  const replies = new Map();
  const reply = (client) => {
    if (!replies.has(client)) replies.set(client, { client, seconds: null, accepted: null, trained: null });
    return replies.get(client);
  };
  let done = null;
  for (const row of rows) {
    if (row.stage !== stage || row.client_id === null) continue;
    const time = Date.parse(row.time);
    if (row.name === "reply_seconds" || row.name === "bytes_down") done = time; // written when all were judged
    if (row.name === "reply_seconds") reply(row.client_id).seconds = row.value;
    if (row.name === "loss") reply(row.client_id).accepted = time;
    if (row.name === "seconds") reply(row.client_id).trained = (reply(row.client_id).trained ?? 0) + row.value;
  }
  const timed = [...replies.values()].filter((one) => one.seconds !== null);
  const starts = timed.filter((one) => one.accepted !== null).map((one) => one.accepted - one.seconds * 1000);
  let sent = starts.length ? Math.min(...starts) : null;
  if (timed.length) sent ??= done - Math.max(...timed.map((one) => one.seconds)) * 1000;
  return { replies, sent, done };
}

function exchanged({ replies, sent, done }, { stage, round, record }) {
  if (sent === null) return [];
  const slow = slowClients([...replies.values()]);
  const spans = [...replies.values()].map(({ client, seconds, accepted, trained }) => {
    const reason = record?.failed[client] ?? "";
    const refused = accepted === null && reason.startsWith(`${stage}:`);
    return { round, client, kind: stage, from: sent, to: seconds === null ? accepted : sent + seconds * 1000, trained,
      outcome: refused ? "refused" : "replied", reason: refused ? reason : null, slow: slow.has(client) };
  });
  for (const [text, reason] of Object.entries(record?.failed ?? {})) {
    const client = Number(text);
    if (replies.has(client) || !reason.startsWith(`${stage}:`) || done === null) continue;
    spans.push({ round, client, kind: stage, from: sent, to: done, trained: null, outcome: "silent", reason, slow: false });
  }
  return spans;
}

function slowClients(replies) {
  const timed = replies.filter((reply) => reply.seconds !== null);
  if (timed.length < FEWEST) return new Set();
  const limit = SLOW * median(timed.map((reply) => reply.seconds));
  return new Set(timed.filter((reply) => reply.seconds > limit).map((reply) => reply.client));
}
