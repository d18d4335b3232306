/** Controls that pages share: a segmented choice built of radio buttons, and a labelled select. */

import { h } from "./dom.js";

/**
 * One of a few choices, side by side.
 *
 * @param {object} options
 * @param {string} options.legend
 * @param {string} options.name unique on the page
 * @param {Array<[string, string]>} options.choices value and words
 * @param {string} options.value the one that is chosen
 * @param {(value: string) => void} options.onChoose
 * @param {boolean} [options.legendShown] the legend stands before the choices
 * @returns {{element: HTMLElement, set: (value: string) => void, offer: (choices: Array) => void}}
 */
export function choiceGroup({ legend, name, choices, value, onChoose, legendShown = false }) {
  const holder = h("div", { class: "choices" });
  const element = h("fieldset", { class: "choice-group" },
    h("legend", { class: legendShown ? null : "visually-hidden", text: legend }), holder);
  let offered = "";
  let current = value;

  function offer(next) {
    if (JSON.stringify(next) === offered) return;
    offered = JSON.stringify(next);
    holder.replaceChildren(...next.map(([key, words]) => h("label", { class: "choice" },
      h("input", { type: "radio", name, value: key, checked: key === current, on: { change: () => {
        current = key;
        onChoose(key);
      } } }), h("span", { text: words }))));
  }

  offer(choices);
  return {
    element,
    offer,
    set(key) {
      current = key;
      for (const input of holder.querySelectorAll("input")) input.checked = input.value === key;
    },
  };
}

/**
 * One of many choices.
 *
 * @param {object} options as for `choiceGroup`
 * @returns {{element: HTMLElement, set: (value: string) => void, offer: (choices: Array) => void}}
 */
export function selectBox({ legend, name, choices, value, onChoose }) {
  const select = h("select", { class: "select", name, on: { change: () => onChoose(select.value) } });
  const element = h("label", { class: "select-box" }, h("span", { text: legend }), select);
  let offered = "";

  function offer(next) {
    if (JSON.stringify(next) === offered) return;
    offered = JSON.stringify(next);
    const kept = select.value || value;
    select.replaceChildren(...next.map(([key, words]) => h("option", { value: key, text: words })));
    select.value = kept;
  }

  offer(choices);
  return { element, offer, set: (key) => { select.value = key; } };
}
