"""Logs of jobs over HTTP: in parts, followed as they grow, ended with job or token, gone with the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.api import job_logs
from service.jobs.attempt import LOG_FILE
from shared.tracking.tenants import DEFAULT
from tests.job_kit import claimed, fence, submit
from tests.service.live_kit import until
from tests.service.rows_kit import build_app
from tests.service.server_kit import serving

SECRET = "postgresql://me:hunter2@db.example/fedtwin"


@pytest.fixture
def app(store, home):
    return build_app(store, home, train_token="train-correct-horse_battery")


@pytest.fixture
def client(app) -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer train-correct-horse_battery"}
    with (
        serving(app) as port,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30
        ) as opened,
    ):
        yield opened


def write(home, text: str) -> Path:
    path = home.job_dir(1) / LOG_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
    return path


def events(answer: httpx.Response) -> Iterator[tuple[str, str, dict]]:
    """Type, id and data of server-sent events."""
    kind, number = "message", ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "id":
            number = value
        elif name == "data":
            yield kind, number, json.loads(value)
            kind = "message"


def test_a_page_has_as_many_lines_as_are_asked_for(client, store, home):
    submit(store)
    write(home, "one\n\nthree\nhalf")
    first = client.get("/api/jobs/1/logs?lines=2").json()
    assert (first["lines"], first["cursor"], first["ended"]) == (["one", ""], 5, False)
    assert client.get("/api/jobs/1/logs?after=5&lines=2").json()["lines"] == ["three"]
    assert client.get("/api/jobs/1/log").json()["lines"] == ["one", "", "three"]


def test_it_is_followed_until_the_job_ends(client, store, home, monkeypatch):
    monkeypatch.setattr(job_logs, "LOOK_S", 0.02)
    submit(store)
    with client.stream("GET", "/api/jobs/1/logs?follow=true") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        row = claimed(store)
        write(home, "one\n")
        stream = events(answer)
        assert next(stream) == ("message", "4", {"lines": ["one"], "cursor": 4, "ended": False})
        path = write(home, f"{SECRET}\nhal")
        assert next(stream)[2]["lines"] == ["postgresql://me:***@db.example/fedtwin"]
        write(home, "f\n")
        assert next(stream)[2]["lines"] == ["half"]
        write(home, "last")
        store.queue.complete(fence(row))
        assert next(stream)[2]["lines"] == ["last"]
        assert next(stream) == ("end", str(path.stat().st_size), {"status": "completed"})
        assert next(stream, None) is None
    with client.stream("GET", "/api/jobs/1/logs?follow=true", headers={"last-event-id": "4"}) as answer:
        assert [data.get("lines") for _, _, data in events(answer)] == [
            ["postgresql://me:***@db.example/fedtwin", "half", "last"],
            None,
        ]


@pytest.mark.parametrize("limit", ["MOST_STREAMS", "MOST_OF_TENANT"])
def test_who_leaves_is_forgotten_and_few_follow_at_once(app, client, store, home, monkeypatch, limit):
    monkeypatch.setattr(job_logs, "LOOK_S", 0.02)
    monkeypatch.setattr(job_logs, limit, 1)
    submit(store)
    write(home, "one\n")
    with client.stream("GET", "/api/jobs/1/logs?follow=true") as answer:
        stream = events(answer)
        next(stream)
        refused = client.get("/api/jobs/1/logs?follow=true")
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    until(lambda: app.state.log_streams.total() == 0)


@pytest.mark.attack
def test_a_revoked_token_ends_it(app, store, home, monkeypatch):
    monkeypatch.setattr(job_logs, "LOOK_S", 0.02)
    monkeypatch.setattr(job_logs, "RECHECK_S", 0.05)
    submit(store)
    write(home, "one\n")
    row, secret = store.tokens.create(DEFAULT, name="ci", scope="read", expires=None)
    with serving(app) as port:
        url = f"http://127.0.0.1:{port}/api/jobs/1/logs?follow=true"
        headers = {"authorization": f"Bearer {secret}"}
        with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=30) as answer:
            stream = events(answer)
            assert next(stream)[2]["lines"] == ["one"]
            store.tokens.revoke(row.id)
            assert next(stream)[0] == "token"
            write(home, "of nobody's concern\n")
            assert next(stream, None) is None
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 401


def test_a_job_that_has_none_is_waited_for_until_it_ends(client, store, monkeypatch):
    monkeypatch.setattr(job_logs, "LOOK_S", 0.02)
    monkeypatch.setattr(job_logs, "QUIET_S", 0.05)
    submit(store)
    assert client.get("/api/jobs/1/logs").status_code == 404
    ending = threading.Timer(0.3, lambda: store.jobs.cancel(1))
    ending.start()
    with client.stream("GET", "/api/jobs/1/logs?follow=true") as answer:
        text = answer.read().decode()
    ending.join()
    assert text.startswith(":\n\n")
    assert text.endswith('event: end\ndata: {"status":"cancelled"}\n\n')
    assert client.get("/api/jobs/1/logs?follow=true").status_code == 404


def test_it_goes_with_the_run(client, store, home):
    submit(store)
    row = claimed(store)
    run_id = store.queue.begin_run(fence(row), config={}, seed=1, description="")
    path = write(home, "patient 7 in row 3\n")
    store.runs.finish(run_id, "completed")
    store.queue.complete(fence(row))
    assert client.delete(f"/api/runs/{run_id}").status_code == 204
    assert not path.parent.exists()
    assert client.get("/api/jobs/1/logs").status_code == 404
