"""`EndedRequests`: requests that are under way when the server ends are no traceback in its log."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problem_details import problem_response


class EndedRequests:
    """ASGI middleware: a request that uvicorn cancels, as its time to end is over, is answered with 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if begun:  # such as a log that is followed
                with suppress(RuntimeError):  # of a response that said how long it would be
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            detail = "the server is being stopped; ask again when it is back"
            status = HTTPStatus.SERVICE_UNAVAILABLE
            answer = problem_response(status, detail=detail, instance=scope["path"], more={"code": "stopping"})
            await answer(scope, receive, send)
