"""The REST routes that return files: exports, and the report and figures of a comparison."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response

from service.api.dependencies import HomeDep, RunDep, StoreDep
from service.api.problems import Problem, error_responses
from service.read.artifacts import comparison_of, figure_paths, report_path
from service.read.run_config import without_secrets
from service.read.run_detail import export_name
from shared.tracking.export import export_run
from shared.tracking.run_results import run_results
from shared.tracking.store import Store

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
        **error_responses(404),
        200: {
            "description": "The run as a file: CSV and Parquet hold its rows, JSON all its results.",
            "content": {
                "text/csv": {"example": "id,run_id,client_id,round,epoch,stage,name,value,num_examples,time\n"},
                "application/json": {"example": {"run": {"id": 3}, "metrics": {"best_accuracy": 0.97}}},
                "application/vnd.apache.parquet": {},
            },
        },
    },
)
def export(
    store: StoreDep, run: RunDep, format: Annotated[Literal["csv", "json", "parquet"], Query()] = "csv"
) -> Response:
    """Download a run."""
    return Response(
        _exported(store, run.id, format),
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


def _exported(store: Store, run_id: int, format: Literal["csv", "json", "parquet"]) -> bytes:
    if format == "json":
        content = run_results(store, run_id)
        return json.dumps({**content, "run": without_secrets(content["run"])}, indent=1).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = export_run(store, run_id, format=format, path=Path(folder) / "export")
        return Path(path).read_bytes()
