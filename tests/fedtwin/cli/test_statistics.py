"""``fedtwin statistics``: of a file with a partition, and of the clients of a stored run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fedtwin
from fedtwin.cli.main import main
from shared.runtime.home import Home
from shared.tracking.rows import ClientRow
from shared.tracking.store import Store

SETTINGS = ["task=tabular_classification", "data.target=sick", "partition=natural"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Thirty training rows of north, eight of south, three of Basel; the label of a site is not its size."""
    sites = ["north"] * 30 + ["south"] * 8 + ["Basel"] * 3
    frame = pd.DataFrame({"age": np.arange(41.0) + 0.5, "site": sites, "sick": ["yes", "no"] * 20 + ["yes"]})
    train, test = frame.assign(split="train"), frame.assign(split="test", age=frame["age"] + 100)
    path = tmp_path / "rows.csv"
    pd.concat([train, test, test.assign(split="val")]).to_csv(path, index=False)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["fedtwin", "statistics", *arguments])
    main()


def test_a_table_by_site_and_together(
    path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, str(path), *SETTINGS, "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert found["sizes"] == {"Basel": None, "north": 30, "south": 8}
    columns = {row["site"]: row for row in found["columns"]}
    assert columns["north"]["mean"] == 15
    assert columns["Basel"]["mean"] is None
    assert columns["together"]["values"] == 38
    assert columns["together"]["mean"] == pytest.approx(19)
    counts = {row["site"]: row["counts"] for row in found["counts"]}
    assert counts["north"] == {"no": 15, "yes": 15}
    assert counts["south"] == counts["together"] == {"no": None, "yes": None}
    run(monkeypatch, str(path), *SETTINGS)
    shown = capsys.readouterr().out
    assert "fewer than 5" in shown
    assert " ".join(shown.split()).count("together") == 2


def test_a_run_by_what_its_clients_have_told(
    path: Path, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"counts": {}, "spans": {}, "missing": {}, "moments": {"age": [12, 40.0, 48.0]}}
    run_id = store.runs.create(name="x", training_mode="federated", config={"data": {"min_count": 10}}, seed=1)
    store.clients.add(
        run_id,
        [
            ClientRow(run_id, 0, node_id="7", name="north", num_examples=12, profile=told),
            ClientRow(run_id, 1, node_id="8", name="south", num_examples=9, profile=told),
        ],
    )
    found = fedtwin.statistics(run_id)
    assert found.min_count == 10
    assert found.sizes == {"north": 12, "south": None}
    assert [(row.site, row.mean, row.deviation) for row in found.columns] == [
        ("north", 40, 2),
        ("south", None, None),
        ("together", 40, 2),
    ]
    with pytest.raises(SystemExit):
        run(monkeypatch, str(run_id), "data.target=sick")
    assert "data.target=sick has no effect on run" in capsys.readouterr().err
    empty = store.runs.create(name="x", training_mode="centralized", config={}, seed=1)
    with pytest.raises(fedtwin.FedtwinError, match="has no clients that told of their rows"):
        fedtwin.statistics(empty)
