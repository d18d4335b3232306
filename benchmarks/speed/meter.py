"""Runs a command and measures it with all its processes: wall time, CPU time over time, peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.speed.processes import Family

POLL_S = 0.2
MEMORY_SHARE = 0.02  # of one core that the reading of memory may take, within these limits:
MEMORY_SOONEST_S, MEMORY_LATEST_S = 0.25, 2.0
END_S = 20.0  # that what is left has to end in
_TAIL = 4000  # characters of the output


@dataclass
class Measurement:
    """What a command took.

    Attributes
    ----------
    status : int or None
        Of its exit; None if it took too long and was killed.
    began : float
        Seconds since 1970.
    wall_s : float
        From its start until it has ended.
    cpu_s : float
        User and system time of all processes.
    peak_bytes : int
        Of the memory of all processes together.
    times, cpu : list of float
        When the processor time was read, in seconds since 1970, and what had been used by then.
    left : list of str
        Names of processes that were still there after it, and were killed.
    output : str
        The end of what it wrote.
    """

    status: int | None
    began: float
    wall_s: float
    cpu_s: float
    peak_bytes: int
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    output: str = ""

    def cpu_at(self, moment: float) -> float:
        """What had been used by then, between two readings on the line that joins them.

        Parameters
        ----------
        moment : float
            Seconds since 1970.

        Returns
        -------
        float
            Seconds of processor time.
        """
        return float(np.interp(moment, self.times, self.cpu))


def measure(command: Sequence[str], *, env: Mapping[str, str], folder: Path, timeout_s: float) -> Measurement:
    """Run a command to its end. `adopt_orphans` must have been called.

    The processor time of all processes is the sum of what each was last seen with, or what the system says
    this process's descendants used, whichever is more: the first misses the last fifth of a second of each
    process, the second those whose parent never asked how they ended.

    Parameters
    ----------
    folder : Path
        Where it works; takes ``output.txt``.
    timeout_s : float
        After which it is killed.
    """
    output = folder / "output.txt"
    before, family = _used_by_children(), Family()
    with output.open("wb") as file:
        began, clock = time.time(), time.monotonic()
        process = subprocess.Popen(
            command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    times, cpu, peak, memory_at = [began], [0.0], 0, 0.0
    try:
        while process.poll() is None and time.monotonic() < clock + timeout_s:
            times.append(time.time())
            cpu.append(family.look())
            family.bury(but=process.pid)
            if time.monotonic() >= memory_at:
                before_reading = time.process_time()
                peak = max(peak, family.bytes_held())
                pause = (time.process_time() - before_reading) / MEMORY_SHARE
                memory_at = time.monotonic() + min(max(pause, MEMORY_SOONEST_S), MEMORY_LATEST_S)
            _wait(process, POLL_S)
    except BaseException:  # Ctrl-C, above all
        _clear_away(family, process)
        raise
    wall_s, status = time.monotonic() - clock, process.returncode
    left = _clear_away(family, process)
    seen = family.look()
    return Measurement(
        status=status,
        began=began,
        wall_s=wall_s,
        cpu_s=max(seen, _used_by_children() - before),
        peak_bytes=peak,
        times=[*times, began + wall_s],
        cpu=[*cpu, max(seen, cpu[-1])],
        left=left,
        output=output.read_text(errors="replace")[-_TAIL:],
    )


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _clear_away(family: Family, process: subprocess.Popen[bytes]) -> list[str]:
    family.look()
    if process.returncode is None:
        process.kill()
    left, deadline = family.kill(), time.monotonic() + END_S
    while time.monotonic() < deadline:
        family.look()
        family.bury(but=process.pid)
        process.poll()
        if not family.alive():
            break
        family.kill()
        time.sleep(0.02)
    family.bury(but=process.pid)
    return left


def _used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a measured command: this one's with bytecode, importing from this checkout."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **more}
    for name in ("PYTHONDONTWRITEBYTECODE", "FEDTWIN_DATABASE_URL"):
        env.pop(name, None)
    return env
