"""The REST route of workers, for the default tenant: they serve all."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from service.api.dependencies import ShownDep, StoreDep, of_default_tenant
from service.api.job_schemas import Backend
from service.api.problems import error_responses
from service.problem_details import AsciiJson
from service.read.schemas import Shape
from shared.tracking.workers import WorkerRow

router = APIRouter(tags=["jobs"])


class ClusterView(Shape):
    """A cluster on which a worker runs jobs, as the worker last saw it."""

    address: str | None = Field(
        examples=["http://ray-head:8265"], description="For the scope admin; else null."
    )
    problem: str | None = Field(description="Why it could start nothing; null where it answers.")
    nodes: int | None = Field(description="Machines of Ray, or workers of Dask.")
    cpus: float | None
    cpus_free: float | None = Field(description="Reserved by nothing; null where the cluster does not say.")
    gpus: float | None
    gpus_free: float | None
    memory: int | None = Field(description="Bytes.")


class WorkerView(Shape):
    """A process that runs jobs."""

    name: str = Field(
        examples=["gpu-1 4711"], description="Its host and process id for the scope admin; else made up."
    )
    host: str | None = Field(description="For the scope admin; else null, as `pid`.")
    pid: int | None
    backend: Backend = Field(description="Where it runs jobs: on its own machine, or on a cluster.")
    since: datetime
    seen: datetime = Field(description="Its last heartbeat.")
    state: Literal["idle", "busy", "gone"] = Field(description="gone: silent for longer than its lease.")
    job_id: int | None = Field(description="What it runs; null where that is another tenant's.")
    cluster: ClusterView | None


class ListedWorkers(Shape):
    """All workers that were heard of within a day; those that were stopped are not listed."""

    workers: list[WorkerView]


@router.get(
    "/v1/workers",
    response_model=ListedWorkers,
    responses=error_responses(403),
    dependencies=[Depends(of_default_tenant)],
)
def workers(store: StoreDep, shown: ShownDep) -> AsciiJson:
    """List workers by name; one that was killed is `gone` when its lease is over."""
    views = []
    for row in store.workers.search():
        view = {name: value for name, value in row.as_dict().items() if name != "gone"}
        view["state"] = row.state
        if not shown.everything:
            view |= {"name": _made_up(row), "host": None, "pid": None}
            if row.cluster is not None:
                view["cluster"] = {**row.cluster, "address": None}
        if row.job_id is not None and store.jobs.find(row.job_id) is None:
            view["job_id"] = None
        views.append(view)
    return AsciiJson({"workers": views})


def _made_up(row: WorkerRow) -> str:
    """A name that stays as long as a worker runs, and does not tell where it does."""
    digest = hashlib.sha256(f"{row.name} {row.since.isoformat()}".encode()).hexdigest()
    return f"worker {digest[:6]}"
