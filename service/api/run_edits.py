"""The REST routes that change a run: name, note, tags; and that delete it with its files."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from pydantic import Field

from service.api.dependencies import HomeDep, RunDep, ShownDep, StoreDep
from service.api.job_schemas import RunName, Tag
from service.api.problems import Problem, error_responses
from service.api.writing import training_router
from service.problem_details import AsciiJson
from service.read import schemas
from service.read.run_detail import run_detail
from service.read.schemas import Shape
from shared.runtime.errors import TrackingError
from shared.tracking.deletion import UndeletableRun, delete_files
from shared.tracking.model_guard import GuardedRun
from shared.tracking.schema import MOST_NOTE
from shared.tracking.stop_requests import NotStoppable, ask_to_stop

router = training_router("runs")


class RunChange(Shape):
    """What to change; what is left out stays."""

    name: RunName | None = None
    note: str | None = Field(default=None, max_length=MOST_NOTE, description="The run's description.")
    add_tags: list[Tag] = Field(default=[], max_length=20)
    remove_tags: list[Tag] = Field(default=[], max_length=20)


@router.patch("/runs/{run_id}", response_model=schemas.RunDetail, responses=error_responses(404))
def change(store: StoreDep, home: HomeDep, shown: ShownDep, run: RunDep, wanted: RunChange) -> AsciiJson:
    """Rename a run, write a note, add and remove tags."""
    if wanted.name is not None:
        store.runs.rename(run.id, wanted.name)
    if wanted.note is not None:
        store.runs.describe(run.id, wanted.note)
    if wanted.add_tags or wanted.remove_tags:
        store.runs.tag(run.id, add=wanted.add_tags, remove=wanted.remove_tags)
    return AsciiJson(shown.of(run_detail(store, run, home=home)))


@router.post(
    "/runs/{run_id}/stop",
    status_code=202,
    response_model=schemas.RunDetail,
    responses=error_responses(404, 409),
)
def stop(store: StoreDep, home: HomeDep, shown: ShownDep, run: RunDep) -> AsciiJson:
    """Ask that a sweep stops, on whatever machine it runs; what its trials have trained is kept.

    Refused (409, `run_state`) for other runs: a job is cancelled, and of a training that was started from a
    command line or a notebook no process looks for requests.
    """
    try:
        ask_to_stop(store.runs, run.id)
    except NotStoppable as error:
        raise Problem(409, str(error), code="run_state") from None
    return AsciiJson(shown.of(run_detail(store, run, home=home)), status_code=202)


@router.delete("/runs/{run_id}", status_code=204, responses=error_responses(404, 409))
def delete(
    store: StoreDep,
    home: HomeDep,
    run: RunDep,
    with_children: Annotated[bool, Query(description="Also the runs of a comparison or sweep.")] = False,
) -> Response:
    """Delete a run that has ended, with its rows and files.

    Refused (409) while it runs (`run_busy`), as part of a comparison (`run_busy`), or where an alias names a
    version of a model that stands on it (`guarded`).
    """
    try:
        deleted = store.runs.delete(run.id, with_children=with_children)
    except GuardedRun as error:
        raise Problem(409, str(error).partition(";")[0], code="guarded") from None
    except UndeletableRun as error:
        raise Problem(409, str(error).partition(";")[0], code="run_busy") from None
    for run_id in deleted:
        try:
            delete_files(run_id, home, jobs=store.jobs.of_run(run_id))
        except TrackingError:
            detail = f"run {run_id} is deleted, but not all its files; `fedtwin prune` finds them"
            raise Problem(500, detail, code="files") from None
    return Response(status_code=204)
