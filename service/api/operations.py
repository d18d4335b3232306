"""What operators ask a server: `/healthz`, `/readyz`, and `/metrics` in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.api.dependencies import of_default_tenant
from service.api.problems import Problem, error_responses
from service.problem_details import AsciiJson
from service.read.schemas import Shape
from shared.runtime.errors import TrackingError
from shared.tracking.job_figures import DURATIONS_S, job_figures
from shared.tracking.store import Store

router = APIRouter(tags=["operations"], default_response_class=AsciiJson)


class Alive(Shape):
    """The server answers."""

    status: str


@router.get("/healthz", response_model=Alive)
async def alive() -> AsciiJson:
    """Whether the server answers; needs no token."""
    return AsciiJson({"status": "ok"})


@router.get("/readyz", response_model=Alive, responses=error_responses(503))
def ready(request: Request) -> AsciiJson:
    """Whether the server can read its database; needs no token."""
    store: Store = request.app.state.store
    try:
        store.tenants.search()
    except TrackingError:
        raise Problem(
            503, "the tracking database cannot be used; see the server's log", code="database"
        ) from None
    return AsciiJson({"status": "ok"})


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(of_default_tenant)],
    responses={
        **error_responses(403, 503),
        200: {
            "description": "The text format of Prometheus.",
            "content": {"text/plain": {"example": "fedtwin_jobs_waiting 3.0\n"}},
        },
    },
)
def metrics(request: Request) -> Response:
    """Figures of the whole server, all tenants together: queue, jobs, viewers, stored rows."""
    registry = CollectorRegistry()
    registry.register(_Figures(request.app.state.store, request.app.state.viewers))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Figures:
    """Reads the figures when they are asked for: servers and workers share them through the database."""

    def __init__(self, store: Store, viewers: Callable[[], int]) -> None:
        self._store, self._viewers = store, viewers

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering reads nothing

    def collect(self) -> Iterable[Metric]:
        found = job_figures(self._store.database)
        waiting = GaugeMetricFamily(
            "fedtwin_jobs_waiting", "Jobs that may begin now, by priority.", labels=["priority"]
        )
        for priority, number in found.waiting.items():
            waiting.add_metric([priority], number)
        yield waiting
        yield GaugeMetricFamily(
            "fedtwin_job_longest_wait_seconds", "Of the jobs that may begin now.", value=found.longest_wait_s
        )
        yield GaugeMetricFamily("fedtwin_workers_busy", "Workers that have a job now.", value=found.running)
        ended = CounterMetricFamily("fedtwin_jobs_ended", "Jobs by how they ended.", labels=["status"])
        for status, number in found.ended.items():
            ended.add_metric([status], number)
        yield ended
        buckets = [(str(float(bound)), number) for bound, number in zip(DURATIONS_S, found.within, strict=True)]
        yield HistogramMetricFamily(
            "fedtwin_job_duration_seconds",
            "From the first claim to the end.",
            buckets=[*buckets, ("+Inf", found.durations)],
            sum_value=found.duration_sum_s,
        )
        yield CounterMetricFamily(
            "fedtwin_metric_rows",
            "Metric rows that were stored; rate(fedtwin_metric_rows_total[1m]) is rows a second.",
            value=found.rows,
        )
        yield GaugeMetricFamily(
            "fedtwin_viewers", "Open streams of this server process.", value=self._viewers()
        )
