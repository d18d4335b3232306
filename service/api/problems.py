"""Errors as RFC 9457 problem details: what the asker can mend, and nothing of the server's inside."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from shared.runtime.errors import TrackingError

MEDIA_TYPE = "application/problem+json"
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
    },
}
_log = logging.getLogger("fedtwin")


class Problem(Exception):
    """Ends a request with an error that the asker can understand."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class AsciiJson(JSONResponse):
    """JSON in ASCII: text from anywhere can be encoded, half surrogates too."""

    def render(self, content: Any) -> bytes:
        """Encode.

        Parameters
        ----------
        content : Any
            In JSON's types; a NaN is our own bug.
        """
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's ``responses`` say of its errors."""
    content = {MEDIA_TYPE: {"schema": SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Answer every error of an app with a problem."""
    for kind, handler in (
        (Problem, _problem),
        (HTTPException, _http),
        (RequestValidationError, _validation),
        (TrackingError, _database),
        (Exception, _unexpected),
    ):
        app.add_exception_handler(kind, handler)


def _answer(
    request: Request, status: int, detail: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
    }
    return AsciiJson(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _problem(request: Request, error: Exception) -> Response:
    known = cast(Problem, error)
    return _answer(request, known.status, known.detail)


def _http(request: Request, error: Exception) -> Response:
    known = cast(HTTPException, error)
    return _answer(request, known.status_code, known.detail, headers=known.headers)


def _validation(request: Request, error: Exception) -> Response:
    known: Sequence[Any] = cast(RequestValidationError, error).errors()
    details = [f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in known]
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(details))


def _database(request: Request, error: Exception) -> Response:
    _log.error("%s: %s", request.url.path, error)
    detail = "the tracking database cannot be used; the server's log says why"
    return _answer(request, HTTPStatus.SERVICE_UNAVAILABLE, detail)


def _unexpected(request: Request, error: Exception) -> Response:
    # The server logs it: Starlette raises it again after this answer.
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the server's; its log says more")
