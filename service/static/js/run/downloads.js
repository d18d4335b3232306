/** What can be had of a run as files: its rows, its results, and the report and figures of its comparison. */

import { h, replace } from "../dom.js";

const WORDS = {
  csv: ["CSV", "Every stored row, for spreadsheets and pandas.read_csv"],
  json: ["JSON", "All results: config, rows, rounds, clients, evaluations"],
  parquet: ["Parquet", "Every stored row with its type, for pandas, DuckDB and Spark"],
  report: ["Report", "The comparison as one HTML file that needs no network"],
};

const IN_A_TAB = { target: "_blank", rel: "noopener" };

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: (changes: object) => void, destroy: () => void}}
 */
export function downloadsSection(model) {
  const files = h("ul", { class: "run-files" });
  const figures = h("ul", { class: "run-figures" });
  const words = h("p", { class: "muted", text: "The figures of the report, as files. The charts of this page "
    + "have a PNG button each." });
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
