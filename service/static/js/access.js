/** What the viewer may do: whoever opens the page may read; a token of the scope train, kept in this tab, may change. */

import { announce } from "./announce.js";
import { changeJSON, getJSON } from "./api.js";
import { openDialog } from "./dialog.js";
import { h, replace, setText } from "./dom.js";

const KEPT = "fedtwin-token"; // in the tab's own storage: other tabs and later visits do not have it
const SCOPES = ["read", "train", "admin"];
const WORDS = { read: "read", train: "train", admin: "administer" };

let page = null; // the access of the page itself, by its link or its cookie
let signed = null; // {token, scope, who} of the token that was signed in with

/** Read what the page may do, and check the token that this tab has kept. */
export async function loadAccess() {
  page = await getJSON("/api/access");
  const kept = sessionStorage.getItem(KEPT);
  if (kept && !signed) await take(kept).catch(() => sessionStorage.removeItem(KEPT));
}

/** Whether something may be changed from here. */
export function mayTrain() {
  return signed !== null;
}

/** Whether what belongs to a tenant's administration may be changed from here. */
export function mayAdminister() {
  return signed?.scope === "admin";
}

/**
 * Change something with the token of this tab; errors as those of `getJSON`.
 *
 * @param {string} method
 * @param {string} path
 * @param {object|null} [body]
 * @param {{signal?: AbortSignal, headers?: object}} [options]
 * @returns {Promise<object|null>} null where the answer has no content
 */
export async function change(method, path, body = null, { signal, headers } = {}) {
  try {
    return await changeJSON(path, { method, body, token: signed?.token ?? "", signal, headers });
  } catch (error) {
    if (error.status === 401 && signed) signOut("The token has expired or was revoked.");
    throw error;
  }
}

/** The headers that let a request change something, for what `change` cannot send. */
export function authorization() {
  return signed ? { Authorization: `Bearer ${signed.token}` } : {};
}

/** Draw the button of the header; `onChange` is called when somebody has signed in or out. */
export function startAccess(place, onChange) {
  const button = h("button", { class: "button small", type: "button", on: { click: () => (signed ? signOut() : signIn()) } });
  const who = h("span", { class: "access-who" });
  replace(place, who, button);

  function draw() {
    setText(who, signed ? `${signed.who}, may ${WORDS[signed.scope]}` : page ? "Read only" : "");
    setText(button, signed ? "Sign out" : "Sign in");
  }

  window.addEventListener("fedtwin-access", () => {
    draw();
    onChange();
  });
  draw();
  return draw;
}

/** Ask for a token; what it allows is shown at once. */
export function signIn() {
  return openDialog({ title: "Sign in", build: (close) => {
    const wrong = h("p", { class: "field-error", id: "sign-in-error", role: "alert" });
    const input = h("input", { class: "search", id: "sign-in-token", type: "password", autocomplete: "off", spellcheck: "false",
      autofocus: true, "aria-describedby": "sign-in-help sign-in-error" });

    async function go(event) {
      event.preventDefault();
      try {
        await take(input.value.trim());
        close(true);
        tell();
        announce(`Signed in: ${signed.who}.`, { urgent: true });
      } catch (error) {
        input.setAttribute("aria-invalid", "true");
        setText(wrong, error.message);
        input.focus();
      }
    }

    return [h("form", { class: "dialog-body", on: { submit: go } },
      h("label", { class: "field-label", for: input.id, text: "Token" }), input,
      h("p", { class: "muted", id: "sign-in-help" }, "An API token of the scope train (", h("code", { text: "fedtwin token create NAME --scope train" }),
        "), or the training token of the server. It stays in this tab and is forgotten when the tab is closed."), wrong,
      h("div", { class: "dialog-end" },
        h("button", { class: "button", type: "button", text: "Cancel", on: { click: () => close(null) } }),
        h("button", { class: "button primary", type: "submit", text: "Sign in" })))];
  } });
}

/**
 * What stands in place of controls that a viewer may not use.
 *
 * @param {string} what such as "Submitting a training"
 * @param {string} [scope] that it needs
 */
export function signInPanel(what, scope = "train") {
  const has = signed ? `Yours has the scope ${signed.scope}.` : "This page may read.";
  return h("div", { class: "notice" }, h("p", { text: `${what} needs a token of the scope ${scope}. ${has}` }),
    !signed && h("button", { class: "button primary", type: "button", text: "Sign in", on: { click: signIn } }));
}

async function take(token) {
  if (!token) throw new Error("Enter a token.");
  // A header cannot hold anything else, and the browser's own message about that helps nobody.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("A token has letters, digits and signs, and no spaces.");
  const found = await getJSON("/api/access", { headers: { Authorization: `Bearer ${token}` } });
  if (SCOPES.indexOf(found.scope) < 1) {
    throw new Error("This token is unknown to the server, or has the scope read: expected one of the scope train.");
  }
  if (found.tenant !== page.tenant) {
    throw new Error(`This token is of the tenant ${found.tenant}, and this page shows the tenant ${page.tenant}: open the page `
      + `by a link with a read token of ${found.tenant} first.`);
  }
  signed = { token, scope: found.scope, who: found.who };
  sessionStorage.setItem(KEPT, token);
}

function signOut(why = "Signed out.") {
  signed = null;
  sessionStorage.removeItem(KEPT);
  tell();
  announce(why, { urgent: true });
}

function tell() {
  window.dispatchEvent(new Event("fedtwin-access"));
}
