"""`TrainingRoute`: routes that change something; they need the training token, and read a small body only."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.types import Message

from service.api.problems import Problem, error_responses

MOST_BODY = 256 * 1024  # bytes
_SCHEME = HTTPBearer(auto_error=False, scheme_name="training token", description="`FEDTWIN_TRAIN_TOKEN`")


class TrainingRoute(APIRoute):
    """Checks the token and the size of the body before anything of the request is parsed."""

    most_body = MOST_BODY

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the checks."""
        handler = super().get_route_handler()

        async def checked(request: Request) -> Response:
            _check_token(request)
            body = await _read(request, most=self.most_body)

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handler(Request(request.scope, receive))

        return checked


def training_router(tag: str, *, route: type[TrainingRoute] = TrainingRoute) -> APIRouter:
    """A router for routes that change something.

    Parameters
    ----------
    route : type
        Such as one that takes larger bodies.

    Returns
    -------
    APIRouter
        Whose routes answer 401 without the token, and 403 where the server has none.
    """
    return APIRouter(
        tags=[tag],
        route_class=route,
        dependencies=[Depends(_SCHEME)],
        responses=error_responses(401, 403, 413),
    )


def _check_token(request: Request) -> None:
    wanted: str | None = request.app.state.settings.train_token
    if wanted is None:
        raise Problem(
            403,
            "this server only reads; to take jobs, it is started with a training token (FEDTWIN_TRAIN_TOKEN)",
            code="read_only",
        )
    # A header alone: a browser sends it for no other page, unlike a cookie.
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), wanted.encode()):
        raise Problem(
            401,
            "a training token is required: send the header Authorization: Bearer TOKEN with the "
            "FEDTWIN_TRAIN_TOKEN that the server was started with",
            code="train_token",
            headers={"www-authenticate": "Bearer"},
        )


async def _read(request: Request, *, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Problem(413, f"the body has more than {most:,} bytes", code="too_large")
        parts.append(part)
    return b"".join(parts)
