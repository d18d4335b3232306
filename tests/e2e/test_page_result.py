"""The result of a comparison: in the first screen, the gains of sites, each class, and a dark report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect

from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.metrics.per_class import per_class
from shared.tracking.resources import RESOURCES_FILE, read_resources
from shared.tracking.store import Store

if TYPE_CHECKING:
    from tests.e2e.finished_kit import Finished
    from tests.e2e.page_kit import Open, Visit

pytest_plugins = ["tests.e2e.page_kit", "tests.e2e.finished_kit"]
SCREEN = {"width": 1440, "height": 900}


def table_of(seen: Visit, name: str) -> list[list[str]]:
    table = seen.page.get_by_role("table", name=name)
    expect(table).to_be_visible()
    return [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]


def bottom(seen: Visit, selector: str) -> float:
    box = seen.page.locator(selector).last.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def test_gap_and_final_table_are_in_the_first_screen(finished: Finished, visit: Open) -> None:
    for address in (finished.comparison, f"{finished.url}/runs/{finished.compare}"):
        seen = visit(address, viewport=SCREEN)
        expect(seen.page.locator("table.final tbody tr")).to_have_count(8)
        seen.chart("Accuracy (validation)" if "metric" in address else "AUROC (validation)")
        seen.page.evaluate("window.scrollTo(0, 0)")
        assert bottom(seen, ".hero-sentence") < SCREEN["height"]
        assert bottom(seen, "table.final tbody tr") < SCREEN["height"]
    seen = visit(f"{finished.url}/runs/{finished.federated}", viewport=SCREEN)
    expect(seen.page.locator("table.final tbody tr")).to_have_count(8)
    assert bottom(seen, "table.final tbody tr") < SCREEN["height"]
    order = seen.page.locator(".run-section").evaluate_all("(all) => all.map((one) => one.id)")
    assert order.index("twins") < order.index("clients") < order.index("rounds") < order.index("curves")


def test_many_warnings_are_folded_and_none_is_lost(finished: Finished, visit: Open) -> None:
    with Store(finished.database_url) as store:
        warned = [text for run in store.runs.children(finished.compare) for text in run.summary["warnings"]]
    if len(warned) <= 3:
        pytest.skip("the models of this machine are too good to be warned of")
    panel = visit(finished.comparison).page.get_by_role("note", name="Warnings")
    expect(panel.locator("li:visible")).to_have_count(2)
    panel.get_by_text(f"{len(warned) - 2} more").click()
    expect(panel.locator("li:visible")).to_have_count(len(warned))


def test_what_each_site_gains(finished: Finished, visit: Open) -> None:
    with Store(finished.database_url) as store:
        stored = store.runs.get(finished.compare).summary["site_gains"]
    seen = visit(finished.comparison)
    shown = table_of(seen, "AUROC of each site")
    assert stored["metric"] == "auroc"
    assert [row[0] for row in shown] == [row["name"] for row in stored["rows"]]
    for cells, row in zip(shown, stored["rows"], strict=True):
        assert (int(cells[1]), int(cells[2])) == (row["num_examples"], row["num_test"])
        values = [row[name] for name in ("pooled", "federated", "alone")]
        assert list(map(float, cells[3:6])) == pytest.approx(values, abs=6e-4)
        assert row["gain"] == pytest.approx(row["federated"] - row["alone"])
        assert float(cells[6].replace("−", "-")) == pytest.approx(row["gain"], abs=6e-4)
        assert row["low"] <= row["gain"] <= row["high"]


def test_each_class_has_its_row(finished: Finished, visit: Open) -> None:
    folder = finished.home / "runs" / str(finished.federated)
    expected = per_class(Outputs.load(folder / OUTPUTS_FILE).of_classes())
    seen = visit(f"{finished.url}/runs/{finished.federated}")
    seen.chart("Confusion matrix")
    shown = table_of(seen, "Each class against the rest")
    heads = seen.page.get_by_role("table", name="Each class against the rest").get_by_role("columnheader")
    assert heads.all_inner_texts()[2:] == ["Precision", "Recall", "F1", "AUROC"], "of each class, not of one"
    assert [int(row[1]) for row in shown] == [score.support for score in expected]
    for cells, score in zip(shown, expected, strict=True):
        values = (score.precision, score.recall, score.f1, score.auroc)
        for cell, value in zip(cells[2:], values, strict=True):
            assert (cell == "–") if value is None else float(cell) == pytest.approx(value, abs=6e-4)


def test_how_a_run_was_made(finished: Finished, visit: Open) -> None:
    with Store(finished.database_url) as store:
        made = store.runs.get(finished.federated).summary["environment"]
    samples = read_resources(finished.home / "runs" / str(finished.federated) / RESOURCES_FILE)
    seen = visit(f"{finished.url}/runs/{finished.federated}", viewport=SCREEN)
    section = seen.page.locator("#origin")
    expect(section.get_by_text(made["commands"][0])).to_be_visible()
    expect(section.get_by_role("row", name="Packages")).to_contain_text(f"torch {made['packages']['torch']}")
    rows = seen.table_of(seen.chart("Memory"))
    assert [int(row[1].replace(",", "")) for row in rows] == [one.memory for one in samples]
    section.get_by_text("Log", exact=True).click()
    expect(section.get_by_role("region", name="Log")).to_contain_text("round 3/3")
    seen.page.get_by_role("combobox", name="Compare with").select_option("the defaults")
    table = seen.page.get_by_role("table", name="Config of this run")
    expect(table.get_by_role("columnheader", name="The defaults")).to_be_visible()
    row = table.get_by_role("row", name="federation.num_rounds")
    expect(row).to_contain_text("differs")
    expect(row.locator("td").first).to_have_text("3")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_of_the_report_follow_the_theme(finished: Finished, chrome: Browser, scheme: str) -> None:
    report = finished.home / "results" / f"compare_{finished.compare}" / "report.html"
    context = chrome.new_context(color_scheme=scheme, viewport=SCREEN)
    page = context.new_page()
    page.goto(report.as_uri())
    cards = page.locator(".card")
    assert cards.count() >= 5
    for card in cards.all():
        paper, ink, figure = card.evaluate(
            """(card) => [getComputedStyle(card).backgroundColor,
              ...["svg", "svg path"].map((inner) => getComputedStyle(card.querySelector(inner)).fill)]"""
        )
        assert figure == paper, "the figure's background is that of its card"
        assert (light(paper) > 0.9, light(ink) > 0.5) == (scheme == "light", scheme == "dark")
    for name in ("What joining brings each site", "Classes"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    context.close()


def light(colour: str) -> float:
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / (3 * 255)
