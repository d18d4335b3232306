/** The page's entry: starts the theme, the badge and the router, and mounts one page at a time. */

import { loadAccess, startAccess } from "./access.js";
import { announce, startAnnouncing } from "./announce.js";
import { getJSON } from "./api.js";
import { loadCatalogue } from "./catalogue.js";
import { startTicking, synchronise } from "./clock.js";
import { startConnectionBadge } from "./connection.js";
import { h, icon, replace, setText } from "./dom.js";
import { errorPanel } from "./notice.js";
import { startRouter } from "./router.js";
import { openStream } from "./stream.js";
import { choice, choose, onTheme, startTheme } from "./theme.js";

const PAGES = [
  { pattern: /^\/$/, load: () => import("./pages/runs.js"), title: "Runs" },
  { pattern: /^\/runs\/(\d+)$/, load: () => import("./pages/run.js"), title: "Run" },
  { pattern: /^\/compare$/, load: () => import("./pages/compare.js"), title: "Compare" },
  { pattern: /^\/models(?:\/([A-Za-z0-9._-]+))?$/, load: () => import("./pages/models.js"), title: "Models" },
  { pattern: /^\/datasets$/, load: () => import("./pages/datasets.js"), title: "Datasets" },
  { pattern: /^\/submit$/, load: () => import("./pages/submit.js"), title: "New training" },
  { pattern: /^\/webhooks$/, load: () => import("./pages/webhooks.js"), title: "Webhooks" },
  { pattern: /^\/jobs$/, load: () => import("./pages/jobs.js"), title: "Jobs" },
  { pattern: /^\/jobs\/(\d+)$/, load: () => import("./pages/job.js"), title: "Job" },
];
const THEMES = [
  ["system", "System theme", "M2 3h12v8H2zM6 13.5h4M8 11v2.5"],
  ["light", "Light", "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 .8v1.7M8 13.5v1.7M.8 8h1.7M13.5 8h1.7"
    + "M2.9 2.9l1.2 1.2M11.9 11.9l1.2 1.2M13.1 2.9l-1.2 1.2M4.1 11.9l-1.2 1.2"],
  ["dark", "Dark", "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z"],
];

let unmount = null;
let turn = 0;

function themeSwitch(place) {
  const buttons = THEMES.map(([value, words, path]) => h("button",
    { class: "theme-choice", type: "button", title: words, "aria-label": words, on: { click: () => choose(value) } },
    icon(path)));
  const draw = () => buttons.forEach((button, index) => {
    button.setAttribute("aria-pressed", String(THEMES[index][0] === choice()));
  });
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", "Theme");
  replace(place, buttons);
  onTheme(draw);
  draw();
}

async function show({ path, params }) {
  const main = document.getElementById("main");
  const own = (turn += 1);
  const first = own === 1;
  unmount?.();
  unmount = null;
  const page = PAGES.find(({ pattern }) => pattern.test(path));
  document.title = page ? `${page.title} · fedtwin` : "fedtwin";
  for (const link of document.querySelectorAll(".top-nav a")) {
    if (link.pathname === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!page) {
    replace(main, h("h1", { text: "Page not found" }), h("p", {}, h("a", { href: "/", text: "All runs" })));
    return;
  }
  try {
    const [module] = await Promise.all([page.load(), loadCatalogue(), access]);
    if (own !== turn) return;
    const root = h("div", { class: "page" });
    replace(main, root);
    const id = path.match(page.pattern)[1];
    unmount = module.mount(root, { id: id === undefined ? null : Number(id), name: id ?? null, params, getJSON, openStream });
  } catch (error) {
    if (own !== turn) return;
    console.error(error);
    replace(main, errorPanel(error, { retry: () => location.reload() }));
  }
  if (!first) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
    announce(document.title, { urgent: true });
  }
}

async function about(place) {
  try {
    const { version, database, time } = await getJSON("/api/health");
    synchronise(time);
    setText(place, `fedtwin ${version} · ${database === "postgresql" ? "PostgreSQL" : "SQLite"}`);
  } catch {
    // The badge in the header says that there is no connection.
  }
}

loadCatalogue().catch(() => {}); // `show` waits for both, and says so when one fails
const access = loadAccess();
access.catch(() => {});
startTheme();
startAnnouncing(document.getElementById("announcer"));
themeSwitch(document.getElementById("theme"));
startConnectionBadge(document.getElementById("connection"));
startTicking();
const drawAccess = startAccess(document.getElementById("access"), () => window.dispatchEvent(new Event("fedtwin-navigate")));
access.then(drawAccess, () => {});
about(document.getElementById("about"));
startRouter(show, (path) => PAGES.some(({ pattern }) => pattern.test(path)));
