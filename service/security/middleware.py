"""`SecurityMiddleware`: checks Host, Origin and token of every request and adds security headers.

Host is checked against DNS rebinding, Origin against cross-site requests; `headers` restricts our own page.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import Access, Gate, access_of, is_api_token
from service.security.headers import response_headers
from service.security.rates import Rates
from service.security.rejections import Rejection
from service.settings import EVERY_ADDRESS, Settings, is_loopback, plain_host
from shared.runtime.errors import TrackingError
from shared.tracking.audit import Audit
from shared.tracking.tenants import DEFAULT
from shared.tracking.tokens import Tokens

_AUTHORITY = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?"
_HOST = re.compile(_AUTHORITY, re.IGNORECASE)
_ORIGIN = re.compile(rf"(https?)://{_AUTHORITY}", re.IGNORECASE)
_SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN_HELP = (
    "a token is required: open the page once with ?token=TOKEN appended to its URL, using the token that the "
    "server was started with; programs send the header Authorization: Bearer TOKEN"
)
_BAD_TOKEN = "this API token is unknown, expired or revoked; `fedtwin token create` makes one"
_BAD_SIGN_IN = (
    "this API token is unknown, expired or revoked, or may do more than read: a link needs a token with the "
    "scope read (`fedtwin token create NAME --scope read`); programs send it as Authorization: Bearer TOKEN"
)
_READING = ("GET", "HEAD", "OPTIONS")
# Changes nothing, and is asked for with every key that is pressed in the form of the page.
_VALIDATING = "/api/experiments/validate"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_OVER_RATE = "fedtwin.over_rate"
KEPT_REJECTIONS = 6  # in the audit log, of an address without a token, a minute: they must not fill the disk
_log = logging.getLogger("fedtwin")


class Origin(NamedTuple):
    """Scheme, host and port: what browsers compare for the same-origin policy."""

    scheme: str
    host: str
    port: int


class SecurityMiddleware:
    """ASGI middleware around the whole application, so that error pages carry the headers too.

    Parameters
    ----------
    settings : Settings
        Of which the tokens, the rate and the allowed hosts are used.
    tokens : Tokens, optional
        API tokens, in addition to those of the settings.
    audit : Audit, optional
        Where requests that change something are kept.
    """

    def __init__(
        self, app: ASGIApp, *, settings: Settings, tokens: Tokens | None = None, audit: Audit | None = None
    ) -> None:
        self._app = app
        self._open = settings.token is None
        self._gate, self._audit = Gate(settings, tokens), audit
        self._rates = Rates(settings.rate)
        self._kept = Rates(KEPT_REJECTIONS / 60)
        named = {plain_host(name) for name in (settings.host, *settings.allowed_hosts)}
        self._hosts = named - EVERY_ADDRESS
        self._headers = response_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add headers to its response, or reject it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        token_in_url = _take_token(scope)
        connection = HTTPConnection(scope)
        address = scope["client"][0] if scope.get("client") else ""
        access = Access(DEFAULT, "read", "nobody")
        if scope["type"] == "http" and scope["method"] not in _READING:
            send = self._audited(send, connection, address)
        access.put(scope)
        try:
            target = self._checked_target(connection)
            try:
                access, answer = await self._checked_token(connection, target, token_in_url)
            except Rejection:
                self._check_rate(f"rejected {address}")
                raise
            access.put(scope)
            self._check_rate(access.who if access.is_token else f"{access.who} {address}")
        except Rejection as rejection:
            scope[_OVER_RATE] = rejection.code == "rate"
            if scope["type"] == "websocket":
                await rejection.close(connection, receive, self._with_headers(send))
                return
            again = _address(connection) if rejection.status == HTTPStatus.UNAUTHORIZED else None
            answer = rejection.response(connection, as_page=_wants_page(connection), again=again)
        if answer is not None:
            await answer(scope, receive, self._with_headers(send))
        else:
            await self._app(scope, receive, self._with_headers(send) if scope["type"] == "http" else send)

    def _checked_target(self, connection: HTTPConnection) -> Origin:
        """The origin that the request was sent to; checks Host and Origin."""
        given = connection.headers.getlist("host")
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None:
            raise Rejection(HTTPStatus.BAD_REQUEST, "expected exactly one Host header, a name or an address")
        host = plain_host(match[1])
        local, _ = connection.scope.get("server") or ("", None)
        # The IP address that the connection came in on cannot be a name that somebody else controls.
        if not (is_loopback(host) or host in self._hosts or host == plain_host(local)):
            raise Rejection(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"host {host} is not allowed; to allow it, start the server with --allow-host {host}",
            )
        target = _origin(_SCHEMES[connection.scope["scheme"]], host, match[2])
        for text in connection.headers.getlist("origin"):
            found = _ORIGIN.fullmatch(text)
            if found is None or _origin(found[1].lower(), plain_host(found[2]), found[3]) != target:
                raise Rejection(HTTPStatus.FORBIDDEN, "cross-origin requests are not allowed")
        return target

    async def _checked_token(
        self, connection: HTTPConnection, target: Origin, in_url: str | None
    ) -> tuple[Access, Response | None]:
        """The access of a request, and the redirect that signs a browser in."""
        cookie = f"fedtwin_{target.port}"  # cookies are shared by all ports of a host
        if in_url is not None and (_wants_page(connection) or is_api_token(in_url)):
            access = await self._ask(self._gate.of_viewer, in_url)
            if access is None and is_api_token(in_url):
                raise Rejection(HTTPStatus.UNAUTHORIZED, _BAD_SIGN_IN, code="token")
            if access is not None and not _wants_page(connection):
                return access, None
            if access is not None:
                response = RedirectResponse(_address(connection), HTTPStatus.SEE_OTHER)
                response.set_cookie(
                    cookie, in_url, httponly=True, samesite="strict", secure=target.scheme == "https"
                )
                return access, response
        kind, _, bearer = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            access = await self._ask(self._gate.of_header, bearer.strip())
            if access is not None:
                return access, None
            if is_api_token(bearer.strip()):
                raise Rejection(HTTPStatus.UNAUTHORIZED, _BAD_TOKEN, code="token")
        signed_in = connection.cookies.get(cookie, "")
        access = await self._ask(self._gate.of_viewer, signed_in)
        if access is not None:
            return access, None
        if is_api_token(signed_in):  # never another tenant's rows instead; the cookie goes
            signed_out = {"set-cookie": f"{cookie}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"}
            raise Rejection(HTTPStatus.UNAUTHORIZED, _BAD_SIGN_IN, code="token", headers=signed_out)
        if self._open:
            return Access(DEFAULT, "read", "this machine"), None
        if connection.scope["path"] in _OPEN_PATHS:
            return Access(DEFAULT, "read", "health check"), None
        raise Rejection(HTTPStatus.UNAUTHORIZED, _TOKEN_HELP, code="token")

    async def _ask(self, find: Callable[[str], Access | None], given: str) -> Access | None:
        if not is_api_token(given):
            return find(given) if given else None
        try:
            return await run_in_threadpool(find, given)
        except TrackingError:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            raise Rejection(
                status, "the tracking database cannot be used; see the server's log", code="database"
            ) from None

    def _check_rate(self, caller: str) -> None:
        wait_s = self._rates.wait_s(caller)
        if wait_s:
            raise Rejection(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many requests; wait for as many seconds as Retry-After says",
                code="rate",
                headers={"retry-after": str(math.ceil(wait_s))},
            )

    def _audited(self, send: Send, connection: HTTPConnection, address: str) -> Send:
        """Keep the request with the status of its response, before that is sent."""

        async def send_audited(message: Message) -> None:
            status = int(message.get("status", 0))
            if (
                self._audit is not None
                and message["type"] == "http.response.start"
                and not connection.scope.get(_OVER_RATE)
                and not (connection.scope["path"] == _VALIDATING and status not in _REFUSED)
                and not (status == HTTPStatus.UNAUTHORIZED and self._kept.wait_s(address))
            ):
                access = access_of(connection)
                path = connection.scope["path"].encode("ascii", "backslashreplace").decode()
                asked = {"action": f"{connection.scope['method']} {path}", "who": access.who}
                try:
                    await run_in_threadpool(
                        self._audit.add, access.tenant, **asked, address=address, status=status
                    )
                except TrackingError as error:
                    _log.error("the audit log cannot be written: %s answered %s: %s", asked, status, error)
            await send(message)

        return send_audited

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers


def _origin(scheme: str, host: str, port: str | None) -> Origin:
    return Origin(scheme, host, int(port) if port else _DEFAULT_PORTS[scheme])


def _take_token(scope: Scope) -> str | None:
    """Remove ``token`` from the URL in the scope, so that later request logs do not contain it."""
    token = None
    kept = []
    for part in scope["query_string"].split(b"&"):
        if part.startswith(b"token="):
            token = unquote_to_bytes(part.removeprefix(b"token=")).decode(errors="replace")
        else:
            kept.append(part)
    scope["query_string"] = b"&".join(kept)
    return token


def _address(connection: HTTPConnection) -> str:
    """Path and query with exactly one leading slash: two would lead to another host."""
    path: bytes = connection.scope.get("raw_path") or connection.scope["path"].encode()
    query: bytes = connection.scope["query_string"]
    return "/" + path.decode("latin-1").lstrip("/\\") + (f"?{query.decode('latin-1')}" if query else "")


def _wants_page(connection: HTTPConnection) -> bool:
    readable = connection.scope.get("method") in ("GET", "HEAD")
    return readable and "text/html" in connection.headers.get("accept", "")
