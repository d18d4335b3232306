"""Screenshots of the live page, wide and narrow, light and dark, for the README and for review.

``python benchmarks/screenshots.py --url http://127.0.0.1:8765 --run 3 --out pictures`` takes the runs list, the
page of that run and the comparison of its family from a server that runs already, each as long as it is.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS = {1440: 900, 400: 860}
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
PAGES = ("runs", "run", "compare")
WAIT_S = 60.0
LOOK_MS = 100
SETTLED_MS = 400
MOST_PICTURES = 200
# A plot is drawn anew when its place has found its width.
DRAWN = """(node) => node.tagName === "IMG" ? node.complete
  : Math.abs((node.querySelector("svg.main-svg")?.clientWidth ?? -9) - node.clientWidth) < 2"""


def main() -> None:
    """Take the pictures, and print the path of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", required=True, help="of the server, as `fedtwin serve` prints it")
    parser.add_argument("--run", type=int, required=True, help="the run's id")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the pictures")
    parser.add_argument("--width", type=int, action="append", choices=WIDTHS, help="only this one (all)")
    parser.add_argument("--scheme", action="append", choices=SCHEMES, help="only this one (all)")
    parser.add_argument("--page", action="append", choices=PAGES, help="only this one (all)")
    parser.add_argument(
        "--chromium", default=shutil.which("chromium"), help="the program (the one on the path)"
    )
    options = parser.parse_args()
    if options.chromium is None:
        sys.exit("no Chromium (Debian: apt install chromium)")
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium)
        for path in take(browser, options):
            print(path, flush=True)
        browser.close()


def take(browser: Browser, options: argparse.Namespace) -> Iterator[Path]:
    """One picture for each page, width and colour scheme.

    Parameters
    ----------
    options : Namespace
        As parsed by `main`.

    Yields
    ------
    Path
        Of a PNG.
    """
    for width in options.width or WIDTHS:
        for scheme in options.scheme or SCHEMES:
            # Nothing is caught in the middle of a movement.
            context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            for name, address in addresses(page, options):
                page.set_viewport_size({"width": width, "height": WIDTHS[width]})
                page.goto(address)
                draw_all(page)
                # A window as high as the page: Playwright's `full_page` makes it 1 pixel wide for a moment, for
                # which the page draws its charts anew.
                height = page.evaluate("document.documentElement.scrollHeight")
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(SETTLED_MS)
                path = options.out / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=path)
                yield path
            context.close()


def addresses(page: Page, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Names and addresses of the pages.

    Parameters
    ----------
    page : Page
        Whose context asks the server which runs belong together.

    Yields
    ------
    (str, str)
    """
    base = options.url.rstrip("/")
    wanted = options.page or PAGES
    if "runs" in wanted:
        yield "runs", f"{base}/"
    if "run" in wanted:
        yield "run", f"{base}/runs/{options.run}"
    if "compare" in wanted:
        answer = page.request.get(f"{base}/api/runs/{options.run}")
        if not answer.ok:
            sys.exit(f"{answer.url} answers {answer.status}")
        members = answer.json()["family"]["members"]
        ids = ",".join(str(member["id"]) for member in members) or str(options.run)
        yield "compare", f"{base}/compare?runs={ids}"


def draw_all(page: Page) -> None:
    """Bring every chart and picture into view once, as the page draws and loads only what is in view."""
    page.locator("#main h1").first.wait_for(timeout=1000 * WAIT_S)
    pictures = page.locator("#main .plot:visible, #main img:visible")
    for index in range(MOST_PICTURES):  # while one is looked at, more may appear beneath it
        wait_for(page, lambda: not page.locator("#main .loading").count())
        if index >= pictures.count():
            break
        pictures.nth(index).scroll_into_view_if_needed(timeout=1000 * WAIT_S)
        wait_for(page, partial(pictures.nth(index).evaluate, DRAWN))
    page.evaluate("window.scrollTo(0, 0)")


def wait_for(page: Page, true: Callable[[], object]) -> None:
    """Look at the page until something holds; its policy forbids what `wait_for_function` does."""
    late = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > late:
            raise SystemExit(f"{page.url} is not drawn after {WAIT_S:g} s")
        page.wait_for_timeout(LOOK_MS)


if __name__ == "__main__":
    main()
