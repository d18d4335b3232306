"""JSON schemas of training jobs, as pydantic models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from service.jobs.overrides import MOST_OVERRIDES
from service.read.schemas import Shape

JobMode = Literal["centralized", "federated", "compare", "sweep"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
Priority = Literal["critical", "high", "normal", "low"]
Backend = Literal["process", "dask", "ray"]
# As of a run: one word without commas.
Tag = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[^\s,\x00-\x1f\x7f]+$")]
RunName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=200,
        # Neither control characters nor those that turn the direction of writing.
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+$",
    ),
]
# So far from the ends of what a date can be that no zone leads beyond them.
RunAt = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))
]


class CronSchedule(Shape):
    """When a training is queued again and again."""

    cron: Annotated[str, StringConstraints(max_length=100)] = Field(
        description="Minute, hour, day of month, month, day of week.", examples=["30 2 * * MON"]
    )
    time_zone: Annotated[str, StringConstraints(max_length=64)] = Field(
        default="UTC", examples=["Europe/Berlin"]
    )


class SweepPlan(Shape):
    """Which trials a sweep has, with the names of a plan's file; docs/sweeps.md describes them."""

    mode: Literal["comparison", "pooled", "federated", "compare", "centralized"] = Field(
        default="comparison", description="What a trial is; compare and centralized mean the first two."
    )
    settings: dict[str, Any] = Field(
        default={},
        max_length=MOST_OVERRIDES,
        description="Of all trials; config_overrides come before these.",
    )
    grid: dict[str, list[Any] | str] = Field(
        default={},
        max_length=MOST_OVERRIDES,
        description="Several values by name: a list, or a text such as range(2,9,2) or, to draw or search in, "
        "interval(0.1,0.5) and tag(log,interval(0.001,0.1)). Every combination is a cell.",
        examples=[{"strategy": ["fedavg", "fedprox"], "partition.alpha": [0.1, 1]}],
    )
    cells: list[dict[str, Any]] = Field(
        default=[], max_length=1000, description="Cells that are named one by one."
    )
    draws: int | None = Field(default=None, ge=1, description="So many combinations of the grid are drawn.")
    draw_seed: int = Field(default=0, ge=0, lt=2**32)
    seeds: list[int] | None = Field(
        default=None, max_length=1000, description="Each cell is trained with each.", examples=[[1, 2, 3]]
    )
    search: dict[str, Any] | None = Field(
        default=None,
        description="Tries so many combinations, each proposed by what those before reached: trials, sampler, "
        "pruner, objectives, metric, seed.",
        examples=[{"trials": 20}],
    )
    retries: int = Field(default=1, ge=0, le=10, description="Tries more of a trial that fails.")


class ExperimentRequest(Shape):
    """A training that is asked for."""

    run_name: RunName | None = Field(default=None, description="Default: of data and model.")
    dataset: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = Field(
        default=None,
        description="An uploaded dataset (/api/v1/datasets), digits, or a path below a folder that the server "
        "allows; what lies there is recognised. "
        "Default: what config_overrides chooses.",
        examples=["ward-7"],
    )
    config_overrides: dict[str, Any] = Field(
        default={},
        max_length=MOST_OVERRIDES,
        description="Settings by name, and choices of groups, as on the command line.",
        examples=[{"trainer.max_epochs": 15, "model": "resnet18"}],
    )
    plan: SweepPlan | None = Field(default=None, description="Of a sweep, which needs one.")
    priority: Priority = "normal"
    run_at: RunAt | None = Field(default=None, description="Not before; with a time zone.")
    schedule: CronSchedule | None = Field(
        default=None, description="Queues a job each time; not together with run_at."
    )
    max_retries: int = Field(default=2, ge=0, le=10, description="After failures that may pass.")
    tags: list[Tag] = Field(default=[], max_length=20)
    backend: Backend | None = Field(
        default=None, description="Only workers that run jobs there claim it. Default: all do."
    )
    use_existing_model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Start from the weights of a registered model: NAME (its latest version), NAME@1.2.0 or "
        "NAME@production.",
        examples=["ward-7@production"],
    )


class PriorityChange(Shape):
    """A job's new place in the queue."""

    priority: Priority


class JobProgress(Shape):
    """How far a job's run has come."""

    percent: float
    step: str = Field(examples=["round 3 of 10"])


class Job(Shape):
    """One training job."""

    id: int
    mode: JobMode
    name: str
    status: JobStatus
    priority: Priority
    tags: list[str]
    created: datetime
    run_after: datetime = Field(description="Begins no earlier.")
    started: datetime | None
    ended: datetime | None
    position: int | None = Field(description="Place in the queue, from 1; null unless it may begin now.")
    progress: JobProgress | None = Field(description="null before its run has begun.")
    run_id: int | None = Field(description="The run that it trains, or the sweep: /api/runs/ID.")
    attempt: int = Field(description="How often a worker has claimed it.")
    failures: int = Field(description="Attempts that failed for a reason that may pass.")
    max_retries: int
    backend: Backend | None = Field(description="Where it asks to be trained; null: anywhere.")
    cancel_requested: bool
    error_code: str | None = Field(description="Stable; docs/service.md lists them.")
    error: str | None


class JobEvent(Shape):
    """Something that happened to a job."""

    time: datetime
    kind: str = Field(examples=["claimed"])
    attempt: int
    detail: str


class JobDetail(Job):
    """One training job, with what happened to it."""

    worker: str | None
    overrides: list[str] = Field(description="What was asked for, as on the command line.")
    metrics: dict[str, float | None] = Field(description="Newest values of the whole model, by stage/name.")
    events: list[JobEvent]


class Jobs(Shape):
    """One page of the list of jobs."""

    jobs: list[Job]
    next: int | None = Field(description="Pass as `before` to get the next page; null on the last page.")


class JobLog(Shape):
    """A part of a job's log."""

    lines: list[str]
    cursor: int = Field(description="Pass as `after` to read on.")
    ended: bool = Field(description="Whether the job has ended and this is the end of its log.")


class Validation(Shape):
    """Whether a training could be queued."""

    valid: bool
    errors: list[str]
    config: dict[str, Any] | None = Field(
        description="The resolved settings; null where they are not valid. Of a sweep, those of all its "
        "trials and its plan."
    )


class Schedule(Shape):
    """A training that is queued again and again."""

    id: int
    cron: str
    time_zone: str
    mode: JobMode
    name: str
    priority: Priority
    tags: list[str]
    overrides: list[str] = Field(description="What was asked for, as on the command line.")
    max_retries: int
    backend: Backend | None
    paused: bool
    next_at: datetime = Field(description="When the next job is queued, unless paused.")
    last_at: datetime | None = Field(description="For which time the last one was queued.")
    last_job_id: int | None
    created: datetime


class Schedules(Shape):
    """One page of the list of schedules."""

    schedules: list[Schedule]
    next: int | None = Field(description="Pass as `before` to get the next page; null on the last page.")


class ScheduleChange(Shape):
    """Whether a schedule queues jobs."""

    paused: bool
