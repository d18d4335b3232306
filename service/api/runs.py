"""The REST API, to read: health and runs here, and the routers of `api_charts` and `api_files`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request

from service.api import charts as api_charts
from service.api import files as api_files
from service.api import schemas
from service.api.dependencies import HomeOf, RunOf, StoreOf
from service.api.problems import AsciiJson, documented
from service.read import run_detail as detail
from service.read import summaries as views
from shared.tracking.schema import LARGEST_ID

LARGEST_CURSOR = 2**63 - 1

runs_router = APIRouter(tags=["runs"])


def build_router() -> APIRouter:
    """All routes below ``/api``.

    Returns
    -------
    APIRouter
        For an app with ``store`` and ``settings`` (with a ``home``) in its state and `problems` installed.
    """
    router = APIRouter(prefix="/api", default_response_class=AsciiJson, responses=documented(422, 500, 503))
    for part in (runs_router, api_charts.router, api_files.router):
        router.include_router(part)
    return router


@runs_router.get("/health", response_model=schemas.Health)
def health(request: Request, store: StoreOf) -> AsciiJson:
    """Say whether the server can read its database."""
    store.runs.search(limit=1)
    app: FastAPI = request.app
    time = datetime.now(UTC).isoformat()
    return AsciiJson({"status": "ok", "version": app.version, "database": store.kind, "time": time})


@runs_router.get("/runs", response_model=schemas.Runs)
def runs(
    store: StoreOf,
    q: Annotated[
        str,
        Query(max_length=200, description="Words in the name, the description, the data, the model; or an id."),
    ] = "",
    mode: schemas.TrainingMode | None = None,
    status: schemas.Status | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before.")] = None,
) -> AsciiJson:
    """List runs, newest first."""
    found = store.runs.search(text=q, mode=mode, status=status, before=before, limit=limit + 1)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return AsciiJson({"runs": views.run_summaries(store, page), "next": more})


@runs_router.get("/runs/{run_id}", response_model=schemas.RunDetail, responses=documented(404))
def run(store: StoreOf, home: HomeOf, run: RunOf) -> AsciiJson:
    """One run with its settings, clients, rounds, evaluations and newest values."""
    return AsciiJson(detail.run_detail(store, run, home=home))


@runs_router.get("/runs/{run_id}/metrics", response_model=schemas.Rows, responses=documented(404))
def metrics(
    store: StoreOf,
    run: RunOf,
    after: Annotated[int, Query(ge=0, le=LARGEST_CURSOR, description="Only rows with a greater id.")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 5000,
) -> AsciiJson:
    """Rows in the order in which they were stored; `WS /ws/runs/{id}?after=cursor` goes on from there."""
    found = store.metrics.of_run(run.id, after=after, limit=limit + 1)
    rows: list[dict[str, Any]] = [views.metric_row(row) for row in found[:limit]]
    cursor = rows[-1]["id"] if rows else after
    return AsciiJson({"rows": rows, "cursor": cursor, "more": len(found) > limit})
