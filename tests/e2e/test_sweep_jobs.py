"""A sweep through HTTP: cancelled, its worker killed, each trial trained once, seen by its tenant alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from shared.tracking.rows import INTERRUPTED
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant
from tests.e2e.service_kit import Start, background, first_line, wait_for

WAIT_S = 600.0
PLAN = {"mode": "pooled", "grid": {"trainer.optimizer.lr": [0.01, 0.02, 0.03]}, "seeds": [1, 2]}
SETTINGS = {"trainer.max_epochs": 12, "trainer.early_stopping.enabled": False}


@pytest.fixture
def fedtwin(tmp_path: Path) -> Iterator[Start]:
    with background(tmp_path / "home") as start:
        yield start


@pytest.mark.slow
@pytest.mark.attack
@pytest.mark.timeout(3600)
def test_a_sweep_is_cancelled_and_outlives_its_worker(fedtwin, tmp_path):
    address = re.search(r"http://\S+", first_line(fedtwin("serve", "--port", "0")))
    assert address is not None

    def work():
        worker = fedtwin("worker", "--lease", "10", "--sweep-workers", "2")
        assert "waiting for jobs" in first_line(worker)
        return worker

    worker = work()
    with (
        Store(f"sqlite:///{tmp_path / 'home' / 'fedtwin.db'}") as store,
        httpx.Client(base_url=address[0], trust_env=False, timeout=30) as client,
        httpx.Client(base_url=address[0], trust_env=False, timeout=30) as other,
    ):
        for tenant, of in (("ward-7", client), ("ward-8", other)):
            store.tenants.create(Tenant(tenant))
            _, secret = store.tokens.create(Tenant(tenant), name="ci", scope="train", expires=None)
            of.headers["authorization"] = f"Bearer {secret}"
        asked = {"run_name": "ward", "dataset": "digits", "config_overrides": SETTINGS, "plan": PLAN}
        submitted = client.post("/api/experiments/sweep", json=asked)
        assert submitted.status_code == 202, submitted.text
        place = submitted.headers["location"]

        until = partial(wait_for, client, place, wait_s=WAIT_S)

        def count(job: dict, status: str) -> int:
            return 0 if job["run_id"] is None else store.trials.counts([job["run_id"]])[job["run_id"]][status]

        def kept() -> dict[int, tuple]:
            done = [one for one in store.trials.of_sweep(sweep_id) if one.status == "completed"]
            rows = {one.number: (one.tries, store.runs.get(one.run_id)) for one in done}
            return {number: (tries, run.id, run.started, run.ended) for number, (tries, run) in rows.items()}

        job = until(lambda job: count(job, "completed") and count(job, "running"))
        sweep_id = job["run_id"]
        assert 0 < job["progress"]["percent"] < 100
        client.delete(place)
        assert until(lambda job: job["ended"])["status"] == "cancelled"
        assert count(job, "running") == 0
        cancelled = kept()
        assert cancelled
        runs = store.runs.children(sweep_id)
        assert {run.status for run in runs if run.stop_reason != INTERRUPTED} <= {"completed", "stopped"}

        client.post(f"{place}/retry")
        until(lambda job: job["attempt"] == 2 and count(job, "running") and len(kept()) > len(cancelled))
        worker.kill()
        killed = kept()
        work()
        job = until(lambda job: job["ended"])
        assert (job["status"], job["attempt"], job["run_id"]) == ("completed", 3, sweep_id), job
        assert cancelled.items() <= killed.items() <= kept().items(), "none that had ended was trained again"
        assert len(kept()) == len(store.runs.children(sweep_id)) == 6
        assert client.get(f"/api/runs/{sweep_id}").json()["status"] == "completed"
        assert (tmp_path / "home" / "results" / f"sweep_{sweep_id}" / "report.html").is_file()
        for run in store.runs.children(sweep_id):
            epochs = [
                row.epoch for row in store.metrics.of_run(run.id) if (row.stage, row.name) == ("val", "loss")
            ]
            assert epochs == list(range(1, 13)), "each once"
