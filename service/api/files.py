"""The REST routes that return files: exports, and the report and figures of a comparison."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from service.api.dependencies import HomeDep, RunDep, StoreDep
from service.api.exports import MOST_EXPORTS, exports_of
from service.api.problems import Problem, error_responses
from service.read.artifacts import comparison_of, figure_paths, report_path
from service.read.run_detail import export_name
from shared.runtime.errors import TrackingError
from shared.tracking.export import export_parts

# No script in a report can run, whatever its names and error messages contain.
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}

router = APIRouter(tags=["files"])


@router.get(
    "/runs/{run_id}/export",
    response_class=Response,
    responses={
        **error_responses(404, 503),
        200: {
            "description": "The run as a file: CSV and Parquet hold its points, of a comparison "
            "the gap of each metric; JSON all its results.",
            "content": {
                "text/csv": {"example": "id,run_id,client_id,round,epoch,stage,name,value,num_examples,time\n"},
                "application/json": {"example": {"run": {"id": 3}, "metrics": {"best_accuracy": 0.97}}},
                "application/vnd.apache.parquet": {},
            },
        },
    },
)
async def export(
    request: Request,
    store: StoreDep,
    run: RunDep,
    format: Annotated[Literal["csv", "json", "parquet"], Query()] = "csv",
) -> StreamingResponse:
    """Download a run, however long it is: rows are sent as they are read."""
    turns = exports_of(request.app)
    if turns.waiting >= MOST_EXPORTS:
        raise Problem(503, f"{MOST_EXPORTS} exports are under way; try again when one has ended")
    parts = turns.paced(partial(export_parts, store, run.id, format=format))
    try:
        first = await anext(parts)
    except TrackingError as why:  # of a comparison whose gap is not measured
        raise Problem(404, str(why)) from None
    return StreamingResponse(
        _after(first, parts),
        media_type=MEDIA_TYPES[format],
        headers={"content-disposition": f'attachment; filename="{export_name(run.id, format)}"'},
    )


@router.get(
    "/runs/{run_id}/report",
    response_class=FileResponse,
    responses={
        **error_responses(404),
        200: {"description": "The report.", "content": {"text/html": {"example": "<!doctype html>"}}},
    },
)
def report(home: HomeDep, run: RunDep) -> FileResponse:
    """The report of the run's comparison, sandboxed: no scripts."""
    path = report_path(home, run)
    if path is None:
        raise Problem(
            404, f"run {run.id} has no report on this machine; `fedtwin compare` writes one when it ends"
        )
    return FileResponse(
        path,
        media_type="text/html",
        filename=f"fedtwin-report-{comparison_of(run)}.html",
        content_disposition_type="inline",
        headers={"content-security-policy": REPORT_POLICY},
    )


@router.get(
    "/runs/{run_id}/figures/{name}.png",
    response_class=FileResponse,
    responses={
        **error_responses(404),
        200: {"description": "The figure.", "content": {"image/png": {}}},
    },
)
def figure(home: HomeDep, run: RunDep, name: str) -> FileResponse:
    """One figure of the run's comparison."""
    path = figure_paths(home, run).get(name)
    if path is None:
        raise Problem(404, f"run {run.id} has no such figure on this machine")
    return FileResponse(path, media_type="image/png", filename=path.name, content_disposition_type="inline")


async def _after(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part
