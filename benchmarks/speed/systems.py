"""The compared systems: command, working folder and marks of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed import ours, pfl_env
from benchmarks.speed.handover import TASK, Mark, Task, read_marks
from benchmarks.speed.pfl_env import NotAvailableError
from benchmarks.speed.workloads import Workload
from shared.config.no_effect import followed


@dataclass(frozen=True)
class Job:
    """One run of a system on a workload.

    Attributes
    ----------
    folder : Path
        Of this run alone; empty at first.
    home : Path
        Of this system on this workload: what it keeps between runs, such as decoded images.
    cache : Path
        Of all runs: environments.
    """

    task: Task
    task_file: Path
    folder: Path
    home: Path
    cache: Path

    @property
    def env(self) -> dict[str, str]:
        """Environment variables of the command, beside the usual ones."""
        return {TASK: str(self.task_file), "FEDTWIN_HOME": str(self.home)}


@dataclass(frozen=True)
class System:
    """One way to train.

    Attributes
    ----------
    name : str
        As in ``--systems``.
    command : callable
        From a job to its command.
    check : callable
        From the cache folder; raises `NotAvailableError` where the system cannot run here.
    marks : callable
        From a job that has run to its marks.
    takes : callable
        Whether a workload is measured with it.
    """

    name: str
    title: str
    command: Callable[[Job], list[str]]
    check: Callable[[Path], object] = lambda cache: None
    marks: Callable[[Job], list[Mark]] = lambda job: read_marks(Path(job.task.marks))
    takes: Callable[[Workload], bool] = lambda workload: True


def _program(module: str, *arguments: str) -> Callable[[Job], list[str]]:
    return lambda job: [sys.executable, "-m", f"benchmarks.speed.{module}", *arguments]


def _pfl(job: Job) -> list[str]:
    return [str(pfl_env.ensure(job.cache)), "-m", "benchmarks.speed.pfl_loop"]


def _ours(name: str) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        shared = job.task.workload.overrides(job.task.data)
        return [*ours.command(name), *followed(shared, command=f"fedtwin {name}")]

    return command


def _check_ours(name: str) -> Callable[[Path], None]:
    def check(cache: Path) -> None:
        if not ours.has_command(name):
            raise NotAvailableError(f"this version has no `fedtwin {name}`")

    return check


def _our_marks(job: Job) -> list[Mark]:
    return ours.marks_of_last_run(job.home)


SYSTEMS = {
    system.name: system
    for system in (
        System("bare", "bare loop, one process", _program("bare")),
        System("bare2", "bare loop, two processes", _program("bare", "--processes", "2")),
        System(
            "local",
            "fedtwin simulate",
            _ours("simulate"),
            check=_check_ours("simulate"),
            marks=_our_marks,
        ),
        System(
            "flwr", "fedtwin federated (flwr run)", _ours("federated"), _check_ours("federated"), _our_marks
        ),
        System(
            "centralized",
            "fedtwin centralized",
            _ours("centralized"),
            check=_check_ours("centralized"),
            marks=_our_marks,
            takes=lambda workload: workload.pooled,
        ),
        System("quickstart", "Flower's quickstart, loop", _program("flower_start", "--way", "loop")),
        System("lightning", "Flower's quickstart, Lightning", _program("flower_start", "--way", "lightning")),
        System("pfl", "pfl-research", _pfl, check=pfl_env.ensure),
    )
}
