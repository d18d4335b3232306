/** The page of one job: state, progress, what it was asked, what happened to it, and its log as it grows. */

import { change, mayTrain } from "../access.js";
import { announce } from "../announce.js";
import { isAbort } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { dateTime, label, modeName, number } from "../format.js";
import { jobActions, jobProgress, statusLine } from "../jobs/parts.js";
import { poll } from "../jobs/poll.js";
import { errorPanel, loadingPanel } from "../notice.js";
import { navigate } from "../router.js";
import { dataTable } from "../table.js";

const MOST_LINES = 5000; // of the log that the page holds; all are in the file

/**
 * Mount the page.
 *
 * @param {HTMLElement} root
 * @param {{id: number, getJSON: Function}} context
 * @returns {() => void} unmount
 */
export function mount(root, { id, getJSON }) {
  const request = new AbortController();
  const { signal } = request;
  const path = `/api/jobs/${id}`;
  let drawn = "";
  let before = null;

  const head = h("header", { class: "run-header" });
  const told = h("p", { class: "model-status", role: "status", tabindex: "-1" });
  const metrics = h("section", { class: "job-part" });
  const events = h("section", { class: "job-part" });
  const overrides = h("section", { class: "job-part" });
  const log = jobLog({ path, getJSON, signal });
  replace(root, loadingPanel(`Loading job ${id}…`));

  function draw(job) {
    const words = JSON.stringify(job);
    if (words === drawn) return;
    if (!drawn) replace(root, head, told, log.element, metrics, events, overrides);
    drawn = words;
    document.title = `${job.name} · ${job.status} · fedtwin`;
    const focused = document.activeElement?.dataset?.act;
    replace(head, ...headOf(job));
    drawMetrics(job);
    replace(events, h("h2", { text: "What happened" }), dataTable({ caption: "Events", captionHidden: true,
      columns: ["Time", "Event", { label: "Attempt", numeric: true }, "Detail"],
      rows: job.events.map((one) => [dateTime(one.time), one.kind.replaceAll("_", " "), one.attempt, one.detail || null]) }).element);
    replace(overrides, h("h2", { text: "Settings asked for" }), h("pre", { class: "run-log", tabindex: "0", "aria-label": "Settings asked for",
      text: job.overrides.length ? job.overrides.join("\n") : "Defaults alone." }));
    if (focused) (root.querySelector(`[data-act="${CSS.escape(focused)}"]`) ?? told).focus();
    if (before !== null && before !== job.status) announce(`Job ${id}: ${job.status}.`);
    before = job.status;
  }

  function headOf(job) {
    const facts = [["Priority", job.priority], ["Attempt", job.attempt || null], ["Submitted", dateTime(job.created)],
      ["Started", job.started && dateTime(job.started)], ["Ended", job.ended && dateTime(job.ended)], ["Worker", job.worker],
      ["Retries", job.failures ? `${job.failures} of ${job.max_retries}` : null], ["Tags", job.tags.join(", ") || null]];
    return [h("p", { class: "run-crumb" }, h("a", { href: "/jobs", text: "Jobs" }), ` / job ${id}`),
      h("div", { class: "run-title-row" }, h("h1", { class: "run-title", text: job.name }),
        h("span", { class: `mode ${job.mode === "centralized" ? "pooled" : job.mode}`, text: modeName(job.mode) }), statusLine(job)),
      jobProgress(job),
      job.error && h("section", { class: "run-error", "aria-label": "Error" }, h("h2", { text: "Error" }), h("pre", { text: job.error })),
      h("div", { class: "run-manage" }, job.run_id !== null && runLinks(job),
        mayTrain() && jobActions(job, act)),
      h("dl", { class: "run-facts" }, facts.filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => h("div", {}, h("dt", { text: name }), h("dd", { text: String(value) }))))];
  }

  /** The run, or the sweep with the page on which its trials are side by side. */
  function runLinks(job) {
    const link = (href, text) => h("a", { class: "button", href, text });
    if (job.mode !== "sweep") return link(`/runs/${job.run_id}`, `Run ${job.run_id}`);
    return [link(`/runs/${job.run_id}`, `Sweep ${job.run_id}`), link(`/compare?runs=${job.run_id}`, "Compare trials")];
  }

  function drawMetrics(job) {
    const rows = Object.entries(job.metrics).map(([key, value]) => [label(key), value === null ? null : number(value)]);
    metrics.hidden = !rows.length;
    replace(metrics, h("h2", { text: "Newest metrics" }), dataTable({ caption: "Newest metrics", captionHidden: true,
      columns: ["Metric", { label: "Value", numeric: true }], rows }).element);
  }

  async function act(method, where, body, words) {
    try {
      await change(method, where, body, { signal });
      setText(told, words);
      told.classList.remove("wrong");
      announce(words, { urgent: true });
      await polled.now();
    } catch (error) {
      if (isAbort(error)) return;
      setText(told, error.message);
      told.classList.add("wrong");
    }
  }

  const polled = poll(async () => {
    const job = await getJSON(path, { signal });
    draw(job);
    await log.read(job);
    return job.ended === null;
  }, (error) => {
    if (!drawn) replace(root, errorPanel(error, { retry: () => navigate(`/jobs/${id}`) }));
  });
  return () => {
    request.abort();
    polled.stop();
    log.close();
  };
}

/**
 * The log: what there is by now in parts, then streamed as it grows. It follows its end as long as somebody has not
 * scrolled up. Where it cannot be streamed (the server streams 100 at most), it is read on in parts.
 */
function jobLog({ path, getJSON, signal }) {
  const text = h("pre", { class: "run-log job-log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" });
  const note = h("p", { class: "muted" });
  const element = h("section", { class: "job-part" }, h("h2", { text: "Log" }), note, text);
  const lines = [];
  let cursor = 0;
  let left = 0;
  let source = null;

  function take(part) {
    if (part.cursor > cursor) lines.push(...part.lines);
    cursor = Math.max(cursor, part.cursor);
    if (lines.length > MOST_LINES) left += lines.splice(0, lines.length - MOST_LINES).length;
  }

  function show() {
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    setText(note, left ? `The first ${left} lines are not shown.` : lines.length ? "" : "Nothing yet.");
    setText(text, lines.join("\n"));
    text.hidden = lines.length === 0;
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  function follow() {
    const own = source = new EventSource(`${path}/logs?follow=true&after=${cursor}`);
    own.onmessage = ({ data }) => {
      take(JSON.parse(data));
      show();
    };
    for (const last of ["end", "token"]) own.addEventListener(last, close);
    own.onerror = () => {
      if (own.readyState === EventSource.CLOSED) close(); // refused; after a cut connection it tries again by itself
    };
  }

  function close() {
    source?.close();
    source = null;
  }

  async function read(job) {
    if (job.attempt === 0) {
      setText(note, "It has not begun.");
      text.hidden = true;
      return;
    }
    if (source) return;
    try {
      let more = true;
      while (more) {
        const part = await getJSON(`${path}/logs?after=${cursor}`, { signal });
        more = part.cursor > cursor && !part.ended;
        take(part);
      }
      show();
      if (job.ended === null) follow();
    } catch (error) {
      if (isAbort(error)) throw error;
      setText(note, error.status === 404 ? error.detail : error.message);
      text.hidden = lines.length === 0;
    }
  }

  return { element, read, close };
}
