/** The comparison page: selected runs in one chart, and a table of their results and costs. */

import { withQuery } from "../api.js";
import { nameClass } from "../catalogue.js";
import { h, replace, setText } from "../dom.js";
import { costTable } from "../compare/costs.js";
import { plural } from "../format.js";
import { heroSection } from "../hero.js";
import { navigate, params as currentParams } from "../router.js";

const LARGEST_ID = 2 ** 31 - 1; // of the database
const MOST = 100; // limit of the server

/**
 * Mount the page.
 *
 * @param {HTMLElement} root
 * @param {{params: object, getJSON: Function, openStream: Function}} context `params.runs`: ids, commas between them
 * @returns {() => void} unmount
 */
export function mount(root, { params, getJSON, openStream }) {
  const given = (params.runs ?? "").split(",").map(Number);
  const ids = [...new Set(given.filter((id) => Number.isInteger(id) && id > 0 && id <= LARGEST_ID))].slice(0, MOST);
  if (ids.length === 0) {
    replace(root, h("div", { class: "page-head" }, h("h1", { text: "Compare" })),
      h("div", { class: "notice" },
        h("p", { text: "No runs selected. Select two or more in the list of runs, or press Compare on a comparison." }),
        h("a", { class: "button primary", href: "/", text: "Select runs" })));
    return () => {};
  }
  const title = h("h1", { text: "Compare" });
  const chosen = h("p", { class: "muted", hidden: true });
  const below = h("div", { class: "compare-below" });
  const others = h("a", { href: "/", text: "Change selection" });
  const shown = new Set(ids); // a comparison or sweep expands to its runs
  const removeRun = (left) => navigate("/compare", { ...currentParams(), runs: left });
  const table = costTable({ runs: ids, getJSON, removeRun });
  const hero = heroSection({ runs: ids, params, level: 2, onData: (comparison) => {
    comparison.runs.forEach((run) => shown.add(run.id));
    others.href = withQuery("/", { select: comparison.runs.map((run) => run.id) });
    table.update(comparison);
    if (!below.firstChild) below.append(table.element);
    const running = comparison.runs.filter((run) => run.status === "running").length;
    setText(chosen, comparison.chosen);
    chosen.hidden = comparison.chosen === "";
    setText(title, `Compare ${plural(comparison.runs.length, "run")}`);
    document.title = `${running ? `${running} running · ` : ""}${title.textContent} · fedtwin`;
  } });
  replace(root, h("div", { class: "page-head" }, title, others), hero.element, chosen, below);

  const concerns = ({ run }) => run && (shown.has(run.id) || shown.has(run.parent_id));
  let lost = false;
  const stream = openStream("/ws/runs", {
    onMessages: (messages) => {
      if (messages.some(concerns)) hero.refresh();
    },
    onState: (state) => {
      if (state === "live" && lost) hero.refresh(); // what happened in between was not streamed
      if (state === "live" || state === "waiting") lost = state === "waiting";
    },
  });
  return () => {
    stream.close();
    nameClass(null);
    table.destroy();
    hero.destroy();
  };
}
