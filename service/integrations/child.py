"""`FollowerProcess`: keeps ``fedtwin follow`` running beside the web server, in a process of its own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

from service.jobs.attempt import child_environment
from shared.runtime.home import Home

RESTART_S = 30.0
_END_S = 10.0

_log = logging.getLogger("fedtwin")


class FollowerProcess:
    """A child that ends with this process; one that has failed is started again.

    Parameters
    ----------
    arguments : list of str
        Of ``fedtwin follow``.
    """

    def __init__(self, arguments: list[str], *, home: Home) -> None:
        self._command = [sys.executable, "-P", "-m", "fedtwin", "follow", *arguments, "--with-parent"]
        self._env = child_environment(home)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fedtwin-follow", daemon=True)

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def close(self) -> None:
        """End it, and wait until it has."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            with subprocess.Popen(self._command, env=self._env, stdin=subprocess.PIPE) as process:
                while process.poll() is None and not self._closing.wait(0.2):
                    pass
                if process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(_END_S)
                    except subprocess.TimeoutExpired:  # in a request; nothing is lost
                        process.kill()
            if not self._closing.is_set():
                _log.warning(
                    "fedtwin follow has ended (exit status %s); again in %.0f s", process.returncode, RESTART_S
                )
                self._closing.wait(RESTART_S)
