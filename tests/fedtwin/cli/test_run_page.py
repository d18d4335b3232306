"""A run on the terminal: panels by their kind, and the gap of a comparison."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console, RenderableType

from fedtwin.cli.run_page import DRAW, panel_tables, run_page
from shared.metrics.gap import GapRow, Interval
from shared.tasks.clustering.panels import cluster_map_panel, cluster_profile_panel
from shared.tasks.panels import KINDS, Panel, confusion_panel, label_table_panel, residuals_panel
from shared.tracking.store import Store


def printed(*renderables: RenderableType) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        for renderable in renderables:
            console.print(renderable)
    return capture.get()


def lines(text: str) -> list[list[str]]:
    """Words of each line of a table, a cell each."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def drawn(panel: Panel) -> str:
    return printed(*panel_tables([panel.as_dict()]))


def test_every_kind_is_drawn() -> None:
    assert set(DRAW) == set(KINDS)


def test_a_confusion_matrix_has_a_row_for_each_true_class() -> None:
    text = drawn(confusion_panel(np.array([[1200, 3], [4, 50]]), classes=["well", "[b]sick"]))
    assert "confusion matrix (test)" in text
    assert lines(text) == [["well", "1,200", "3"], ["[b]sick", "4", "50"]]


def test_of_many_classes_the_commonest_mistake_is_told() -> None:
    counts = np.diag(np.full(10, 5))
    counts[2, [7, 8]] = 3, 2
    counts[9] = 0
    rows = lines(drawn(confusion_panel(counts, classes=[f"class {number}" for number in range(10)])))
    assert rows[0] == ["class 0", "5", "1", "", ""]
    assert rows[2] == ["class 2", "10", "0.5", "class 7", "3"]
    assert rows[9] == ["class 9", "0", "-", "", ""]


def test_a_label_table_has_a_row_for_each_label() -> None:
    values = {"auroc": [0.875, float("nan")], "average_precision": [0.5, 1.0]}
    text = drawn(label_table_panel(values, labels=["Mass", "Hernia"], counts=[12, 0]))
    assert "AUROC" in text
    assert "average precision" in text
    assert lines(text) == [["Mass", "12", "0.875", "0.5"], ["Hernia", "0", "-", "1"]]


def test_residuals_are_binned_by_the_true_value() -> None:
    true = np.arange(10.0)
    rows = lines(drawn(residuals_panel(true, true + np.where(true < 2, 3.0, -1.0), target="Patient Age")))
    assert rows[0] == ["0 to 1", "2", "3.5", "3", "3"]
    assert rows[-1] == ["8 to 9", "2", "7.5", "-1", "1"]
    assert len(rows) == 5


@pytest.mark.parametrize("true", [[7.0], [7.0, 7.0, 7.0], [1.0, 2.0]])
def test_few_or_equal_true_values_need_few_bins(true: list[float]) -> None:
    rows = lines(drawn(residuals_panel(np.array(true), np.array(true) + 1, target="age")))
    assert [row[0] for row in rows] == [f"{value:g}" for value in dict.fromkeys(true)]
    assert sum(int(row[1]) for row in rows) == len(true)


def test_it_is_said_of_how_many_rows_the_residuals_are() -> None:
    true = np.linspace(0, 1, 600)
    assert "(500 of 600 test rows)" in drawn(residuals_panel(true, true, target="age"))


def test_a_cluster_has_its_size_and_what_it_differs_in() -> None:
    rows = np.array([[0.0, 5, 1], [2, 5, 0], [8, 5, 1], [10, 5, 0]])
    nearest = np.array([0, 0, 1, 1])
    text = drawn(cluster_profile_panel(rows, nearest, names=["age", "[b]pulse", "pain = much"], clusters=3))
    assert lines(text) == [
        ["0", "2", "50.0%", "age -5.66"],
        ["1", "2", "50.0%", "age +5.66"],
        ["2", "0", "0.0%", ""],
    ]
    text = drawn(cluster_map_panel(rows, nearest, clusters=3))
    assert "first component (99%)" in text
    assert [row[0] for row in lines(text)] == ["0", "1"]


def test_a_kind_of_a_later_version_is_left_out() -> None:
    assert list(panel_tables([{"kind": "of_a_later_version", "title": "Later", "data": {}}])) == []


def test_a_run_ends_with_its_panels_and_a_comparison_with_its_gap(store: Store) -> None:
    run_id = store.runs.create(name="x", training_mode="centralized", config={}, seed=1)
    assert "Confusion" not in printed(run_page(store, run_id))
    panel = confusion_panel(np.array([[1, 2], [3, 4]]), classes=["well", "sick"])
    store.runs.update(run_id, summary={"panels": [panel.as_dict()]})
    assert lines(printed(run_page(store, run_id)))[-2:] == [["well", "1", "2"], ["sick", "3", "4"]]
    parent = store.runs.create(name="p", training_mode="compare", config={}, seed=1)
    one, other, gap = Interval(4.0, 3.5, 4.5), Interval(4.2, 3.6, 4.6), Interval(-0.2, -0.3, -0.1)
    row = GapRow("mae", one, other, gap, None, "lower", 0.95, 0)
    store.runs.update(parent, summary={"gap": [asdict(row)]})
    assert "MAE ↓" in printed(run_page(store, parent))


def test_warnings_end_a_run_and_a_comparison(store: Store) -> None:
    parent = store.runs.create(name="p", training_mode="compare", config={}, seed=1)
    run_id = store.runs.create(name="x", training_mode="federated", config={}, seed=1, parent_id=parent)
    store.runs.update(run_id, summary={"warnings": ["never predicts [b]"]})
    assert printed(run_page(store, run_id)).splitlines()[-1] == "warning: never predicts [b]"
    assert printed(run_page(store, parent)).splitlines()[-1] == "warning: federated: never predicts [b]"
