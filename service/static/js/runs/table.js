/** The table of the runs list: one `tbody` a group, rows kept by id and patched; `pages/runs` feeds it. */

import { h } from "../dom.js";
import { plural } from "../format.js";
import { groupRuns } from "./groups.js";
import { COLUMNS, runRow } from "./row.js";

const MANY = 6; // local-only runs of one comparison that are shown without asking

/**
 * The table.
 *
 * @param {{onSelect: (id: number, on: boolean) => void}} options
 * @returns {{element: HTMLElement, update: (runs: object[], selected: Set<number>) => void}}
 */
export function runsTable({ onSelect }) {
  // Roles are written out: the narrow layout takes rows and cells out of the browser's table layout.
  const heads = COLUMNS.map((name) => h("th", { role: "columnheader", scope: "col", class: `c-${name.toLowerCase()}` },
    h("span", { class: name === "Select" ? "visually-hidden" : null, text: name })));
  const table = h("table", { role: "table", class: "runs" }, h("caption", { class: "visually-hidden", text: "Runs" }),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)));
  const bodies = new Map();

  function groupBody(key) {
    const element = h("tbody", { role: "rowgroup" });
    const rows = new Map();
    let open = false;
    const unfold = h("button", { class: "link-button", type: "button", on: { click: () => {
      open = !open;
      update(...last);
    } } });
    const unfoldRow = h("tr", { role: "row", class: "run-row unfold" },
      h("td", { role: "cell", colspan: COLUMNS.length }, unfold));
    let last = null;

    function row(kind, id) {
      const name = `${kind} ${id}`;
      if (!rows.has(name)) rows.set(name, runRow({ kind, id, onSelect }));
      return rows.get(name);
    }

    function update(group, selected) {
      last = [group, selected];
      const shown = [];
      const show = (kind, id, run) => {
        const one = row(kind, id);
        one.update(run, group, selected.has(id));
        shown.push(one.element);
      };
      const grouped = group.parent !== null;
      if (grouped) show(group.comparison ? "comparison" : "absent", group.parent, group.comparison);
      const locals = group.members.filter((run) => run.training_mode === "local");
      const folded = grouped && locals.length > MANY && !open;
      for (const run of group.members) {
        if (!(folded && run.training_mode === "local")) show(grouped ? "member" : "alone", run.id, run);
      }
      if (grouped && locals.length > MANY) {
        unfold.textContent = open ? "Hide local runs" : `Show ${plural(locals.length, "local run")}`;
        unfold.setAttribute("aria-expanded", String(open));
        shown.push(unfoldRow);
      }
      element.classList.toggle("grouped", grouped);
      arrange(element, shown);
    }

    return { element, update };
  }

  return {
    element: h("div", { class: "runs-frame" }, table),
    update(runs, selected) {
      const groups = groupRuns(runs);
      const keys = new Set(groups.map(({ key }) => key));
      for (const [key, body] of bodies) {
        if (keys.has(key)) continue;
        body.element.remove();
        bodies.delete(key);
      }
      for (const group of groups) {
        if (!bodies.has(group.key)) bodies.set(group.key, groupBody(group.key));
        bodies.get(group.key).update(group, selected);
      }
      arrange(table, [table.caption, table.tHead, ...groups.map(({ key }) => bodies.get(key).element)]);
    },
  };
}

/** Make `children` the children of `node` without touching those that are in their place: focus stays. */
function arrange(node, children) {
  const wanted = new Set(children);
  for (const child of [...node.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (node.children[index] !== child) node.insertBefore(child, node.children[index] ?? null);
  });
}
