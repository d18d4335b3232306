"""The REST routes of training jobs: list and show, and for who may train: cancel, retry, priority."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from service.api import job_schemas
from service.api.dependencies import ShownDep, StoreDep
from service.api.problems import Problem, error_responses, queue_full
from service.api.writing import training_router
from service.problem_details import AsciiJson
from service.read.jobs import job_detail, job_summaries
from service.read.shown import Shown
from shared.tracking.dataset_use import NoDataset
from shared.tracking.job_rows import JobRow
from shared.tracking.jobs import Jobs, JobState, QueueFull
from shared.tracking.schema import LARGEST_ID
from shared.tracking.store import TenantStore

router = APIRouter(tags=["jobs"])
changes = training_router("jobs")


def _job(store: StoreDep, job_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> JobRow:
    found = store.jobs.find(job_id)
    if found is None:
        raise Problem(404, f"there is no job {job_id}")
    return found


JobDep = Annotated[JobRow, Depends(_job)]


@router.get("/jobs", response_model=job_schemas.Jobs)
def jobs(
    store: StoreDep,
    shown: ShownDep,
    status: job_schemas.JobStatus | None = None,
    mode: job_schemas.JobMode | None = None,
    run_id: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="That trained this run.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the last page.")] = None,
) -> AsciiJson:
    """List jobs, newest first."""
    found = store.jobs.search(status=status, mode=mode, run_id=run_id, before=before, limit=limit + 1)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return AsciiJson({"jobs": job_summaries(store, page, shown=shown), "next": more})


@router.get("/jobs/{job_id}", response_model=job_schemas.JobDetail, responses=error_responses(404))
def job(store: StoreDep, shown: ShownDep, row: JobDep) -> AsciiJson:
    """One job: state, place in the queue, progress, newest metrics, error, and what happened to it."""
    return AsciiJson(job_detail(store, row, shown=shown))


@changes.delete(
    "/jobs/{job_id}",
    status_code=202,
    response_model=job_schemas.JobDetail,
    responses=error_responses(404, 409),
)
def cancel(store: StoreDep, shown: ShownDep, row: JobDep) -> AsciiJson:
    """Cancel a job: at once if it is queued; the worker of a running one stops it. Its run can be resumed."""
    return _changed(store, shown, lambda jobs: jobs.cancel(row.id))


@changes.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model=job_schemas.JobDetail,
    responses=error_responses(404, 409, 429),
)
def retry(store: StoreDep, shown: ShownDep, row: JobDep) -> AsciiJson:
    """Queue a failed or cancelled job again; its run is resumed from the last checkpoint."""
    return _changed(store, shown, lambda jobs: jobs.retry(row.id))


@changes.patch("/jobs/{job_id}", response_model=job_schemas.JobDetail, responses=error_responses(404, 409))
def change(store: StoreDep, shown: ShownDep, row: JobDep, wanted: job_schemas.PriorityChange) -> AsciiJson:
    """Move a queued job in the queue."""
    return _changed(store, shown, lambda jobs: jobs.set_priority(row.id, wanted.priority), status=200)


def _changed(
    store: TenantStore, shown: Shown, act: Callable[[Jobs], JobRow], *, status: int = 202
) -> AsciiJson:
    try:
        row = act(store.jobs)
    except JobState as error:
        raise Problem(409, str(error), code="job_state") from None
    except QueueFull as error:
        raise queue_full(error) from None
    except NoDataset as error:
        raise Problem(409, str(error), code="dataset_gone") from None
    return AsciiJson(job_detail(store, row, shown=shown), status_code=status)
