/** Fields of the form for a training: a label, a control, what it means, and what is wrong with it. */

import { h, setAttribute, setText, uniqueId } from "../dom.js";
import { capital } from "../format.js";
import { parsed, typed } from "./values.js";

/**
 * One field.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {HTMLElement} options.control an input, a select or a textarea
 * @param {string|null} [options.code] the setting's name, shown beside the label
 * @param {string} [options.help]
 * @param {Node|null} [options.more] stands behind the control
 * @returns {{element: HTMLElement, control: HTMLElement, tell: (problems: string[]) => void, explain: (help: string) => void}}
 */
export function field({ label, control, code = null, help = "", more = null }) {
  control.id = uniqueId("field");
  const about = h("p", { class: "field-help", id: `${control.id}-help`, text: help });
  const wrong = h("p", { class: "field-error", id: `${control.id}-error`, hidden: true });
  control.setAttribute("aria-describedby", `${about.id} ${wrong.id}`);
  const element = h("div", { class: "field" },
    h("label", { class: "field-label", for: control.id }, label, code && " ", code && h("code", { class: "field-code", text: code })),
    control, more, about, wrong);
  about.hidden = !help;

  return {
    element,
    control,
    tell(problems) {
      setText(wrong, problems.join("\n"));
      wrong.hidden = problems.length === 0;
      setAttribute(control, "aria-invalid", problems.length ? "true" : null);
    },
    explain(text) {
      setText(about, text);
      about.hidden = !text;
    },
  };
}

/** A select; `choices` are values with their words. */
export function select(choices, on) {
  return h("select", { class: "select", on }, choices.map(([value, words]) => h("option", { value, text: words })));
}

/**
 * A field of one setting of the configuration: empty means its default, which is shown.
 *
 * @param {object} setting `FormSetting` of the API
 * @param {() => void} onInput
 * @returns {object} as of `field`, with `key`, `setting`, `value()` (undefined: the default) and `setDefault(value)`
 */
export function settingField(setting, onInput) {
  const { key, kind, choices } = setting;
  const offered = kind === "boolean" ? [true, false] : choices;
  const on = { input: onInput, change: onInput };
  const control = offered
    ? select([["", ""], ...offered.map((one) => [typed(one), typed(one)])], on)
    : h("input", { class: "search", type: "text", autocomplete: "off", spellcheck: "false", on,
      inputmode: kind === "integer" ? "numeric" : kind === "number" ? "decimal" : null });
  const range = offered || setting.expected === "text or null" ? null : setting.expected;
  const about = setting.help === choices?.join(" | ") ? null : setting.help; // the select says so itself
  const help = [about, range].filter(Boolean).join("; ");
  const made = field({ label: nameOf(key), code: key, help, control });

  return {
    ...made,
    key,
    setting,
    value() {
      if (control.value.trim() === "") return undefined;
      return offered ? offered.find((one) => typed(one) === control.value) : parsed(control.value, kind);
    },
    setDefault(value) {
      const words = typed(value);
      if (offered) setText(control.options[0], `${words} (default)`);
      else setAttribute(control, "placeholder", words);
    },
  };
}

/** A setting's name for people: "trainer.optimizer.name" is "Optimizer", "federation.num_clients" is "Num clients". */
export function nameOf(key) {
  const [section, ...rest] = key.split(".");
  if (!rest.length) return capital(section);
  const kept = ["name", "enabled"].includes(rest.at(-1)) && rest.length > 1 ? rest.slice(0, -1) : rest;
  return capital(kept.join(" ").replaceAll("_", " ").replace(/^num /, "").replace(/\blr$/, "learning rate"));
}
