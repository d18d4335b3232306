/** Addresses inside the page: links that stay in it, and state that lives in the URL. */

import { withQuery } from "./api.js";

let shown = ""; // the address that the mounted page belongs to, without its anchor

/** The query of the address as an object of strings. */
export function params() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/**
 * Go to another page (or to this one, afresh): the page at `path` is mounted anew.
 *
 * @param {string} path such as "/runs/3"
 * @param {object} [query] null, undefined and empty values are left out
 * @param {{replace?: boolean}} [options] `replace`: no new entry in the history
 */
export function navigate(path, query = {}, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", withQuery(path, query));
  window.dispatchEvent(new Event("fedtwin-navigate"));
}

/**
 * Write state of the page into its own address; nothing is mounted anew, no entry is added to the history.
 *
 * @param {object} changes null, undefined and "" remove a key; other keys of the query stay
 */
export function setParams(changes) {
  const next = withQuery(location.pathname, { ...params(), ...changes });
  if (next === location.pathname + location.search) return;
  history.replaceState(history.state, "", next + location.hash);
  shown = location.pathname + location.search;
}

/**
 * Call `onRoute({path, params})` now and whenever the address changes; clicks on `a[href^="/"]` stay in the page.
 *
 * @param {(route: {path: string, params: object}) => void} onRoute
 * @param {(path: string) => boolean} isPage whether a path is one of the page's own (`/docs`, exports are not)
 */
export function startRouter(onRoute, isPage) {
  const route = () => {
    shown = location.pathname + location.search;
    onRoute({ path: location.pathname, params: params() });
  };
  window.addEventListener("popstate", () => {
    // A jump to an anchor also comes here, and mounts nothing.
    if (location.pathname + location.search !== shown) route();
  });
  window.addEventListener("fedtwin-navigate", route);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a[href^="/"]') : null;
    if (!link || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !isPage(url.pathname)) return;
    event.preventDefault();
    navigate(url.pathname, Object.fromEntries(url.searchParams));
  });
  route();
}
