"""Requests that change something, and whose body does not come whole, or holds what is no text."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.service.rows_kit import asking, build_app, new_run
from tests.service.server_kit import serving

TOKEN = "train-correct-horse_battery"
JSON = {"content-type": "application/json"}


HALVES = [
    ("POST", "/api/experiments/validate", {"config_overrides": {"data.target": "%s"}}),
    ("POST", "/api/experiments/compare", {"config_overrides": {"data.kinds": {"%s": "numeric"}}}),
    ("POST", "/api/experiments/compare", {"run_name": "%s"}),
    ("POST", "/api/experiments/compare", {"tags": ["%s"]}),
    ("POST", "/api/experiments/compare", {"dataset": "%s"}),
    ("POST", "/api/experiments/compare", {"use_existing_model": "%s"}),
    ("PATCH", "/api/runs/1", {"name": "%s"}),
    ("PATCH", "/api/runs/1", {"note": "%s"}),
    ("PATCH", "/api/runs/1", {"remove_tags": ["%s"]}),
]


@pytest.mark.attack
def test_half_a_surrogate_pair_is_no_text(store, home):
    new_run(store)
    with asking(store, home, train_token=TOKEN) as client:
        for method, path, body in HALVES:
            for half in (rb"\ud800", rb"\uDFFF", b"\xed\xa0\x80"):
                content = json.dumps(body).encode().replace(b"%s", b"a" + half)
                answer = client.request(method, path, content=content, headers=JSON)
                assert (answer.status_code, answer.json()["code"]) == (422, "text"), (path, body, answer.text)
        whole = {"config_overrides": {"data.target": "\U0001f600 \\ud800"}}
        answer = client.post("/api/experiments/validate", content=json.dumps(whole), headers=JSON)
        assert answer.status_code == 200, "a pair is one character"
        answer = client.post("/api/v1/datasets?name=a%ED%A0%80&format=csv", content=b"a")
        assert (answer.status_code, answer.json()["code"]) == (422, "name")
    assert store.jobs.search() == []


@pytest.mark.attack
def test_a_body_that_is_cut_is_worth_no_line_of_the_log(store, home, caplog):
    app = build_app(store, home, train_token=TOKEN)
    with serving(app) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            f"POST /api/experiments/centralized HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        time.sleep(0.3)  # the server has begun to read the body
        connection.close()
        time.sleep(0.3)
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
