"""`Backend`: where a worker lets the attempts of its jobs run, and `Running`, one that was started there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.tracking.job_errors import JobFailure
from shared.tracking.job_rows import JobRow
from shared.tracking.workers import Cluster


class Running(Protocol):
    """An attempt that was started; to be ended by `wait_or_kill` or `kill`."""

    @property
    def returncode(self) -> int | None:
        """Exit status; None while it waits or runs."""

    def beat(self) -> None:
        """Tell it that its worker lives, and still has the job."""

    def terminate(self) -> None:
        """Ask the training to stop; it ends its run as stopped."""

    def wait_or_kill(self) -> None:
        """Wait for the grace time, then kill what is left."""

    def kill(self) -> None:
        """End the whole process group at once, whatever is left of it."""

    def failure(self) -> JobFailure:
        """What its end means for the job, where the training has not written it."""


class Backend(Protocol):
    """This machine, or a cluster that runs already."""

    @property
    def name(self) -> str:
        """As in `WorkerRow.backend`: process, dask or ray."""

    def cluster(self) -> Cluster | None:
        """Its resources, or why nothing can be started there; None for this machine."""

    def start(self, row: JobRow, *, silence_s: float, grace_s: float, command: Sequence[str]) -> Running:
        """Start the present attempt of a job; see `service.jobs.attempt.Attempt`.

        Raises
        ------
        OSError
        BackendAway
        """
