/** What the queue and the page of one job both show: state, progress, and what may be done with a job. */

import { h } from "../dom.js";
import { confirmed } from "../dialog.js";
import { dateTime } from "../format.js";

const PRIORITIES = ["critical", "high", "normal", "low"];
const ACTIVE = ["queued", "running"];

/** The state of a job, and what it waits for or why it failed. */
export function statusLine(job) {
  const about = aboutStatus(job);
  return h("div", { class: "status-line" }, h("span", { class: `status ${job.status}`, text: job.status }),
    about && h("span", { class: `job-about${job.status === "failed" ? " wrong" : ""}`, text: about }));
}

function aboutStatus(job) {
  if (job.status === "running") return job.cancel_requested ? "stopping" : job.progress ? job.progress.step : "starting";
  if (job.status === "queued") {
    if (job.position !== null) return `place ${job.position} in the queue`;
    return `not before ${dateTime(job.run_after)}${job.failures ? `, after failure ${job.failures} (${job.error_code})` : ""}`;
  }
  return job.status === "failed" ? job.error_code : null;
}

/** How far a running job has come; null before there is a figure. */
export function jobProgress(job) {
  if (job.status !== "running" || !job.progress) return null;
  const { percent } = job.progress;
  return h("div", { class: "bar", role: "progressbar", "aria-label": `Progress of job ${job.id}`, "aria-valuemin": "0", "aria-valuemax": "100",
    "aria-valuenow": percent, "aria-valuetext": `${percent} %` }, h("div", { class: "bar-fill", style: { width: `${percent}%` } }));
}

/** A small button; `act` names it across redraws, `words` for screen readers. */
export function actionButton(text, act, words, onClick) {
  return h("button", { class: "button small", type: "button", text, "aria-label": words, dataset: { act }, on: { click: onClick } });
}

/**
 * What may be done with a job.
 *
 * @param {object} job
 * @param {(method: string, path: string, body: object|null, words: string) => Promise<void>} act
 */
export function jobActions(job, act) {
  const path = `/api/jobs/${job.id}`;
  const name = `job ${job.id}`;
  return [job.status === "queued" && prioritySelect(job, act),
    ACTIVE.includes(job.status) && !job.cancel_requested && actionButton("Cancel", `cancel ${name}`, `Cancel ${name}`, async () => {
      const running = job.status === "running";
      const sure = !running || await confirmed({ title: `Cancel job ${job.id}?`, action: "Cancel the training",
        body: [h("p", { text: `${job.name} is training. It stops with its last checkpoint; Retry resumes it from there.` })] });
      if (sure) await act("DELETE", path, null, running ? `Job ${job.id} is being stopped.` : `Job ${job.id} is cancelled.`);
    }),
    ["failed", "cancelled"].includes(job.status)
      && actionButton("Retry", `retry ${name}`, `Retry ${name}`, () => act("POST", `${path}/retry`, null, `Job ${job.id} is queued again.`))];
}

function prioritySelect(job, act) {
  const select = h("select", { class: "select", "aria-label": `Priority of job ${job.id}`, dataset: { act: `priority job ${job.id}` }, on: { change: () => act(
    "PATCH", `/api/jobs/${job.id}`, { priority: select.value }, `Job ${job.id} has the priority ${select.value}.`) } },
  PRIORITIES.map((one) => h("option", { value: one, text: one })));
  select.value = job.priority;
  return select;
}
