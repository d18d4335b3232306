/** Who runs jobs: the workers of the whole server, as the default tenant sees them. */

import { authorization } from "../access.js";
import { ago } from "../clock.js";
import { h } from "../dom.js";
import { dateTime } from "../format.js";
import { commandLine } from "../notice.js";

const PLACES = { process: "on its own machine", dask: "on a Dask cluster", ray: "on a Ray cluster" };

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

/** What a cluster has, and how much of it is free; or why it could start nothing. */
function resources(cluster) {
  if (cluster === null || cluster.problem !== null) return cluster?.problem;
  const of = (whole, free, what) => whole && (free === null ? `${whole} ${what}` : `${free} of ${whole} ${what} free`);
  return [cluster.nodes !== null && `${cluster.nodes} nodes`, of(cluster.cpus, cluster.cpus_free, "CPUs"),
    of(cluster.gpus, cluster.gpus_free, "GPUs")].filter(Boolean).join(", ");
}

function row(one) {
  const where = [PLACES[one.backend], resources(one.cluster), `since ${dateTime(one.since)}`].filter(Boolean).join(" · ");
  return h("li", {},
    h("div", {}, h("div", { class: "job-name" }, h("strong", { text: one.name })), h("div", { class: "job-about", text: where })),
    h("div", {}, h("span", { class: `status ${one.state}`, text: one.state }), h("div", { class: "job-about" }, "last heartbeat ", ago(one.seen))),
    h("div", { class: "job-actions" }, one.job_id !== null && h("a", { class: "button small", href: `/jobs/${one.job_id}`, text: `Job ${one.job_id}` })));
}
