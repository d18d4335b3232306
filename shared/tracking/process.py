"""`Owner`: which process a run belongs to, so that others can tell whether it still lives."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that a reused id or a reboot is noticed.

    Attributes
    ----------
    host : str
        Name of the machine or container.
    boot_id : str
        Changes when the machine restarts.
    pid_started : float
        When the process began: clock ticks since boot on Linux (unlike seconds, they do not move when the clock
        is set), Unix seconds elsewhere; 0 when it was gone already.
    """

    host: str
    boot_id: str
    pid: int
    pid_started: float


def owner(pid: int | None = None) -> Owner:
    """Describe a process of this machine.

    Parameters
    ----------
    pid : int, optional
        This process by default.
    """
    pid = os.getpid() if pid is None else pid
    return Owner(host=socket.gethostname(), boot_id=_boot_id(), pid=pid, pid_started=_began(pid) or 0.0)


def is_gone(process: Owner) -> bool:
    """Whether a process of this machine, since its last start, has ended.

    Parameters
    ----------
    process : Owner
        Its host and boot are this machine's.

    Returns
    -------
    bool
        True also if another process has got its id, and if it is a zombie.
    """
    return _began(process.pid) != process.pid_started


def _boot_id() -> str:
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    import psutil

    return str(int(psutil.boot_time()))


def _began(pid: int) -> float | None:
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The second field is the program's name, which may hold spaces and brackets.
        state, *others = stat.rpartition(")")[2].split()
        return None if state in "ZX" else float(others[18])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
