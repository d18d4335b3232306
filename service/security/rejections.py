"""`Rejection`: a request that the security middleware turns away, and its response.

The response is an HTML page for browsers, problem details for programs, or a closed WebSocket.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Send

from service.access import NO_TOKEN
from service.problem_details import problem_response
from service.security.headers import LOCKDOWN, csp_hash

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
<p>Already signed in with this browser? <a href="{path}">Continue to the page</a>: links from other sites do
not carry the sign-in cookie, this one does.</p>"""


class Rejection(Exception):
    """Ends a request before it reaches the application.

    Parameters
    ----------
    detail : str
        How to correct it; lower case, no final stop.
    code : str, optional
        What happened, in a word that stays the same; for programs.
    headers : mapping, optional
        Of the response.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.code, self.headers = code, dict(headers or {})

    def response(self, connection: HTTPConnection, *, as_page: bool, again: str | None) -> Response:
        """Build the HTTP response.

        Parameters
        ----------
        as_page : bool
            HTML for a person; otherwise problem details (RFC 9457).
        again : str, optional
            A path to link to: a browser sends no cookie when it follows a link from another site, but sends it
            for a link on our own page.
        """
        title = self.status.phrase
        wanted = {"www-authenticate": "Bearer"} if self.status == HTTPStatus.UNAUTHORIZED else {}
        headers = wanted | self.headers
        if as_page:
            more = _OPEN_AGAIN.format(path=html.escape(again)) if again else ""
            detail = html.escape(self.detail[0].upper() + self.detail[1:])
            page = _PAGE.format(title=title, style=_STYLE, detail=detail, more=more)
            sources = (
                "default-src 'none'",
                "img-src data:",
                f"style-src {csp_hash(_STYLE)}",
                *LOCKDOWN,
            )
            return HTMLResponse(page, self.status, headers | {"content-security-policy": "; ".join(sources)})
        path = connection.scope["path"]
        code = {} if self.code is None else {"code": self.code}
        return problem_response(self.status, detail=self.detail, instance=path, headers=headers, more=code)

    async def close(self, connection: HTTPConnection, receive: Receive, send: Send) -> None:
        """Reject a WebSocket handshake.

        Parameters
        ----------
        receive, send : callable
            Of ASGI.
        """
        await receive()
        if self.status == HTTPStatus.UNAUTHORIZED:
            # A page can read the close code only of a WebSocket that was accepted; nothing is sent on it.
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": NO_TOKEN, "reason": "token"})
        elif "websocket.http.response" in connection.scope.get("extensions", {}):
            # The server adds content type and length.
            await send({"type": "websocket.http.response.start", "status": self.status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": self.detail.encode()})
        else:
            await send({"type": "websocket.close", "code": 4000 + self.status})
