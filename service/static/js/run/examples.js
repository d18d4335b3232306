/** Test images that the model got wrong, or was least sure of, with their probabilities; read when asked for. */

import { withQuery } from "../api.js";
import { choiceGroup } from "../controls.js";
import { h, replace, setText } from "../dom.js";
import * as format from "../format.js";

const KINDS = [["wrong", "Misclassified"], ["uncertain", "Most uncertain"]];
const MOST_CLASSES = 3; // whose probabilities are written

/**
 * @param {object} model
 * @param {(path: string) => Promise<object>} fetchJSON
 * @returns {HTMLElement}
 */
export function examplesPanel(model, fetchJSON) {
  let kind = "wrong";
  let limit = 24;
  let turn = 0;
  const note = h("p", { class: "muted", role: "status" });
  const grid = h("ul", { class: "run-examples" });
  const more = h("button", { class: "button small", type: "button", text: "Show more", hidden: true, on: { click: () => {
    limit = Math.min(100, limit + 24);
    load();
  } } });
  const kinds = choiceGroup({ legend: "Images", name: "run-examples", choices: KINDS, value: kind, onChoose: (value) => {
    kind = value;
    limit = 24;
    load();
  } });
  const element = h("details", { class: "run-details", on: { toggle: () => {
    if (element.open && turn === 0) load();
  } } }, h("summary", { text: "Test images: misclassified and most uncertain" }),
  h("div", { class: "run-controls" }, kinds.element), note, grid, more);

  async function load() {
    turn += 1;
    const own = turn;
    setText(note, "Loading images…");
    try {
      const answer = await fetchJSON(withQuery(`/api/runs/${model.id}/examples`, { kind, limit }));
      if (own !== turn) return;
      const what = kind === "wrong" ? `${format.plural(answer.total, "test image")} misclassified, the surest mistakes first`
        : "Test images in doubt, the least certain first";
      setText(note, `${what}. ${answer.examples.length} shown.`);
      replace(grid, answer.examples.map((one) => card(one, answer.classes)));
      more.hidden = answer.examples.length < limit || limit >= 100;
    } catch (error) {
      if (own !== turn) return;
      setText(note, `${error.detail ?? error.message}.`);
      replace(grid);
      more.hidden = true;
    }
  }

  return element;
}

function card({ row, true: truth, predicted, probabilities, image }, classes) {
  const ranked = probabilities.map((value, i) => [classes[i], value]).sort((a, b) => b[1] - a[1]);
  const told = ranked.filter(([name], place) => place < MOST_CLASSES || name === truth);
  const said = truth === predicted ? `${truth}, rightly` : `${truth}, predicted ${predicted}`;
  return h("li", { class: truth === predicted ? null : "wrong" },
    h("img", { src: image, alt: `Test image ${row}: ${said}`, loading: "lazy", decoding: "async" }),
    h("div", { class: "run-example-words" },
      h("strong", { text: truth === predicted ? `${truth} ✓` : `${truth} → ${predicted}` }), ` #${row}`),
    h("dl", {}, told.map(([name, value]) => h("div", { class: name === truth ? "true" : null },
      h("dt", { text: name === truth ? `${name} (true)` : name }),
      h("dd", { text: format.percent(value) })))));
}
