"""`TrainingRoute`: routes that change something; they need a token of a scope, and read a small body only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import ClientDisconnect
from starlette.types import Message

from service.access import access_of
from service.api.problems import Problem, error_responses

MOST_BODY = 256 * 1024  # bytes
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")  # as JSON writes one, or as bytes
_SCHEME = HTTPBearer(
    auto_error=False, scheme_name="token", description="An API token, or `FEDTWIN_TRAIN_TOKEN`"
)


class TrainingRoute(APIRoute):
    """Checks the token's scope and the size of the body before anything of the request is parsed.

    Attributes
    ----------
    scope : {"read", "train", "admin"}
    most_body : int or None, bytes
        None: the route reads the body itself.
    """

    most_body: int | None = MOST_BODY
    scope = "train"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the checks."""
        handler = super().get_route_handler()

        async def checked(request: Request) -> Response:
            _check_scope(request, self.scope)
            if self.most_body is None:
                return await handler(request)
            body = await _read(request, most=self.most_body)
            _check_text(body)

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handler(Request(request.scope, receive))

        return checked


class AdminRoute(TrainingRoute):
    """For who may administer."""

    scope = "admin"


def training_router(tag: str, *, route: type[TrainingRoute] = TrainingRoute) -> APIRouter:
    """A router for routes that change something.

    Parameters
    ----------
    route : type
        Such as one that takes larger bodies.

    Returns
    -------
    APIRouter
        Whose routes answer 401 without a token, and 403 with one whose scope is too small.
    """
    return APIRouter(
        tags=[tag],
        route_class=route,
        dependencies=[Depends(_SCHEME)],
        responses=error_responses(401, 403, 413),
    )


def _check_scope(request: Request, scope: str) -> None:
    access = access_of(request)
    if access.may(scope):
        return
    if access.is_token or access.scope != "read":
        raise Problem(403, f"this needs a token of the scope {scope}; yours is {access.scope}", code="scope")
    settings = request.app.state.settings
    if settings.train_token is None and not request.headers.get("authorization"):
        raise Problem(
            403,
            "this request may only read; to change something send the header Authorization: Bearer TOKEN "
            "with an API token (`fedtwin token create --scope train`)",
            code="read_only",
        )
    # A header alone: a browser sends it for no other page, unlike a cookie.
    raise Problem(
        401,
        "a token that may train is required: send the header Authorization: Bearer TOKEN with an API token "
        "(`fedtwin token create --scope train`), or the FEDTWIN_TRAIN_TOKEN that the server was started with",
        code="train_token",
        headers={"www-authenticate": "Bearer"},
    )


def _check_text(body: bytes) -> None:
    """Reject JSON with half of a surrogate pair: no database, file or terminal can hold such a text."""
    if _SURROGATE.search(body) is None:
        return
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        half = r"a text has half of a surrogate pair (\ud800 to \udfff), which is no character"
        raise Problem(422, half, code="text") from None
    except (ValueError, RecursionError):  # no JSON, which is for the route to say
        return


async def _read(request: Request, *, most: int) -> bytes:
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise Problem(413, f"the body has more than {most:,} bytes", code="too_large")
            parts.append(part)
    except ClientDisconnect:  # nobody reads the answer; without one the server would log a traceback
        raise Problem(422, "the connection was cut", code="incomplete") from None
    return b"".join(parts)
