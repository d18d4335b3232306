/** DOM building without markup strings: text is always text, for every other module of the page. */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "indeterminate"]);

/**
 * An HTML element.
 *
 * @param {string} tag
 * @param {object} [attributes] `class`, `text`, `on: {click: f}`, `dataset: {}`, `style: {"--x": "1px"}`; everything
 *   else is an attribute (`"aria-label"`, `href`, ...) or one of the properties `value`, `checked`, `disabled`,
 *   `selected`, `hidden`, `open`, `indeterminate`. `null`, `undefined` and `false` leave it out; `true` sets it empty.
 * @param {...(Node|string|number|null|undefined|false|Array)} children strings and numbers become text nodes
 * @returns {HTMLElement}
 */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An SVG element; the same arguments as `h`. */
export function s(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** Put `children` in the place of everything that `node` holds; returns `node`. */
export function replace(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

// Names and errors come from anywhere: characters that turn the direction of a line, or that have no picture, would let
// them look like something else.
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** `text` without characters that control a terminal or the direction of writing. */
export function plain(text) {
  return String(text).replaceAll(UNSEEN, "\ufffd");
}

/** Set the text of `node`, only when it differs (no needless layout, no needless speech); returns `node`. */
export function setText(node, text) {
  const wanted = text === null || text === undefined ? "" : plain(text);
  if (node.textContent !== wanted) node.textContent = wanted;
  return node;
}

/** Say in `node` how something went; `wrong`: it did not go well. */
export function tellIn(node, text, { wrong = false } = {}) {
  setText(node, text);
  node.classList.toggle("wrong", wrong);
}

/** Set or remove an attribute, only when it differs; returns `node`. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value === true ? "" : value)) {
    node.setAttribute(name, value === true ? "" : String(value));
  }
  return node;
}

/** A line of an inline icon, drawn with `path` in a 16 by 16 box; hidden from screen readers. */
export function icon(path) {
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    s("path", { d: path }));
}

/** An id that no other element of the page has. */
export function uniqueId(prefix) {
  return `${prefix}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
}

/** `f`, called at most once in `wait` milliseconds: at once, and once more at the end when calls came meanwhile. */
export function throttle(f, wait) {
  let timer = null;
  let again = false;
  const run = () => {
    again = false;
    timer = setTimeout(() => {
      timer = null;
      if (again) run();
    }, wait);
    f();
  };
  const throttled = () => {
    if (timer === null) run();
    else again = true;
  };
  throttled.cancel = () => {
    clearTimeout(timer);
    timer = null;
    again = false;
  };
  return throttled;
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name === "text") node.textContent = plain(value);
    else if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false) node.setAttribute(name, String(value));
  }
  node.append(...flat(children));
  return node;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : plain(child)));
}
