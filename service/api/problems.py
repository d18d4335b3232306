"""Exception handlers of the REST API: every error becomes a problem response, without server internals."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.problem_details import MEDIA_TYPE, problem_response
from shared.runtime.errors import TrackingError

SCHEMA = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "examples": ["Not Found"]},
        "status": {"type": "integer", "examples": [404]},
        "detail": {"type": "string", "examples": ["there is no run 7"]},
        "instance": {"type": "string", "examples": ["/api/runs/7"]},
        "code": {"type": "string", "description": "Stable, where there is one.", "examples": ["config"]},
        "errors": {"type": "array", "items": {"type": "string"}, "description": "All that is wrong."},
    },
}
_log = logging.getLogger("fedtwin")


class Problem(Exception):
    """Ends a request with an error response whose detail is meant for the client.

    Parameters
    ----------
    code : str, optional
        What happened, in a word that stays the same; for programs.
    headers : mapping, optional
        Of the response.
    **more
        Further members of the response.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers
        self.more = more if code is None else {"code": code, **more}


def queue_full(error: Exception) -> Problem:
    """The answer to a tenant that has as many jobs in the queue as it may."""
    return Problem(429, str(error), code="queue_full", headers={"retry-after": "60"})


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` of a route's errors."""
    content = {MEDIA_TYPE: {"schema": SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install_handlers(app: FastAPI) -> None:
    """Register a handler for every kind of error."""
    for kind, handler in (
        (Problem, _problem),
        (HTTPException, _http),
        (RequestValidationError, _validation),
        (TrackingError, _database),
        (Exception, _unexpected),
    ):
        app.add_exception_handler(kind, handler)


def _problem(request: Request, error: Exception) -> Response:
    known = cast(Problem, error)
    return problem_response(
        known.status,
        detail=known.detail,
        instance=request.url.path,
        headers=known.headers,
        more=known.more,
    )


def _http(request: Request, error: Exception) -> Response:
    known = cast(HTTPException, error)
    return problem_response(
        known.status_code, detail=known.detail, instance=request.url.path, headers=known.headers
    )


def _validation(request: Request, error: Exception) -> Response:
    known: Sequence[Any] = cast(RequestValidationError, error).errors()
    details = [f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in known]
    return problem_response(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        detail="; ".join(details),
        instance=request.url.path,
        more={"errors": details},
    )


def _database(request: Request, error: Exception) -> Response:
    _log.error("%s: %s", request.url.path, error)
    detail = "the tracking database cannot be used; see the server's log"
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail=detail, instance=request.url.path)


def _unexpected(request: Request, error: Exception) -> Response:
    # The server logs the exception: Starlette raises it again after this response.
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="internal server error; see the server's log",
        instance=request.url.path,
    )
