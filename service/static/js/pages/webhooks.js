/** Webhooks of a tenant: who is told of its jobs and models, what became of the messages; add, test, send again, delete. */

import { authorization, change, mayAdminister, signInPanel } from "../access.js";
import { tellAloud } from "../announce.js";
import { isAbort } from "../api.js";
import { confirmed } from "../dialog.js";
import { h, replace, setText } from "../dom.js";
import { dateTime } from "../format.js";
import { actionButton } from "../jobs/parts.js";
import { poll } from "../jobs/poll.js";
import { commandLine, errorPanel, loadingPanel } from "../notice.js";
import { navigate } from "../router.js";
import { field } from "../submit/fields.js";
import { dataTable } from "../table.js";

const PATH = "/api/v1/webhooks";
const EVENTS = ["job.queued", "job.started", "job.completed", "job.failed", "job.cancelled",
  "model.registered", "model.promoted", "model.rolled_back"];

/**
 * Mount the list.
 *
 * @param {HTMLElement} root
 * @param {{getJSON: Function}} context
 * @returns {() => void} unmount
 */
export function mount(root, { getJSON }) {
  const head = h("div", { class: "page-head" }, h("h1", { text: "Webhooks" }));
  if (!mayAdminister()) {
    replace(root, head, signInPanel("Seeing and changing webhooks", "admin"));
    return () => {};
  }
  const request = new AbortController();
  const { signal } = request;
  const told = h("p", { class: "model-status", role: "status", tabindex: "-1" });
  const tell = (text, options) => tellAloud(told, text, options);
  const secret = h("div", { class: "notice webhook-secret", hidden: true });
  const place = h("div", {}, loadingPanel("Loading webhooks…"));
  const details = h("section", { class: "job-part", "aria-labelledby": "deliveries-title", hidden: true });
  let drawn = "";
  let shown = null; // the webhook whose messages are listed
  replace(root, head, newWebhook({ add }), told, secret, place, details);

  const read = (path) => getJSON(path, { signal, headers: authorization() });

  function draw({ webhooks }) {
    const words = JSON.stringify(webhooks);
    if (words !== drawn) {
      drawn = words;
      const focused = document.activeElement?.dataset?.act;
      replace(place, webhooks.length ? h("ul", { class: "job-list" }, webhooks.map(row))
        : h("div", { class: "notice" }, h("p", { text: "No webhooks yet. An address that is added here is told what happens to jobs and models." })));
      if (focused) (root.querySelector(`[data-act="${CSS.escape(focused)}"]`) ?? told).focus();
      if (shown !== null) show(shown, { focus: false });
    }
    return webhooks.some((one) => one.last?.status === "waiting");
  }

  function row(one) {
    const name = `webhook ${one.id}`;
    const path = `${PATH}/${one.id}`;
    const { last } = one;
    return h("li", {},
      h("div", {}, h("div", { class: "job-name" }, h("strong", { text: one.url }), h("span", { class: "run-number", text: `#${one.id}` })),
        h("div", { class: "job-about", text: one.events.length === EVENTS.length ? "all events" : one.events.join(", ") })),
      h("div", {}, last ? [h("span", { class: `status ${last.status}`, text: last.status }),
        h("div", { class: `job-about${last.error ? " wrong" : ""}`, text: [last.event, last.error ?? dateTime(last.created)].join(" · ") })]
        : h("span", { class: "muted", text: "nothing sent yet" })),
      h("div", { class: "job-actions" },
        actionButton("Test", `test ${name}`, `Test ${name}`, () => act("POST", `${path}/test`, `A test message to ${name} is being sent.`)),
        actionButton("Messages", `show ${name}`, `Messages of ${name}`, () => show(one.id)),
        actionButton("Delete", `delete ${name}`, `Delete ${name}`, () => remove(one))));
  }

  async function show(id, { focus = true } = {}) {
    shown = id;
    const heading = h("h2", { id: "deliveries-title", tabindex: "-1", text: `Messages of webhook ${id}` });
    try {
      const { deliveries, next } = await read(`${PATH}/${id}/deliveries?limit=50`);
      if (shown !== id) return;
      const focused = document.activeElement?.dataset?.act;
      details.hidden = false;
      replace(details, heading, deliveries.length ? dataTable({ caption: "Messages", captionHidden: true,
        columns: ["Event", "Status", { label: "Attempts", numeric: true }, "Answer", "Time", "Action"], rows: deliveries.map((one) => [one.event,
          h("span", { class: `status ${one.status}`, text: one.status }), one.attempts, one.error ?? (one.answer === null ? null : String(one.answer)), dateTime(one.created),
          actionButton("Send again", `resend ${one.id}`, `Send message ${one.id} again`,
            () => act("POST", `${PATH}/${id}/deliveries/${one.id}/resend`, `Message ${one.id} is being sent again.`))]) }).element
        : h("p", { class: "muted", text: "No messages within 30 days." }), next !== null && h("p", { class: "muted", text: "The newest 50; more: fedtwin webhooks deliveries." }));
      if (focus) heading.focus();
      else if (focused) details.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
    } catch (error) {
      if (!isAbort(error)) replace(details, heading, errorPanel(error));
    }
  }

  async function add(body) {
    const made = await change("POST", PATH, body, { signal });
    secret.hidden = false;
    replace(secret, commandLine(made.secret, `The secret of webhook ${made.id}, shown this once; its receiver checks signatures with it:`));
    tell(`Webhook ${made.id} is added.`);
    await polled.now();
  }

  async function remove(one) {
    const sure = await confirmed({ title: `Delete webhook ${one.id}?`, action: "Delete webhook",
      body: [h("p", { text: `${one.url} is told of nothing any more; messages that wait are not sent.` })] });
    if (!sure) return;
    if (shown === one.id) {
      shown = null;
      details.hidden = true;
    }
    secret.hidden = true;
    await act("DELETE", `${PATH}/${one.id}`, `Webhook ${one.id} is deleted.`);
  }

  async function act(method, path, words) {
    try {
      await change(method, path, null, { signal });
      tell(words);
      await polled.now();
    } catch (error) {
      if (!isAbort(error)) tell(error.message, { wrong: true });
    }
  }

  const polled = poll(async () => draw(await read(PATH)), (error) => {
    if (!drawn) replace(place, errorPanel(error, { retry: () => navigate("/webhooks") }));
  });
  return () => {
    request.abort();
    polled.stop();
  };
}

/** The form for a new one; `add` sends it, and throws what the server refuses. */
function newWebhook({ add }) {
  const url = field({ label: "URL", help: "https, with a public address; others are for fedtwin serve --allow-webhook.",
    control: h("input", { class: "search", type: "url", maxlength: 1000, autocomplete: "off", spellcheck: "false" }) });
  const boxes = EVENTS.map((event) => h("input", { type: "checkbox", value: event, checked: true }));
  const wrong = h("p", { class: "field-error", role: "alert" });

  async function send(event) {
    event.preventDefault();
    const events = boxes.filter((box) => box.checked).map((box) => box.value);
    setText(wrong, "");
    url.tell(url.control.value.trim() ? [] : ["Enter the URL of a receiver."]);
    if (!url.control.value.trim()) url.control.focus();
    else if (!events.length) {
      setText(wrong, "Choose one event or more.");
      boxes[0].focus();
    } else {
      try {
        await add({ url: url.control.value.trim(), events });
        url.control.value = "";
      } catch (error) {
        if (isAbort(error)) return;
        url.tell([error.detail ?? error.message]);
        url.control.focus();
      }
    }
  }

  return h("form", { class: "panel form-part", novalidate: true, "aria-label": "Add a webhook", on: { submit: send } }, url.element,
    h("fieldset", { class: "event-boxes" }, h("legend", { class: "field-label", text: "Events" }),
      boxes.map((box) => h("label", { class: "run-check" }, box, h("span", { text: box.value })))),
    wrong, h("div", { class: "run-manage" }, h("button", { class: "button primary", type: "submit", text: "Add webhook" })));
}
