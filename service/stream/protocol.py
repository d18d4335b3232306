"""`LiveWebSocket`: uvicorn's WebSocket, for viewers that may stop reading; `live` tells uvicorn to use it."""

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
LINGER_S = 0.5  # how long what was written last may take to leave
UNREAD_S = 0.1
SEND_BUFFER = 2**17
RESET = struct.pack("ii", 1, 0)  # linger on, for 0 seconds


class LiveWebSocket(WebSocketsSansIOProtocol):
    """Makes a sender wait while its viewer does not read, and drops a viewer that does not answer a ping.

    The protocol that it extends writes on without a limit, and closes a connection only after all was read.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound what the system holds for a viewer, so that a ping is not far behind what was sent before."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a sender that waits find out."""
        super().connection_lost(exc)
        self.writable.set()

    def pause_writing(self) -> None:
        """Called when the transport's buffer is full."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Called when it has become empty enough."""
        self.writable.set()

    async def send(self, message: ASGISendEvent) -> None:
        """Wait until there is room, and then send; as to nobody, if the viewer has gone meanwhile."""
        if not self.transport.is_closing():
            await self.writable.wait()
        if self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # refused: uvicorn would log that there was no answer

    def keepalive_timeout(self) -> None:
        """Drop the viewer, unless its answer is here already, unread because the whole server had paused."""
        self.pong_timer = self.loop.call_later(UNREAD_S, self._cut)  # `handle_pong` cancels it

    def shutdown(self) -> None:
        """Tell the viewer that the server goes away; called before the application is."""
        if not self.handshake_complete:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.conn.send_close(GOING_AWAY)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self._let_go()

    async def run_asgi(self) -> None:
        """Let go of the connection when the application has ended, whether the viewer reads or not."""
        await super().run_asgi()
        self._let_go()

    def _let_go(self) -> None:
        self.transport.close()
        self.loop.call_later(LINGER_S, self._cut)

    def _cut(self) -> None:
        # With a reset: a close in good order waits behind all that the viewer has not read, for minutes.
        connection = self.transport.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:  # else uvloop raises ValueError
            with suppress(OSError):  # it has ended by itself
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()
