"""``fedtwin compare`` as a user types it, with our processes and with a real `flwr run` inside."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.tracking.store import Store

Command = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("engine", "workers", "alone"), [("local", 2, True), ("flower", 1, False)])
def test_compare_prints_the_gap_and_writes_the_report(
    engine: str, workers: int, alone: bool, fedtwin: Command, home: Path
) -> None:
    """Clients that train alone do so in this process, whatever engine federates."""
    done = fedtwin(
        "compare",
        f"federation.engine={engine}",
        f"federation.workers={workers}",
        "federation.num_rounds=2",
        "federation.num_clients=2",
        f"compare.local_only={str(alone).lower()}",
        "compare.resamples=200",
    )
    assert done.returncode == 0, done.stderr
    for text in ("Federated gap, 95 % CI", "accuracy", "gap", "report", "fedtwin.db"):
        assert text in done.stdout, text
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        parent = store.runs.search(mode="compare")[0]
        children = store.runs.children(parent.id)
    assert {run.status for run in [parent, *children]} == {"completed"}
    modes = sorted(run.training_mode for run in children)
    assert modes == ["centralized", "federated", *(["local", "local"] if alone else [])]
    assert len(parent.summary["gap"]) == 8
    report = home / "results" / f"compare_{parent.id}" / "report.html"
    assert "local" in report.read_text() or not alone


def test_partition_shows_a_table_and_draws_a_figure(fedtwin: Command, home: Path) -> None:
    done = fedtwin("partition", "partition=pathological", "federation.num_clients=5")
    assert done.returncode == 0, done.stderr
    assert "client-4" in done.stdout
    assert len(list((home / "results").glob("partition_*_pathological_42.png"))) == 1
