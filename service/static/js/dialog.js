/** Modal dialogs of the browser's own: a question before something is lost, and a frame for a small form. */

import { h, replace, uniqueId } from "./dom.js";

/**
 * Open a modal dialog; Escape closes it, and focus returns to where it was.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {(close: (answer: *) => void) => Array<Node>} options.build its content
 * @returns {Promise<*>} what `close` was called with; null for Escape
 */
export function openDialog({ title, build }) {
  const heading = h("h2", { id: uniqueId("dialog"), text: title });
  const element = h("dialog", { class: "dialog", "aria-labelledby": heading.id });
  const before = document.activeElement;
  return new Promise((resolve) => {
    let answer = null;
    const close = (given) => {
      answer = given;
      element.close();
    };
    element.addEventListener("close", () => {
      element.remove();
      if (before?.isConnected) before.focus();
      resolve(answer);
    });
    replace(element, heading, build(close));
    document.body.append(element);
    element.showModal();
  });
}

/**
 * Ask before something that cannot be undone.
 *
 * @param {object} options
 * @param {string} options.title a question
 * @param {Array<Node|string>} options.body what goes
 * @param {string} options.action words of the button that does it
 * @returns {Promise<boolean>}
 */
export async function confirmed({ title, body, action }) {
  return (await openDialog({ title, build: (close) => [
    h("div", { class: "dialog-body" }, body),
    h("div", { class: "dialog-end" },
      h("button", { class: "button", type: "button", text: "Cancel", autofocus: true, on: { click: () => close(null) } }),
      h("button", { class: "button danger", type: "button", text: action, on: { click: () => close(true) } })),
  ] })) === true;
}
