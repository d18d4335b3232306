"""The REST routes that ask for a training: validate a request, or queue it as a job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Header, Request

from service.api import form_schemas, job_schemas
from service.api.dependencies import ShownDep, StoreDep
from service.api.job_schemas import ExperimentRequest, JobMode
from service.api.problems import Problem, error_responses, queue_full
from service.api.writing import training_router
from service.jobs.experiments import Experiment, InvalidExperiment, checked_experiment
from service.jobs.sweeps import SweepExperiment, checked_sweep
from service.jobs.uploaded import dataset_file, lacking_rows, uploaded_dataset
from service.problem_details import AsciiJson
from service.read.experiment_form import MOST_DATASETS, experiment_form
from service.read.jobs import job_detail, schedule_view
from service.settings import Settings
from shared.config.config import Config
from shared.config.model import REGISTRY
from shared.runtime.errors import ConfigError
from shared.tracking.cron import next_time
from shared.tracking.dataset_use import NoDataset
from shared.tracking.datasets import DatasetRow
from shared.tracking.job_events import KeyReused
from shared.tracking.jobs import NewJob, QueueFull
from shared.tracking.model_rows import LATEST, RegistryError, VersionRow
from shared.tracking.rows import json_ready
from shared.tracking.store import TenantStore

router = training_router("jobs")

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request is the same job, however often it is sent.",
    ),
]


@router.get("/experiments/form", response_model=form_schemas.ExperimentForm)
def form(request: Request, store: StoreDep) -> AsciiJson:
    """What a form for a training offers: choices, the commonest settings with their ranges, and data."""
    uploaded = [row.name for row in store.datasets.search(limit=MOST_DATASETS) if row.state == "ready"]
    return AsciiJson(json_ready(experiment_form(request.app.state.settings.data_folders, uploaded=uploaded)))


@router.post("/experiments/validate", response_model=job_schemas.Validation)
def validate(
    request: Request,
    store: StoreDep,
    shown: ShownDep,
    wanted: ExperimentRequest,
    mode: JobMode = "compare",
) -> AsciiJson:
    """Answer with everything that is wrong with a request, and with the resolved settings; nothing is run."""
    try:
        config = _checked(request, store, wanted, mode).shown
    except InvalidExperiment as error:
        return AsciiJson({"valid": False, "errors": shown.of(error.problems), "config": None})
    return AsciiJson({"valid": True, "errors": [], "config": json_ready(shown.of(config))})


@router.post(
    "/experiments/{mode}",
    status_code=202,
    response_model=job_schemas.JobDetail,
    responses={
        **error_responses(409, 429),
        202: {"description": "Queued; `Location` is the job's path."},
        201: {"description": "Scheduled; `Location` is the schedule's path.", "model": job_schemas.Schedule},
    },
)
def submit(
    request: Request,
    store: StoreDep,
    shown: ShownDep,
    mode: JobMode,
    wanted: ExperimentRequest,
    idempotency_key: IdempotencyKey = None,
) -> AsciiJson:
    """Queue a training or a sweep, which a worker runs; or, with `schedule`, queue one each time."""
    try:
        experiment = _checked(request, store, wanted, mode)
    except InvalidExperiment as error:
        problems = shown.of(error.problems)
        raise Problem(422, "; ".join(problems), code="config", errors=problems) from None
    new = NewJob(
        mode=mode,
        name=experiment.name,
        config=experiment.stored,
        overrides=experiment.overrides,
        tags=list(dict.fromkeys(wanted.tags)),
        priority=wanted.priority,
        run_after=wanted.run_at,
        max_retries=wanted.max_retries,
        idempotency_key=idempotency_key,
        request_hash=_hash(mode, wanted),
        dataset_id=experiment.dataset_id,
        backend=wanted.backend,
    )
    try:
        if wanted.schedule is not None:
            begun = store.schedules.add(new, **wanted.schedule.model_dump())
            place = {"location": f"/api/schedules/{begun.id}"}
            return AsciiJson(schedule_view(begun, shown=shown), status_code=201, headers=place)
        job = store.jobs.submit(new)
    except KeyReused as error:
        raise Problem(409, str(error), code="idempotency_key") from None
    except NoDataset as error:
        raise Problem(409, str(error), code="dataset_gone") from None
    except QueueFull as error:
        raise queue_full(error) from None
    place = {"location": f"/api/jobs/{job.id}"}
    return AsciiJson(job_detail(store, job, shown=shown), status_code=202, headers=place)


def _checked(
    request: Request, store: TenantStore, wanted: ExperimentRequest, mode: JobMode
) -> Experiment | SweepExperiment:
    problems = []
    if wanted.schedule is not None:
        if wanted.run_at is not None:
            problems.append("schedule: goes without run_at")
        try:
            next_time(wanted.schedule.cron, time_zone=wanted.schedule.time_zone, after=datetime.now(UTC))
        except ConfigError as error:
            problems.append(f"schedule.{error}")
    if mode == "sweep" and wanted.use_existing_model is not None:
        problems.append("use_existing_model: the trials of a sweep begin with new weights")
    if (mode == "sweep") != (wanted.plan is not None):
        raise InvalidExperiment([*problems, f"plan: is {'needed by' if mode == 'sweep' else 'of'} a sweep"])
    version: VersionRow | None = None
    if wanted.use_existing_model is not None:
        name, _, ref = wanted.use_existing_model.partition("@")
        try:
            version = store.models.resolve(name, ref or LATEST)  # an alias means the version that it names now
        except RegistryError as error:
            problems.append(f"use_existing_model: {error}")
    try:
        found = _composed(request, store, wanted, mode)
        if version is not None and isinstance(found, Experiment):
            found = _starting_from(version, found)
    except InvalidExperiment as error:
        raise InvalidExperiment([*problems, *error.problems]) from None
    if problems:
        raise InvalidExperiment(problems)
    return found


def _starting_from(version: VersionRow, experiment: Experiment) -> Experiment:
    weights = f"{REGISTRY}{version.model}@{version.version}"
    try:
        return replace(experiment, config=experiment.config.replace("model", weights=weights))
    except ConfigError as error:
        raise InvalidExperiment([f"use_existing_model: {error}"]) from None


def _composed(
    request: Request, store: TenantStore, wanted: ExperimentRequest, mode: JobMode
) -> Experiment | SweepExperiment:
    settings: Settings = request.app.state.settings
    row: DatasetRow | None = None
    path: Path | None = None
    unusable: str | None = None
    try:
        row = uploaded_dataset(store, wanted.dataset)
        path = None if row is None else dataset_file(row, settings.home)
    except NoDataset as error:
        unusable = str(error)
    dataset_id = None if row is None else row.id

    def too_few(config: Config) -> list[str]:
        least = settings.dataset_limits.labelled
        lacking = None if row is None else lacking_rows(row, config, least=least)
        return [] if lacking is None else [f"dataset: {lacking}"]

    place: dict[str, Any] = {
        "dataset": wanted.dataset,
        "run_name": wanted.run_name,
        "folders": settings.data_folders,
        "uploaded": path,
        "unusable": unusable,
        "session": request.app.state.session,
    }
    if wanted.plan is not None:
        plan = wanted.plan.model_dump(exclude_unset=True)
        most = settings.most_trials
        sweep = checked_sweep(plan, wanted.config_overrides, most_trials=most, also=too_few, **place)
        return replace(sweep, dataset_id=dataset_id)
    found = checked_experiment(wanted.config_overrides, mode=mode, **place)
    if problems := too_few(found.config):
        raise InvalidExperiment(problems)
    return replace(found, dataset_id=dataset_id)


def _hash(mode: str, wanted: ExperimentRequest) -> str:
    without = {"plan"} if wanted.plan is None else None  # as requests were before there were sweeps
    content = json.dumps([mode, wanted.model_dump(mode="json", exclude=without)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
