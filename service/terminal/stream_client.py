"""`StreamClient`: reads one stream of a fedtwin server and reconnects at its cursor."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from shared.runtime.errors import FedtwinError

Message = dict[str, Any]
REJECTIONS = {
    4401: "a token is required (--token, or the variable FEDTWIN_TOKEN)",
    4403: "access is forbidden",
    4421: "it does not accept this host name; start it with --allow-host NAME, or use another address",
    4404: "no such run, or not a fedtwin server",
}
# The same rejections as HTTP statuses, from a server or a proxy before the WebSocket is open.
STATUSES = {401: 4401, 403: 4403, 404: 4404, 421: 4421}
TRY_AGAIN = (429, 502, 503, 504)
LOOPBACK = ("127.0.0.1", "::1", "localhost")
LARGEST_FRAME = 64 * 2**20


class StreamError(FedtwinError):
    """A stream cannot be read: no server answers, or it rejects the request."""


@dataclass(frozen=True, slots=True)
class Connection:
    """State of a stream's connection.

    Attributes
    ----------
    state : {"connecting", "live", "waiting"}
    retry_at : float or None
        While waiting: time of the next attempt, by `time.monotonic`.
    reason : str
        Why the last connection ended; empty if none has.
    """

    state: Literal["connecting", "live", "waiting"]
    retry_at: float | None = None
    reason: str = ""


class StreamClient:
    """Reads a stream and reconnects at its cursor whenever the connection is lost.

    Delays between attempts are random with an exponentially growing limit ("full jitter"), so that many viewers
    do not return to a restarted server at the same moment.

    Parameters
    ----------
    server : str
        ``http://HOST:PORT`` or ``https://HOST``, with a proxy's path prefix, if any.
    path : str
        Such as ``/ws/runs/3``.
    after : int or None
        Cursor to start from; None for a stream without one.
    newest : int, optional
        How many of the rows that are there to read, if it starts from 0; None: all.
    silence_s : float, seconds
        Longest time without any frame, heartbeats included, before a connection counts as lost.
    backoff_s, longest_backoff_s : float, seconds
        Limits of the first delay and of every delay.

    Attributes
    ----------
    cursor : int or None
        The last row that was yielded.
    on_change : callable or None
        Called with each new `Connection`.

    Raises
    ------
    StreamError
        ``server`` is not a URL.
    """

    def __init__(
        self,
        server: str,
        *,
        path: str,
        after: int | None = 0,
        newest: int | None = None,
        token: str | None = None,
        silence_s: float = 20.0,
        backoff_s: float = 0.5,
        longest_backoff_s: float = 15.0,
    ) -> None:
        self.server, self._uri, host = _addresses(server, path)
        self.cursor, self._newest = after, newest
        self.connection = Connection("connecting")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._proxy: Literal[True] | None = None if host in LOOPBACK else True
        self._silence_s = silence_s
        self._backoff_s, self._longest_s = backoff_s, longest_backoff_s
        self.on_change: Callable[[Connection], None] | None = None

    async def frames(self) -> AsyncGenerator[list[Message], None]:
        """Connect and yield frames until the caller stops.

        Yields
        ------
        list of dict
            The messages of one frame; every row exactly once.

        Raises
        ------
        StreamError
            No answer to the first attempt, or the server rejects the request (no such run, missing token).
        """
        failures, answered = 0, False
        while True:
            self._change(Connection("connecting", reason=self.connection.reason))
            try:
                async with self._connect() as websocket:
                    while True:
                        messages = await self._receive(websocket)
                        if self.connection.state != "live":
                            self._change(Connection("live"))
                        failures, answered = 0, True
                        yield messages
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                reason = self._lost(error, answered=answered)
            wait = random.uniform(0.0, min(self._longest_s, self._backoff_s * 2.0**failures))
            failures = min(failures + 1, 16)
            self._change(Connection("waiting", time.monotonic() + wait, reason))
            await asyncio.sleep(wait)

    def _connect(self) -> connect:
        uri = self._uri
        if self.cursor is not None:
            begin = {"newest": self._newest} if not self.cursor and self._newest else {"after": self.cursor}
            uri = f"{uri}?{urlencode(begin)}"
        return connect(
            uri,
            additional_headers=self._headers,
            proxy=self._proxy,
            ping_interval=None,  # the server's heartbeats serve the same purpose
            close_timeout=1.0,
            max_size=LARGEST_FRAME,
        )

    async def _receive(self, websocket: ClientConnection) -> list[Message]:
        try:
            async with asyncio.timeout(self._silence_s):
                frame = await websocket.recv()
        except TimeoutError:
            raise TimeoutError(f"no data for {self._silence_s:g} s") from None
        try:
            messages: list[Message] = json.loads(frame)
            cursors = [message["cursor"] for message in messages if message.get("cursor") is not None]
        except (ValueError, TypeError, AttributeError):
            raise StreamError(f"{self.server} is not a fedtwin server") from None
        if self.cursor is not None:
            self.cursor = max([self.cursor, *cursors])
        return messages

    def _lost(self, error: Exception, *, answered: bool) -> str:
        """The reason as text; raises if another attempt would fail in the same way."""
        code, again = None, False
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            code, again = STATUSES.get(status), status in TRY_AGAIN
            reason = f"HTTP status {status}"
        elif isinstance(error, ConnectionClosed):
            code, again = (error.rcvd.code if error.rcvd else None), True
            reason = f"closed by the server ({code})" if code else "connection lost"
        else:
            errno = isinstance(error, ConnectionError) and error.errno
            reason = os.strerror(errno) if errno else str(error) or type(error).__name__
        if code in REJECTIONS:
            raise StreamError(f"the server at {self.server} rejected the request: {REJECTIONS[code]}") from None
        if not (answered or again):
            raise StreamError(
                f"no fedtwin server at {self.server} ({reason}); start one with `fedtwin serve`, or omit --url "
                "to read this machine's database"
            ) from None
        return reason

    def _change(self, connection: Connection) -> None:
        self.connection = connection
        if self.on_change is not None:
            self.on_change(connection)


def _addresses(server: str, path: str) -> tuple[str, str, str]:
    """Server as shown to people, URI of its WebSocket, and its host."""
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise StreamError(f"expected a URL such as http://127.0.0.1:8765, got {server!r}")
    prefix = parts.path.rstrip("/")
    scheme = "wss" if parts.scheme == "https" else "ws"
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], prefix, "", ""))
    return shown, urlunsplit((scheme, parts.netloc, prefix + path, "", "")), host
