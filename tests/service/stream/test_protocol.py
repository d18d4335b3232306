"""uvicorn with `LiveWebSocket`: a sender waits for a viewer that does not read, which is then dropped."""

from __future__ import annotations

import asyncio
import select
import threading
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.sync.client import connect

from service.stream.protocol import LiveWebSocket
from tests.service.live_kit import WAIT_S, is_cut, listening, stalled, until

pytestmark = pytest.mark.attack

LARGE = "x" * 2**22
PATIENT = {"ws_ping_interval": None}


class Sender:
    """An application that sends one large text and a small one, and notes what becomes of it."""

    def __init__(self) -> None:
        self.sent = 0
        self.code: int | None = None
        self.gone = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        sending = asyncio.create_task(self._send(send))
        while (message := await receive())["type"] != "websocket.disconnect":
            pass
        self.code = message["code"]
        sending.cancel()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "too late"})
        self.gone.set()

    async def _send(self, send: Any) -> None:
        for text in (LARGE, "small", "small"):
            await send({"type": "websocket.send", "text": text})
            self.sent += 1


@pytest.fixture
def sender() -> Sender:
    return Sender()


both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@both_loops
def test_a_sender_waits_until_the_viewer_reads(sender, loop):
    with (
        listening(sender, lifespan="off", loop=loop, **PATIENT) as port,
        connect(f"ws://127.0.0.1:{port}", proxy=None, max_size=None, max_queue=1) as viewer,
    ):
        until(lambda: sender.sent >= 1)  # that the rest waits for the large one is shown below
        assert [viewer.recv(timeout=WAIT_S) for _ in range(3)] == [LARGE, "small", "small"]
        until(lambda: sender.sent == 3)


@both_loops
def test_a_viewer_that_does_not_read_is_dropped_with_all_that_it_was_to_get(sender, loop):
    with (
        listening(sender, lifespan="off", loop=loop, ws_ping_interval=0.1, ws_ping_timeout=0.1) as port,
        stalled(port, "/") as connection,
    ):
        assert sender.gone.wait(WAIT_S)
        until(lambda: is_cut(connection))
    assert sender.sent == 1


@both_loops
def test_a_viewer_whose_window_is_full_finds_out_too(sender, loop):
    # It has taken all that its system holds for it, so that an end in good order would wait behind the rest.
    with (
        listening(sender, lifespan="off", loop=loop, ws_ping_interval=0.5, ws_ping_timeout=0.1) as port,
        stalled(port, "/") as connection,
    ):
        watch = select.poll()
        watch.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        assert sender.gone.wait(WAIT_S)
        assert watch.poll(1000 * WAIT_S), "without reading"


@both_loops
def test_a_viewer_that_answers_stays(sender, loop):
    with (
        listening(sender, lifespan="off", loop=loop, ws_ping_interval=0.01, ws_ping_timeout=WAIT_S) as port,
        connect(f"ws://127.0.0.1:{port}", proxy=None, max_size=None) as viewer,
    ):
        assert len([viewer.recv(timeout=WAIT_S) for _ in range(3)]) == 3
        assert not sender.gone.wait(0.1)


@both_loops
def test_a_viewer_that_has_left_is_not_cut_off_as_well(sender, loop, monkeypatch, caplog):
    looked = threading.Event()
    cut = LiveWebSocket._abort

    def cut_and_tell(protocol: LiveWebSocket) -> None:
        try:
            cut(protocol)
        finally:
            protocol.loop.call_soon(looked.set)  # after the loop has logged what was raised

    monkeypatch.setattr(LiveWebSocket, "_abort", cut_and_tell)
    with listening(sender, lifespan="off", loop=loop, **PATIENT) as port:
        with connect(f"ws://127.0.0.1:{port}", proxy=None, max_size=None) as viewer:
            until(lambda: sender.sent == 3)
            assert viewer.recv(timeout=WAIT_S) == LARGE
        assert looked.wait(WAIT_S)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@both_loops
def test_the_server_ends_although_a_viewer_does_not_read(sender, loop):
    with listening(sender, lifespan="off", loop=loop, **PATIENT) as port:
        connection = stalled(port, "/")
        until(lambda: sender.sent == 1)
    assert sender.code == 1001
    with connection:
        until(lambda: is_cut(connection))


def test_a_viewer_hears_that_the_server_goes_away(sender):
    with listening(sender, lifespan="off", **PATIENT) as port:
        stack = connect(f"ws://127.0.0.1:{port}", proxy=None, max_size=None)
        viewer = stack.__enter__()
        until(lambda: sender.sent == 3)
    assert [len(text) for text in viewer] == [len(LARGE), 5, 5]
    assert viewer.close_code == 1001
    stack.__exit__(None, None, None)
