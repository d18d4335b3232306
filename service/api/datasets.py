"""The REST routes of datasets: upload, list, show, preview, delete."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.api import dataset_schemas
from service.api.dependencies import HomeDep, ShownDep, StoreDep
from service.api.problems import Problem, error_responses
from service.api.shares import busy_with
from service.api.writing import TrainingRoute, training_router
from service.dataset_limits import DatasetLimits
from service.datasets.checks import OVER_LIMIT, Checks, delete_dataset, remove_files
from service.datasets.uploads import MOST_OF_TENANT, MOST_UPLOADS, SlowUpload, WrongSize, in_order, receive
from service.problem_details import AsciiJson
from service.read.shown import Shown
from shared.runtime.errors import ConfigError, DiskError
from shared.runtime.home import Home
from shared.tracking.dataset_use import NoDataset
from shared.tracking.datasets import DatasetInUse, DatasetRow, NameTaken, OverQuota
from shared.tracking.store import TenantStore

WAIT_S = 20.0  # how long the answer to an upload waits for the check
MOST_DESCRIBED = 1000  # columns of a preview
_SHOWN = ("name", "format", "state", "bytes", "sha256", "kind", "labelled", "error_code", "error")


class UploadRoute(TrainingRoute):
    """Streams its body to disk."""

    most_body = None


router = APIRouter(tags=["datasets"])
changes = training_router("datasets")
uploads = training_router("datasets", route=UploadRoute)

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,100}$", examples=["ward-7"])]


def checks_of(app: FastAPI) -> Checks:
    """The checks of a server; begun when they are first asked for."""
    found: Checks | None = getattr(app.state, "checks", None)
    if found is None:
        settings = app.state.settings
        found = Checks(app.state.store, home=settings.home, limits=settings.dataset_limits)
        app.state.checks, app.state.uploads = found, Counter()
    return found


@router.get("/v1/datasets", response_model=dataset_schemas.Datasets)
def datasets(
    store: StoreDep,
    shown: ShownDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(max_length=100, description="`next` of the last page.")] = "",
) -> AsciiJson:
    """List datasets by name."""
    found = store.datasets.search(after=after.replace("\0", ""), limit=limit + 1)
    page = found[:limit]
    more = page[-1].name if len(found) > limit else None
    return AsciiJson({"datasets": [_view(row, shown) for row in page], "next": more})


@router.get("/v1/datasets/{name}", response_model=dataset_schemas.DatasetDetail, responses=error_responses(404))
def dataset(store: StoreDep, shown: ShownDep, name: Name) -> AsciiJson:
    """One dataset: how much of it has come, whether it can be trained on, and what was found in it."""
    return AsciiJson(_detail(store, _found(store, name), shown))


@router.get(
    "/v1/datasets/{name}/preview",
    response_model=dataset_schemas.Preview,
    responses=error_responses(404, 409),
)
def preview(store: StoreDep, name: Name) -> AsciiJson:
    """The first rows of a dataset that is ready; of images, the first rows of what is known of them."""
    row = _found(store, name)
    if row.state != "ready":
        not_ready = f"dataset {name} is {row.state}; only a ready one has a preview"
        raise Problem(409, not_ready, code="dataset_state")
    described = row.found.get("columns", [])[:MOST_DESCRIBED]
    return AsciiJson({**row.found["preview"], "described": described})


@uploads.post(
    "/v1/datasets",
    status_code=201,
    response_model=dataset_schemas.DatasetDetail,
    responses={
        **error_responses(408, 409, 411, 507),
        201: {"description": "Ready to be trained on; `Location` is its path."},
        202: {
            "description": "It has come, and is still being checked: ask `Location` for its state.",
            "model": dataset_schemas.DatasetDetail,
        },
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The file itself, with its Content-Length.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    request: Request,
    store: StoreDep,
    home: HomeDep,
    shown: ShownDep,
    name: Annotated[str, Query(min_length=1, max_length=100, examples=["ward-7"])],
    format: dataset_schemas.DatasetFormat,
) -> AsciiJson:
    """Upload a dataset: it is written as it comes, then checked, and rejected where it cannot be read."""
    limits: DatasetLimits = request.app.state.settings.dataset_limits
    checks, size = checks_of(request.app), _announced(request, limits)
    uploads: Counter[str] = request.app.state.uploads
    tenant = store.tenant.name
    under_way = busy_with(uploads, tenant, most_of_tenant=MOST_OF_TENANT, most=MOST_UPLOADS)
    if under_way is not None:
        busy = f"{under_way} uploads are under way; try again when one has ended"
        raise Problem(503, busy, code="busy", headers={"retry-after": "30"})
    uploads[tenant] += 1
    try:
        row = await _received(request, store, home, name=name, format=format, size=size, limits=limits)
    finally:
        uploads[tenant] -= 1
    checked = asyncio.wrap_future(checks.begin(row))
    await asyncio.wait([checked], timeout=WAIT_S)
    row = await run_in_threadpool(_found, store, name)
    if row.state == "rejected":
        assert row.error_code is not None
        status = 413 if row.error_code == OVER_LIMIT else 422
        raise Problem(status, shown.of(row.error or "it cannot be read"), code=row.error_code)
    detail = await run_in_threadpool(_detail, store, row, shown)
    status = 201 if row.state == "ready" else 202
    return AsciiJson(detail, status_code=status, headers={"location": f"/api/v1/datasets/{name}"})


@changes.delete("/v1/datasets/{name}", status_code=204, responses=error_responses(404, 409))
def delete(store: StoreDep, home: HomeDep, name: Name) -> Response:
    """Delete a dataset and its file, unless a job waits or runs with it, or a schedule needs it (`in_use`)."""
    try:
        delete_dataset(store, name, home=home)
    except NoDataset as error:
        raise Problem(404, str(error)) from None
    except DatasetInUse as error:
        raise Problem(409, str(error), code="in_use") from None
    return Response(status_code=204)


def _announced(request: Request, limits: DatasetLimits) -> int:
    given = request.headers.get("content-length", "")
    if not (given.isascii() and given.isdecimal()) or len(given) > 18:
        raise Problem(411, "say how many bytes it has: send the header Content-Length", code="length_required")
    if (size := int(given)) > limits.bytes:
        raise Problem(
            413, f"the file has {size:,} bytes; this server takes at most {limits.bytes:,}", code="too_large"
        )
    if not size:
        raise Problem(422, "the body is empty: send the file", code="empty")
    return size


async def _received(
    request: Request,
    store: TenantStore,
    home: Home,
    *,
    name: str,
    format: str,
    size: int,
    limits: DatasetLimits,
) -> DatasetRow:
    free = shutil.disk_usage(home.root).free
    if size > free // 2:  # what is read from it needs room too
        raise Problem(507, f"the server's disk has no room for {size:,} bytes", code="disk")
    quota = limits.tenant_bytes
    try:
        row = await run_in_threadpool(store.datasets.begin, name, format=format, num_bytes=size, quota=quota)
    except ConfigError as error:
        raise Problem(422, str(error), code="name") from None
    except NameTaken as error:
        raise Problem(409, str(error), code="name_taken") from None
    except OverQuota as error:
        raise Problem(413, str(error), code="quota") from None

    def tell(received: int) -> None:
        store.datasets.progress(row.id, received)

    thread = ThreadPoolExecutor(1)
    try:
        path = home.dataset_dir(row.id) / row.file_name
        parts, idle_s = aiter(request.stream()), float(limits.idle_s)
        sha256 = await receive(parts, path, size=size, idle_s=idle_s, tell=tell, thread=thread)
        return await in_order(thread, partial(store.datasets.received, row.id, sha256=sha256))
    except BaseException as error:
        await in_order(thread, _forget, store, home, row)
        if isinstance(error, SlowUpload):
            raise Problem(408, str(error), code="slow") from None
        if isinstance(error, WrongSize | ClientDisconnect):
            raise Problem(422, str(error) or "the connection was cut", code="incomplete") from None
        if isinstance(error, DiskError):
            raise Problem(507, "the file cannot be written; see the server's log", code="disk") from error
        raise
    finally:
        thread.shutdown(wait=False)


def _forget(store: TenantStore, home: Home, row: DatasetRow) -> None:
    remove_files(home, row)
    store.datasets.drop(row.id)


def _found(store: TenantStore, name: str) -> DatasetRow:
    try:
        return store.datasets.get(name)
    except NoDataset as error:
        raise Problem(404, str(error)) from None


def _view(row: DatasetRow, shown: Shown) -> dict[str, Any]:
    values = row.as_dict()
    percent = 100.0 if row.state != "uploading" else 100 * row.received / max(row.bytes, 1)
    told = {name: values[name] for name in (*_SHOWN, "created", "ready")}
    return {**shown.of(told), "percent": round(percent, 1)}


def _detail(store: TenantStore, row: DatasetRow, shown: Shown) -> dict[str, Any]:
    return {
        **_view(row, shown),
        "layout": shown.of(row.found.get("layout")),
        "summary": shown.of(row.found.get("summary", [])),
        "used_by": store.datasets.users(row.id),
    }
