"""The whole story through HTTP against real processes: an uploaded ZIP becomes a model in production."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.e2e.service_kit import TOKEN, WAIT_S, background, first_line, wait_for
from tests.uploads import CLASSES, png, xrays

SETTINGS = {
    "data.image_size": 16,
    "data.decode_workers": 1,
    "partition": "iid",
    "trainer.max_epochs": 4,
    "trainer.optimizer.lr": 0.02,
    "federation.num_clients": 2,
    "federation.num_rounds": 4,
    "federation.workers": 1,
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with background(tmp_path / "home") as start:
        address = re.search(r"http://\S+", first_line(start("serve", "--port", "0", "--worker")))
        assert address is not None
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=address[0], headers=headers, trust_env=False, timeout=WAIT_S) as client:
            yield client


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer


def watched(client: httpx.Client, run_id: int) -> list[dict]:
    """All messages of a run's stream until the run has ended."""
    url, messages = str(client.base_url).replace("http", "ws", 1).rstrip("/"), []
    with connect(f"{url}/ws/runs/{run_id}?after=0", proxy=None) as stream:
        while not any(one["type"] == "training_end" for one in messages):
            messages += json.loads(stream.recv(timeout=WAIT_S))
    return messages


def federated_in(runs: dict) -> list[int]:
    return [run["id"] for run in runs["runs"] if run["training_mode"] == "federated"]


@pytest.mark.slow
def test_the_whole_story(client):
    content = xrays(120)
    uploaded = client.post("/api/v1/datasets", params={"name": "nih", "format": "zip"}, content=content)
    assert uploaded.status_code in (201, 202), uploaded.text
    place = uploaded.headers["location"]
    assert wait_for(client, place, lambda found: found["state"] != "checking")["labelled"] == 120

    wanted = {"run_name": "ward-7", "dataset": "nih", "config_overrides": SETTINGS}
    submitted = client.post("/api/experiments/compare", json=wanted)
    assert submitted.status_code == 202, submitted.text
    job_place = submitted.headers["location"]
    assert client.delete(place).json()["code"] == "in_use"
    runs = wait_for(
        client, "/api/runs", lambda runs: federated_in(runs) or client.get(job_place).json()["ended"]
    )
    assert federated_in(runs), client.get(f"{job_place}/log").text
    messages = watched(client, federated_in(runs)[0])
    rounds = [one["round"] for one in messages if one["type"] == "round_metrics" and one["record"]]
    assert sorted(set(rounds)) == list(range(1, SETTINGS["federation.num_rounds"] + 1))
    job = wait_for(client, job_place, lambda job: job["ended"])
    assert job["status"] == "completed", client.get(f"{job_place}/log").text
    assert ok(client.get(f"/api/runs/{job['run_id']}"))["gap"]

    model = "/api/v1/models/ward-7"
    second, first = (one["version"] for one in ok(client.get(f"{model}/versions"))["versions"])
    ok(client.patch(model, json={"threshold": "f1>=0.5"}))
    production = f"{model}/aliases/production"
    for version in (first, second):
        assert ok(client.put(production, json={"version": version}))["aliases"] == ["production"]
    sick = png(1, 999)
    answer = client.post(f"{model}/predict", content=sick, headers={"content-type": "image/png"})
    (predicted,) = ok(answer)["predictions"]
    assert (answer.json()["version"], predicted["prediction"]) == (second, CLASSES[1])
    exported = client.post(f"{model}/versions/{second}/exports", json={"format": "safetensors"})
    assert ok(exported, 201)["difference"] <= 1e-4
    file = client.get(exported.headers["location"])
    assert (file.status_code, len(file.content)) == (200, exported.json()["bytes"])
    assert ok(client.post(f"{production}/rollback"))["version"] == first
    assert ok(client.get(model))["aliases"] == {"production": first}
    assert ok(client.delete(place), 204)
    assert client.get(place).status_code == 404
