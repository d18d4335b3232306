"""`create_app`: the parts of the server put together; `serve` runs it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from starlette.types import ASGIApp

from service.api import problems
from service.api.runs import build_router
from service.security.middleware import Security
from service.settings import Settings
from service.stream.hub import Hub
from service.stream.sockets import build_live_router
from service.web.assets import build_pages_router, find_assets
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store

_log = logging.getLogger("fedtwin")


class Service(FastAPI):
    """FastAPI with `Security` around all of it, also around its answers to errors that nobody caught."""

    def build_middleware_stack(self) -> ASGIApp:
        """Put `Security` outside."""
        return Security(super().build_middleware_stack(), settings=self.state.settings)


def create_app(settings: Settings) -> FastAPI:
    """Put the server together; nothing is opened or started before its lifespan.

    Returns
    -------
    FastAPI
        With ``settings``, ``store`` and ``hub`` in its state.
    """
    app = Service(
        title="fedtwin",
        description="Runs, metrics and comparisons, to read. What happens live is told by the WebSockets "
        "`/ws/runs/{id}?after=ID` and `/ws/runs`, in [these messages](/static/stream.schema.json).",
        version=_version(),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.store = Store(settings.database_url)
    app.state.hub = Hub(app.state.store, poll_s=settings.poll_s, heartbeat_s=settings.heartbeat_s)
    problems.install(app)
    app.include_router(build_router())
    app.include_router(build_live_router())
    app.include_router(build_pages_router())
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    store: Store = app.state.store
    app.state.assets = find_assets()
    ended = threading.Event()
    watch = asyncio.to_thread(_close_orphans, store, every_s=settings.orphans_s, ended=ended)
    watching = asyncio.create_task(watch)
    try:
        async with app.state.hub:
            yield
    finally:
        ended.set()
        await watching
        store.close()


def _close_orphans(store: Store, *, every_s: float, ended: threading.Event) -> None:
    """End the runs whose process is gone, again and again: a process that was killed cannot do it itself."""
    failing = False
    while True:
        try:
            store.runs.close_orphans()
            failing = False
        except TrackingError as error:
            if not failing:
                _log.warning("runs whose process is gone cannot be ended: %s", error)
            failing = True
        if ended.wait(every_s):
            return


def _version() -> str:
    try:
        return version("fedtwin")
    except PackageNotFoundError:
        return "0"
