/** The table of the runs list: one `tbody` a group, rows kept by id and patched; `pages/runs` feeds it. */

import { h, setAttribute, setText } from "../dom.js";
import { modeName, plural } from "../format.js";
import { bySetting, groupRuns, sortGroups } from "./groups.js";
import { COLUMNS, runRow } from "./row.js";

const MANY = 6; // local-only runs of one comparison that are shown without asking

/** Columns that the viewer may hide; all others are settings that may be added. */
export const HIDEABLE = ["Mode", "Status", "Best", "Curve", "Age"];

/**
 * The table.
 *
 * @param {{onSelect: (id: number, on: boolean) => void, onSort: (key: string) => void}} options
 * @returns {{element: HTMLElement, update: (runs: object[], selected: Set<number>, view: object) => void,
 *   foldAll: (folded: boolean) => void}} `view`: `sort` {key, up}, `group` (a setting or ""), `hidden` and `columns`
 *   (names), `settings` (values by name, then by the run's id)
 */
export function runsTable({ onSelect, onSort }) {
  // Roles are written out: the narrow layout takes rows and cells out of the browser's table layout.
  const headRow = h("tr", { role: "row" });
  const table = h("table", { role: "table", class: "runs" }, h("caption", { class: "visually-hidden", text: "Runs" }),
    h("thead", { role: "rowgroup" }, headRow));
  const bodies = new Map();
  const heads = new Map();
  const folded = new Set(); // comparisons, by key, and values of the setting that the list is grouped by, as "=value"
  let shown = null;

  function head(name, { sort }) {
    if (!heads.has(name)) {
      const button = h("button", { class: "sort", type: "button", text: name, on: { click: () => onSort(name) } });
      const content = name === "Select" ? h("span", { class: "visually-hidden", text: name })
        : name === "Curve" ? h("span", { text: name }) : button;
      const known = COLUMNS.includes(name);
      heads.set(name, h("th", { role: "columnheader", scope: "col", class: known ? `c-${name.toLowerCase()}` : "c-extra" },
        content));
    }
    const cell = heads.get(name);
    setAttribute(cell, "aria-sort", sort.key === name ? (sort.up ? "ascending" : "descending") : null);
    return cell;
  }

  function toggle(key) {
    if (folded.has(key)) folded.delete(key);
    else folded.add(key);
    update(...shown);
  }

  /** The heading of all that have one value of the setting that the list is grouped by. */
  function headingBody(value, key, groups, width) {
    const name = `=${value}`;
    if (!bodies.has(name)) {
      const button = h("button", { class: "fold-group", type: "button", on: { click: () => toggle(name) } });
      const cell = h("th", { role: "rowheader", scope: "rowgroup", class: "group-head" }, button);
      bodies.set(name, { button, cell, element: h("tbody", { role: "rowgroup" },
        h("tr", { role: "row", class: "group-row" }, cell)) });
    }
    const { button, cell, element } = bodies.get(name);
    cell.colSpan = width;
    const words = value === null ? "not set" : key === "mode" ? modeName(value) : String(value);
    setText(button, `${key} = ${words} · ${plural(groups.length, "entry", "entries")}`);
    setAttribute(button, "aria-expanded", String(!folded.has(name)));
    return element;
  }

  function groupBody(key) {
    const element = h("tbody", { role: "rowgroup" });
    const rows = new Map();
    let open = false;
    const unfold = h("button", { class: "link-button", type: "button", on: { click: () => {
      open = !open;
      update(...last);
    } } });
    const unfoldCell = h("td", { role: "cell", colspan: COLUMNS.length }, unfold);
    const unfoldRow = h("tr", { role: "row", class: "run-row unfold" }, unfoldCell);
    let last = null;

    function row(kind, id) {
      const name = `${kind} ${id}`;
      if (!rows.has(name)) rows.set(name, runRow({ kind, id, onSelect, onFold: () => toggle(key) }));
      return rows.get(name);
    }

    function update(group, selected, view) {
      last = [group, selected, view];
      const shown = [];
      const show = (kind, id, run) => {
        const one = row(kind, id);
        one.update(run, group, selected.has(id), { ...view, folded: folded.has(key) });
        shown.push(one.element);
      };
      const grouped = group.parent !== null;
      if (grouped) show(group.comparison ? "comparison" : "absent", group.parent, group.comparison);
      const locals = group.members.filter((run) => run.training_mode === "local");
      const few = grouped && locals.length > MANY && !open;
      const closed = grouped && folded.has(key);
      for (const run of closed ? [] : group.members) {
        if (!(few && run.training_mode === "local")) show(grouped ? "member" : "alone", run.id, run);
      }
      unfoldCell.colSpan = COLUMNS.length + view.columns.length;
      if (!closed && grouped && locals.length > MANY) {
        unfold.textContent = open ? "Hide local runs" : `Show ${plural(locals.length, "local run")}`;
        unfold.setAttribute("aria-expanded", String(open));
        shown.push(unfoldRow);
      }
      element.classList.toggle("grouped", grouped);
      arrange(element, shown);
    }

    return { element, update };
  }

  function update(runs, selected, view) {
    shown = [runs, selected, view];
    const groups = sortGroups(groupRuns(runs), view.sort, view.settings);
    const parts = view.group ? bySetting(groups, view.group, view.settings) : [[null, groups]];
    const names = [...COLUMNS, ...view.columns];
    table.className = ["runs", ...view.hidden.map((name) => `hide-${name.toLowerCase()}`)].join(" ");
    arrange(headRow, names.map((name) => head(name, view)));
    const wanted = new Set();
    const order = [];
    for (const [value, part] of parts) {
      if (view.group) {
        wanted.add(`=${value}`);
        order.push(headingBody(value, view.group, part, names.length));
        if (folded.has(`=${value}`)) continue;
      }
      for (const group of part) {
        wanted.add(group.key);
        if (!bodies.has(group.key)) bodies.set(group.key, groupBody(group.key));
        bodies.get(group.key).update(group, selected, view);
        order.push(bodies.get(group.key).element);
      }
    }
    for (const [key, body] of bodies) {
      if (wanted.has(key)) continue;
      body.element.remove();
      bodies.delete(key);
    }
    arrange(table, [table.caption, table.tHead, ...order]);
  }

  return {
    element: h("div", { class: "runs-frame" }, table),
    update,
    foldAll(closed) {
      if (shown === null) return; // nothing has arrived yet
      folded.clear();
      if (closed) {
        const groups = groupRuns(shown[0]);
        groups.filter(({ parent }) => parent !== null).forEach(({ key }) => folded.add(key));
        const { group, settings } = shown[2];
        if (group) bySetting(groups, group, settings).forEach(([value]) => folded.add(`=${value}`));
      }
      update(...shown);
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
