"""Run on a machine of a testbed: sends raw requests to a port, and prints what each was answered, as JSON."""

from __future__ import annotations

import json
import socket
import ssl
import sys


def ask(host: str, port: int, request: str, *, tls: bool, ca: str | None) -> str:
    try:
        plain = socket.create_connection((host, port), timeout=20)
        if not tls:
            connection: socket.socket = plain
        else:
            context = ssl.create_default_context(cafile=ca)
            if ca is None:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(plain, server_hostname=host)
        with connection:
            connection.sendall(request.encode())
            return connection.recv(4096).decode(errors="replace").partition("\r\n")[0]
    except OSError as error:
        return type(error).__name__


if __name__ == "__main__":
    order = json.loads(sys.stdin.read())
    print(
        json.dumps(
            [
                ask(tls=order["tls"], ca=order["ca"], host=order["host"], port=order["port"], request=request)
                for request in order["requests"]
            ]
        )
    )
