"""`Sender`: sends messages of webhooks from the outbox, beside the server, until they are taken or given up."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from service.webhooks.address import Allowed, BadAddress, parse_url, resolve
from service.webhooks.post import TIMEOUT_S, NotSent, post, signed_headers
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store
from shared.tracking.webhooks import KEPT, Message

POLL_S = 1.0
AT_ONCE = 8
AT_ONCE_OF_TENANT = 4  # one whose receivers are slow holds up no other
MOST_ATTEMPTS = 20  # with the times below, in two days
BACKOFF_S = 10.0  # doubled by each attempt
MOST_BACKOFF_S = 6 * 3600.0
JITTER = 0.2
GONE = 410  # by the Standard Webhooks: the receiver wants no more of it
_FORGET_EVERY_S = 3600.0
_END_S = 2.0


class Sender:
    """Threads that send messages; any number of servers share an outbox.

    Parameters
    ----------
    say : callable
        Takes a line about what it cannot do.
    poll_s : float, seconds
        How often it looks for messages.
    timeout_s : float, seconds
        See `post`.
    backoff_s : float, seconds
        After the first attempt.
    """

    def __init__(
        self,
        store: Store,
        *,
        allowed: Allowed,
        say: Callable[[str], None],
        poll_s: float = POLL_S,
        timeout_s: float = TIMEOUT_S,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self._outbox, self._allowed, self._say = store.outbox, allowed, say
        self._poll_s, self._timeout_s, self._backoff_s = poll_s, timeout_s, backoff_s
        # Resolving a name has no time limit of its own, and the threads of others may be ahead.
        self._lease_s = 60.0 + timeout_s
        self._closing, self._look = threading.Event(), threading.Event()
        self._closed = False  # the store is another one's, or closed
        self._lock = threading.Lock()
        self._busy: dict[threading.Thread, socket.socket | None] = {}
        self._thread = threading.Thread(target=self._run, name="fedtwin-webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """End soon, also where receivers are slow: what is under way is sent again by the next sender."""
        self._closing.set()
        self._look.set()
        self._thread.join()
        with self._lock:
            busy = dict(self._busy)
        for connection in busy.values():
            if connection is not None:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        until = time.monotonic() + _END_S
        for thread in busy:
            thread.join(max(0.0, until - time.monotonic()))
        self._closed = True

    def _run(self) -> None:
        away, forget_at = False, 0.0
        while not self._closing.is_set():
            self._look.clear()
            try:
                if time.monotonic() > forget_at:
                    self._outbox.forget(before=datetime.now(UTC) - KEPT)
                    forget_at = time.monotonic() + _FORGET_EVERY_S
                with self._lock:
                    free = AT_ONCE - len(self._busy)
                for message in self._take(free):
                    thread = threading.Thread(target=self._send, args=(message,), daemon=True)
                    with self._lock:
                        self._busy[thread] = None
                    thread.start()
                away = False
            except TrackingError as error:
                if not away:
                    self._say(f"no webhooks can be sent: {error}")
                away = True
            self._look.wait(self._poll_s)

    def _take(self, free: int) -> list[Message]:
        if not free:
            return []
        return self._outbox.take(limit=free, lease_s=self._lease_s, most_of_tenant=AT_ONCE_OF_TENANT)

    def _send(self, message: Message) -> None:
        try:
            answer, error = self._attempt(message)
            if not self._closed:
                self._keep(message, answer, error)
        except TrackingError as error:  # sent again when its lease is over
            self._say(f"what became of a webhook's message cannot be kept: {error}")
        finally:
            with self._lock:
                del self._busy[threading.current_thread()]
            self._look.set()

    def _attempt(self, message: Message) -> tuple[int | None, str | None]:
        """The status of the answer, or why there is none."""
        body = message.body.encode()
        try:
            target = parse_url(message.url)
            addresses = resolve(target, self._allowed)
            headers = signed_headers(message.message_id, body, secret=message.secret, now=time.time())
            headers["user-agent"] = "fedtwin"
            answer = post(
                target, addresses, body, headers=headers, timeout_s=self._timeout_s, opened=self._opened
            )
            return answer, None
        except (BadAddress, NotSent) as error:
            return None, str(error)

    def _opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._busy[threading.current_thread()] = connection

    def _keep(self, message: Message, answer: int | None, error: str | None) -> None:
        if answer is not None and 200 <= answer < 300:
            self._outbox.delivered(message, answer=answer)
            return
        if error is not None and self._closing.is_set():
            self._outbox.missed(message, error="the server ended", answer=None, again_s=0)
            return
        over = answer == GONE or message.attempts >= MOST_ATTEMPTS
        wait_s = None if over else backoff_s(message.attempts, first_s=self._backoff_s)
        why = error or (
            f"answered with {answer}, a redirect, which is not followed"
            if answer is not None and 300 <= answer < 400
            else f"answered with {answer}"
        )
        self._outbox.missed(message, error=why, answer=answer, again_s=wait_s)


def backoff_s(attempts: int, *, first_s: float = BACKOFF_S) -> float:
    """How long a message waits after so many attempts, seconds."""
    plain: float = min(first_s * 2 ** min(attempts - 1, 30), MOST_BACKOFF_S)
    return plain * random.uniform(1 - JITTER, 1 + JITTER)
