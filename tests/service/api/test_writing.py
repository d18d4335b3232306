"""Requests that change something, and whose body does not come whole."""

from __future__ import annotations

import socket
import time

import pytest

from tests.service.rows_kit import build_app
from tests.service.server_kit import serving

TOKEN = "train-correct-horse_battery"


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
