"""The REST routes of runs: health, the list of runs, one run, and its stored metrics."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request

from service.api.dependencies import HomeDep, RunDep, ShownDep, StoreDep
from service.api.problems import error_responses
from service.problem_details import AsciiJson
from service.read import schemas, summaries
from service.read.run_detail import run_detail
from service.read.run_settings import MOST_SETTINGS_OF, differing_settings
from shared.tracking.schema import LARGEST_ID

LARGEST_CURSOR = 2**63 - 1

router = APIRouter(tags=["runs"])


@router.get("/health", response_model=schemas.Health)
def health(request: Request, store: StoreDep) -> AsciiJson:
    """Check that the server can read its database."""
    store.runs.search(limit=1)
    app: FastAPI = request.app
    time = datetime.now(UTC).isoformat()
    return AsciiJson({"status": "ok", "version": app.version, "database": store.kind, "time": time})


@router.get("/runs", response_model=schemas.Runs)
def runs(
    store: StoreDep,
    q: Annotated[
        str,
        Query(max_length=200, description="Words in the name, the description, the data, the model; or an id."),
    ] = "",
    mode: schemas.TrainingMode | None = None,
    status: schemas.Status | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the last page.")] = None,
) -> AsciiJson:
    """List runs, newest first."""
    found = store.runs.search(text=q, mode=mode, status=status, before=before, limit=limit + 1)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return AsciiJson({"runs": summaries.run_summaries(store, page), "next": more})


@router.get("/settings", response_model=schemas.DifferingSettings)
def settings(
    store: StoreDep,
    shown: ShownDep,
    q: Annotated[str, Query(max_length=200, description="As for the list of runs.")] = "",
    mode: schemas.TrainingMode | None = None,
    status: schemas.Status | None = None,
) -> AsciiJson:
    """The settings in which runs of the list differ, of the newest 1,000 at most."""
    found = store.runs.search(text=q, mode=mode, status=status, limit=MOST_SETTINGS_OF)
    return AsciiJson(shown.of(differing_settings(found)))


@router.get("/runs/{run_id}", response_model=schemas.RunDetail, responses=error_responses(404))
def run(store: StoreDep, home: HomeDep, shown: ShownDep, run: RunDep) -> AsciiJson:
    """One run with its settings, clients, rounds, evaluations and newest values."""
    return AsciiJson(shown.of(run_detail(store, run, home=home)))


@router.get("/runs/{run_id}/metrics", response_model=schemas.Rows, responses=error_responses(404))
def metrics(
    store: StoreDep,
    run: RunDep,
    after: Annotated[int, Query(ge=0, le=LARGEST_CURSOR, description="Only rows with a greater id.")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 5000,
) -> AsciiJson:
    """Metric rows in stored order; `WS /ws/runs/{id}?after=cursor` continues from there."""
    found = store.metrics.of_run(run.id, after=after, limit=limit + 1)
    rows: list[dict[str, Any]] = [summaries.metric_row(row) for row in found[:limit]]
    cursor = rows[-1]["id"] if rows else after
    return AsciiJson({"rows": rows, "cursor": cursor, "more": len(found) > limit})
