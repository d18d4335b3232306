"""`job_failure`: the stable code of what ended a job's attempt, and whether the same may succeed later."""

from __future__ import annotations

from typing import NamedTuple

from shared.runtime import errors
from shared.runtime.files import is_of_disk

PROCESS_DIED = "process_died"  # the attempt's process ended without a word: killed, out of memory
WORKER_LOST = "worker_lost"  # so many workers have vanished with it that it may be the cause


class JobFailure(NamedTuple):
    """What ended an attempt."""

    code: str
    error: str
    may_pass: bool


# The first that an error is an instance of; what a user has to mend does not pass by itself.
_KINDS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (errors.ConfigError, "config", False),
    (errors.DataError, "data", False),
    (errors.WeightsError, "weights", False),
    (errors.TreesError, "trees", False),
    (errors.ClustersError, "clusters", False),
    (errors.FittingError, "fitting", False),
    (errors.DivergedError, "diverged", False),
    (errors.DiskError, "disk", True),
    (errors.DatabaseAway, "database_away", True),
    (errors.TrackingError, "tracking", False),
    (errors.BackendAway, "backend_away", True),
    (errors.FederationError, "federation", True),
    (errors.TrialsFailed, "trials", False),  # each was tried again by its plan
    (errors.FedtwinError, "other", False),
    (MemoryError, "memory", True),
)
CODES = (*(code for _, code, _ in _KINDS), "unexpected", PROCESS_DIED, WORKER_LOST)


def job_failure(error: BaseException) -> JobFailure:
    """Name what ended an attempt."""
    if isinstance(error, OSError) and is_of_disk(error):
        return JobFailure("disk", str(error), True)
    for kind, code, may_pass in _KINDS:
        if isinstance(error, kind):
            return JobFailure(code, str(error) or type(error).__name__, may_pass)
    return JobFailure("unexpected", f"{type(error).__name__}: {error}", True)
