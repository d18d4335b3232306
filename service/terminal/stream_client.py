"""`StreamReader`: one stream of a fedtwin server, read on past its restarts; `watch` shows what it yields."""

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
REFUSALS = {
    4401: "it wants the token that it was started with (--token, or the variable FEDTWIN_TOKEN)",
    4403: "it must not be asked from here",
    4421: "it does not answer under this name; start it with --allow-host NAME, or use another address",
    4404: "it has no such run, or it is no fedtwin server",
}
# What the same refusals look like where a server or a proxy says no before the WebSocket is open.
STATUSES = {401: 4401, 403: 4403, 404: 4404, 421: 4421}
TRY_AGAIN = (429, 502, 503, 504)
LOOPBACK = ("127.0.0.1", "::1", "localhost")
LARGEST_FRAME = 64 * 2**20


class StreamError(FedtwinError):
    """A stream cannot be followed: nobody answers, or the server refuses."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a stream is connected.

    Attributes
    ----------
    state : {"connecting", "live", "waiting"}
    retry_at : float or None
        While waiting: when it is tried again, on the clock of `time.monotonic`.
    reason : str
        Why the last connection ended; empty if none did.
    """

    state: Literal["connecting", "live", "waiting"]
    retry_at: float | None = None
    reason: str = ""


class StreamReader:
    """Reads a stream, and connects again at the cursor whenever the connection is lost.

    Waits between two attempts are random, and up to twice as long each time ("full jitter"), so that many
    viewers do not return to a restarted server at the same moment.

    Parameters
    ----------
    server : str
        ``http://HOST:PORT`` or ``https://HOST``, with the path under which a proxy serves it.
    path : str
        Such as ``/ws/runs/3``.
    after : int or None
        The cursor from which to read; None for a stream without one.
    silence_s : float, seconds
        How long a connection may say nothing, not even a heartbeat, before it counts as lost.
    backoff_s, longest_backoff_s : float, seconds
        The first wait is at most ``backoff_s``, every wait at most ``longest_backoff_s``.

    Attributes
    ----------
    cursor : int or None
        The last row that was yielded.
    on_change : callable or None
        Called with each new `Connection`.

    Raises
    ------
    StreamError
        ``server`` is not an address.
    """

    def __init__(
        self,
        server: str,
        *,
        path: str,
        after: int | None = 0,
        token: str | None = None,
        silence_s: float = 20.0,
        backoff_s: float = 0.5,
        longest_backoff_s: float = 15.0,
    ) -> None:
        self.server, self._uri, host = _addresses(server, path)
        self.cursor = after
        self.connection = Connection("connecting")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._proxy: Literal[True] | None = None if host in LOOPBACK else True
        self._silence_s = silence_s
        self._backoff_s, self._longest_s = backoff_s, longest_backoff_s
        self.on_change: Callable[[Connection], None] | None = None

    async def frames(self) -> AsyncGenerator[list[Message], None]:
        """Connect, and yield what arrives until the caller has enough.

        Yields
        ------
        list of dict
            The messages of one frame; no row twice, none left out.

        Raises
        ------
        StreamError
            Nothing answers at the first attempt, or the server refuses (no such run, a token that is missing).
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
        uri = self._uri if self.cursor is None else f"{self._uri}?{urlencode({'after': self.cursor})}"
        return connect(
            uri,
            additional_headers=self._headers,
            proxy=self._proxy,
            ping_interval=None,  # the server's heartbeats tell as much
            close_timeout=1.0,
            max_size=LARGEST_FRAME,
        )

    async def _receive(self, websocket: ClientConnection) -> list[Message]:
        try:
            async with asyncio.timeout(self._silence_s):
                frame = await websocket.recv()
        except TimeoutError:
            raise TimeoutError(f"it has said nothing for {self._silence_s:g} s") from None
        try:
            messages: list[Message] = json.loads(frame)
            cursors = [message["cursor"] for message in messages if message.get("cursor") is not None]
        except (ValueError, TypeError, AttributeError):
            raise StreamError(f"what answers at {self.server} is not a fedtwin server") from None
        if self.cursor is not None:
            self.cursor = max([self.cursor, *cursors])
        return messages

    def _lost(self, error: Exception, *, answered: bool) -> str:
        """Say why, or raise where another attempt would end in the same way."""
        code, again = None, False
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            code, again = STATUSES.get(status), status in TRY_AGAIN
            reason = f"it answered with HTTP {status}"
        elif isinstance(error, ConnectionClosed):
            code, again = (error.rcvd.code if error.rcvd else None), True
            reason = f"it closed the connection ({code})" if code else "the connection broke off"
        else:
            refused = isinstance(error, ConnectionError) and error.errno
            reason = os.strerror(refused) if refused else str(error) or type(error).__name__
        if code in REFUSALS:
            raise StreamError(f"the server at {self.server} refuses: {REFUSALS[code]}") from None
        if not (answered or again):
            raise StreamError(
                f"no fedtwin server answers at {self.server} ({reason}); start one with `fedtwin serve`, "
                "or leave --url out to read this machine's database"
            ) from None
        return reason

    def _change(self, connection: Connection) -> None:
        self.connection = connection
        if self.on_change is not None:
            self.on_change(connection)


def _addresses(server: str, path: str) -> tuple[str, str, str]:
    """Server, its WebSocket's URI, and its host."""
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise StreamError(f"expected an address such as http://127.0.0.1:8765, got {server!r}")
    prefix = parts.path.rstrip("/")
    scheme = "wss" if parts.scheme == "https" else "ws"
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], prefix, "", ""))
    return shown, urlunsplit((scheme, parts.netloc, prefix + path, "", "")), host
