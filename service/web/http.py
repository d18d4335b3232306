"""`TimedHTTP`: uvicorn's HTTP protocol with a time limit for a request's header."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_S = 10.0


class TimedHTTP(AutoHTTPProtocol):  # type: ignore[valid-type, misc]  # whichever of its two uvicorn has chosen
    """Closes a connection that does not complete a request's header in time.

    Uvicorn has a time limit between requests only: whoever sends half a header, or nothing at all, would keep a
    connection, and with enough of them all that this process may open.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # noqa: D102
        super().connection_made(transport)
        self._limit = asyncio.get_running_loop().call_later(HEADER_S, self._close_if_unfinished)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._limit.cancel()  # a whole header; the answer may take longer
        elif self._answered() and self._limit.cancelled():
            self._limit = asyncio.get_running_loop().call_later(HEADER_S, self._close_if_unfinished)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._limit.cancel()
        super().connection_lost(exc)

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_unfinished(self) -> None:
        upgraded = self.transport.get_protocol() is not self
        if self._answered() and not upgraded and not self.transport.is_closing():
            self.transport.abort()
