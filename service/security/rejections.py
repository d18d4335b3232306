"""`Refused`: the answer to whom `security` lets not in: a page for people, a problem, or a closed WebSocket."""

from __future__ import annotations

import html
from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Send

from service.api.problems import MEDIA_TYPE, AsciiJson
from service.security.headers import NOTHING_ELSE, hashed

NO_TOKEN = 4401
_STYLE = "body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title} - fedtwin</title>
<style>{style}</style>
<h1>{title}</h1>
<p>{detail}.</p>{more}
</html>
"""
_OPEN_AGAIN = """
<p>Opened before in this browser? Then <a href="{path}">go on to the page</a>: a link from elsewhere does not
carry your sign-in, this one does.</p>"""


class Refused(Exception):
    """Ends a request before it reaches the application.

    Parameters
    ----------
    detail : str
        What to do about it; begins with a small letter, ends without a stop.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def response(self, connection: HTTPConnection, *, as_page: bool, again: str | None) -> Response:
        """Answer a request.

        Parameters
        ----------
        as_page : bool
            For a person, else as a problem of RFC 9457.
        again : str, optional
            A path at which the person may be let in: a browser that followed a link from another site sends no
            cookie along, but does so for a link on our own page.
        """
        title = self.status.phrase
        headers = {"www-authenticate": "Bearer"} if self.status == HTTPStatus.UNAUTHORIZED else {}
        if as_page:
            more = _OPEN_AGAIN.format(path=html.escape(again)) if again else ""
            detail = html.escape(self.detail[0].upper() + self.detail[1:])
            page = _PAGE.format(title=title, style=_STYLE, detail=detail, more=more)
            sources = ("default-src 'none'", "img-src data:", f"style-src {hashed(_STYLE)}", *NOTHING_ELSE)
            return HTMLResponse(page, self.status, headers | {"content-security-policy": "; ".join(sources)})
        problem = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        content = problem | {"instance": connection.scope["path"]}
        return AsciiJson(content, self.status, headers, media_type=MEDIA_TYPE)

    async def close(self, connection: HTTPConnection, receive: Receive, send: Send) -> None:
        """Answer a WebSocket's handshake.

        Parameters
        ----------
        receive, send : callable
            Of ASGI.
        """
        await receive()
        if self.status == HTTPStatus.UNAUTHORIZED:
            # Only a WebSocket that was opened can tell a page why it is closed; nothing is sent on it.
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": NO_TOKEN, "reason": "token"})
        elif "websocket.http.response" in connection.scope.get("extensions", {}):
            # Type and length of the text are left to the server, which adds its own.
            await send({"type": "websocket.http.response.start", "status": self.status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": self.detail.encode()})
        else:
            await send({"type": "websocket.close", "code": 4000 + self.status})
