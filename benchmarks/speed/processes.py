"""The processes of a command, including detached ones: identity, CPU time and memory."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")
_SET_CHILD_SUBREAPER = 36  # of prctl(2)
_PARENT, _USER, _SYSTEM, _STARTED = 1, 11, 12, 19  # of /proc/PID/stat, counted after the name


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent has ended.

    Raises
    ------
    OSError
        The system is not Linux.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    cpu_s: float
    started: int


class Family:
    """All descendants of this process from now on.

    The processor time of one that has ended stays counted as it was last seen. A new process is recognised by
    its parent, which is one of the family, or this process, which adopts orphans.
    """

    def __init__(self) -> None:
        self.strangers = _pids()
        self.members: set[int] = set()
        self.used: dict[tuple[int, int], float] = {}

    def look(self) -> float:
        """Find new members and count what all have used so far.

        Returns
        -------
        float
            Seconds of processor time, user and system.
        """
        pids = _pids()
        self.strangers &= pids
        self.members &= pids
        new = {pid: stat for pid in pids - self.strangers - self.members if (stat := _stat(pid))}
        for pid, stat in sorted(new.items(), key=lambda item: item[1].started):
            if stat.parent == os.getpid() or stat.parent in self.members:
                self.members.add(pid)
            else:
                self.strangers.add(pid)
        for pid in self.members:
            stat = _stat(pid)
            if stat is not None:
                self.used[pid, stat.started] = max(stat.cpu_s, self.used.get((pid, stat.started), 0.0))
        return sum(self.used.values())

    def bytes_held(self) -> int:
        """Memory of all members: private pages, and each one's share of the pages that several map (PSS)."""
        return sum(map(_pss, self.members))

    def bury(self, *, but: int) -> None:
        """Reap adopted processes that have ended.

        Parameters
        ----------
        but : int
            The command itself, which somebody else waits for.
        """
        for pid in self.members - {but}:
            stat = _stat(pid)
            if stat and stat.state == "Z" and stat.parent == os.getpid():
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def alive(self) -> list[int]:
        """Members that have not ended."""
        return [pid for pid in self.members if (stat := _stat(pid)) and stat.state != "Z"]

    def kill(self) -> list[str]:
        """End whoever is left.

        Returns
        -------
        list of str
            Their names.
        """
        names = []
        for pid in self.alive():
            with suppress(OSError):
                names.append((_PROC / str(pid) / "comm").read_text().strip())
                os.kill(pid, signal.SIGKILL)
        return names


def _pids() -> set[int]:
    return {int(name) for name in os.listdir(_PROC) if name.isdigit()}  # noqa: PTH208 - many times a second


def _stat(pid: int) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - many times a second
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    cpu = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICK
    return _Stat(fields[0], int(fields[_PARENT]), cpu, int(fields[_STARTED]))


def _pss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123 - many times a second
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended
    return 0
