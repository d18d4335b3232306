/** Who runs jobs: the workers of the whole server, as the default tenant sees them. */

import { authorization } from "../access.js";
import { ago } from "../clock.js";
import { h } from "../dom.js";
import { dateTime } from "../format.js";
import { commandLine } from "../notice.js";

/** The workers; null for other tenants, whom the server does not tell. Whoever administers is told hosts too. */
export async function readWorkers(getJSON, signal) {
  try {
    return (await getJSON("/api/v1/workers", { signal, headers: authorization() })).workers;
  } catch (error) {
    if (error.status === 403) return null;
    throw error;
  }
}

/** Their list, under a heading. */
export function workersPart(workers) {
  return [h("h2", { id: "workers-title", text: "Workers" }),
    workers.length ? h("ul", { class: "job-list" }, workers.map(row))
      : h("div", { class: "notice" }, h("p", { text: "No worker runs: jobs wait." }), commandLine("fedtwin worker", "Start one on this machine:"))];
}

function row(one) {
  const where = [one.backend === "dask" ? "on Dask workers" : "on its own machine", `since ${dateTime(one.since)}`].join(" · ");
  return h("li", {},
    h("div", {}, h("div", { class: "job-name" }, h("strong", { text: one.name })), h("div", { class: "job-about", text: where })),
    h("div", {}, h("span", { class: `status ${one.state}`, text: one.state }), h("div", { class: "job-about" }, "last heartbeat ", ago(one.seen))),
    h("div", { class: "job-actions" }, one.job_id !== null && h("a", { class: "button small", href: `/jobs/${one.job_id}`, text: `Job ${one.job_id}` })));
}
