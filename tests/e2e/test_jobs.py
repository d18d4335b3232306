"""A job through HTTP against real processes: submitted, watched, its worker killed, resumed by another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.service_kit import TOKEN, Start, background, first_line, wait_for

EPOCHS = 10


@pytest.fixture
def fedtwin(tmp_path: Path) -> Iterator[Start]:
    with background(tmp_path / "home") as start:
        yield start


@pytest.mark.attack
def test_a_job_outlives_its_worker(fedtwin):
    address = re.search(r"http://\S+", first_line(fedtwin("serve", "--port", "0")))
    assert address is not None
    worker = fedtwin("worker", "--lease", "4")
    assert "waiting for jobs" in first_line(worker)
    headers = {"authorization": f"Bearer {TOKEN}", "idempotency-key": "night-7"}
    with httpx.Client(base_url=address[0], headers=headers, trust_env=False, timeout=30) as client:
        settings = {"trainer.max_epochs": EPOCHS, "trainer.early_stopping.enabled": False}
        asked = {"run_name": "ward", "dataset": "digits", "config_overrides": settings, "tags": ["night"]}
        submitted = client.post("/api/experiments/centralized", json=asked)
        assert submitted.status_code == 202, submitted.text
        place = submitted.headers["location"]

        begun = wait_for(client, place, lambda job: job["metrics"])
        worker.kill()
        assert "waiting for jobs" in first_line(fedtwin("worker", "--lease", "4"))
        job = wait_for(client, place, lambda job: job["ended"])
        assert (job["status"], job["attempt"], job["run_id"]) == ("completed", 2, begun["run_id"]), job
        assert [event["kind"] for event in job["events"]] == [
            *("submitted", "claimed", "run", "lost", "claimed", "completed")
        ]
        (run,) = client.get("/api/runs").json()["runs"]
        assert (run["status"], run["name"], run["tags"]) == ("completed", "ward", ["night"])
        rows = client.get(f"/api/runs/{run['id']}/metrics").json()["rows"]
        epochs = [row["epoch"] for row in rows if (row["stage"], row["name"]) == ("val", "loss")]
        assert epochs == list(range(1, EPOCHS + 1)), "each once"
        log = "\n".join(client.get(f"{place}/log").json()["lines"])
        assert "the worker of this job is gone" in log
        assert client.post("/api/experiments/centralized", json=asked).headers["location"] == place
