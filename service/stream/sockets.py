"""The WebSocket routes of the live stream, and the uvicorn options that they need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from service.access import NO_TOKEN, access_of
from service.stream.channel import NoSuchRun
from service.stream.hub import Hub, Viewer
from service.stream.protocol import GOING_AWAY, LiveWebSocket
from shared.runtime.errors import TrackingError

RECHECK_S = 5.0  # how long a revoked or expired token may still read
SEND_S = 3.5  # for one frame; a viewer that takes longer is disconnected
NO_SUCH_RUN = 4404
TRY_AGAIN_LATER = 1013
BAD_REQUEST = 1008
LARGEST_RUN_ID = 2**31 - 1
LARGEST_CURSOR = 2**63 - 1

# A viewer that stops reading is disconnected after 2 + 2.5 s. Viewers send nothing, so incoming messages are
# limited to a small size. Compression is off: it would be done for each viewer separately.
UVICORN_OPTIONS: dict[str, Any] = {
    "ws": LiveWebSocket,
    "ws_ping_interval": 2.0,
    "ws_ping_timeout": 2.5,
    "ws_per_message_deflate": False,
    "ws_max_size": 4096,
}


def build_stream_router() -> APIRouter:
    """Build the routes ``/ws/runs/{id}?after=ID`` and ``/ws/runs``; the app's state holds the hub."""
    router = APIRouter()

    @router.websocket("/ws/runs/{run_id}")
    async def follow_run(websocket: WebSocket, run_id: str) -> None:
        await websocket.accept()
        run = _number(run_id, most=LARGEST_RUN_ID)
        after = _number(websocket.query_params.get("after", "0"), most=LARGEST_CURSOR)
        given = websocket.query_params.get("newest")
        newest = None if given is None else _number(given, most=LARGEST_CURSOR)
        if run is None:
            await websocket.close(NO_SUCH_RUN, "there is no such run")
        elif after is None:
            await websocket.close(BAD_REQUEST, "after must be the id of a row, or 0")
        elif given is not None and newest is None:
            await websocket.close(BAD_REQUEST, "newest must be a number of rows")
        else:
            await _serve(websocket, run_id=run, after=after, newest=newest)

    @router.websocket("/ws/runs")
    async def follow_runs(websocket: WebSocket) -> None:
        await websocket.accept()
        await _serve(websocket, run_id=None)

    return router


async def _serve(
    websocket: WebSocket, *, run_id: int | None, after: int = 0, newest: int | None = None
) -> None:
    """Send until the viewer disconnects, stops reading, or the server shuts down."""
    hub: Hub = websocket.app.state.hub
    disconnect = asyncio.create_task(_wait_for_disconnect(websocket))
    sending = asyncio.create_task(_send_all(websocket, hub, run_id=run_id, after=after, newest=newest))
    expiry = asyncio.create_task(_wait_for_expiry(websocket))
    tasks = (disconnect, sending, expiry)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not expiry.cancelled() and expiry.exception() is None:
        await _close(websocket, NO_TOKEN, "token")
    for task in tasks:
        if not task.cancelled():
            task.result()  # raise our own errors


async def _wait_for_disconnect(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass  # messages from viewers are ignored


async def _wait_for_expiry(websocket: WebSocket) -> None:
    valid = access_of(websocket).still_valid
    while valid is None or not await _is_over(valid):
        await asyncio.sleep(RECHECK_S)


async def _is_over(valid: Callable[[], bool]) -> bool:
    try:
        return not await run_in_threadpool(valid)
    except TrackingError:
        return False  # who reads the stream is told that the database is away


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    with suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(SEND_S):
            await websocket.close(code, reason)


async def _send_all(
    websocket: WebSocket, hub: Hub, *, run_id: int | None, after: int, newest: int | None
) -> None:
    try:
        async with hub.watch(access_of(websocket).tenant, run_id, after=after, newest=newest) as viewer:
            await _send(websocket, viewer)
        code, reason = GOING_AWAY, "the server is shutting down"
    except NoSuchRun as error:
        code, reason = NO_SUCH_RUN, str(error)
    except TrackingError:
        code, reason = TRY_AGAIN_LATER, "the database cannot be reached"
    except (TimeoutError, WebSocketDisconnect):
        return  # the viewer stopped reading or has left
    await _close(websocket, code, reason)


async def _send(websocket: WebSocket, viewer: Viewer) -> None:
    async with aclosing(viewer.frames()) as frames:
        async for frame in frames:
            async with asyncio.timeout(SEND_S):
                await websocket.send_text(frame)


def _number(text: str, *, most: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if number <= most else None
