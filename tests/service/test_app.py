"""`create_app`: nothing happens before its lifespan, all is there within it, nothing is left after it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.job_kit import submit
from tests.service.server_kit import WAIT_S, serving, wait_until_ended


@contextmanager
def client_of(app: FastAPI) -> Iterator[httpx.Client]:
    with (
        serving(app, access_log=False) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def settings(home: Home) -> Settings:
    return Settings(database_url=home.database_url, home=home, orphans_s=0.05)


def test_the_server_never_imports_torch():
    heavy = "{'torch', 'lightning', 'torchvision', 'torchmetrics', 'ray', 'flwr', 'simulations', 'federated'}"
    nothing = "{}, dataset=None, run_name=None, mode='compare', folders=[]"
    checked = f"service.jobs.experiments.checked_experiment({nothing})"
    code = f"import sys, service.serve; {checked}; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_an_application_does_nothing_before_its_lifespan(settings, home):
    threads = set(threading.enumerate())
    app = create_app(settings)
    assert list(home.root.iterdir()) == [home.cache]
    assert set(threading.enumerate()) <= threads, "those of earlier tests may end at any time"
    assert app.state.settings is settings


def test_an_application_can_be_served_again(settings):
    app = create_app(replace(settings, train_token="train-correct-horse_battery"))
    headers = {"authorization": "Bearer train-correct-horse_battery"}
    for _ in range(2):
        with client_of(app) as client:
            upload = client.post(
                "/api/v1/datasets?name=x&format=zip", content=b"PK", headers=headers
            )  # is checked in a process of its own
            assert (upload.status_code, upload.json()["code"]) == (422, "data")


def test_its_parts_are_there_and_are_gone_afterwards(settings, home):
    threads = set(threading.enumerate())
    with client_of(create_app(settings)) as client:
        for path in ("/", "/compare", "/docs", "/static/docs.js", "/openapi.json", "/api/health", "/api/runs"):
            answer = client.get(path)
            assert (path, answer.status_code) == (path, 200)
            assert answer.headers["x-content-type-options"] == "nosniff"
        operations = client.get("/openapi.json").json()["paths"]
    assert {"/api/runs", "/api/runs/{id}", "/api/runs/{id}/metrics"} <= {
        path.replace("{run_id}", "{id}") for path in operations
    }
    assert not any(path.startswith(("/static", "/docs", "/ws")) or path == "/" for path in operations)
    wait_until_ended(set(threading.enumerate()) - threads)
    assert home.database_url.endswith("fedtwin.db")
    assert not (home.root / "fedtwin.db-wal").exists(), "the database is closed"


def test_errors_are_problems_and_carry_the_headers_too(settings, caplog, monkeypatch):
    app = create_app(settings)
    # A server of an earlier test may have given uvicorn's log another level, and kept it from the root.
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    caplog.set_level("ERROR", logger="uvicorn.error")

    def break_down() -> None:
        raise RuntimeError("the secret path /nowhere")

    app.add_api_route("/break", break_down)
    with client_of(app) as client:
        answers = [client.get("/nothing"), client.get("/static/nothing.js"), client.post("/api/runs")]
        answers.append(client.get("/break"))
    assert [answer.status_code for answer in answers] == [404, 404, 405, 500]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "secret" not in answers[-1].text
    assert "the secret path" in caplog.text, "who runs the server can read why"


def test_runs_whose_process_is_gone_are_ended_while_it_serves(settings):
    with Store(settings.database_url) as store, client_of(create_app(settings)):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            run_id = store.runs.create(name="killed", training_mode="centralized", config={}, seed=1)
            store.runs.set_owner(run_id, process.pid)
            assert store.runs.get(run_id).status == "running"
            process.kill()
        deadline = time.monotonic() + WAIT_S
        while store.runs.get(run_id).status == "running":
            assert time.monotonic() < deadline, "nobody ended it"
            time.sleep(0.02)
        assert store.runs.get(run_id).error == f"process {process.pid} on {store.runs.get(run_id).host} is gone"


def test_it_runs_jobs_while_it_serves(settings, home, tmp_path, monkeypatch):
    """A real attempt, whose config is refused: it fails with its code, and is not tried again."""
    (tmp_path / "shared.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    with Store(settings.database_url) as store, client_of(create_app(replace(settings, worker=True))) as client:
        job_id = submit(store, config={"model": {}}, max_retries=3)
        deadline = time.monotonic() + WAIT_S
        while not store.jobs.get(job_id).finished:
            assert time.monotonic() < deadline, "nobody ran it"
            time.sleep(0.05)
        found = client.get(f"/api/jobs/{job_id}").json()
        assert (found["status"], found["error_code"], found["attempt"]) == ("failed", "config", 1)
        assert "the configuration is not valid" in found["error"]
        assert "error: the configuration is not valid:" in client.get(f"/api/jobs/{job_id}/log").json()["lines"]
