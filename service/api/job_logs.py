"""The REST route of jobs' logs: in parts, or as a stream of server-sent events that grows with the log."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.access import Access, access_of
from service.api import job_schemas
from service.api.dependencies import HomeDep, ShownDep, StoreDep
from service.api.jobs import JobDep
from service.api.problems import Problem, error_responses
from service.api.shares import busy_with
from service.problem_details import AsciiJson
from service.read.jobs import job_log
from service.read.shown import Shown
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.job_rows import JobRow
from shared.tracking.store import TenantStore

LARGEST_PLACE = 2**53
MOST_STREAMS = 100  # of a server process; each asks the database twice a second
MOST_OF_TENANT = 25  # of them
LOOK_S = 0.5
RECHECK_S = 5.0  # how long a revoked or expired token may still read
QUIET_S = 15.0  # without a line; then a comment shows that the server lives

router = APIRouter(tags=["jobs"])


@router.get("/jobs/{job_id}/log", include_in_schema=False)  # an older name
@router.get(
    "/jobs/{job_id}/logs",
    response_model=job_schemas.JobLog,
    responses={
        **error_responses(404, 503),
        200: {"content": {"text/event-stream": {"example": 'id: 9\ndata: {"lines":["epoch 1"]}\n\n'}}},
    },
)
def logs(
    request: Request,
    store: StoreDep,
    home: HomeDep,
    shown: ShownDep,
    row: JobDep,
    after: Annotated[int, Query(ge=0, le=LARGEST_PLACE, description="`cursor` of the last answer.")] = 0,
    lines: Annotated[int | None, Query(ge=1, le=10_000, description="At most so many.")] = None,
    follow: Annotated[bool, Query(description="Stream lines as they are written, until the job ends.")] = False,
    last_event_id: Annotated[str, Header(max_length=20)] = "",
) -> Response:
    """What the training of a job printed, whole lines, at most 64 kB at a time.

    With `follow`, server-sent events: each has such a part as data and its cursor as id; the last one is of the
    type `end`, with the job's status. A browser that reconnects goes on behind the last id.
    """
    found = job_log(home, row, shown=shown, after=after, most_lines=lines)
    if found is None and (row.finished or not follow):
        raise Problem(404, f"job {row.id} has no log on this machine: it has not begun, or runs elsewhere")
    if not follow:
        return AsciiJson(found)
    if last_event_id.isascii() and last_event_id.isdecimal():
        after = min(int(last_event_id), LARGEST_PLACE)
    app: FastAPI = request.app
    tenant = store.tenant.name
    followed = busy_with(_streams(app), tenant, most_of_tenant=MOST_OF_TENANT, most=MOST_STREAMS)
    if followed is not None:
        raise Problem(503, f"{followed} logs are being followed; ask for parts instead", code="busy")
    read = partial(_look, store, home, row.id, shown=shown, most_lines=lines)
    events = _events(app, store.tenant.name, read, access=access_of(request), after=after)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    app: FastAPI,
    tenant: str,
    read: Callable[..., tuple[JobRow, dict[str, Any] | None]],
    *,
    access: Access,
    after: int,
) -> AsyncIterator[bytes]:
    _streams(app)[tenant] += 1
    checked = told = time.monotonic()
    try:
        while True:
            now = time.monotonic()
            try:
                if now - checked >= RECHECK_S:
                    checked = now
                    if access.still_valid is not None and not await run_in_threadpool(access.still_valid):
                        yield _event("token", {"detail": "the token has ended"})
                        return
                row, part = await run_in_threadpool(read, after=after)
            except TrackingError:  # it may be back soon
                row, part = None, None
            if part is not None and part["lines"]:
                after, told = part["cursor"], now
                yield _event(None, part, number=after)
            elif row is not None and row.finished:
                yield _event("end", {"status": row.status}, number=after)
                return
            else:
                if now - told >= QUIET_S:
                    told = now
                    yield b":\n\n"
                await asyncio.sleep(LOOK_S)
    finally:
        _streams(app)[tenant] -= 1


def _look(
    store: TenantStore, home: Home, job_id: int, *, shown: Shown, after: int, most_lines: int | None
) -> tuple[JobRow, dict[str, Any] | None]:
    row = store.jobs.get(job_id)  # before the log: if it has ended, all its lines are there
    return row, job_log(home, row, shown=shown, after=after, most_lines=most_lines)


def _event(kind: str | None, data: dict[str, Any], *, number: int | None = None) -> bytes:
    lines = [] if number is None else [f"id: {number}"]
    lines += [] if kind is None else [f"event: {kind}"]
    return "\n".join([*lines, f"data: {json.dumps(data, separators=(',', ':'))}", "", ""]).encode()


def _streams(app: FastAPI) -> Counter[str]:
    """How many logs each tenant follows."""
    if not hasattr(app.state, "log_streams"):
        app.state.log_streams = Counter()
    found: Counter[str] = app.state.log_streams
    return found
