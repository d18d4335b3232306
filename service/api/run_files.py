"""The REST routes of what a run left beside its metrics: its log, its use of the machine, its settings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from service.api import run_file_schemas
from service.api.dependencies import HomeDep, RunDep, ShownDep
from service.api.problems import Problem, error_responses
from service.problem_details import AsciiJson
from service.read.examples import Kind, NotShown, examples
from service.read.run_files import changed_settings, log_tail, resource_columns

router = APIRouter(tags=["runs"], responses=error_responses(404))


@router.get(
    "/runs/{run_id}/log",
    response_class=PlainTextResponse,
    responses={200: {"description": "The end of the log.", "content": {"text/plain": {"example": "..."}}}},
)
def log(home: HomeDep, shown: ShownDep, run: RunDep) -> PlainTextResponse:
    """The end of the run's log, at most 200 kB; passwords of database addresses are hidden."""
    text = log_tail(home, run)
    if text is None:
        raise Problem(404, f"run {run.id} has no log on this machine: it was trained elsewhere, or before logs")
    return PlainTextResponse(shown.of(text))


@router.get("/runs/{run_id}/resources", response_model=run_file_schemas.Resources)
def resources(home: HomeDep, run: RunDep) -> AsciiJson:
    """Processor, memory and GPU over time, at most 1,000 moments."""
    columns = resource_columns(home, run)
    if columns is None:
        raise Problem(
            404, f"run {run.id} has no samples on this machine: it was trained elsewhere, or before sampling"
        )
    return AsciiJson(columns)


@router.get("/runs/{run_id}/changed", response_model=run_file_schemas.Changed)
def changed(shown: ShownDep, run: RunDep) -> AsciiJson:
    """The settings in which the run differs from the defaults of this version."""
    return AsciiJson(shown.of(changed_settings(run)))


@router.get("/runs/{run_id}/examples", response_model=run_file_schemas.Examples, responses=error_responses(403))
def examples_of(
    home: HomeDep, run: RunDep, kind: Kind = "wrong", limit: Annotated[int, Query(ge=1, le=100)] = 24
) -> AsciiJson:
    """Test images that the model got wrong, or was least sure of; only of data on this machine."""
    try:
        return AsciiJson(examples(home, run, kind=kind, limit=limit))
    except NotShown as why:
        raise Problem(403 if why.forbidden else 404, str(why)) from None
