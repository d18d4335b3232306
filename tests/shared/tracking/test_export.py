"""Files for other software: what they hold, and that they are whole or not there."""

from __future__ import annotations

import csv
import json
import math

import pandas as pd
import pytest

from shared.runtime.errors import ConfigError, DiskError, TrackingError
from shared.tracking.export import export_run, write_results
from tests.profiles import stored

COLUMNS = [
    *("id", "run_id", "client_id", "round", "epoch", "stage", "name", "value", "num_examples", "time"),
    "client",
]


def test_results_of_a_pooled_run(store, pooled, tmp_path):
    as_json, as_csv = write_results(store, pooled, tmp_path / "results")
    assert (as_json.name, as_csv.name) == (f"metrics_{pooled}.json", f"metrics_{pooled}.csv")
    found = json.loads(as_json.read_text())
    assert found["metrics"] == {
        "best_accuracy": 0.8,
        "best_calibration_error": 0.05,
        "test": {"accuracy": 0.75},
    }
    assert found["confusion_matrix"] == {
        "matrix": [[2, 0], [1, 1]],
        "true_positives": 1,
        "true_negatives": 2,
        "false_positives": 0,
        "false_negatives": 1,
    }
    assert found["total_epochs_run"] == 3
    assert "total_rounds_run" not in found
    assert (found["early_stopped"], found["stop_reason"]) == (True, "val/accuracy did not improve")
    run = store.runs.get(pooled)
    assert found["training_time"] == (run.ended - run.started).total_seconds()
    assert found["run"] == run.as_dict()
    assert found["history"] == [row.as_dict() for row in store.metrics.of_run(pooled)]
    assert len(found["history"]) == 10


def test_results_of_a_federated_run(store, federated):
    found = json.loads(export_run(store, federated, format="json", path=None))
    assert found["metrics"] == {"best_accuracy": 0.75, "best_loss": 0.6, "test": {"accuracy": 0.5}}
    assert found["confusion_matrix"]["true_positives"] == 2  # of the last round
    assert found["total_rounds_run"] == 2
    assert found["early_stopped"] is False
    assert [row["value"] for row in found["history"] if row["name"] == "auroc"] == [None] * 4
    assert found["rounds"][1]["failed"].keys() == {"1"}
    assert [row["profile"] for row in found["clients"]] == [stored(10, 20), stored(5, 5)]
    assert [row["metrics"]["accuracy"] for row in found["server_evaluations"]] == [0.5, 0.75]


def test_three_classes_have_no_positives(store):
    run_id = store.runs.create(name="x", training_mode="centralized", config={}, seed=1)
    store.runs.update(run_id, summary={"confusion": [[1, 0, 0]] * 3})
    found = json.loads(export_run(store, run_id, format="json", path=None))
    assert found["confusion_matrix"] == {"matrix": [[1, 0, 0]] * 3}


def test_an_empty_run(store):
    run_id = store.runs.create(name="x", training_mode="centralized", config={}, seed=1)
    found = json.loads(export_run(store, run_id, format="json", path=None))
    assert (found["metrics"], found["confusion_matrix"], found["history"]) == ({"test": {}}, None, [])
    assert export_run(store, run_id, format="csv", path=None) == ",".join(COLUMNS) + "\n"


def test_a_comparison_without_a_gap_has_no_table(store):
    run_id = store.runs.create(name="x", training_mode="compare", config={}, seed=1)
    with pytest.raises(TrackingError, match="without a gap"):
        export_run(store, run_id, format="csv", path=None)
    assert json.loads(export_run(store, run_id, format="json", path=None))["gap"] is None


def test_csv_has_one_row_a_point(store, federated, tmp_path):
    path = export_run(store, federated, format="csv", path=tmp_path / "new" / "points.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    stored = store.metrics.of_run(federated)
    assert [(row["stage"], row["name"], row["round"]) for row in rows] == [
        (row.stage, row.name, str(row.round)) for row in stored
    ]
    assert [repr(float(row["value"])) for row in rows] == [repr(row.value) for row in stored]
    assert rows[0]["client_id"] == rows[0]["epoch"] == ""
    assert rows[0]["time"] == "2026-01-02T12:00:00+00:00"
    assert path.read_text() == export_run(store, federated, format="csv", path=None)


def test_parquet_keeps_types(store, federated, tmp_path):
    path = export_run(store, federated, format="parquet", path=tmp_path / "points.parquet")
    frame = pd.read_parquet(path)
    assert list(frame) == COLUMNS
    assert frame["value"].tolist()[:2] == [0.5, 0.9]
    assert math.isnan(frame["value"][2])
    assert str(frame["time"].dt.tz) == "UTC"
    assert frame["client_id"].isna().sum() == 8


def test_files_are_replaced_whole_or_not_at_all(store, pooled, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("old")
    export_run(store, pooled, format="csv", path=path)
    assert path.read_text().startswith("id,run_id")
    assert path.stat().st_mode & 0o777 == 0o600  # it may hold what a patient's image gave
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DiskError, match=r"cannot write .*folder\.json"):
        export_run(store, pooled, format="json", path=tmp_path / "folder.json")
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_what_cannot_be_exported(store, pooled):
    with pytest.raises(ConfigError, match="name the file"):
        export_run(store, pooled, format="parquet", path=None)
    with pytest.raises(ConfigError, match="csv, json or parquet, got 'xlsx'"):
        export_run(store, pooled, format="xlsx", path=None)
    with pytest.raises(TrackingError, match="no run 99"):
        export_run(store, 99, format="csv", path=None)
