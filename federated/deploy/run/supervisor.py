"""`Supervisor`: keeps programs running, each restarted after a growing pause."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from federated.kit.files import PRIVATE, make_folder

# Flower refuses a node that is started again before its last heartbeat has run out, which takes up to a minute.
PAUSES_S = (5.0, 10.0, 20.0, 30.0)
_STEADY_S = 120.0  # a program that ran so long begins with the first pause again
_LOG_BYTES = 20_000_000


@dataclass
class Program:
    """One program that is to run all the time.

    Attributes
    ----------
    name : str
        Also of its log.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    due: float = 0.0
    failures: int = 0


@dataclass
class Supervisor:
    """Runs programs until it is told to end.

    Attributes
    ----------
    say : callable
        Takes a line about what ends and starts.
    pauses : sequence of float
        Seconds before a program starts again, by how often it has failed; the last one stays.
    patience_s : float
        How long the end of the block waits for programs that were asked to end, before it kills them.
    """

    programs: Sequence[Program]
    say: Callable[[str], None] = field(default=lambda line: print(line, flush=True))
    pauses: Sequence[float] = PAUSES_S
    patience_s: float = 10.0

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *error: object) -> None:
        for kind, patience in ((signal.SIGTERM, self.patience_s), (signal.SIGKILL, 5.0)):
            running = [p.process for p in self.programs if p.process and p.process.poll() is None]
            for process in running:
                _signal(process, kind)
            deadline = time.monotonic() + patience
            for process in running:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=max(0.1, deadline - time.monotonic()))
        for program in self.programs:
            if program.process:
                _signal(program.process, signal.SIGKILL)  # what it left behind in its group

    def tick(self) -> None:
        """Start what is due, and notice what has ended; called a few times a second."""
        now = time.monotonic()
        for program in self.programs:
            if program.process is None:
                if now >= program.due:
                    self._start(program)
            elif (status := program.process.poll()) is not None:
                _signal(program.process, signal.SIGKILL)
                program.process = None
                if now - program.began > _STEADY_S:
                    program.failures = 0
                pause = self.pauses[min(program.failures, len(self.pauses) - 1)]
                program.failures += 1
                program.due = now + pause
                self.say(
                    f"{program.name} ended ({_status(status)}); it starts again in {pause:g} s: {program.log}"
                )

    def _start(self, program: Program) -> None:
        make_folder(program.log.parent)
        if program.log.exists() and program.log.stat().st_size > _LOG_BYTES:
            program.log.replace(program.log.with_suffix(".old"))
        with program.log.open("ab") as log:
            program.log.chmod(PRIVATE)
            program.process = subprocess.Popen(
                program.command,
                env=dict(program.env),
                # A folder of its own: Flower's processes import from where they are started first.
                cwd=make_folder(program.log.parent / "empty"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        program.began = time.monotonic()
        self.say(f"{program.name} started, process {program.process.pid}")


def _signal(process: subprocess.Popen[bytes], kind: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, kind)


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
