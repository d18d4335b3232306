/** The registered models: the list, and one model with its versions, aliases, card, comparison and history. */

import { change as changeIt, mayTrain } from "../access.js";
import { announce } from "../announce.js";
import { getText, isAbort } from "../api.js";
import { labelOf } from "../catalogue.js";
import { confirmed } from "../dialog.js";
import { h, replace, setText, tellIn, uniqueId } from "../dom.js";
import { bytes, dateTime, modeName, plural } from "../format.js";
import { commandLine, errorPanel, loadingPanel } from "../notice.js";
import { dataTable } from "../table.js";

const MOST = 200; // of the server
const METRICS = 3; // of a version in the table; all are in its card
const STAGES = ["production", "candidate"];

/**
 * Mount the list, or one model.
 *
 * @param {HTMLElement} root
 * @param {{name: string|null, getJSON: Function}} context `name`: of the model; null: the list
 * @returns {() => void} unmount
 */
export function mount(root, { name, getJSON }) {
  const request = new AbortController();
  replace(root, loadingPanel("Loading models…"));
  const show = name === null ? showList : showModel;
  show(root, { name, getJSON, signal: request.signal }).catch((error) => {
    if (!isAbort(error)) replace(root, errorPanel(error, { retry: () => location.reload() }));
  });
  return () => request.abort();
}

async function showList(root, { getJSON, signal }) {
  const { models, next } = await getJSON(`/api/v1/models?limit=${MOST}`, { signal });
  const head = h("div", { class: "page-head" }, h("h1", { text: "Models" }),
    h("p", { class: "page-summary", text: models.length ? `${plural(models.length, "model")}${next ? " shown" : ""}` : "" }));
  if (!models.length) {
    replace(root, head, h("div", { class: "notice" },
      h("p", { text: "No models yet. Every pooled or federated run that completes is registered as a version." }),
      commandLine("fedtwin models register RUN", "A run from before there was a registry:")));
    return;
  }
  const rows = models.map((model) => [
    h("a", { href: `/models/${model.name}`, text: model.name }), model.versions, model.latest,
    named(model.aliases) || null, model.threshold || "not set",
  ]);
  const columns = ["Model", { label: "Versions", numeric: true }, "Latest", "Aliases", "Production needs"];
  replace(root, head, dataTable({ caption: "Registered models", captionHidden: true, columns, rows, sortable: true }).element);
}

async function showModel(root, { name, getJSON, signal }) {
  const status = h("p", { class: "model-status", role: "status", tabindex: "-1" });
  const tell = (text, options) => tellIn(status, text, options);
  const title = h("h1", { text: name });
  const about = h("p", { class: "page-summary" });
  const versionsPlace = h("div");
  const aliasesPlace = h("div", { class: "model-aliases" });
  const card = h("section", { class: "model-part", "aria-labelledby": uniqueId("card"), hidden: true });
  const compared = h("section", { class: "model-part" });
  const historyPlace = h("section", { class: "model-part" });
  const exporting = h("section", { class: "model-part" });
  const thresholdPlace = h("div", { class: "model-part" });

  async function change(method, path, body, done) {
    tell("Working…");
    try {
      const answer = await changeIt(method, path, body, { signal });
      tell(done(answer));
      return answer ?? true;
    } catch (error) {
      if (!isAbort(error)) tell(error.message, { wrong: true });
      return null;
    }
  }

  async function move(method, path, body, done) {
    if (await change(method, path, body, done)) await draw();
  }

  const base = `/api/v1/models/${name}`;

  async function draw() {
    const focused = document.activeElement?.dataset?.act ?? null;
    const [model, { versions }] = await Promise.all([
      getJSON(base, { signal }), getJSON(`${base}/versions?limit=${MOST}`, { signal })]);
    setText(about, `${plural(model.versions, "version")}; production needs ${model.threshold || "a threshold, which is not set"}`);
    replace(aliasesPlace, aliases(model));
    replace(versionsPlace, versionTable(model, versions));
    replace(historyPlace, history(model));
    if (mayTrain()) {
      if (!compared.firstChild && versions.length > 1) replace(compared, comparison(versions));
      if (!exporting.firstChild && versions.length) replace(exporting, exports(versions, formats));
      replace(thresholdPlace, threshold(model));
    }
    // A click must not lose the place; a button that is gone leaves it to what happened.
    if (focused) (root.querySelector(`[data-act="${CSS.escape(focused)}"]`) ?? status).focus();
  }

  function aliases(model) {
    const all = Object.entries(model.aliases);
    if (!all.length) return h("p", { class: "muted", text: "No alias names a version yet." });
    return all.map(([alias, version]) => h("div", { class: "model-alias" },
      h("strong", { text: alias }), h("span", { text: version }), mayTrain() && [
        button("Roll back", `rollback ${alias}`, `Roll ${alias} back to the version before ${version}`, () => move("POST",
          `${base}/aliases/${alias}/rollback`, null, (row) => `${alias} is ${row.version} again.`)),
        button("Remove", `remove ${alias}`, `Remove the alias ${alias}`, () => removeAlias(alias, version))]));
  }

  async function removeAlias(alias, version) {
    const body = [h("p", { text: `Predictions that ask for ${name}@${alias} are refused from then on. Version ${version} stays.` })];
    if (await confirmed({ title: `Remove the alias ${alias}?`, action: "Remove alias", body })) {
      await move("DELETE", `${base}/aliases/${alias}`, null, () => `${alias} names no version.`);
    }
  }

  function threshold(model) {
    const id = "threshold";
    const input = h("input", { class: "search", id, value: model.threshold, placeholder: "f1>=0.7,recall>=0.8", autocomplete: "off",
      spellcheck: "false", "aria-describedby": "threshold-help" });
    return h("form", { class: "field model-threshold", on: { submit: (event) => {
      event.preventDefault();
      move("PATCH", base, { threshold: input.value.trim() || "none" }, (row) => `Production needs ${row.threshold}.`);
    } } }, h("label", { class: "field-label", for: id, text: "Production needs" }),
    h("span", { class: "model-compare" }, input, h("button", { class: "button", type: "submit", text: "Set", dataset: { act: "threshold" } })),
    h("p", { class: "field-help", id: "threshold-help", text: "Conditions on test metrics, joined by commas; none: every version may be promoted." }));
  }

  function exports(versions, formats) {
    const which = h("select", { class: "select" }, versions.map((row) => h("option", { value: row.version, text: row.version })));
    const format = h("select", { class: "select" }, formats.map((one) => h("option", { value: one.format, disabled: !one.available,
      title: one.reason,
      text: one.available ? one.format : `${one.format}: not available here` })));
    const result = h("p");
    const go = button("Export", "export", "Export the version, and check the file against it", async () => {
      go.disabled = true;
      const path = `${base}/versions/${which.value}/exports`;
      const made = await change("POST", path, { format: format.value }, (one) => `Exported: differs from the model by at most ${
        one.difference.toExponential(1)} on ${plural(one.rows, "row")}.`);
      go.disabled = false;
      if (made) replace(result, h("a", { class: "button", href: `${path}/${made.format}`, download: true,
        text: `Download ${name} ${made.version}, ${made.format}, ${bytes(made.bytes)}` }));
    });
    return [h("h2", { text: "Export" }), h("div", { class: "model-compare" },
      h("label", { class: "select-box" }, h("span", { text: "Version" }), which),
      h("label", { class: "select-box" }, h("span", { text: "Format" }), format), go), result];
  }

  function versionTable(model, versions) {
    const metrics = Object.keys(versions[0]?.test ?? {}).slice(0, METRICS);
    const columns = ["Version", "Aliases", mayTrain() ? "Actions" : "Card", "Run", "Training",
      ...metrics.map((one) => ({ label: `Test ${labelOf(one)}`, numeric: true })), "Registered", "Why this number"];
    const rows = versions.map((row) => [
      row.version, row.aliases.join(", ") || null, actions(row),
      h("a", { href: `/runs/${row.run_id}`, text: `${row.run_id} ${row.run_name}` }),
      modeName(row.mode === "pooled" ? "centralized" : row.mode),
      ...metrics.map((one) => row.test[one] ?? null), dateTime(row.created), row.reason]);
    return dataTable({ caption: `Versions of ${name}`, captionHidden: true, columns, rows }).element;
  }

  function actions(row) {
    const promote = mayTrain() && STAGES.filter((alias) => !row.aliases.includes(alias)).map((alias) => button(
      `Make ${alias}`, `${alias} ${row.version}`, `Make version ${row.version} ${alias}`,
      () => move("PUT", `${base}/aliases/${alias}`, { version: row.version }, () => `${alias} is ${row.version}.`)));
    return h("span", { class: "model-actions" }, promote,
      button("Card", `card ${row.version}`, `Model card of version ${row.version}`, () => showCard(row.version)));
  }

  async function showCard(version) {
    const heading = h("h2", { id: card.getAttribute("aria-labelledby"), tabindex: "-1", text: `Model card of ${version}` });
    card.hidden = false;
    replace(card, heading, loadingPanel());
    try {
      const path = `${base}/versions/${version}/card?format=markdown`;
      const text = await getText(path, { signal });
      replace(card, heading, h("pre", { class: "model-card", tabindex: "0", text }), h("p", { class: "model-links" },
        h("a", { href: path, download: `${name}-${version}.md`, text: "Markdown" }),
        h("a", { href: `${base}/versions/${version}/card`, download: `${name}-${version}.json`, text: "JSON" })));
      heading.focus();
    } catch (error) {
      if (!isAbort(error)) replace(card, heading, errorPanel(error));
    }
  }

  function comparison(versions) {
    const option = (row) => h("option", { value: row.version, text: row.version });
    const first = h("select", { class: "select" }, versions.map(option));
    const second = h("select", { class: "select" }, versions.map(option));
    first.value = versions[1].version;
    const result = h("div");
    const go = button("Compare", "compare", "Compare the two versions on their test rows", async () => {
      const found = await change("POST", `${base}/compare`, { first: first.value, second: second.value }, () => "Compared.");
      if (!found) return;
      const rows = found.metrics.map((one) => [one.label, one.text.first, one.text.second, one.text.difference, one.verdict]);
      const columns = ["Metric", ...[found.first.version, found.second.version, "Second − first"]
        .map((label) => ({ label, numeric: true })), `${found.second.version} is`];
      replace(result, h("p", { text: found.sentence }), dataTable({ caption: "Comparison", captionHidden: true, columns, rows }).element);
      announce(found.sentence);
    });
    return [h("h2", { text: "Compare versions" }), h("div", { class: "model-compare" },
      h("label", { class: "select-box" }, h("span", { text: "First" }), first),
      h("label", { class: "select-box" }, h("span", { text: "Second" }), second), go), result];
  }

  function history(model) {
    if (!model.history.length) return null;
    const rows = model.history.map((one) => [dateTime(one.time), one.kind.replace("_", " "), one.alias, one.version, one.detail]);
    return [h("h2", { text: "History" }),
      dataTable({ caption: "History", captionHidden: true, columns: ["Time", "Event", "Alias", "Version", "Detail"], rows }).element];
  }

  const { formats } = mayTrain() ? await getJSON("/api/v1/export-formats", { signal }) : {};
  await draw();
  document.title = `${name} · fedtwin`;
  replace(root, h("div", { class: "page-head" }, title, about, h("a", { href: "/models", text: "All models" })),
    aliasesPlace, status, versionsPlace, card, thresholdPlace, compared, exporting, historyPlace);
}

function button(text, act, words, onClick) {
  return h("button", { class: "button small", type: "button", text, "aria-label": words, dataset: { act }, on: { click: onClick } });
}

function named(aliases) {
  return Object.entries(aliases).map(([alias, version]) => `${alias} ${version}`).join(", ");
}
