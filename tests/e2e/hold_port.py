"""Run on a machine of a testbed: sends halves of requests, and holds the connections until told to end.

Prints how many it has open. nginx itself drops those that have sent nothing when it needs their places.
"""

from __future__ import annotations

import json
import resource
import socket
import ssl
import sys
from contextlib import suppress


def hold(host: str, port: int, *, number: int, ca: str) -> list[socket.socket]:
    context = ssl.create_default_context(cafile=ca)
    held: list[socket.socket] = []
    for _ in range(number):
        with suppress(OSError):
            plain = socket.create_connection((host, port), timeout=5)
            connection = context.wrap_socket(plain, server_hostname=host)
            connection.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: loc")
            held.append(connection)
    return held


if __name__ == "__main__":
    order = json.loads(sys.stdin.readline())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = hold(order["host"], order["port"], number=order["number"], ca=order["ca"])
    print(len(held), flush=True)
    sys.stdin.readline()
