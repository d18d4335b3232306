/** The pace of a run: steps done, remaining time, and whether it has gone stale. */

const STEPS = 6; // for the estimate of the remaining time
const STALE_S = 30; // shortest time without rows before a run counts as stale
const STALE_STEPS = 5;

/** Steps done, of how many: `{unit, done, total}`, also between two messages of the server; null for a comparison. */
export function progressOf(model) {
  const given = model.run.progress;
  if (!given) return null;
  let { done } = given;
  if (given.unit === "round") for (const round of model.rounds.keys()) done = Math.max(done, round);
  else done = Math.max(done, model.curve("val", "loss")?.x.at(-1) ?? model.curve("train", "loss")?.x.at(-1) ?? 0);
  return { ...given, done: Math.min(done, given.total ?? done) };
}

/** Seconds of a step, a mean over the newest ones; null before there are two. */
export function secondsPerStep(model) {
  const times = stepTimes(model).slice(-STEPS - 1);
  return times.length > 1 ? (times.at(-1) - times[0]) / 1000 / (times.length - 1) : null;
}

/** Seconds until the last planned step; null where that is not known, as while the run is silent. */
export function secondsLeft(model, now) {
  const progress = progressOf(model);
  const pace = secondsPerStep(model);
  if (model.finished || !progress?.total || pace === null || isSilent(model, now)) return null;
  const sinceLast = (now - stepTimes(model).at(-1)) / 1000;
  return Math.max(0, (progress.total - progress.done) * pace - Math.min(sinceLast, pace));
}

/** Whether a run that should be training has stored nothing for longer than its pace explains. */
export function isSilent(model, now) {
  if (model.finished || model.newest === null) return false;
  return (now - model.newest) / 1000 > Math.max(STALE_S, STALE_STEPS * (secondsPerStep(model) ?? 0));
}

/** The best value of the monitored metric so far: `{key, value}`, or null; while a run goes on, out of its curve. */
export function bestOf(model) {
  const { key, mode } = model.run.monitor;
  const [stage, ...name] = key.split("/");
  const values = model.curve(stage, name.join("/"))?.y.filter((value) => value !== null) ?? [];
  if (model.finished || !values.length) return model.run.best;
  return { key, value: values.reduce((a, b) => (mode === "min" ? Math.min(a, b) : Math.max(a, b))) };
}

function stepTimes(model) {
  if (model.unit === "round") {
    const ended = [...model.rounds.entries()].filter(([round]) => round > 0).sort(([a], [b]) => a - b);
    return ended.map(([, record]) => Date.parse(record.ended));
  }
  return (model.curve("train", "loss") ?? model.curve("val", "loss"))?.time ?? [];
}
