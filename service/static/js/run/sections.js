/** Links to the sections of the run page; the one in view is highlighted. */

import { h, replace, setAttribute } from "../dom.js";

/** @returns {{element: HTMLElement, offer: (sections: object[]) => void, restore: () => void, destroy: () => void}} */
export function sectionNav() {
  const list = h("ul");
  const element = h("nav", { class: "run-nav", "aria-label": "Sections of this page" }, list);
  const inView = new Set();
  let links = new Map();

  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) inView.add(target.id);
      else inView.delete(target.id);
    }
    const current = [...links.keys()].find((key) => inView.has(key));
    for (const [key, link] of links) setAttribute(link, "aria-current", key === current ? "true" : null);
  }, { rootMargin: "-200px 0px -55% 0px" });

  return {
    element,
    offer(sections) {
      seen.disconnect();
      inView.clear();
      links = new Map(sections.map(({ key, title }) => [key, h("a", { href: `#${key}`, text: title })]));
      replace(list, [...links.values()].map((link) => h("li", {}, link)));
      sections.forEach((section) => seen.observe(section.element));
    },
    /** Go where the address points; the browser could not, as the section was not there yet. */
    restore() {
      if (links.has(location.hash.slice(1))) document.getElementById(location.hash.slice(1)).scrollIntoView();
    },
    destroy() {
      seen.disconnect();
    },
  };
}
