"""Stalled viewers of the load test: sockets that connect, stop reading and record when they are closed."""

from __future__ import annotations

import base64
import os
import select
import socket
import time
from urllib.parse import urlsplit

GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Stalled:
    """Viewers that read the answer to their handshake, and nothing after it, not even a ping.

    Parameters
    ----------
    address : str
        ``http://HOST:PORT`` of the server.
    path : str
        Of the stream.

    Attributes
    ----------
    dropped_after_s : list of float
        For each one that the server has let go: how long after it stopped reading.
    """

    def __init__(self, address: str, *, path: str) -> None:
        parts = urlsplit(address)
        self._server, self._path = (parts.hostname or "", parts.port or 80), path
        self._sockets: dict[int, tuple[socket.socket, float]] = {}
        self._poll = select.poll()
        self.began = False
        self.dropped_after_s: list[float] = []

    @property
    def open(self) -> int:
        """Those that the server still holds."""
        return len(self._sockets)

    def begin(self, count: int) -> None:
        """Connect, and stop reading."""
        self.began = True
        for _ in range(count):
            connection = socket.create_connection(self._server, timeout=10)
            connection.sendall(self._hello())
            answer = connection.recv(12)
            assert answer == b"HTTP/1.1 101", answer
            self._poll.register(connection, GONE)
            self._sockets[connection.fileno()] = connection, time.monotonic()

    def look(self, seconds: float) -> None:
        """See which ones were dropped.

        Parameters
        ----------
        seconds : float
            How long to wait for one.
        """
        for number, _ in self._poll.poll(1000 * seconds):
            connection, since = self._sockets.pop(number)
            self.dropped_after_s.append(time.monotonic() - since)
            self._poll.unregister(number)
            connection.close()

    def _hello(self) -> bytes:
        lines = (
            f"GET {self._path} HTTP/1.1",
            f"Host: {self._server[0]}:{self._server[1]}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
        )
        return "\r\n".join([*lines, "", ""]).encode()

    def close(self) -> None:
        """Close those that are left."""
        for connection, _ in self._sockets.values():
            connection.close()
