/** Data that was uploaded: upload with progress, what its check found, a preview, and delete. */

import { authorization, change, mayTrain } from "../access.js";
import { tellAloud } from "../announce.js";
import { isAbort } from "../api.js";
import { confirmed } from "../dialog.js";
import { h, replace, setText } from "../dom.js";
import { bytes, dateTime, plural } from "../format.js";
import { actionButton } from "../jobs/parts.js";
import { poll } from "../jobs/poll.js";
import { errorPanel, loadingPanel } from "../notice.js";
import { navigate } from "../router.js";
import { field, select } from "../submit/fields.js";
import { dataTable } from "../table.js";

const MOST = 200; // of the server
const FORMATS = ["zip", "npz", "csv", "parquet"];
const UNDER_WAY = ["uploading", "checking"];

/**
 * Mount the list.
 *
 * @param {HTMLElement} root
 * @param {{getJSON: Function}} context
 * @returns {() => void} unmount
 */
export function mount(root, { getJSON }) {
  const request = new AbortController();
  const { signal } = request;
  const told = h("p", { class: "model-status", role: "status", tabindex: "-1" });
  const tell = (text, options) => tellAloud(told, text, options);
  const place = h("div", {}, loadingPanel("Loading datasets…"));
  const details = h("section", { class: "job-part", "aria-labelledby": "dataset-title", hidden: true });
  const upload = mayTrain() ? uploadForm({ tell, done: () => polled.now() }) : null;
  let drawn = "";
  replace(root, h("div", { class: "page-head" }, h("h1", { text: "Datasets" })), upload?.element, told, place, details);

  function draw({ datasets }) {
    const words = JSON.stringify(datasets);
    if (words !== drawn) {
      drawn = words;
      const focused = document.activeElement?.dataset?.act;
      replace(place, datasets.length ? h("ul", { class: "job-list" }, datasets.map(row))
        : h("div", { class: "notice" }, h("p", { text: "No datasets yet. What is uploaded here is checked, and trainings can name it." })));
      if (focused) (root.querySelector(`[data-act="${CSS.escape(focused)}"]`) ?? told).focus();
    }
    return datasets.some((one) => UNDER_WAY.includes(one.state));
  }

  function row(one) {
    const about = one.state === "uploading" ? `${one.percent} %` : one.state === "ready" ? `${plural(one.labelled, one.kind === "table" ? "row" : "image")} to train on` : one.error;
    return h("li", {},
      h("div", {}, h("div", { class: "job-name" }, h("strong", { text: one.name }), h("span", { class: "run-number", text: one.format })),
        h("div", { class: "job-about" }, `${bytes(one.bytes)} · ${dateTime(one.created)}`)),
      h("div", {}, h("span", { class: `status ${one.state}`, text: one.state }), about && h("div", { class: `job-about${one.error ? " wrong" : ""}`, text: about })),
      h("div", { class: "job-actions" }, one.state === "ready" && actionButton("Show", `show ${one.name}`, `Show ${one.name}`, () => show(one)),
        mayTrain() && one.state !== "uploading" && actionButton("Delete", `delete ${one.name}`, `Delete ${one.name}`, () => remove(one))));
  }

  async function show({ name }) {
    const path = `/api/v1/datasets/${name}`;
    const heading = h("h2", { id: "dataset-title", tabindex: "-1", text: name });
    details.hidden = false;
    replace(details, heading, loadingPanel());
    try {
      const [detail, preview] = await Promise.all([getJSON(path, { signal }), getJSON(`${path}/preview`, { signal })]);
      const facts = [["Layout", detail.layout], ["SHA-256", detail.sha256], ["Used by", detail.used_by.join(", ")]];
      replace(details, heading,
        h("dl", { class: "run-facts" }, facts.filter(([, value]) => value).map(([label, value]) => h("div", {}, h("dt", { text: label }), h("dd", { text: value })))),
        h("h3", { text: "What was found" }), h("pre", { class: "run-log", tabindex: "0", "aria-label": "What was found", text: detail.summary.join("\n") }),
        h("h3", { text: "First rows" }), dataTable({ caption: "First rows", captionHidden: true, columns: preview.columns, rows: preview.rows }).element,
        preview.described.length > 0 && [h("h3", { text: "Columns" }), dataTable({ caption: "Columns", captionHidden: true, sortable: true,
          columns: ["Column", "Kind", ...["Missing", "Different texts", "Smallest", "Largest"].map((label) => ({ label, numeric: true }))],
          rows: preview.described.map((one) => [one.name, one.kind, one.missing, one.different_texts, one.smallest, one.largest]) }).element]);
      heading.focus();
    } catch (error) {
      if (!isAbort(error)) replace(details, heading, errorPanel(error));
    }
  }

  async function remove(one) {
    const sure = await confirmed({ title: `Delete ${one.name}?`, action: "Delete", body: [
      h("p", { text: `The file of ${bytes(one.bytes)} and what was found in it go, and cannot be brought back. Runs that were trained on it stay.` })] });
    if (!sure) return;
    try {
      await change("DELETE", `/api/v1/datasets/${one.name}`, null, { signal });
      details.hidden = true;
      tell(`${one.name} is deleted.`);
      await polled.now();
    } catch (error) {
      if (!isAbort(error)) tell(error.message, { wrong: true });
    }
  }

  const polled = poll(async () => draw(await getJSON(`/api/v1/datasets?limit=${MOST}`, { signal })), (error) => {
    if (!drawn) replace(place, errorPanel(error, { retry: () => navigate("/datasets") }));
  });
  return () => {
    request.abort();
    polled.stop();
    upload?.close();
  };
}

function uploadForm({ tell, done }) {
  const file = field({ label: "File", help: "ZIP of images, NPZ, CSV or Parquet.",
    control: h("input", { class: "search", type: "file", accept: ".zip,.npz,.csv,.parquet", on: { change: suggest } }) });
  const name = field({ label: "Name", help: "Letters, digits, dots, dashes and underscores.",
    control: h("input", { class: "search", type: "text", maxlength: 100, autocomplete: "off", spellcheck: "false" }) });
  const format = field({ label: "Format", control: select(FORMATS.map((one) => [one, one])) });
  const bar = h("progress", { class: "upload-bar", max: "1", value: 0, "aria-label": "Upload" });
  const said = h("span", { class: "muted" });
  const go = h("button", { class: "button primary", type: "submit", text: "Upload" });
  const stop = h("button", { class: "button", type: "button", text: "Cancel", hidden: true, on: { click: () => sending?.abort() } });
  const progress = h("div", { class: "run-manage", hidden: true }, bar, said);
  let sending = null;

  const element = h("form", { class: "panel form-part", novalidate: true, "aria-label": "Upload a dataset", on: { submit: (event) => {
    event.preventDefault();
    send();
  } } }, h("div", { class: "field-grid" }, file.element, name.element, format.element), h("div", { class: "run-manage" }, go, stop), progress);

  function suggest() {
    const chosen = file.control.files[0];
    if (!chosen) return;
    file.tell([]);
    const [, stem, ending] = chosen.name.match(/^(.*?)(?:\.([^.]*))?$/);
    if (FORMATS.includes(ending?.toLowerCase())) format.control.value = ending.toLowerCase();
    if (!name.control.value) name.control.value = stem.replaceAll(/[^A-Za-z0-9._-]+/g, "-");
  }

  /** Only an XMLHttpRequest tells how much of a body has been sent. */
  function send() {
    const chosen = file.control.files[0];
    file.tell(chosen ? [] : ["Choose a file."]);
    name.tell(name.control.value.trim() ? [] : ["Enter a name."]);
    if (!chosen || !name.control.value.trim()) {
      (chosen ? name : file).control.focus();
      return;
    }
    const query = new URLSearchParams({ name: name.control.value.trim(), format: format.control.value });
    const own = sending = new XMLHttpRequest();
    own.open("POST", `/api/v1/datasets?${query}`);
    own.setRequestHeader("Content-Type", "application/octet-stream");
    for (const [header, value] of Object.entries(authorization())) own.setRequestHeader(header, value);
    own.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = loaded / total;
      setText(said, loaded < total ? `${bytes(loaded)} of ${bytes(total)}` : "Checking…");
    });
    own.addEventListener("load", () => finish(own.status, parsed(own.responseText)));
    own.addEventListener("error", () => finish(0, { detail: "The connection was cut." }));
    own.addEventListener("abort", () => finish(0, { detail: "The upload was cancelled." }));
    bar.value = 0;
    go.disabled = true;
    progress.hidden = stop.hidden = false;
    own.send(chosen);
  }

  function finish(status, answer) {
    sending = null;
    go.disabled = false;
    progress.hidden = stop.hidden = true;
    const good = status >= 200 && status < 300;
    if (good) tell(answer.state === "ready" ? `${answer.name} is ready.` : `${answer.name} has come and is being checked.`);
    else tell(answer.detail ?? `HTTP status ${status}`, { wrong: true });
    if (["name", "name_taken"].includes(answer.code)) name.tell([answer.detail]);
    if (good) element.reset();
    done();
  }

  return { element, close: () => sending?.abort() };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // of a proxy in between: the status alone has to do
  }
}
