/** Message panels shown in place of data: errors, loading states and commands to run. */

import { ApiError } from "./api.js";
import { h } from "./dom.js";

/**
 * What went wrong, as text, with a button that tries again.
 *
 * @param {Error} error an `ApiError`'s title and detail are shown as they are
 * @param {{retry?: () => void}} [options]
 */
export function errorPanel(error, { retry = null } = {}) {
  const title = error instanceof ApiError ? error.title : "This page could not be displayed";
  const detail = error instanceof ApiError ? error.detail : error.message;
  return h("div", { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", { text: title })),
    detail && h("p", { text: detail }),
    retry && h("button", { class: "button", type: "button", text: "Try again", on: { click: retry } }));
}

const FEW_WARNINGS = 2; // that are shown before the rest is folded: the result must stay in the first screen

/**
 * What is to be doubted of tested models: the first ones, and a fold with the rest.
 *
 * @param {string[]} [warnings] of a run's summary, or of a comparison
 * @returns {HTMLElement | null} null where there is nothing to warn of
 */
export function warningsPanel(warnings = []) {
  if (!warnings.length) return null;
  const list = (some) => h("ul", {}, some.map((text) => h("li", { text })));
  const shown = warnings.length <= FEW_WARNINGS + 1 ? warnings.length : FEW_WARNINGS; // a fold of one line saves none
  const rest = warnings.slice(shown);
  return h("div", { class: "warnings", role: "note", "aria-label": "Warnings" },
    h("strong", { text: warnings.length > 1 ? `${warnings.length} warnings` : "Warning" }), list(warnings.slice(0, shown)),
    rest.length > 0 && h("details", {}, h("summary", { text: `${rest.length} more` }), list(rest)));
}

/** A placeholder that keeps the place while data is on its way. */
export function loadingPanel(text = "Loading…") {
  return h("p", { class: "notice loading", text });
}

/**
 * A shell command that a click copies.
 *
 * @param {string} command
 * @param {string} what what it does, in a few words
 */
export function commandLine(command, what) {
  const button = h("button", { class: "button small", type: "button", text: "Copy", "aria-label": `Copy: ${command}`,
    on: { click: async () => {
      try {
        await navigator.clipboard.writeText(command);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Blocked"; // clipboards need HTTPS or this machine's own address
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } } });
  return h("div", { class: "command" }, h("span", { class: "muted", text: what }),
    h("div", { class: "command-line" }, h("code", { text: command }), button));
}
