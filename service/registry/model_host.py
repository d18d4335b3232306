"""`ModelHost`: the process that keeps models warm, which predicts, compares and exports for the service.

The service itself never imports torch. The process is started when it is first asked, answers one request at a
time, and ends with the service: it reads requests from a pipe that closes then.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from service.jobs.attempt import child_environment
from shared.runtime.home import Home

COMMAND = ("-P", "-m", "fedtwin.model_host")
MOST_WAITING = 16
_PART = 1 << 20


class HostError(Exception):
    """A request that was not answered; ``code`` is stable.

    Parameters
    ----------
    kind : str
        Class of the error in the process that answers; ``busy``, ``timeout`` or ``died`` where there is none.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class ModelHost:
    """Starts the process when it is needed, and again when it has died.

    Parameters
    ----------
    timeout_s : float, seconds
        For one answer; the process is ended behind it.
    command : sequence of str
        Arguments of Python for the process.
    name : str
        What the process is called where it has ended.
    """

    def __init__(
        self,
        home: Home,
        *,
        timeout_s: float = 300.0,
        command: Sequence[str] = COMMAND,
        name: str = "the process of the models",
    ) -> None:
        self._home, self._timeout_s, self._command, self._name = home, timeout_s, command, name
        self._turn, self._count = threading.Lock(), threading.Lock()
        self._waiting = 0
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, and wait for its answer.

        Raises
        ------
        HostError
        """
        with self._count:
            if self._waiting >= MOST_WAITING:
                raise HostError("busy", f"{MOST_WAITING} requests wait already; try again in a moment")
            self._waiting += 1
        try:
            with self._turn:
                answer = self._exchange(json.dumps(request).encode() + b"\n")
        finally:
            with self._count:
                self._waiting -= 1
        if "error" in answer:
            raise HostError(answer["error"]["kind"], answer["error"]["detail"])
        found: dict[str, Any] = answer["result"]
        return found

    def close(self) -> None:
        """End the process, also one that is at work."""
        self._closed = True
        self._end()

    def _exchange(self, line: bytes) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = self._read(process.stdout.fileno())
        except TimeoutError:  # which is an OSError
            self._end()
            raise HostError("timeout", f"there was no answer within {self._timeout_s:g} s") from None
        except (OSError, EOFError):
            self._end()
            raise HostError("died", f"{self._name} has ended; see the server's log") from None
        found: dict[str, Any] = json.loads(answer)
        return found

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise HostError("died", "the server is closing")
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                env=child_environment(self._home),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C at a terminal is the server's to handle
            )
        return self._process

    def _read(self, descriptor: int) -> bytes:
        until, parts = time.monotonic() + self._timeout_s, []
        while True:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(descriptor, _PART)
            if not part:
                raise EOFError
            parts.append(part)
            if part.endswith(b"\n"):
                return b"".join(parts)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
