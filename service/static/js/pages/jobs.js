/** The queue: jobs with their place, state and progress, and schedules; whoever may train also moves and ends them. */

import { change, mayAdminister, mayTrain } from "../access.js";
import { announce } from "../announce.js";
import { isAbort, withQuery } from "../api.js";
import { ago } from "../clock.js";
import { h, replace, setText, tellIn } from "../dom.js";
import { dateTime, modeName, plural } from "../format.js";
import { actionButton, jobActions, jobProgress, statusLine } from "../jobs/parts.js";
import { poll } from "../jobs/poll.js";
import { readWorkers, workersPart } from "../jobs/workers.js";
import { confirmed } from "../dialog.js";
import { commandLine, errorPanel, loadingPanel } from "../notice.js";
import { navigate, setParams } from "../router.js";

const LIMIT = 50;
const SCHEDULES = 200; // of the server
const STATUSES = ["queued", "running", "completed", "failed", "cancelled"];

/**
 * Mount the queue.
 *
 * @param {HTMLElement} root
 * @param {{params: object, getJSON: Function}} context
 * @returns {() => void} unmount
 */
export function mount(root, { params, getJSON }) {
  const request = new AbortController();
  const { signal } = request;
  let status = STATUSES.includes(params.status) ? params.status : "";
  let pages = 1;
  let drawn = "";

  const summary = h("p", { class: "page-summary" });
  const told = h("p", { class: "model-status", role: "status", tabindex: "-1" });
  const tell = (text, options) => tellIn(told, text, options);
  const which = h("select", { class: "select", "aria-label": "Status", on: { change: () => {
    status = which.value;
    pages = 1;
    setParams({ status });
    polled.now();
  } } }, h("option", { value: "", text: "Any status" }), STATUSES.map((one) => h("option", { value: one, text: one })));
  which.value = status;
  const place = h("div", {}, loadingPanel("Loading jobs…"));
  const schedulesPlace = h("section", { class: "job-part", "aria-labelledby": "schedules-title" });
  const workersPlace = h("section", { class: "job-part", "aria-labelledby": "workers-title" });
  const older = h("button", { class: "button", type: "button", text: "Show older jobs", hidden: true, on: { click: () => {
    pages += 1;
    polled.now();
  } } });
  replace(root, h("div", { class: "page-head" }, h("h1", { text: "Jobs" }), summary,
    mayAdminister() && h("a", { class: "button", href: "/webhooks", text: "Webhooks" }),
    mayTrain() && h("a", { class: "button primary", href: "/submit", text: "New training" })),
  h("div", { class: "filters" }, which, told), place, h("div", { class: "runs-foot job-foot" }, older), schedulesPlace, workersPlace);

  async function read() {
    const jobs = [];
    let next = null;
    for (let page = 0; page < pages && (page === 0 || next !== null); page += 1) {
      const answer = await getJSON(withQuery("/api/jobs", { status, limit: LIMIT, before: next }), { signal });
      jobs.push(...answer.jobs);
      next = answer.next;
    }
    const { schedules } = await getJSON(`/api/schedules?limit=${SCHEDULES}`, { signal });
    return { jobs, next, schedules, workers: await readWorkers(getJSON, signal) };
  }

  function draw({ jobs, next, schedules, workers }) {
    older.hidden = next === null;
    const active = jobs.some((job) => job.status === "running" || job.status === "queued");
    const running = jobs.filter((job) => job.status === "running").length;
    setText(summary, [running && `${running} running`, `${plural(jobs.length, "job")}${next === null ? "" : " shown"}`].filter(Boolean).join(", "));
    const words = JSON.stringify([jobs, schedules, workers]);
    if (words !== drawn) {
      drawn = words;
      const focused = document.activeElement?.dataset?.act;
      replace(place, jobs.length ? h("ul", { class: "job-list" }, jobs.map(jobRow)) : nothingYet(status));
      replace(schedulesPlace, schedules.length > 0 && [h("h2", { id: "schedules-title", text: "Schedules" }),
        h("ul", { class: "job-list" }, schedules.map(scheduleRow))]);
      schedulesPlace.hidden = !schedules.length;
      replace(workersPlace, workers && workersPart(workers));
      workersPlace.hidden = workers === null;
      // What is redrawn must not take the focus along.
      if (focused) (root.querySelector(`[data-act="${CSS.escape(focused)}"]`) ?? told).focus();
    }
    return active;
  }

  async function act(method, path, body, words) {
    try {
      const answer = await change(method, path, body, { signal });
      const done = typeof words === "function" ? words(answer) : words;
      tell(done);
      announce(done, { urgent: true });
      await polled.now();
    } catch (error) {
      if (!isAbort(error)) tell(error.message, { wrong: true });
    }
  }

  function jobRow(job) {
    return h("li", {},
      h("div", {}, h("div", { class: "job-name" }, h("a", { href: `/jobs/${job.id}`, text: job.name }), h("span", { class: "run-number", text: `#${job.id}` })),
        h("div", { class: "job-about" }, [modeName(job.mode), `priority ${job.priority}`, ...job.tags].join(" · "), " · ", ago(job.created))),
      h("div", {}, statusLine(job), jobProgress(job)),
      h("div", { class: "job-actions" }, job.run_id !== null && h("a", { class: "button small", href: `/runs/${job.run_id}`, text: `Run ${job.run_id}` }),
        mayTrain() && jobActions(job, act)));
  }

  function scheduleRow(one) {
    const path = `/api/schedules/${one.id}`;
    const name = `schedule ${one.id}`;
    return h("li", {},
      h("div", {}, h("div", { class: "job-name" }, h("strong", { text: one.name }), h("span", { class: "run-number", text: name })),
        h("div", { class: "job-about" }, h("code", { text: one.cron }), ` ${one.time_zone} · ${[modeName(one.mode), `priority ${one.priority}`, ...one.tags].join(" · ")}`)),
      h("div", {}, h("span", { class: `status ${one.paused ? "paused" : "active"}`, text: one.paused ? "paused" : "active" }),
        h("div", { class: "job-about" }, one.paused ? null : `next ${dateTime(one.next_at)}`,
          one.last_job_id !== null && [one.paused ? "" : " · ", h("a", { href: `/jobs/${one.last_job_id}`, text: `last: job ${one.last_job_id}` })])),
      h("div", { class: "job-actions" }, mayTrain() && [
        actionButton("Run now", `run ${name}`, `Run ${name} now`, () => act("POST", `${path}/run`, null, (job) => `Job ${job.id} is queued.`)),
        one.paused
          ? actionButton("Continue", `pause ${name}`, `Continue ${name}`, () => act("PATCH", path, { paused: false }, `Schedule ${one.id} continues.`))
          : actionButton("Pause", `pause ${name}`, `Pause ${name}`, () => act("PATCH", path, { paused: true }, `Schedule ${one.id} is paused.`)),
        actionButton("Delete", `delete ${name}`, `Delete ${name}`, async () => {
          const sure = await confirmed({ title: `Delete schedule ${one.id}?`, action: "Delete schedule",
            body: [h("p", {}, `${one.name}, `, h("code", { text: one.cron }), ". No further jobs are queued; the jobs and runs that it made stay.")] });
          if (sure) await act("DELETE", path, null, `Schedule ${one.id} is deleted.`);
        })]));
  }

  const polled = poll(async () => draw(await read()), (error) => {
    if (!drawn) replace(place, errorPanel(error, { retry: () => navigate("/jobs") }));
  });
  return () => {
    request.abort();
    polled.stop();
  };
}

function nothingYet(status) {
  if (status) return h("div", { class: "notice" }, h("p", { text: `No job is ${status}.` }));
  return h("div", { class: "notice start" }, h("h2", { text: "No jobs yet" }),
    h("p", { text: "Trainings that are submitted here or over HTTP wait in this queue. A worker runs them, one at a time." }),
    commandLine("fedtwin worker", "Start a worker on this machine:"));
}
