from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.data.profile import SpanTable
from shared.data.summary import DataSummary
from shared.metrics.catalogue import CLASSIFICATION, REGRESSION
from shared.metrics.gap import GapRow, Interval
from shared.metrics.headline import format_gap
from shared.metrics.outputs import Outputs
from simulations.report.comparison_figures import client_bars, learning_curves
from simulations.report.html import gap_html, table_html
from simulations.report.page import CostRow, Report, ReportFigure, render, write_report
from simulations.report.prediction_figures import macro_roc
from simulations.report.tables import (
    DataTable,
    client_summary_table,
    client_table,
    confusion_table,
    curve_table,
    flatten,
    gap_data,
    roc_table,
    span_table,
    value_table,
)
from tests.gaps import compare_gap
from tests.profiles import counted

EVIL = '<script>alert("1")</script>&\''
VOID = {"meta", "br", "hr", "img", "input", "link"}


@cache
def rows(*, local: bool = False) -> list[GapRow]:
    labels = np.array([0, 1] * 20)

    def model(shift: float) -> Outputs:
        p = np.clip(np.where(labels == 1, 0.8, 0.2) + shift * np.cos(np.arange(40)), 0.01, 0.99)
        return Outputs(np.stack([1 - p, p], axis=1), labels)

    more = [[model(0.9)]] if local else []
    return compare_gap([model(0.1)], [model(0.6)], local=more, resamples=100)


def report(**changes: Any) -> Report:
    curve = [[(100.0, 0.5), (200.0, 0.7)]]
    clients = {"north": 0.9, EVIL: 0.7}
    settings: dict[str, Any] = {
        "title": f"Comparison {EVIL}",
        "created": datetime(2025, 6, 1, 14, 30, tzinfo=timezone(timedelta(hours=2))),
        "rows": rows(),
        "metrics": CLASSIFICATION,
        "num_clients": 4,
        "num_test": 1624,
        "seeds": [1, 2, 3],
        "runs": {"pooled": [11, 13], "federated": [12, 14]},
        "costs": [CostRow("pooled", 12.34, 47080), CostRow("federated", 7325.0, 47080, 12_300_000, 999)],
        "clients": {"val/accuracy": clients, "val/loss": {"north": 0.2, "south": 0.4}},
        "values": [value_table(counted([[1, 2], [3, 4]], ["normal", EVIL], ["north", EVIL]))],
        "figures": [
            ReportFigure(
                f"Curves {EVIL}",
                f"Caption {EVIL}",
                learning_curves(curve, curve, metric="val/auroc"),
                curve_table(curve, curve, metric="val/auroc"),
            ),
            ReportFigure("Clients", "", client_bars("accuracy", clients), client_table("accuracy", clients)),
        ],
        "config": {"name": EVIL, "trainer": {"optimizer": {"lr": 0.05}}},
        "twins": DataTable("Each twin", ["", "pooled", "federated"], [["length", "2 epochs", EVIL]]),
        "command": f"fedtwin compare name='{EVIL}'",
    }
    return Report(**(settings | changes))


@cache
def page() -> Page:
    return Page(render(report()))


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_every_element_is_closed_and_every_id_unique() -> None:
    assert page().open == []
    ids = [attributes["id"] for _, attributes in page().elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page().elements:
        for name in ("href", "xlink:href", "aria-labelledby"):
            if name in attributes:
                assert (attributes[name] or "").removeprefix("#") in ids


def test_nothing_runs_and_nothing_is_fetched() -> None:
    text = render(report())
    tags = {tag for tag, _ in page().elements}
    assert not tags & {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form"}
    assert not any(name.startswith("on") for _, attributes in page().elements for name in attributes)
    policy = next(a for a in page().all("meta") if a.get("http-equiv") == "Content-Security-Policy")["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_all_text_is_escaped() -> None:
    text = render(report())
    assert "<script" not in text
    assert page().text.count(EVIL) >= 9  # title twice, figure, caption, tables, settings, command
    assert any(EVIL in (a.get("aria-label") or "") for a in page().all("div"))


def test_figures_can_be_read_without_seeing_them() -> None:
    images = [a for a in page().all("div") if a.get("role") == "img"]
    assert len(images) == len(page().all("svg")) == 2
    assert all(a.get("aria-label") for a in images)
    assert page().text.count("Data") == 2
    assert len(page().all("table")) == len(page().all("caption")) > 5
    assert [attributes["lang"] for attributes in page().all("html")] == ["en"]


def test_it_says_what_came_out() -> None:
    text = page().text
    for expected in (
        "Federated training with 4 clients reaches AUROC",
        "2025-06-01 12:30 UTC",
        "1,624 examples",
        "1, 2, 3",
        "11, 13",
        "95 % CI",
        "jackknife over 40 test rows",
        "The variance between the 3 seeds is added",
        "12.3 s",
        "2 h 2 min",
        "12.3 MB",
        "999 B",
        "trainer.optimizer.lr",
        "0.05",
        "2 epochs",
        "All other settings are the same.",
    ):
        assert expected in text, expected


def test_metrics_are_explained_as_their_task_means_them() -> None:
    error, gap = Interval(400.0, 300.0, 500.0), Interval(-20.0, -30.0, -10.0)
    shown = [GapRow(spec.name, error, error, gap, None, spec.better, 0.95, 0) for spec in REGRESSION]
    text = Page(render(report(rows=shown, metrics=REGRESSION))).text
    assert "loss: Mean squared error, in the square of the target's unit." in text
    assert "log likelihood" not in text
    assert "reaches MAE 400.0, 20.000 [10.000, 30.000] worse than pooled training (95 % CI)." in text


def test_of_one_number_a_run_the_intervals_are_of_the_seeds() -> None:
    value = Interval(0.5, 0.25, 0.75)
    dice = GapRow("dice", value, value, value, None, "higher", 0.95, 0, per_run=True)
    text = Page(render(report(rows=[dice], metrics=()))).text
    assert "dice: one number a run, so the interval is Student's t interval of the mean over the seeds." in text
    assert "jackknife" not in text
    assert "jackknife" in Page(render(report(rows=[dice, *rows()]))).text


def test_parts_that_are_not_there_are_left_out() -> None:
    text = Page(render(report(clients={}, values=[], figures=[], costs=[], seeds=[7]))).text
    for heading in ("Figures", "Clients", "Cost"):
        assert heading not in text
    assert "do not cover variation between seeds" in text


def test_local_only_has_a_column() -> None:
    assert ">local<" in render(report(rows=rows(local=True)))
    assert ">local<" not in render(report())


def test_long_tables_start_folded() -> None:
    counts = value_table(counted(np.ones((100, 2), dtype=int), ["a", "b"]))
    folded = "<summary>Training examples per client and label</summary>"
    assert folded in render(report(values=[counts]))
    assert folded not in render(report())


def test_the_same_report_is_the_same_text() -> None:
    assert render(report()) == render(report())


def test_a_file_of_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report(path, report()) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_naive_times_are_our_bug() -> None:
    with pytest.raises(AssertionError):
        report(created=datetime(2025, 6, 1))
    assert report(created=datetime(2025, 6, 1, tzinfo=UTC)).num_clients == 4


# --- tables ---------------------------------------------------------------------------------------


def test_settings_are_flattened() -> None:
    config = {"a": {"b": {"c": 1}}, "d": [1, None], "e": {}, "f": "ü"}
    assert flatten(config) == {"a.b.c": "1", "d": "[1, null]", "e": "{}", "f": '"ü"'}


def test_worst_client_by_the_metrics_direction() -> None:
    table = client_summary_table({"val/accuracy": {"a": 0.9, "b": 0.7}, "val/loss": {"a": 0.1, "b": 0.4}})
    assert [row[:3] for row in table.rows] == [["validation accuracy", "b", 0.7], ["validation loss", "b", 0.4]]
    assert [row[-1] for row in table.rows] == pytest.approx([0.2, 0.3])
    own = client_summary_table({"dose error": {"a": 0.1, "b": 0.4}}, directions={"dose error": "lower"})
    assert own.rows[0][1:3] == ["b", 0.4]


def test_counts_have_sums() -> None:
    table = value_table(counted([[1, 2], [3, 4]], ["x", "y"]))
    assert table.columns == ["client", "x", "y", "all"]
    assert table.rows == [["0", 1, 2, 3], ["1", 3, 4, 7], ["all", 4, 6, 10]]


def test_spans_are_those_of_each_client_and_of_all() -> None:
    spans = SpanTable("age", ("a", "b", "c"), ((4.0, 80.5), (20.0, 60.0), None), np.array([3, 4, 5]))
    table = span_table(spans)
    assert list(table.columns) == ["client", "smallest age", "largest age", "examples"]
    assert table.rows == [["a", 4, 80.5, 3], ["b", 20, 60, 4], ["c", None, None, 5], ["all", 4, 80.5, 12]]


def test_curves_meet_at_the_same_x() -> None:
    table = curve_table([[(100.0, 0.5), (200.0, 0.7)]], [[(150.5, 0.6), (200.0, 0.65)]], metric="val/auroc")
    assert table.rows == [[100, 0.5, None], [150.5, None, 0.6], [200, 0.7, 0.65]]


def test_tables_of_answers() -> None:
    table = confusion_table({"pooled": [[8, 2], [1, 3]]}, ["normal", "ill"])
    assert table.rows == [["pooled", "normal", 8, 2], ["pooled", "ill", 1, 3]]
    p = np.array([0.9, 0.8, 0.2, 0.1])
    pred = Outputs(np.stack([1 - p, p], axis=1), np.array([1, 0, 1, 0]))
    assert [row[1] for row in roc_table({"pooled": pred}).rows[-1:]] == [
        float(np.interp(0.5, *macro_roc(pred)))
    ]


def test_gap_numbers() -> None:
    made = rows()
    table = gap_data(made)
    assert len(table.rows) == 8
    assert table.columns[-5:] == ["gap", "gap low", "gap high", "groups", "seeds"]
    for row, own in zip(table.rows, made, strict=True):
        sign = -1 if own.better == "lower" else 1
        assert row[-5] == sign * own.gap.value
        assert list(row[-2:]) == [40, 1]
    below_figure, in_table = (re.sub("<[^>]+>", " ", text) for text in (table_html(table), gap_html(made)))
    for own in made:
        shown = re.findall(r"[+-]?\d+\.\d+", format_gap(own))
        assert shown
        assert all(f" {number} " in below_figure and number in in_table for number in shown), own.metric


def test_a_ragged_table_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="ragged"):
        DataTable("ragged", ["a", "b"], [["only one"]])


def test_the_tested_epochs_and_the_warnings_stand_at_the_top() -> None:
    tested = "Tested after epoch 4 (pooled) and round 9 (federated)."
    text = render(report(tested=tested, warnings=[f"federated: never predicts {EVIL}"]))
    head = Page(text[: text.index("<main>")])
    assert tested in head.text
    assert f"federated: never predicts {EVIL}" in head.text
    assert 'class="warnings"' not in render(report())


def test_what_was_read_is_in_the_report_and_escaped() -> None:
    read = DataSummary(
        origin=f"/data/{EVIL}",
        rows={"train": 4, "test": 1006},
        counts={"label": {EVIL: {"train": 1, "test": 1000}, "well": {"train": 3, "test": 6}}},
        positive="well",
        groups={"train": 2, "test": 5},
        notes=(f"{EVIL} is ignored",),
    )
    text = render(report(data=read))
    section = text[text.index('id="data"') :].partition("</section>")[0]
    assert EVIL not in section
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", section)
    assert cells == ["1", "1,000", "1,001", "3", "6", "9", "4", "1,006", "1,010"]
    assert "train 2, test 5" in section
    assert 'id="data"' not in render(report())
