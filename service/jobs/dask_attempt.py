"""`DaskCluster`: the workers of an existing Dask scheduler as the place where attempts of jobs run.

The process group of a `DaskAttempt` is an `Attempt` of that machine, with its own guard. Heartbeats go by way
of the scheduler: if they stop, for whatever reason, the guard there ends the group, before anybody else can
have the job.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from service.jobs.attempt import COMMAND, Attempt, died
from shared.runtime.errors import ConfigError
from shared.runtime.home import open_home
from shared.tracking.fence import Fence
from shared.tracking.job_errors import JobFailure
from shared.tracking.job_rows import JobRow
from shared.tracking.workers import Cluster

DIED = -9  # what is made of an attempt whose machine is gone: as if it had been killed
_LOOK_S = 0.5
_ANSWER_S = 5.0


def connect(address: str) -> Any:
    """A client of a Dask scheduler.

    Raises
    ------
    ConfigError
        None answers, or the package ``distributed`` is not installed.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"--scheduler needs the package distributed ({error}): pip install 'fedtwin[sweep]'"
        ) from None
    try:
        return Client(address, timeout=_ANSWER_S, set_as_default=False, name="fedtwin-worker")
    except (OSError, ValueError) as error:
        first = str(error).partition("\n")[0][:200]
        raise ConfigError(
            f"no Dask scheduler answers at {address[:200]!r}: expected an address such as tcp://host:8786 "
            f"({first})"
        ) from None


class DaskCluster:
    """The backend of jobs that are trained on the workers of a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
        See `connect`.
    """

    name = "dask"

    def __init__(self, client: Any) -> None:
        self._client = client

    def cluster(self) -> Cluster:
        """The scheduler's address, its workers and what they have."""
        address = self._client.scheduler.address
        try:
            found = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except (OSError, TimeoutError) as error:
            return Cluster(address, problem=f"the Dask scheduler does not answer: {type(error).__name__}")
        memory = sum(one["memory_limit"] or 0 for one in found)
        return Cluster(address, nodes=len(found), cpus=sum(one["nthreads"] for one in found), memory=memory)

    def start(self, row: JobRow, *, silence_s: float, grace_s: float, command: Sequence[str]) -> DaskAttempt:
        """Start the present attempt of a job as soon as a Dask worker is free."""
        limits = {"silence_s": silence_s, "grace_s": grace_s}
        return DaskAttempt(Fence(row.id, row.attempt), client=self._client, **limits, command=command)


class DaskAttempt:
    """Starts the process group as soon as a Dask worker is free; the same methods as `Attempt`.

    The Dask worker uses its own ``FEDTWIN_HOME`` and ``FEDTWIN_DATABASE_URL``: no password is sent.

    Parameters
    ----------
    client : distributed.Client
        See `connect`.
    silence_s, grace_s, command
        See `Attempt`.
    """

    def __init__(
        self, fence: Fence, *, client: Any, silence_s: float, grace_s: float, command: Sequence[str] = COMMAND
    ) -> None:
        from distributed import Variable

        name = f"fedtwin-job-{fence.job_id}-{fence.attempt}-{uuid.uuid4().hex[:8]}"
        self.grace_s, self._beats, self._stop = grace_s, 0, False
        self._code: int | None = None
        self._told = Variable(name, client=client)
        self._tell()
        options = {"silence_s": silence_s, "grace_s": grace_s, "command": list(command)}
        self._future = client.submit(run_there, tuple(fence), name, **options, key=name, pure=False, retries=0)

    @property
    def returncode(self) -> int | None:
        """Exit status; None while it waits for a Dask worker, and while it runs."""
        if self._code is None and self._future.status == "finished":
            try:
                self._code = int(self._future.result(timeout=_ANSWER_S))
            except (OSError, TimeoutError):
                self._code = DIED
        elif self._code is None and self._future.status != "pending":
            self._code = DIED  # its Dask worker or the scheduler is gone
        return self._code

    def beat(self) -> None:
        """Tell the group that its worker lives, and still has the job."""
        self._beats += 1
        self._tell()

    def terminate(self) -> None:
        """Ask the training to stop; it ends its run as stopped."""
        self._stop = True
        self._tell()

    def wait_or_kill(self) -> None:
        """Wait for the grace time, after which its own machine kills the group."""
        self._wait(self.grace_s + _ANSWER_S)
        self.kill()

    def kill(self) -> None:
        """End what is left; where its machine cannot be reached, its guard does so."""
        if self.returncode is None:
            self.terminate()
            self._wait(_ANSWER_S)
        with suppress(OSError, TimeoutError):
            self._future.cancel()
            self._told.delete()

    def failure(self) -> JobFailure:
        """It ended without a word, or its Dask worker did."""
        return died(self.returncode or 0)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.returncode is None and time.monotonic() < until:
            time.sleep(0.05)

    def _tell(self) -> None:
        with suppress(OSError, TimeoutError):
            self._told.set([self._beats, self._stop], timeout=f"{_ANSWER_S} s")


def run_there(
    fence: tuple[int, int], name: str, *, silence_s: float, grace_s: float, command: Sequence[str]
) -> int:
    """Run an attempt to its end, on a Dask worker; returns its exit status."""
    from distributed import Event, Variable, get_client

    client = get_client()
    begun, told = Event(f"{name}-begun", client=client), Variable(name, client=client)
    if begun.is_set():
        return DIED  # Dask runs it again, as its worker vanished: that is a new attempt's business
    begun.set()
    attempt = Attempt(Fence(*fence), home=open_home(), silence_s=silence_s, grace_s=grace_s, command=command)
    heard = 0
    try:
        while attempt.returncode is None:
            with suppress(OSError, TimeoutError):
                beats, stop = told.get(timeout=f"{_ANSWER_S} s")
                if beats > heard:
                    heard = beats
                    attempt.beat()
                if stop:
                    attempt.terminate()
                    attempt.wait_or_kill()
                    break
            time.sleep(_LOOK_S)
    finally:
        attempt.kill()
    return attempt.returncode or 0
