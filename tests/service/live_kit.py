"""The live stream on a real uvicorn, in a thread or in a process of its own, and viewers of it.

As a program: ``live_kit.py serve URL PORT``, and ``live_kit.py write URL RUN_ID``, which writes rounds until
its input is closed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from service.security.middleware import SecurityMiddleware
from service.settings import Settings
from service.stream.hub import Hub
from service.stream.sockets import UVICORN_OPTIONS, build_stream_router
from shared.metrics.point import MetricPoint
from shared.runtime.home import Home
from shared.tracking.store import Store

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0  # at most, for what takes a moment
POLL_S = 0.02

Message = dict[str, Any]


def new_run(store: Store, **changes: Any) -> int:
    given = {"name": "digits-cnn", "training_mode": "federated", "config": {"seed": 7}, "seed": 7}
    return store.runs.create(**{**given, **changes})


def point(value: float = 0.5, **changes: Any) -> MetricPoint:
    return MetricPoint(**{"stage": "val", "name": "accuracy", "value": value, "time": NOON, **changes})


def add_round(store: Store, run_id: int, number: int) -> None:
    """One round as `federated` writes it: two clients, their aggregate, the server's evaluation, the record."""
    for client_id in (0, 1):
        store.metrics.add(
            run_id, [point(round=number, client_id=client_id, epoch=1, stage="train", name="loss")]
        )
    store.metrics.add(run_id, [point(round=number, stage="train")])
    store.metrics.add(run_id, [point(round=number, stage="test")])
    store.evaluations.add(
        run_id, round=number, loss=0.1, metrics={"accuracy": 0.5}, confusion=[[3, 1], [2, 4]], num_examples=10
    )
    store.rounds.add(
        run_id,
        round=number,
        began=NOON,
        ended=NOON,
        sampled=[0, 1],
        replied=[0, 1],
        failed={},
        bytes_down=1,
        bytes_up=2,
        seconds=0.5,
    )


class Viewer:
    """What a viewer gets, message by message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._waiting: deque[Message] = deque()

    def next(self) -> Message:
        if not self._waiting:
            frame = self.connection.recv(timeout=WAIT_S)
            assert isinstance(frame, str)
            self._waiting.extend(json.loads(frame))
        return self._waiting.popleft()

    def take(self, done: Callable[[Message], bool]) -> list[Message]:
        """Messages up to the first one that is ``done``."""
        taken = [self.next()]
        while not done(taken[-1]):
            taken.append(self.next())
        return taken

    def rest(self) -> tuple[list[Message], int | None]:
        """Messages until the connection is closed, and the server's code."""
        taken = []
        while True:
            try:
                taken.append(self.next())
            except ConnectionClosed as closed:
                return taken, closed.rcvd and closed.rcvd.code


class Live:
    """Where a server listens, and viewers of it."""

    def __init__(self, port: int, app: FastAPI | None = None) -> None:
        self.port, self.app = port, app

    @property
    def hub(self) -> Hub:
        assert self.app is not None
        hub: Hub = self.app.state.hub
        return hub

    @contextmanager
    def view(self, path: str) -> Iterator[Viewer]:
        with connect(f"ws://127.0.0.1:{self.port}{path}", proxy=None, max_size=None) as connection:
            yield Viewer(connection)


@contextmanager
def serving(url: str, *, uvicorn_options: dict[str, Any] | None = None, **hub_options: float) -> Iterator[Live]:
    """The live stream in a thread of this process."""
    app = build_app(url, **{"poll_s": POLL_S, **hub_options})
    with listening(app, lifespan="on", **(uvicorn_options or {})) as port:
        yield Live(port, app)


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[int]:
    """An application in a thread of this process, as uvicorn serves the live stream; yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        settings = {**UVICORN_OPTIONS, "log_config": None, "timeout_graceful_shutdown": 5, **options}
        server = uvicorn.Server(uvicorn.Config(app, **settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive(), "the server did not end"


def build_app(url: str, **hub_options: float) -> FastAPI:
    """The live stream alone."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Store(url) as store:
            async with Hub(store, **hub_options) as app.state.hub:
                yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(build_stream_router())
    settings = Settings(database_url=url, home=Home(Path("/nowhere"), url))
    app.add_middleware(SecurityMiddleware, settings=settings)
    return app


@contextmanager
def program(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process of this file, killed at the end of the block if it still runs."""
    command = [sys.executable, __file__, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def of_type(*kinds: str) -> Callable[[Message], bool]:
    return lambda message: message["type"] in kinds


def up_to(cursor: int) -> Callable[[Message], bool]:
    return lambda message: (message["cursor"] or 0) >= cursor


def row_ids(found: list[Message]) -> list[int]:
    return [row["id"] for message in found for row in message.get("rows", ())]


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has let go of a connection, once all that had been sent is read."""
    connection.settimeout(WAIT_S)
    try:
        return not connection.recv(65536)
    except ConnectionResetError:
        return True


def stalled(port: int, path: str) -> socket.socket:
    """A viewer that opens its WebSocket and then reads nothing at all."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return connection


def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def serve(url: str, port: str) -> None:
    uvicorn.run(build_app(url, poll_s=POLL_S), port=int(port), log_level="warning", **UVICORN_OPTIONS)


def write(url: str, run_id: str) -> None:
    with Store(url) as store:
        told = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
        number = 0
        while not told.wait(0.002):
            number += 1
            add_round(store, int(run_id), number)
        store.runs.finish(int(run_id), "completed")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
