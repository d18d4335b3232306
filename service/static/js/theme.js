/** Light and dark: the system's preference unless the viewer chose, and the colours that charts draw with. */

const STORAGE = "fedtwin-theme";
const NAMES = ["pooled", "federated", "local", "grey", "text", "muted", "grid", "background", "surface", "good", "bad"];
const CLIENTS = 10;
let chosen = "system";

/** How the three training modes are drawn: never by colour alone. `dash` is Plotly's, `stroke` is SVG's. */
export const LINES = {
  pooled: { dash: "solid", stroke: "none", symbol: "circle" },
  federated: { dash: "dash", stroke: "6 3", symbol: "diamond" },
  local: { dash: "dot", stroke: "1.5 3", symbol: "square" },
};

// Further groups of a role, such as other strategies: another colour, dash and marker.
const VARIANTS = [
  { dash: "dashdot", stroke: "8 3 2 3", symbol: "triangle-up", client: 3 },
  { dash: "longdash", stroke: "10 4", symbol: "star", client: 5 },
  { dash: "longdashdot", stroke: "10 3 2 3", symbol: "x", client: 8 },
  { dash: "dot", stroke: "2 2", symbol: "triangle-down", client: 4 },
  { dash: "solid", stroke: "none", symbol: "cross", client: 7 },
  { dash: "dashdot", stroke: "8 3 2 3", symbol: "pentagon", client: 6 },
  { dash: "longdash", stroke: "10 4", symbol: "hexagon", client: 9 },
];

/**
 * How a group of a role is drawn.
 *
 * @param {{role: string, variant: number}} group
 * @param {object} [colours] of `palette`
 * @returns {{dash: string, stroke: string, symbol: string, kind: string, colour: string|undefined}} `kind` is its
 *   class in the style sheet
 */
export function lineOf({ role, variant }, colours = {}) {
  if (variant === 0) return { ...LINES[role], kind: role, colour: colours[role] };
  const look = VARIANTS[(variant - 1) % VARIANTS.length];
  return { ...look, kind: `variant-${look.client}`, colour: colours.clients?.[look.client] };
}

/** The role of a training mode in a comparison: "centralized" is "pooled". */
export function roleOf(mode) {
  return mode === "centralized" ? "pooled" : mode;
}

/** What the viewer chose: "system", "light" or "dark". */
export function choice() {
  return chosen;
}

/** Choose "system", "light" or "dark"; kept for the next visit. */
export function choose(value) {
  chosen = value;
  try {
    localStorage.setItem(STORAGE, value);
  } catch {
    // A browser that keeps nothing for this site: the choice holds until the page is left.
  }
  apply();
}

/** Put the theme on the page and follow the system and other tabs. */
export function startTheme() {
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  window.addEventListener("storage", (event) => {
    if (event.key !== STORAGE) return;
    chosen = kept();
    apply();
  });
  chosen = kept();
  apply();
}

/**
 * Call `f` whenever the theme changed.
 *
 * @param {() => void} f
 * @returns {() => void} stops it
 */
export function onTheme(f) {
  window.addEventListener("fedtwin-theme", f);
  return () => window.removeEventListener("fedtwin-theme", f);
}

/**
 * The colours of the current theme as `rgb(...)` strings, out of the variables of app.css.
 *
 * @returns {{pooled: string, federated: string, local: string, grey: string, text: string, muted: string, grid: string,
 *   background: string, surface: string, good: string, bad: string, clients: string[]}}
 */
export function palette() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const resolve = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color; // a variable's own value would still be `light-dark(...)`
  };
  const colours = Object.fromEntries(NAMES.map((name) => [name, resolve(name)]));
  colours.clients = Array.from({ length: CLIENTS }, (_, index) => resolve(`client-${index}`));
  probe.remove();
  return colours;
}

/** `colour`, an `rgb(...)` string of `palette`, with an opacity in [0, 1]. */
export function withAlpha(colour, alpha) {
  const parts = colour.match(/[\d.]+/g).slice(0, 3);
  return `rgba(${parts.join(",")},${alpha})`;
}

function kept() {
  try {
    const stored = localStorage.getItem(STORAGE);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    return "system";
  }
}

function apply() {
  document.documentElement.dataset.theme = chosen;
  window.dispatchEvent(new Event("fedtwin-theme"));
}
