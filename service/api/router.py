"""The REST API's router: all routes below ``/api``."""

from __future__ import annotations

from fastapi import APIRouter

from service.api import (
    access,
    audit,
    charts,
    datasets,
    experiments,
    files,
    job_logs,
    jobs,
    models,
    run_edits,
    run_files,
    runs,
    schedules,
    webhooks,
    workers,
)
from service.api.problems import error_responses
from service.problem_details import AsciiJson


def build_router() -> APIRouter:
    """Build the router.

    Returns
    -------
    APIRouter
        For an app with ``store`` and ``settings`` (with a ``home``) in its state and the exception handlers of
        `service.api.problems`.
    """
    router = APIRouter(
        prefix="/api", default_response_class=AsciiJson, responses=error_responses(422, 500, 503)
    )
    of_runs, of_jobs = (runs, run_edits, charts, files, run_files), (jobs, job_logs, schedules, experiments)
    parts = (*of_runs, *of_jobs, access, audit, webhooks, workers)
    for part in (
        *(part.router for part in parts),
        jobs.changes,
        schedules.changes,
        datasets.router,
        datasets.changes,
        datasets.uploads,
        models.formats,
        models.router,
        models.changes,
        models.rows,
    ):
        router.include_router(part)
    return router
