"""`post`: one request to an address that was checked, within limits of time and size; follows nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from service.webhooks.address import Address, Target
from shared.runtime.errors import FedtwinError
from shared.tracking.webhooks import SECRET_PREFIX

TIMEOUT_S = 10.0  # all of it: connecting, TLS, sending, and the answer
MOST_ANSWER = 16 * 1024  # bytes that are read of it
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")


class NotSent(FedtwinError):
    """No answer came; the text says why, and nothing that the receiver sent."""


def signed_headers(message_id: str, body: bytes, *, secret: str, now: float) -> dict[str, str]:
    """The headers of the Standard Webhooks.

    Parameters
    ----------
    secret : str
        ``whsec_`` and the key in base64.
    now : float
        Seconds since 1970.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{int(now)}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": f"v1,{signature}",
    }


def post(
    target: Target,
    addresses: Sequence[Address],
    body: bytes,
    *,
    headers: Mapping[str, str],
    timeout_s: float = TIMEOUT_S,
    opened: Callable[[socket.socket], None] = lambda _: None,
) -> int:
    """Send a request, through no proxy, and read the status of its answer.

    Parameters
    ----------
    addresses : sequence of Address
        Where to connect, the first that answers; the name in the target is resolved no more, and is what a
        certificate is checked against.
    opened : callable
        Takes the socket, so that whoever ends can shut it down.

    Returns
    -------
    int
        Of redirects too.

    Raises
    ------
    NotSent
    """
    until = time.monotonic() + timeout_s
    given = {"host": target.authority, "content-type": "application/json", "content-length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in {**given, **headers, "connection": "close"}.items()]
    head = "\r\n".join([f"POST {target.path} HTTP/1.1", *lines, "", ""]).encode("ascii")
    try:
        with _connect(addresses, target.port, until=until) as plain:
            opened(plain)
            if target.scheme == "http":
                return _ask(plain, head + body, until=until)
            plain.settimeout(_left(until))
            context = ssl.create_default_context()
            with context.wrap_socket(plain, server_hostname=target.host) as secured:
                opened(secured)
                return _ask(secured, head + body, until=until)
    except TimeoutError:
        raise NotSent(f"no answer within {timeout_s:.0f} s") from None
    except ssl.SSLCertVerificationError as error:
        raise NotSent(f"its certificate is not valid: {error.verify_message}") from None
    except (OSError, ValueError) as error:
        raise NotSent(
            f"the connection failed: {getattr(error, 'strerror', None) or type(error).__name__}"
        ) from None


def _connect(addresses: Sequence[Address], port: int, *, until: float) -> socket.socket:
    last = OSError("no address")
    for number, address in enumerate(addresses):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(_left(until) / (len(addresses) - number))
            opened.connect((str(address), port))
            return opened
        except OSError as error:
            opened.close()
            last = error
    raise last


def _ask(connection: socket.socket, request: bytes, *, until: float) -> int:
    connection.settimeout(_left(until))
    connection.sendall(request)  # its time limit is that of all of it
    got = bytearray()
    while (found := _final_status(got)) is None:
        if not _more(connection, got, until=until):
            raise NotSent("the answer is no answer of HTTP")
    # Read on for a moment: a receiver whose answer is cut off may take its work for failed.
    polite = min(until, time.monotonic() + 1.0)
    with suppress(OSError):
        while _more(connection, got, until=polite):
            pass
    return found


def _more(connection: socket.socket, got: bytearray, *, until: float) -> bool:
    if len(got) >= MOST_ANSWER:
        return False
    connection.settimeout(_left(until))
    part = connection.recv(4096)
    got += part
    return bool(part)


def _final_status(got: bytes | bytearray) -> int | None:
    """The status of an answer; None as long as it is not there. Skips those that announce another one."""
    start = 0
    while match := _STATUS.match(got, start):
        status = int(match[1])
        if status >= 200:
            return status
        end = got.find(b"\r\n\r\n", start)
        if end < 0:
            return None
        start = end + 4
    return None


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
