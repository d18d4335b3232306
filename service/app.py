"""`create_app`: assembles the web server: REST API, live stream, web page and security middleware."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from service.api.datasets import checks_of
from service.api.models import host_of
from service.api.operations import router as operations
from service.api.problems import install_handlers
from service.api.router import build_router
from service.datasets.checks import sweep_datasets
from service.integrations.child import FollowerProcess
from service.jobs.attempt import training_command
from service.jobs.worker import Worker
from service.security.middleware import SecurityMiddleware
from service.settings import Settings
from service.stream.hub import Hub
from service.stream.sockets import build_stream_router
from service.web.assets import build_web_router, find_assets
from service.web.ended import EndedRequests
from service.webhooks.address import Allowed
from service.webhooks.sender import Sender
from shared.config.hydra_session import HydraSession
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store

_log = logging.getLogger("fedtwin")


class Service(FastAPI):
    """FastAPI with `SecurityMiddleware` outermost: responses to unhandled errors pass through it too."""

    def build_middleware_stack(self) -> ASGIApp:
        """Wrap Starlette's stack in `SecurityMiddleware`."""
        store: Store = self.state.store
        return SecurityMiddleware(
            EndedRequests(super().build_middleware_stack()),
            settings=self.state.settings,
            tokens=store.tokens,
            audit=store.audit,
        )


def create_app(settings: Settings) -> FastAPI:
    """Assemble the server; its lifespan opens and starts everything.

    Returns
    -------
    FastAPI
        With ``settings``, ``store`` and ``hub`` in its state.
    """
    app = Service(
        title="fedtwin",
        description="Runs, metrics and comparisons, and training jobs: what changes these needs a token "
        "of the scope `train`. Live updates come over the WebSockets "
        "`/ws/runs/{id}?after=ID` and `/ws/runs`; [JSON schema of their messages](/static/stream.schema.json).",
        version=_version(),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.store = Store(settings.database_url)
    app.state.session = HydraSession()
    app.state.webhooks_may_reach = Allowed(settings.allowed_webhooks)  # a wrong setting ends it here
    app.state.hub = Hub(app.state.store, poll_s=settings.poll_s, heartbeat_s=settings.heartbeat_s)
    app.state.viewers = lambda: sum(app.state.hub.watched.values())
    install_handlers(app)
    app.include_router(build_router())
    app.include_router(operations)
    app.include_router(build_stream_router())
    app.include_router(build_web_router())
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    store: Store = app.state.store
    app.state.assets = find_assets()
    await asyncio.to_thread(sweep_datasets, store, home=settings.home)
    ended = threading.Event()
    watch = asyncio.to_thread(
        _settle, store, journals=settings.home.journals, every_s=settings.orphans_s, ended=ended
    )
    watching = asyncio.create_task(watch)
    command = training_command(sweep_workers=settings.sweep_workers)
    worker = Worker(store, home=settings.home, say=_log.info, command=command) if settings.worker else None
    working = asyncio.create_task(asyncio.to_thread(worker.run)) if worker is not None else None
    sender = Sender(store, allowed=app.state.webhooks_may_reach, say=_log.warning)
    sender.start()
    follower = None
    if settings.mlflow is not None:
        follower = FollowerProcess(["mlflow", "--tracking-uri", settings.mlflow], home=settings.home)
        follower.start()
    try:
        async with app.state.hub:
            yield
    finally:
        ended.set()
        if follower is not None:
            await asyncio.to_thread(follower.close)
        if worker is not None and working is not None:
            worker.stop()
            await working
        await asyncio.to_thread(sender.close)
        await watching
        host_of(app).close()
        checks_of(app).close()
        app.state.checks = None  # an application can be served again
        store.close()


def _settle(store: Store, *, journals: Path, every_s: float, ended: threading.Event) -> None:
    """Write what killed processes left, and mark their runs as failed, periodically: they cannot do so."""
    failing = False
    while True:
        try:
            store.runs.settle(journals)
            failing = False
        except TrackingError as error:
            if not failing:
                _log.warning("cannot mark runs whose process is gone: %s", error)
            failing = True
        if ended.wait(every_s):
            return


def _version() -> str:
    try:
        return version("fedtwin")
    except PackageNotFoundError:
        return "0"
