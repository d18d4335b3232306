"""Connections that do not complete a request's header, to a real server."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from service.web import http
from service.web.http import TimedHTTP
from tests.service.server_kit import serving

pytestmark = pytest.mark.attack

LIMIT_S = 0.5
WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def slow_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers after twice the limit; echoes the first message of a WebSocket."""
    import asyncio

    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
    else:
        await asyncio.sleep(2 * LIMIT_S)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(http, "HEADER_S", LIMIT_S)
    with serving(slow_app, http=TimedHTTP, timeout_keep_alive=30) as port:
        yield port


def open_connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of the connection, at most as long as its time-out."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local", b"\x00"])
def test_a_header_that_is_not_completed_ends_the_connection(port: int, sent: bytes) -> None:
    with open_connection(port) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        if sent == b"\x00":  # no HTTP: refused at once
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")
            return
        assert is_closed(connection)
        assert time.monotonic() - began >= LIMIT_S / 2


def test_a_header_that_trickles_ends_the_connection(port: int) -> None:
    with open_connection(port) as connection:
        for byte in WHOLE[:-1]:
            connection.sendall(bytes([byte]))
            if select.select([connection], [], [], LIMIT_S / 8)[0]:
                break
        assert is_closed(connection)


def test_a_whole_request_may_wait_for_its_answer_and_for_the_next_one(port: int) -> None:
    with open_connection(port) as connection:
        for _ in range(2):
            connection.sendall(WHOLE)
            answer = b""
            while not answer.endswith(b"ok"):
                answer += connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
        connection.sendall(WHOLE[:10])  # of a third one, half a header
        assert is_closed(connection)


def test_a_websocket_stays_open(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/") as live:
        time.sleep(2 * LIMIT_S)
        live.send("still here")
        assert live.recv(timeout=20) == "still here"
