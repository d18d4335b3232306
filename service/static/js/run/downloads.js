/** Downloads of a run: its rows, its results, and the report and figures of its comparison. */

import { h, replace } from "../dom.js";

const WORDS = {
  csv: ["CSV", "All metric rows, for spreadsheets and pandas.read_csv"],
  json: ["JSON", "All results: config, rows, rounds, clients, evaluations"],
  parquet: ["Parquet", "All metric rows with types, for pandas, DuckDB and Spark"],
  report: ["Report", "The comparison or sweep as one self-contained HTML file"],
};

const IN_A_TAB = { target: "_blank", rel: "noopener" };

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function downloadsSection(model) {
  const files = h("ul", { class: "run-files" });
  const figures = h("ul", { class: "run-figures" });
  const words = h("p", { class: "muted", text: "Figures of the report. Charts on this page "
    + "have a PNG button." });
  let drawn = "";

  function draw() {
    const all = model.run.downloads;
    if (JSON.stringify(all) === drawn) return;
    drawn = JSON.stringify(all);
    replace(files, all.filter((one) => one.kind in WORDS).map(({ kind, name, url }) => h("li", {},
      h("a", { class: "run-file", href: url, ...(kind === "report" ? IN_A_TAB : { download: name }) },
        h("strong", { text: WORDS[kind][0] }), h("span", { class: "muted", text: WORDS[kind][1] })))));
    const pictures = all.filter((one) => one.kind === "figure");
    words.hidden = pictures.length === 0;
    replace(figures, pictures.map(({ name, url }) => h("li", {}, h("a", { href: url, download: name },
      h("img", { src: url, alt: "", loading: "lazy", decoding: "async" }), h("span", { text: name })))));
  }

  draw();
  return {
    element: h("div", {}, files, words, figures),
    update(changes) {
      if (changes.run) draw();
    },
    destroy() {},
  };
}
