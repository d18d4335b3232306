/** What may be done with a run: its tags for everybody; for who may train also stop, edit and delete. */

import { change, mayTrain } from "../access.js";
import { announce } from "../announce.js";
import { isAbort } from "../api.js";
import { confirmed, openDialog } from "../dialog.js";
import { h, replace, setText } from "../dom.js";
import { plural } from "../format.js";
import { navigate } from "../router.js";
import { field } from "../submit/fields.js";

const PARENTS = ["compare", "sweep"];

/**
 * @param {object} model
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function manageSection(model) {
  const tags = h("ul", { class: "run-tags", "aria-label": "Tags" });
  const buttons = h("span", { class: "run-manage" });
  const told = h("span", { class: "run-told", role: "status", tabindex: "-1" });
  const element = h("div", { class: "run-manage" }, tags, buttons, told);
  let job = null; // that trains the run, or the comparison that it belongs to
  let asked = false;
  let stopping = Boolean(model.run.summary?.stop); // a sweep that was asked to stop
  let drawn = "";

  async function findJob() {
    const ids = [model.id, model.run.parent_id].filter((id) => id !== null);
    const answers = await Promise.all(ids.map((id) => model.fetchJSON(`/api/jobs?run_id=${id}&status=running`)));
    job = answers.flatMap((answer) => answer.jobs)[0] ?? null;
    asked = true;
    draw();
  }

  function draw() {
    const { run } = model;
    const words = JSON.stringify([run.status, run.tags, asked, stopping, job?.id, job?.cancel_requested]);
    if (words === drawn) return;
    drawn = words;
    replace(tags, run.tags.map((tag) => h("li", { class: "run-tag", text: tag })));
    tags.hidden = run.tags.length === 0;
    element.hidden = tags.hidden && !mayTrain(); // an empty line has height too
    if (!mayTrain()) return;
    const focused = document.activeElement?.dataset?.act;
    const part = run.parent_id !== null; // its parent shows it, and goes with it
    const sweep = run.training_mode === "sweep";
    const ending = job?.cancel_requested || stopping;
    replace(buttons,
      !model.finished && (job || (sweep && asked)) && h("button", { class: "button small", type: "button", text: ending ? "Stopping…" : "Stop",
        disabled: ending, dataset: { act: "stop" }, on: { click: job ? stop : stopSweep } }),
      h("button", { class: "button small", type: "button", text: "Edit", "aria-label": "Edit name, note and tags", dataset: { act: "edit" }, on: { click: edit } }),
      model.finished && !part && h("button", { class: "button small", type: "button", text: "Delete", "aria-label": `Delete run ${model.id}`,
        dataset: { act: "delete" }, on: { click: remove } }),
      !model.finished && asked && !job && !sweep && h("span", { class: "muted", text: part
        ? `Part of run ${run.parent_id}, which was not started by a job: it is stopped with that.`
        : "Not started by a job: Ctrl-C where it was started stops it." }));
    if (focused) (buttons.querySelector(`[data-act="${focused}"]`) ?? told).focus();
  }

  async function stop() {
    const sure = await confirmed({ title: `Stop ${model.run.name}?`, action: "Stop the training",
      body: [h("p", { text: `Job ${job.id} is cancelled: the run stops with its last checkpoint. Retry on the job's page resumes it from there.` })] });
    if (!sure) return;
    await tried(async () => {
      job = await change("DELETE", `/api/jobs/${job.id}`);
      say(`Job ${job.id} is being stopped.`);
      draw();
    });
  }

  async function stopSweep() {
    const sure = await confirmed({ title: `Stop ${model.run.name}?`, action: "Stop the sweep",
      body: [h("p", { text: `Trials that have ended stay, those under way keep what they have trained: fedtwin resume ${model.id} trains the rest.` })] });
    if (!sure) return;
    await tried(async () => {
      await change("POST", `/api/runs/${model.id}/stop`);
      stopping = true;
      say("The sweep is being stopped.");
      draw();
    });
  }

  async function edit() {
    const { run } = model;
    await openDialog({ title: `Edit run ${model.id}`, build: (close) => {
      const name = field({ label: "Name", control: h("input", { class: "search", value: run.name, maxlength: 200, autocomplete: "off", autofocus: true }) });
      const note = field({ label: "Note", control: h("textarea", { class: "search text-area note", rows: 4, value: run.description }) });
      const tag = field({ label: "Tags", help: "One word each, with commas or spaces between.",
        control: h("input", { class: "search", value: run.tags.join(" "), autocomplete: "off" }) });
      const wrong = h("p", { class: "field-error", role: "alert" });

      async function save(event) {
        event.preventDefault();
        const wanted = tag.control.value.split(/[\s,]+/).filter(Boolean);
        const body = { note: note.control.value, add_tags: wanted.filter((one) => !run.tags.includes(one)),
          remove_tags: run.tags.filter((one) => !wanted.includes(one)) };
        if (name.control.value.trim() !== run.name) body.name = name.control.value;
        try {
          await change("PATCH", `/api/runs/${model.id}`, body);
          await model.refresh();
          close(true);
          say("Saved.");
        } catch (error) {
          const of = (start) => (error.errors ?? []).filter((problem) => start.test(problem));
          name.tell(of(/^name/));
          note.tell(of(/^note/));
          tag.tell(of(/^(add|remove)_tags/));
          setText(wrong, error.errors?.length ? "" : error.message);
          (element.ownerDocument.querySelector('dialog [aria-invalid="true"]') ?? name.control).focus();
        }
      }

      return [h("form", { class: "dialog-body", on: { submit: save } }, name.element, note.element, tag.element, wrong,
        h("div", { class: "dialog-end" },
          h("button", { class: "button", type: "button", text: "Cancel", on: { click: () => close(null) } }),
          h("button", { class: "button primary", type: "submit", text: "Save" })))];
    } });
  }

  async function remove() {
    const { run } = model;
    const parent = PARENTS.includes(run.training_mode);
    const all = h("input", { type: "checkbox", checked: true });
    const children = run.training_mode === "sweep" ? run.trials.length : run.family.members.length;
    const goes = [`the run ${model.id}, ${run.name}`, model.held + model.streamed > 0 && `${plural(model.held + model.streamed, "stored value")}`,
      model.rounds.size > 0 && `${plural(model.rounds.size, "round")} and ${plural(model.clients.size, "client")}`,
      "its files: checkpoints, predictions, exports, report", !parent && "its version in the model registry"].filter(Boolean);
    const body = [h("p", { text: "This goes, and cannot be brought back:" }), h("ul", {}, goes.map((text) => h("li", { text }))),
      parent && children > 0 && h("label", { class: "run-check" }, all,
        h("span", { text: `Also its ${plural(children, "run")}; else they stay as runs of their own` })),
      h("p", { class: "muted", text: "A run on which a model's alias stands is not deleted: promote another version first." })];
    if (!await confirmed({ title: `Delete run ${model.id}?`, action: "Delete", body })) return;
    await tried(async () => {
      await change("DELETE", `/api/runs/${model.id}${parent && all.checked ? "?with_children=true" : ""}`);
      announce(`Run ${model.id} is deleted.`, { urgent: true });
      navigate("/");
    });
  }

  async function tried(act) {
    try {
      await act();
    } catch (error) {
      if (!isAbort(error)) say(error.message, { wrong: true });
    }
  }

  function say(text, { wrong = false } = {}) {
    setText(told, text);
    told.classList.toggle("wrong", wrong);
  }

  draw();
  if (mayTrain() && !model.finished) findJob().catch(() => {}); // without an answer there is no button
  return { element, update: draw };
}
