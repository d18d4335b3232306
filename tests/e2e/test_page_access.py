"""Who uses the page without a mouse, without eyes, without a network, or without a locale."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.e2e.finished_kit import Finished
    from tests.e2e.page_kit import Open, Visit

pytest_plugins = ["tests.e2e.page_kit", "tests.e2e.finished_kit"]

FOCUS = """(() => {
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
  return { href: document.activeElement.getAttribute("href"), style: outlineStyle,
    width: parseFloat(outlineWidth), shadow: boxShadow };
})()"""
MOST_TABS = 40


def open_list(finished: Finished, seen: Visit) -> None:
    seen.page.goto(finished.url)
    expect(seen.page.locator("a.run-link").first).to_be_visible()


def open_pooled(finished: Finished, seen: Visit) -> None:
    seen.page.goto(f"{finished.url}/runs/{finished.pooled}")
    seen.chart("Accuracy")
    seen.chart("Confusion matrix")


def open_federated(finished: Finished, seen: Visit) -> None:
    seen.page.goto(f"{finished.url}/runs/{finished.federated}")
    seen.table_of(seen.chart("Timeline"))
    seen.chart("Confusion matrix")


def open_comparison(finished: Finished, seen: Visit) -> None:
    seen.page.goto(finished.comparison)
    seen.table_of(seen.chart("Accuracy (validation)"))


PAGES = {"list": open_list, "pooled": open_pooled, "federated": open_federated, "comparison": open_comparison}


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_violation(name: str, finished: Finished, visit: Open) -> None:
    seen = visit("about:blank", reduced_motion="reduce")
    PAGES[name](finished, seen)
    seen.page.evaluate("window.scrollTo(0, 0)")
    for scheme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=scheme)
        found = Axe().run(seen.page).response["violations"]
        told = [
            f"{scheme} {one['impact']} {one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert told == []


def test_a_run_is_opened_by_keys_alone(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url)
    page = seen.page
    expect(page.locator("a.run-link").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert (focus["style"] != "none" and focus["width"] >= 1) or focus["shadow"] != "none", focus
        if focus["href"] == f"/runs/{finished.hostile}":
            break
    else:
        raise AssertionError("the run was not reached")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{finished.url}/runs/{finished.hostile}")
    expect(page.locator(".run-badges .status")).to_have_text("failed")
    assert page.evaluate("document.activeElement.id") == "main", "one reads on from the top of the new page"


def test_no_request_leaves_the_machine_and_nothing_complains(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url)
    page = seen.page
    assert page.evaluate("navigator.language") == "en-US@posix", "the locale that breaks some libraries"
    open_pooled(finished, seen)
    page.goto(f"{finished.url}/docs")
    expect(page.get_by_text(re.compile("/api/runs")).first).to_be_visible()
    assert len(seen.urls) > 30
    assert any(url.startswith("ws://127.0.0.1:") for url in seen.urls)
    assert seen.foreign == []
    assert seen.complaints == []
