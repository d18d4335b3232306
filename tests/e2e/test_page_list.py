"""Order, groups, columns and search of the list of runs; how the curves of a run are drawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from shared.tracking.store import Store
from tests.e2e.test_page_views import listed

if TYPE_CHECKING:
    from tests.e2e.finished_kit import Finished
    from tests.e2e.page_kit import Open

pytest_plugins = ["tests.e2e.page_kit", "tests.e2e.finished_kit"]


def test_the_list_is_sorted_collapsed_and_grouped(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url, viewport={"width": 1440, "height": 900})
    page = seen.page
    head = page.get_by_role("columnheader", name="Age")
    expect(head).to_have_attribute("aria-sort", "descending")
    assert listed(page)[0] == finished.hostile, "the newest first"
    head.get_by_role("button").click()
    seen.until(lambda: listed(page)[0] == finished.compare, "the oldest first")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert "sort=Age" in page.url

    fold = page.get_by_role("button", name=re.compile("^Runs of "))
    fold.focus()
    page.keyboard.press("Enter")
    seen.until(
        lambda: set(listed(page)) == {finished.compare, finished.hostile}, "the comparison's runs are folded"
    )
    expect(fold).to_have_attribute("aria-expanded", "false")
    page.get_by_role("combobox", name="Group by").select_option("mode")
    heading = page.get_by_role("button", name="mode = federated · 1 entry")
    heading.click()
    seen.until(lambda: listed(page) == [finished.compare], "the group is folded")
    page.reload()
    expect(page.get_by_role("combobox", name="Group by")).to_have_value("mode")
    seen.until(lambda: finished.compare in listed(page), "the list is there again")
    page.get_by_role("button", name="Collapse all").click()
    seen.until(lambda: listed(page) == [], "all groups are folded")
    page.get_by_role("button", name="Expand all").click()
    expect(page.get_by_role("link", name="Run 2", exact=True)).to_be_visible()


def test_names_are_whole_on_a_narrow_screen_and_sites_are_named(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url, viewport={"width": 400, "height": 800})
    names = seen.page.locator(".run-row.comparison a.run-link")
    expect(names.first).to_be_visible()
    assert names.first.evaluate("(name) => name.scrollWidth <= name.clientWidth + 1"), "it is not cut"
    local = seen.page.locator(".run-row:has(.mode.local) .run-about")
    assert {text.split(" · ")[0] for text in local.all_inner_texts()} == {"client-0", "client-1", "client-2"}


def test_the_seeds_of_a_comparison_are_those_of_its_runs(finished: Finished, visit: Open) -> None:
    facts = visit(f"{finished.url}/runs/{finished.compare}").page.locator(".run-facts")
    expect(facts).to_contain_text(re.compile(r"Seeds\s*1, 2"))


def test_settings_in_which_runs_differ_are_columns_and_what_is_shown_is_found(
    finished: Finished, visit: Open
) -> None:
    seen = visit(finished.url, viewport={"width": 1440, "height": 900})
    page = seen.page
    page.get_by_label("Choose columns").click()
    page.get_by_role("checkbox", name="trainer.max_epochs").check()
    page.get_by_role("checkbox", name="Curve").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("columnheader", name="trainer.max_epochs")).to_be_visible()
    expect(page.locator("th.c-curve")).to_be_hidden()
    with Store(finished.database_url) as store:
        epochs = store.runs.get(finished.pooled).config["trainer"]["max_epochs"]
        assert len({run.config["trainer"]["max_epochs"] for run in store.runs.search()}) > 1
    row = page.get_by_role("row").filter(has=page.locator(f'a.run-link[href="/runs/{finished.pooled}"]'))
    expect(row.locator(".c-extra")).to_have_text(str(epochs))
    assert "columns=trainer.max_epochs" in page.url
    page.set_viewport_size({"width": 400, "height": 800})
    seen.until(lambda: seen.sideways() == (400, 400), "the columns fit below each other")
    search = page.get_by_role("searchbox", name="Search runs")
    for words, ids in (("failed", [finished.hostile]), ("QuorumError", [finished.hostile]), ("pooled", None)):
        search.fill(words)
        seen.until(
            lambda ids=ids: listed(page) == ids or (ids is None and finished.pooled in listed(page)), words
        )
    assert finished.federated not in listed(page), "pooled finds no federated run"


def test_curves_are_smoothed_logarithmic_and_reset(finished: Finished, visit: Open) -> None:
    seen = visit(f"{finished.url}/runs/{finished.pooled}?smooth=0.5", viewport={"width": 1440, "height": 900})
    page, figure = seen.page, seen.chart("Loss")
    lines = figure.locator(".plot").evaluate("(plot) => plot.data.map(({name, y}) => [name, y])")
    values = dict(lines)
    raw, smooth = values["Validation"], values["Validation, smoothed"]
    assert smooth[0] == pytest.approx(raw[0])
    assert smooth[1] == pytest.approx((0.25 * raw[0] + 0.5 * raw[1]) / 0.75), "the average begins without bias"
    page.get_by_role("slider", name="Smoothing").press("Home")
    seen.until(lambda: "smooth=" not in page.url, "no smoothing in the address")
    page.get_by_role("checkbox", name="Log scale").check()
    kind = "(plot) => plot._fullLayout.yaxis.type"
    seen.until(lambda: seen.chart("Loss").locator(".plot").evaluate(kind) == "log", "a logarithmic axis")
    hover = seen.chart("Loss").locator(".plot").evaluate("(plot) => plot.layout.xaxis.unifiedhovertitle.text")
    assert hover == "Epoch %{x}"
    plot = seen.chart("Loss").locator(".plot")
    ends = "(plot) => plot._fullLayout.xaxis.range"
    whole = plot.evaluate(ends)
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    seen.until(lambda: plot.evaluate(ends) != whole, "zoomed in")
    page.get_by_role("button", name="Reset the view of Loss").click()
    seen.until(lambda: plot.evaluate(ends) == whole, "the whole again")
    page.get_by_role("button", name="Full screen of Loss").click()
    seen.until(lambda: page.evaluate("document.fullscreenElement?.localName") == "figure", "full screen")
    page.get_by_role("button", name="Leave full screen of Loss").click()
    seen.until(lambda: page.evaluate("document.fullscreenElement === null"), "left again")


def test_misclassified_and_uncertain_images_with_their_probabilities(finished: Finished, visit: Open) -> None:
    seen = visit(f"{finished.url}/runs/{finished.federated}", viewport={"width": 400, "height": 800})
    page = seen.page
    panel = page.locator("#evaluation details")
    seen.chart("Confusion matrix")
    panel.locator("summary").click()
    with Store(finished.database_url) as store:
        confusion = store.runs.get(finished.federated).summary["confusion"]
    wrong = confusion[0][1] + confusion[1][0]
    expect(panel.get_by_role("status")).to_contain_text(f"{wrong} test image")
    expect(panel.locator("li.wrong img")).to_have_count(min(24, wrong))
    page.get_by_role("radio", name="Most uncertain").check(force=True)
    expect(panel.get_by_role("status")).to_contain_text("least certain first")
    images = panel.locator("img")
    seen.until(
        lambda: images.count() > 0 and images.first.evaluate("(one) => one.naturalWidth") > 0, "an image"
    )
    assert images.first.get_attribute("alt").startswith("Test image ")
    expect(panel.locator("dd").first).to_have_text(re.compile(r"^\d+\.\d %$"))
    seen.until(lambda: seen.sideways() == (400, 400), "the images fit")
