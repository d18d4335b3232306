"""The REST routes of schedules: list and show, and for who may train: pause, run now, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from service.api import job_schemas
from service.api.dependencies import ShownDep, StoreDep
from service.api.problems import Problem, error_responses, queue_full
from service.api.writing import training_router
from service.problem_details import AsciiJson
from service.read.jobs import job_detail, schedule_view
from shared.tracking.job_rows import ScheduleRow
from shared.tracking.jobs import QueueFull
from shared.tracking.schema import LARGEST_ID

router = APIRouter(tags=["jobs"])
changes = training_router("jobs")


def _schedule(store: StoreDep, schedule_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> ScheduleRow:
    found = store.schedules.find(schedule_id)
    if found is None:
        raise Problem(404, f"there is no schedule {schedule_id}")
    return found


ScheduleDep = Annotated[ScheduleRow, Depends(_schedule)]


@router.get("/schedules", response_model=job_schemas.Schedules)
def schedules(
    store: StoreDep,
    shown: ShownDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the last page.")] = None,
) -> AsciiJson:
    """List schedules, newest first."""
    found = store.schedules.search(before=before, limit=limit + 1)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return AsciiJson({"schedules": [schedule_view(row, shown=shown) for row in page], "next": more})


@router.get("/schedules/{schedule_id}", response_model=job_schemas.Schedule, responses=error_responses(404))
def schedule(shown: ShownDep, row: ScheduleDep) -> AsciiJson:
    """One schedule."""
    return AsciiJson(schedule_view(row, shown=shown))


@changes.patch("/schedules/{schedule_id}", response_model=job_schemas.Schedule, responses=error_responses(404))
def change(store: StoreDep, shown: ShownDep, row: ScheduleDep, wanted: job_schemas.ScheduleChange) -> AsciiJson:
    """Pause a schedule, or continue it with its next time."""
    return AsciiJson(schedule_view(store.schedules.pause(row.id, paused=wanted.paused), shown=shown))


@changes.post(
    "/schedules/{schedule_id}/run",
    status_code=202,
    response_model=job_schemas.JobDetail,
    responses=error_responses(404, 429),
)
def run_now(store: StoreDep, shown: ShownDep, row: ScheduleDep) -> AsciiJson:
    """Queue a job of the schedule at once."""
    try:
        job = store.schedules.run_now(row.id)
    except QueueFull as error:
        raise queue_full(error) from None
    place = {"location": f"/api/jobs/{job.id}"}
    return AsciiJson(job_detail(store, job, shown=shown), status_code=202, headers=place)


@changes.delete("/schedules/{schedule_id}", status_code=204, responses=error_responses(404))
def delete(store: StoreDep, row: ScheduleDep) -> Response:
    """Delete a schedule; the jobs that it queued stay."""
    store.schedules.delete(row.id)
    return Response(status_code=204)
