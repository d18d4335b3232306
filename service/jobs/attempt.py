"""`Attempt`: one attempt of a job as a process group of this machine, whose output is kept in the job's log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from service.jobs import guard
from shared.runtime.home import Home
from shared.tracking.fence import FENCE, Fence
from shared.tracking.job_errors import PROCESS_DIED, JobFailure
from shared.tracking.job_rows import JobRow

LOG_FILE = "log.txt"  # in a job's folder
COMMAND = ("-P", "-m", "fedtwin.attempt")  # -P: a folder `shared` in the current one is not ours
_ROOT = Path(__file__).parents[2]  # of our packages
# What a training process has no use for.
_SECRETS = ("FEDTWIN_TOKEN", "FEDTWIN_TRAIN_TOKEN", "RAY_AUTH_TOKEN")


class ThisMachine:
    """The backend of jobs that are trained in process groups of this machine."""

    name = "process"

    def __init__(self, home: Home) -> None:
        self._home = home

    def cluster(self) -> None:
        """There is none."""

    def start(self, row: JobRow, *, silence_s: float, grace_s: float, command: Sequence[str]) -> Attempt:
        """Start the present attempt of a job."""
        limits = {"silence_s": silence_s, "grace_s": grace_s}
        return Attempt(Fence(row.id, row.attempt), home=self._home, **limits, command=command)


def training_command(*, sweep_workers: int) -> tuple[str, ...]:
    """Arguments of Python for what trains a job.

    Parameters
    ----------
    sweep_workers : int
        How many trials of a sweep train at once; 0: as many as the machine allows.
    """
    return (*COMMAND, "--sweep-workers", str(sweep_workers))


class Attempt:
    """Starts the process group; to be ended by `wait_or_kill` or `kill`.

    Parameters
    ----------
    silence_s : float, seconds
        Without a `beat` for so long, the group ends itself.
    grace_s : float, seconds
        Between SIGTERM and SIGKILL.
    command : sequence of str
        Arguments of Python for what trains the job.
    """

    def __init__(
        self,
        fence: Fence,
        *,
        home: Home,
        silence_s: float,
        grace_s: float,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.grace_s = grace_s
        folder = home.job_dir(fence.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        env = {**child_environment(home), FENCE: str(fence)}
        limits = [str(silence_s), str(grace_s)]
        with (folder / LOG_FILE).open("ab") as log:
            log.write(f"--- attempt {fence.attempt}\n".encode())
            log.flush()
            reading, self._pipe = os.pipe()
            guarding = [sys.executable, "-I", "-S", guard.__file__, str(reading), *limits]
            try:
                self._process = subprocess.Popen(
                    [*guarding, sys.executable, *command],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(reading,),
                    start_new_session=True,  # a group of its own, which Ctrl-C at a terminal does not reach
                )
            except OSError:
                os.close(self._pipe)
                raise
            finally:
                os.close(reading)

    @property
    def returncode(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def beat(self) -> None:
        """Tell the group that its worker lives, and still has the job."""
        with suppress(BrokenPipeError):
            os.write(self._pipe, b".")

    def terminate(self) -> None:
        """Ask the training to stop; it ends its run as stopped."""
        self._process.terminate()

    def wait_or_kill(self) -> None:
        """Wait for the grace time, then kill the group."""
        until = time.monotonic() + self.grace_s
        while self.returncode is None and time.monotonic() < until:
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """End the whole group at once, whatever is left of it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):
            os.close(self._pipe)
        self._pipe = -1

    def failure(self) -> JobFailure:
        """It ended without a word."""
        return died(self.returncode or 0)


def child_environment(home: Home) -> dict[str, str]:
    """The environment of a process that works on a home for the service: without the service's tokens."""
    env = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return env | {
        "FEDTWIN_HOME": str(home.root),
        "FEDTWIN_DATABASE_URL": home.database_url,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def died(code: int) -> JobFailure:
    """What is made of an attempt whose training has not written how it ended."""
    return JobFailure(PROCESS_DIED, how_it_ended(code), True)


def how_it_ended(code: int) -> str:
    """An exit status in words."""
    number = -code if code < 0 else code - 128
    with suppress(ValueError):
        if number > 0:
            name = signal.Signals(number).name
            return f"the training process was ended by {name}; its last lines are in the job's log"
    return f"the training process ended with exit status {code}; its last lines are in the job's log"
