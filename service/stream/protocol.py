"""`LiveWebSocket`: uvicorn's WebSocket protocol with back-pressure, for viewers that may stop reading."""

from __future__ import annotations

import socket
import struct
from asyncio import BaseTransport
from contextlib import suppress

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

GOING_AWAY = 1001
LINGER_S = 0.5  # time for the last bytes to be sent before the connection is reset
UNREAD_S = 0.1
SEND_BUFFER = 2**17
RESET = struct.pack("ii", 1, 0)  # linger on, for 0 seconds


class LiveWebSocket(WebSocketsSansIOProtocol):
    """Makes a sender wait while its viewer does not read, and disconnects a viewer that does not answer a ping.

    The protocol that it extends buffers without limit, and closes a connection only after everything was read.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound the kernel's send buffer, so that a ping is not stuck behind unread data."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake a waiting sender."""
        super().connection_lost(exc)
        self.writable.set()

    def pause_writing(self) -> None:
        """Called when the transport's buffer is full."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Called when the buffer has drained."""
        self.writable.set()

    async def send(self, message: ASGISendEvent) -> None:
        """Wait until there is room in the buffer, then send.

        Raises
        ------
        ClientDisconnected
            The viewer has left.
        """
        if not self.transport.is_closing():
            await self.writable.wait()
        if self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # rejected; without this uvicorn would log a missing response

    def keepalive_timeout(self) -> None:
        """Disconnect the viewer, unless its pong is here but unread because the whole server had paused."""
        self.pong_timer = self.loop.call_later(UNREAD_S, self._abort)  # `handle_pong` cancels it

    def shutdown(self) -> None:
        """Tell the viewer that the server is going away; called before the application shuts down."""
        if not self.handshake_complete:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.conn.send_close(GOING_AWAY)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self._close_soon()

    async def run_asgi(self) -> None:
        """Close the connection when the application has ended, whether the viewer reads or not."""
        await super().run_asgi()
        self._close_soon()

    def _close_soon(self) -> None:
        self.transport.close()
        self.loop.call_later(LINGER_S, self._abort)

    def _abort(self) -> None:
        # With a reset: an orderly close would wait for minutes behind data that the viewer has not read.
        connection = self.transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:  # else uvloop raises ValueError
            with suppress(OSError):  # already closed
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()
