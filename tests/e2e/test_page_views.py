"""What the page shows of finished runs: list, comparison, themes, narrow screens, hostile text, downloads."""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Download, Locator, Page, expect

from shared.tracking.store import Store

if TYPE_CHECKING:
    from tests.e2e.finished_kit import Finished
    from tests.e2e.page_kit import Open, Visit

pytest_plugins = ["tests.e2e.page_kit", "tests.e2e.finished_kit"]


def traces(figure: Locator) -> dict[str, dict[str, Any]]:
    """What Plotly was given, by name."""
    given = figure.locator(".plot").evaluate("(plot) => plot.data.map(({name, x, y}) => ({name, x, y}))")
    return {trace["name"]: trace for trace in given if trace["name"]}


def listed(page: Page) -> list[int]:
    """Ids of the runs in the list."""
    links = page.locator("a.run-link").evaluate_all("(links) => links.map((link) => link.pathname)")
    return [int(path.removeprefix("/runs/")) for path in links]


def ids_of(finished: Finished, **wanted: str) -> set[int]:
    with Store(finished.database_url) as store:
        return {run.id for run in store.runs.search(**wanted)}


def luminance(colour: str) -> float:
    """From 0 (black) to 1, of ``rgb(...)``, near enough to tell light from dark."""
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / (3 * 255)


def colours(page: Page) -> tuple[float, float]:
    """Of the page's background and text, as luminance."""
    background, text = page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    return luminance(background), luminance(text)


# --- the list ------------------------------------------------------------------------------------------------


def test_the_list_is_searched_and_filtered_and_the_address_keeps_that(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url)
    page = seen.page
    every = ids_of(finished)
    expect(page.locator("a.run-link")).to_have_count(len(every))
    assert set(listed(page)) == every
    expect(page.locator(".curve svg").first).to_be_visible()
    expect(page.get_by_text("gap in AUROC").first).to_be_visible()

    page.get_by_role("radio", name="Federated").check(force=True)
    federated = ids_of(finished, mode="federated")
    seen.until(lambda: federated <= set(listed(page)) <= federated | {finished.compare}, "federated runs")
    page.get_by_role("combobox", name="Status").select_option("failed")
    seen.until(lambda: listed(page) == [finished.hostile], "the failed run")
    page.get_by_role("searchbox", name="Search runs").fill("npz")
    seen.until(lambda: "q=npz" in page.url, "the search in the address")
    assert "mode=federated" in page.url
    assert "status=failed" in page.url

    page.reload()
    seen.until(lambda: listed(page) == [finished.hostile], "the same after a reload")
    expect(page.get_by_role("searchbox", name="Search runs")).to_have_value("npz")
    expect(page.get_by_role("radio", name="Federated")).to_be_checked()
    page.get_by_role("searchbox", name="Search runs").fill("nothing is called so")
    expect(page.get_by_text("No run matches")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page.locator("a.run-link")).to_have_count(len(every))


def test_several_runs_are_selected_and_compared(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url)
    page = seen.page
    chosen = [finished.pooled, finished.federated]
    for number in chosen:
        page.get_by_role("checkbox", name=f"Select run {number} to compare").check()
    expect(page.get_by_text("2 runs selected")).to_be_visible()
    assert f"select={chosen[0]},{chosen[1]}" in page.url
    page.get_by_role("region", name="Selection").get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    assert {"Pooled, seed 1", "Federated, seed 1"} <= set(traces(seen.chart("AUROC (validation)")))
    page.go_back()
    expect(page.get_by_text("2 runs selected")).to_be_visible()


# --- the comparison ------------------------------------------------------------------------------------------


def test_pooled_and_federated_are_in_one_picture(finished: Finished, visit: Open) -> None:
    seen = visit(finished.comparison)
    page, figure = seen.page, seen.chart("Accuracy (validation)")
    lines = traces(figure)
    means = {name.partition(",")[0]: lines[name] for name in lines if "mean of" in name}
    assert set(means) == {"Pooled", "Federated"}, "clients alone are validated on other rows"
    assert means["Pooled"]["x"] == means["Federated"]["x"] == [97, 194, 291], "the same examples seen"
    values = {role: expected_mean(finished, role) for role in ("centralized", "federated")}
    assert means["Pooled"]["y"] == pytest.approx(values["centralized"])
    assert means["Federated"]["y"] == pytest.approx(values["federated"])
    gaps = [a - b for a, b in zip(values["centralized"], values["federated"], strict=True)]
    assert lines["Gap"]["y"] == pytest.approx(gaps)
    expect(figure.locator("figcaption")).to_contain_text("interval")
    expect(page.locator(".hero-sentence")).to_contain_text(re.compile("federated", re.IGNORECASE))
    assert len(seen.table_of(figure)) >= 3

    page.get_by_role("radio", name="Bytes").check(force=True)
    seen.until(lambda: "over=bytes" in page.url, "the axis in the address")
    seen.until(lambda: axis_title(figure).startswith("Traffic (up + down) ("), "bytes on the axis")
    assert axis_title(figure).endswith(("(kB)", "(MB)"))
    page.get_by_role("button", name=re.compile("^Federated, mean of")).click()
    seen.until(lambda: not any(name.startswith("Federated") for name in traces(figure)), "no federated line")
    assert "hide=federated" in page.url
    page.get_by_role("combobox", name="Metric").select_option("loss")
    seen.chart("Loss (validation)")
    assert "metric=loss" in page.url

    page.reload()
    figure = seen.chart("Loss (validation)")
    assert axis_title(figure).startswith("Traffic (up + down) (")
    expect(page.get_by_role("table", name="Final test values").locator("tbody tr")).to_have_count(8)


def axis_title(figure: Locator) -> str:
    title: str = figure.locator(".plot").evaluate("(plot) => plot.layout.xaxis.title.text")
    return title


def expected_mean(finished: Finished, mode: str) -> list[float]:
    """Validation accuracy by epoch or round, as a mean over the seeds, from the database."""
    with Store(finished.database_url) as store:
        runs = [run.id for run in store.runs.children(finished.compare) if run.training_mode == mode]
        curves = [
            [
                row.value
                for row in store.metrics.of_run(run_id)
                if (row.stage, row.name, row.client_id) == ("val", "accuracy", None)
            ]
            for run_id in runs
        ]
    return [sum(values) / len(values) for values in zip(*curves, strict=True)]


# --- one run -------------------------------------------------------------------------------------------------


def test_a_run_shows_its_clients_rounds_labels_evaluation_and_config(finished: Finished, visit: Open) -> None:
    seen = visit(f"{finished.url}/runs/{finished.federated}")
    page = seen.page
    expect(page.locator(".run-badges .status")).to_have_text("completed")
    with Store(finished.database_url) as store:
        rows = store.metrics.of_run(finished.federated)
        counts = [
            list(client.profile["counts"]["label"].values())
            for client in store.clients.of_run(finished.federated)
        ]
        tested = store.runs.get(finished.federated).summary["confusion"]
    seen.until_held(rows)
    shown = seen.table_of(seen.chart("Training labels per client"))
    assert [[int(cell) for cell in line[1:4]] for line in shown] == [[sum(line), *line] for line in counts]
    expect(page.locator(".run-panels > li")).to_have_count(3)
    seen.chart("Timeline")
    assert matrix(seen) == tested
    page.get_by_role("slider", name="Threshold").press("End")
    positives = sum(map(sum, tested)) // 2
    assert matrix(seen) == [[positives, 0], [positives, 0]], "nothing is above a threshold of 1"
    assert "threshold=1.00" in page.url
    config = page.get_by_role("region", name="All settings")
    expect(config.get_by_text("federation.num_rounds")).to_be_visible()


def matrix(seen: Visit) -> list[list[int]]:
    table = seen.table_of(seen.chart("Confusion matrix"))
    return [[int(cell) for cell in line[1:]] for line in table]


def test_a_chart_is_saved_as_a_png_and_a_run_as_csv(finished: Finished, visit: Open, tmp_path: Path) -> None:
    seen = visit(f"{finished.url}/runs/{finished.pooled}")
    chart = seen.chart("Accuracy")
    picture = saved(seen.page, chart.get_by_role("button", name="PNG of").click, tmp_path)
    assert picture.name == "Accuracy.png"
    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    assert width > 400
    assert height > 200

    link = seen.page.locator("#downloads").get_by_role("link", name=re.compile("^CSV"))
    file = saved(seen.page, link.click, tmp_path)
    with Store(finished.database_url) as store, file.open() as lines:
        assert len(list(csv.DictReader(lines))) == len(store.metrics.of_run(finished.pooled))


def saved(page: Page, click: Callable[[], None], folder: Path) -> Path:
    """What a click downloads."""
    with page.expect_download() as waiting:
        click()
    download: Download = waiting.value
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


# --- text from outside ---------------------------------------------------------------------------------------


def test_names_and_errors_from_outside_are_text(finished: Finished, visit: Open) -> None:
    from tests.e2e.finished_kit import BOLD, IMAGE, LINK, LONG, SCRIPT

    seen = visit(f"{finished.url}/runs/{finished.hostile}")
    page = seen.page
    expect(page.locator(".run-badges .status")).to_have_text("failed")
    expect(page.get_by_role("heading", level=1)).to_have_text(LINK)
    error = page.get_by_role("region", name="Error")
    expect(error).to_contain_text("QuorumError")
    expect(error).to_contain_text(f"client 1 {SCRIPT}")
    left_out = page.get_by_role("region", name="Dropped replies").locator("tbody tr")
    expect(left_out).to_have_count(4)  # one in the first round, all in the second
    for number, name in enumerate((IMAGE, BOLD, LONG)):
        expect(left_out.filter(has_text=name).first).to_contain_text(f"client {number} {SCRIPT}")
        expect(page.locator(".run-panels").get_by_text(name, exact=True)).to_be_visible()
    for chart in ("Timeline", "Training labels per client"):
        figure = seen.chart(chart)
        for name in (IMAGE, BOLD, LONG):
            expect(figure.locator(".ytick").filter(has_text=name[:6])).to_have_count(1)
        assert {line[0] for line in seen.table_of(figure)} >= {IMAGE, BOLD, LONG}
    check_no_element(page)
    page.set_viewport_size({"width": 400, "height": 800})
    seen.until(lambda: seen.sideways() == (400, 400), "the long name is broken or cut")

    page.goto(finished.url)
    expect(page.get_by_role("row").filter(has_text=LINK)).to_contain_text("failed")
    check_no_element(page)


def check_no_element(page: Page) -> None:
    """None of the markup became an element, also not within a chart's picture."""
    made = page.evaluate(
        """[...document.querySelectorAll("*")].filter((node) =>
          node.getAttribute("src") === "x" || node.hasAttribute("onerror") || node.textContent === "bold"
          || (node.getAttribute("href") ?? node.getAttribute("xlink:href") ?? "").includes("example.invalid")
          || (node.localName === "script" && node.textContent.includes("alert")))
        .map((node) => node.outerHTML)"""
    )
    assert made == []


# --- how it looks --------------------------------------------------------------------------------------------


def test_light_and_dark_by_the_system_and_by_the_switch(finished: Finished, visit: Open) -> None:
    seen = visit(f"{finished.url}/runs/{finished.pooled}", color_scheme="light")
    page = seen.page
    ink = seen.chart("Accuracy").locator(".xtick text").first
    background, text = colours(page)
    assert background > 0.9
    assert text < 0.3
    assert luminance(ink.evaluate("(node) => getComputedStyle(node).fill")) < 0.5

    page.emulate_media(color_scheme="dark")
    seen.until(lambda: colours(page)[0] < 0.2 and colours(page)[1] > 0.7, "the dark page")
    ink = seen.chart("Accuracy").locator(".xtick text").first
    seen.until(lambda: luminance(ink.evaluate("(node) => getComputedStyle(node).fill")) > 0.5, "dark charts")

    page.get_by_role("button", name="Light").click()
    seen.until(lambda: colours(page)[0] > 0.9, "light by the switch")
    page.reload()
    expect(page.get_by_role("button", name="Light")).to_have_attribute("aria-pressed", "true")
    assert colours(page)[0] > 0.9, "the switch is remembered"
    page.get_by_role("button", name="System theme").click()
    seen.until(lambda: colours(page)[0] < 0.2, "dark as the system again")


def test_no_page_is_wider_than_the_screen(finished: Finished, visit: Open) -> None:
    seen = visit(finished.url, viewport={"width": 400, "height": 800})
    page = seen.page
    expect(page.locator("a.run-link").first).to_be_visible()
    check_widths(seen)
    page.locator(f'a.run-link[href="/runs/{finished.federated}"]').click()
    for chart in ("AUROC (validation)", "Timeline", "Confusion matrix"):
        seen.chart(chart)
    check_widths(seen)
    page.get_by_role("link", name="Compare all").click()
    expect(page.get_by_role("heading", name=re.compile(r"Compare \d+ runs"))).to_be_visible()
    seen.chart("AUROC (validation)")
    check_widths(seen)
    final = page.get_by_role("region", name="Final test values")
    for width in (400, 360):  # as wide as longer names of classes make it at 400
        page.set_viewport_size({"width": width, "height": 800})
        seen.until(
            lambda: final.evaluate("(frame) => frame.scrollWidth <= frame.clientWidth"), "no interval is cut"
        )
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{finished.url}/runs/{finished.compare}")
    versions = page.get_by_role("region", name="Versions")
    seen.until(
        lambda: versions.evaluate("(frame) => frame.scrollHeight <= frame.clientHeight"), "no version is cut"
    )


def check_widths(seen: Visit) -> None:
    """Nothing has to be moved sideways, and every chart is within its window."""
    for width in (400, 380, 2560):
        seen.page.set_viewport_size({"width": width, "height": 800})
        seen.until(lambda width=width: seen.sideways() == (width, width), f"it fits into {width} pixels")
        for figure in seen.page.locator("figure.chart:visible").all():
            box = figure.bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    seen.page.set_viewport_size({"width": 400, "height": 800})
