"""The REST routes of the model registry: list, show, card; for who may train: promote, roll back, predict."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as File
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from service.api import model_schemas
from service.api.dependencies import HomeDep, StoreDep
from service.api.problems import Problem, error_responses
from service.api.writing import TrainingRoute, training_router
from service.problem_details import AsciiJson
from service.read.models import export_path, model_detail, model_view, version_view
from service.registry.model_host import HostError, ModelHost
from shared.runtime.errors import ConfigError
from shared.runtime.export_formats import SUFFIXES, unavailable
from shared.tracking.model_card import card_markdown, model_card
from shared.tracking.model_rows import BelowThreshold, NoRollback, NotRegistered, RegistryError, VersionRow
from shared.tracking.store import TenantStore

MOST_ROWS_BODY = 32 * 1024 * 1024  # bytes
MOST_ROWS = 10_000
# By the media type of a body: whether it holds images or rows, and the suffix of the file that is read.
MEDIA = {
    "application/json": ("json", ".json"),
    "text/csv": ("table", ".csv"),
    "application/vnd.apache.parquet": ("table", ".parquet"),
    "application/zip": ("image", ".zip"),
    "application/dicom": ("image", ".dcm"),
    **{f"image/{name}": ("image", f".{name}") for name in ("png", "jpeg", "bmp", "gif", "tiff", "webp")},
}
_HTTP = {NotRegistered: 404, BelowThreshold: 409, NoRollback: 409}
_HOST = {
    "TooManyRows": (422, "too_many_rows"),
    "DataError": (422, "rows"),
    "ConfigError": (422, "not_predictable"),
    "ExportError": (422, "export"),
    "FedtwinError": (409, "model_unusable"),
    "busy": (503, "busy"),
    "timeout": (503, "timeout"),
    "died": (503, "model_process"),
}


class RowsRoute(TrainingRoute):
    """Takes the rows of a prediction."""

    most_body = MOST_ROWS_BODY


router = APIRouter(prefix="/v1/models", tags=["models"])
formats = APIRouter(tags=["models"])
changes = training_router("models")
rows = training_router("models", route=RowsRoute)

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,100}$", examples=["ward-7"])]
Ref = Annotated[str, Path(min_length=1, max_length=60, description="A number, an alias, or latest.")]
Alias = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,39}$", examples=["production"])]


def host_of(app: FastAPI) -> ModelHost:
    """The process that holds the models of a server; begun when it is first asked for."""
    found: ModelHost | None = getattr(app.state, "model_host", None)
    if found is None:
        found = app.state.model_host = ModelHost(app.state.settings.home)
    return found


@contextmanager
def answered() -> Iterator[None]:
    """Errors of the registry, and of the process that holds the models, as problems with stable codes."""
    try:
        yield
    except RegistryError as error:
        raise Problem(_HTTP.get(type(error), 409), str(error), code=error.code) from None
    except ConfigError as error:
        raise Problem(422, str(error), code="config") from None
    except HostError as error:
        status, code = _HOST.get(error.kind, (500, "internal"))
        headers = {"retry-after": "5"} if status == 503 else None
        raise Problem(status, str(error), code=code, headers=headers) from None


@router.get("", response_model=model_schemas.RegisteredModels)
def models(
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(max_length=100, description="`next` of the last page.")] = "",
) -> AsciiJson:
    """List models by name."""
    found = store.models.search(after=after.replace("\0", ""), limit=limit + 1)
    page = found[:limit]
    more = page[-1].name if len(found) > limit else None
    return AsciiJson({"models": [model_view(store, row) for row in page], "next": more})


@router.get("/{name}", response_model=model_schemas.ModelDetail, responses=error_responses(404))
def model(store: StoreDep, name: Name) -> AsciiJson:
    """One model, and what happened to its aliases."""
    with answered():
        return AsciiJson(model_detail(store, store.models.get(name)))


@router.get("/{name}/versions", response_model=model_schemas.ModelVersions, responses=error_responses(404))
def versions(
    store: StoreDep,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=60, description="`next` of the last page.")] = None,
) -> AsciiJson:
    """List versions, newest first."""
    with answered():
        last = None if before is None else store.models.resolve(name, before)
        found = store.models.versions(name, before=last, limit=limit + 1)
    page = found[:limit]
    more = page[-1].version if len(found) > limit else None
    return AsciiJson({"versions": [version_view(store, row) for row in page], "next": more})


@router.get("/{name}/versions/{ref}", response_model=model_schemas.ModelVersion, responses=error_responses(404))
def version(store: StoreDep, name: Name, ref: Ref) -> AsciiJson:
    """One version, by number or alias."""
    with answered():
        return AsciiJson(version_view(store, store.models.resolve(name, ref)))


@router.get(
    "/{name}/versions/{ref}/card",
    response_model=model_schemas.ModelCard,
    responses={**error_responses(404), 200: {"content": {"text/markdown": {"example": "# ward-7 1.2.0"}}}},
)
def card(
    store: StoreDep,
    home: HomeDep,
    name: Name,
    ref: Ref,
    format: Annotated[Literal["json", "markdown"], Query()] = "json",
) -> Response:
    """The model card of a version."""
    with answered():
        found = model_card(store, store.models.resolve(name, ref), home=home)
    if format == "json":
        return AsciiJson(found)
    return PlainTextResponse(card_markdown(found), media_type="text/markdown; charset=utf-8")


@router.get(
    "/{name}/versions/{ref}/exports/{format}",
    response_class=FileResponse,
    responses={**error_responses(404), 200: {"content": {"application/octet-stream": {"example": "..."}}}},
)
def exported(
    store: StoreDep, home: HomeDep, name: Name, ref: Ref, format: model_schemas.ExportFormat
) -> FileResponse:
    """Download a version that was exported."""
    with answered():
        row = store.models.resolve(name, ref)
    path = export_path(home, row, format)
    if not path.is_file():
        raise Problem(404, f"version {row.version} of {name} was not exported as {format} on this machine")
    return FileResponse(
        path, media_type="application/octet-stream", filename=f"{row.model}-{row.version}{path.suffix}"
    )


@formats.get("/v1/export-formats", response_model=model_schemas.FormatStates)
def export_formats() -> AsciiJson:
    """Which formats models can be exported in here, and why not in others."""
    reasons = {format: unavailable(format) for format in SUFFIXES}
    states = [{"format": one, "available": why is None, "reason": why} for one, why in reasons.items()]
    return AsciiJson({"formats": states})


@changes.patch("/v1/models/{name}", response_model=model_schemas.ModelDetail, responses=error_responses(404))
def threshold(store: StoreDep, name: Name, wanted: model_schemas.ThresholdChange) -> AsciiJson:
    """Set what a version must reach to be promoted to production."""
    with answered():
        return AsciiJson(model_detail(store, store.models.set_threshold(name, wanted.threshold)))


@changes.put(
    "/v1/models/{name}/aliases/{alias}",
    response_model=model_schemas.ModelVersion,
    responses=error_responses(404, 409),
)
def promote(store: StoreDep, name: Name, alias: Alias, wanted: model_schemas.Promotion) -> AsciiJson:
    """Let an alias name a version; `production` only above the threshold (else `below_threshold`)."""
    return _changed(store, lambda: store.models.promote(name, wanted.version, alias=alias))


@changes.post(
    "/v1/models/{name}/aliases/{alias}/rollback",
    response_model=model_schemas.ModelVersion,
    responses=error_responses(404, 409),
)
def rollback(store: StoreDep, name: Name, alias: Alias) -> AsciiJson:
    """Let an alias name the version again that it named before (else `no_rollback`)."""
    return _changed(store, lambda: store.models.rollback(name, alias=alias))


@changes.delete("/v1/models/{name}/aliases/{alias}", status_code=204, responses=error_responses(404))
def remove(store: StoreDep, name: Name, alias: Alias) -> Response:
    """Let an alias name nothing."""
    with answered():
        store.models.remove_alias(name, alias)
    return Response(status_code=204)


@changes.post(
    "/v1/models/{name}/compare",
    response_model=model_schemas.VersionComparison,
    responses=error_responses(404, 409),
)
def compare(
    request: Request, store: StoreDep, name: Name, wanted: model_schemas.ComparisonRequest
) -> AsciiJson:
    """Compare two versions on the test rows that both were tested on, with intervals."""
    with answered():
        pair = [store.models.resolve(name, ref) for ref in (wanted.first, wanted.second)]
        names = [f"{row.model}@{row.version}" for row in pair]
        first, second = (row.run_id for row in pair)
        asked = {"op": "compare", "first": first, "second": second, "names": names}
        found = host_of(request.app).ask({**asked, "confidence": wanted.confidence})
        return AsciiJson(
            {"first": version_view(store, pair[0]), "second": version_view(store, pair[1]), **found}
        )


@rows.post(
    "/v1/models/{name}/predict",
    response_model=model_schemas.PredictionsOf,
    responses=error_responses(404, 409, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": f"At most {MOST_ROWS_BODY // 2**20} MB and {MOST_ROWS:,} rows or images.",
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {"rows": [{"age": 63, "sex": "f"}]},
                },
                **{kind: {} for kind in MEDIA if kind != "application/json"},
            },
        }
    },
)
async def predict(
    request: Request,
    store: StoreDep,
    name: Name,
    version: Annotated[str, Query(min_length=1, max_length=60)] = "production",
) -> AsciiJson:
    """Predict for rows of a table or images, with the version that `version` names.

    A body is a file as `fedtwin predict` reads it, or JSON: `{"rows": [{"column": value}]}`, or
    `{"images": ["base64"]}`.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in MEDIA:
        raise Problem(415, f"expected a body of one of the types {', '.join(MEDIA)}", code="media_type")
    body = await request.body()
    if not body:
        raise Problem(422, "the body is empty: send rows", code="rows")
    return await run_in_threadpool(_predict, request.app, store, name, version, media, body)


def _predict(app: FastAPI, store: TenantStore, name: str, ref: str, media: str, body: bytes) -> AsciiJson:
    kind, suffix = MEDIA[media]
    with answered():
        row = store.models.resolve(name, ref)
        with tempfile.TemporaryDirectory(prefix="fedtwin-rows-") as folder:
            path = File(folder) / f"rows{suffix}"
            path.write_bytes(body)
            asked = {"op": "predict", "run_id": row.run_id, "kind": kind, "path": str(path)}
            found = host_of(app).ask({**asked, "most_rows": MOST_ROWS})
    return AsciiJson({**_which(row), **found})


@changes.post(
    "/v1/models/{name}/versions/{ref}/exports",
    status_code=201,
    response_model=model_schemas.ExportedModel,
    responses={**error_responses(404, 409), 201: {"description": "Written; `Location` is the file."}},
)
def export(
    request: Request, store: StoreDep, home: HomeDep, name: Name, ref: Ref, wanted: model_schemas.ExportRequest
) -> AsciiJson:
    """Export a version, and check the file against it on real rows; one that differs is refused (`export`)."""
    with answered():
        row = store.models.resolve(name, ref)
        if why := unavailable(wanted.format):
            raise Problem(422, why, code="export")
        path = export_path(home, row, wanted.format)
        asked = {"op": "export", "run_id": row.run_id, "path": str(path), "format": wanted.format}
        found = host_of(request.app).ask(asked)
    place = f"/api/v1/models/{row.model}/versions/{row.version}/exports/{wanted.format}"
    return AsciiJson({**_which(row), **found}, status_code=201, headers={"location": place})


def _changed(store: TenantStore, act: Callable[[], VersionRow]) -> AsciiJson:
    with answered():
        return AsciiJson(version_view(store, act()))


def _which(row: VersionRow) -> dict[str, Any]:
    return {"model": row.model, "version": row.version, "run_id": row.run_id}
