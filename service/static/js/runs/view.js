/** How the list of runs is shown: its order, its groups and its columns; kept in the URL. */

import { h, replace, setAttribute } from "../dom.js";
import { selectBox } from "../controls.js";
import { setParams } from "../router.js";

const NEWEST = "-Age";
const ORDERS = [[NEWEST, "Newest first"], ["Age", "Oldest first"], ["Run", "Name"], ["-Best", "Best value, highest"],
  ["Best", "Best value, lowest"], ["-Duration", "Longest"], ["Mode", "Mode"], ["-Mode", "Mode, reversed"],
  ["Status", "Status"], ["-Status", "Status, reversed"]];
const GROUPS = [["", "no setting"], ["mode", "mode"], ["status", "status"]];
const LONGEST = 200; // of a name in the address

/**
 * @param {object} options
 * @param {object} options.params of the address: `sort`, `group`, `columns`, `hidden`
 * @param {string[]} options.hideable columns that may be hidden
 * @param {(needsAll: boolean) => void} options.onChange
 * @param {(closed: boolean) => void} options.onFold
 * @param {() => Promise<object>} options.loadSettings `/api/settings`
 * @returns {{element: HTMLElement, state: () => object, needsAll: () => boolean, sortBy: (key: string) => void,
 *   refresh: () => void}}
 */
export function listView({ params, hideable, onChange, onFold, loadSettings }) {
  const names = (text) => (text ?? "").split(",").map((name) => name.slice(0, LONGEST)).filter(Boolean);
  let order = (params.sort ?? NEWEST).slice(0, LONGEST);
  let group = (params.group ?? "").slice(0, LONGEST);
  const hidden = new Set(names(params.hidden).filter((name) => hideable.includes(name)));
  const columns = new Set(names(params.columns));
  let settings = {};
  let asked = false;
  let folded = false;

  const sort = selectBox({ legend: "Sort", name: "runs-sort", choices: ORDERS, value: order, onChoose: (value) => {
    order = value;
    changed();
  } });
  const groups = selectBox({ legend: "Group by", name: "runs-group", choices: GROUPS, value: group, onChoose: (value) => {
    group = value;
    changed();
  } });
  const fold = h("button", { class: "button small", type: "button", text: "Collapse all", on: { click: () => {
    folded = !folded;
    fold.textContent = folded ? "Expand all" : "Collapse all";
    onFold(folded);
  } } });
  const list = h("div", { class: "column-list" });
  const chooser = h("details", { class: "columns" }, h("summary", { class: "button small", text: "Columns" }), list);
  chooser.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !chooser.open) return;
    chooser.open = false;
    chooser.querySelector("summary").focus();
  });

  function offer() {
    const known = Object.keys(settings).sort();
    const more = (chosen) => (chosen && !known.includes(chosen) ? [[chosen, chosen]] : []);
    const key = order.replace(/^-/, "");
    const others = ORDERS.some(([value]) => value.replace(/^-/, "") === key) ? [] : [[order, `${key}${order.startsWith("-") ? ", reversed" : ""}`]];
    sort.offer([...ORDERS, ...others]);
    sort.set(order);
    groups.offer([...GROUPS, ...known.map((name) => [name, name]), ...(GROUPS.some(([value]) => value === group) ? [] : more(group))]);
    groups.set(group);
    const tick = (name, checked, onTick) => h("label", { class: "run-check" },
      h("input", { type: "checkbox", checked, on: { change: (event) => onTick(event.target.checked) } }), ` ${name}`);
    const flip = (set, name, on) => {
      if (on) set.add(name);
      else set.delete(name);
      changed();
    };
    const offered = [...new Set([...known, ...columns])];
    const drawn = JSON.stringify([offered, [...hidden], [...columns]]);
    if (list.dataset.drawn === drawn) return;
    list.dataset.drawn = drawn;
    if (list.contains(document.activeElement)) return; // the tick that has the focus stays
    replace(list,
      h("fieldset", {}, h("legend", { text: "Shown" }), hideable.map((name) => tick(name, !hidden.has(name),
        (on) => flip(hidden, name, !on)))),
      h("fieldset", {}, h("legend", { text: "Settings in which runs differ" }),
        offered.length ? offered.map((name) => tick(name, columns.has(name), (on) => flip(columns, name, on)))
          : h("p", { class: "muted", text: "None." })));
  }

  function changed() {
    setParams({ sort: order === NEWEST ? null : order, group, columns: [...columns].join(","), hidden: [...hidden].join(",") });
    offer();
    onChange(needsAll());
    if (!asked && wantsSettings()) ask();
  }

  const wantsSettings = () => Boolean(columns.size || (group && !GROUPS.some(([value]) => value === group))
    || !ORDERS.some(([value]) => value.replace(/^-/, "") === order.replace(/^-/, "")));
  const needsAll = () => order !== NEWEST || group !== "";

  async function ask() {
    asked = true;
    try {
      ({ settings } = await loadSettings());
    } catch (error) {
      console.warn("settings could not be loaded:", error.message);
      asked = false;
      return;
    }
    offer();
    onChange(needsAll());
  }

  chooser.addEventListener("toggle", () => {
    if (chooser.open && !asked) ask();
  });
  groups.element.addEventListener("focusin", () => {
    if (!asked) ask();
  });
  offer();
  setAttribute(chooser.querySelector("summary"), "aria-label", "Choose columns");
  return {
    element: h("div", { class: "list-view", role: "group", "aria-label": "View" }, sort.element, groups.element, fold, chooser),
    state: () => ({ sort: { key: order.replace(/^-/, ""), up: !order.startsWith("-") }, group, hidden: [...hidden],
      columns: [...columns], settings }),
    needsAll,
    sortBy(key) {
      const [now, up] = [order.replace(/^-/, ""), !order.startsWith("-")];
      order = now === key ? `${up ? "-" : ""}${key}` : ["Best", "Age"].includes(key) ? `-${key}` : key;
      changed();
    },
    /** Other runs may differ in other settings. */
    refresh() {
      if (asked || wantsSettings()) ask();
    },
  };
}
