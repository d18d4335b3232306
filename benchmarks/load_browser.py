"""The browser of the load test: Chromium on a run's page, recording when the page receives each row."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time

from playwright.sync_api import sync_playwright

CONNECTED_MS = 30_000
SETTLED_MS = 2_000
LOOK_MS = 500
LATE_S = 60.0
# The page keeps the id of its last row in `document.body.dataset.cursor`. What it draws is on the screen with
# the frame after that.
NOTE = """
window.notes = [];
let last = -1;
const now = () => performance.timeOrigin + performance.now();
new MutationObserver(() => {
  const cursor = Number(document.body?.dataset.cursor ?? -1);
  if (cursor === last) return;
  last = cursor;
  const note = { cursor, known: now(), drawn: null };
  window.notes.push(note);
  requestAnimationFrame(() => requestAnimationFrame(() => { note.drawn = now(); }));
}).observe(document, { attributes: true, attributeFilter: ["data-cursor"], childList: true, subtree: true });
"""


def main() -> None:
    """Open the page, say that it is open, wait for the last row, and print the notes as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the run's page")
    parser.add_argument("--last", type=int, required=True, help="the id of the run's last row")
    parser.add_argument("--seconds", type=float, required=True, help="how long the run takes")
    parser.add_argument(
        "--chromium", default=shutil.which("chromium"), help="the program (the one on the path)"
    )
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium)
        page = browser.new_page()
        page.add_init_script(NOTE)
        page.goto(options.url)
        page.wait_for_selector("body[data-cursor]", state="attached", timeout=CONNECTED_MS)
        page.wait_for_timeout(SETTLED_MS)  # its first drawing is not what is measured
        print("ready", flush=True)
        late = time.monotonic() + options.seconds + LATE_S
        # The page's policy forbids what `wait_for_function` does.
        drawn = f"window.notes.some((note) => note.cursor >= {options.last} && note.drawn !== null)"
        while not page.evaluate(drawn):
            if time.monotonic() > late:
                raise SystemExit(f"the page has not got row {options.last}")
            page.wait_for_timeout(LOOK_MS)
        json.dump(page.evaluate("window.notes"), sys.stdout)
        browser.close()


if __name__ == "__main__":
    main()
