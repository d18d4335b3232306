"""`Owner`: which process a run belongs to, so that others can tell whether it still lives."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

_FIRST_PID_NAMESPACE = f"pid:[{0xEFFFFFFC}]"  # PROC_PID_INIT_INO of Linux


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that a reused id or a reboot is noticed.

    Attributes
    ----------
    host : str
        Name of the machine or container.
    boot_id : str
        Changes when the machine restarts. In a PID namespace of its own (a container), the namespace's number
        stands behind it: process ids mean nothing in another.
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


def same_boot(one: str, other: str) -> bool:
    """Whether two boot ids are of one start of a machine, whatever their PID namespaces."""
    return one.partition(" ")[0] == other.partition(" ")[0]


def is_gone(process: Owner) -> bool:
    """Whether a process of this machine, since its last start, has ended.

    Parameters
    ----------
    process : Owner
        Its host and boot id are this process's.

    Returns
    -------
    bool
        True also if another process has got its id, and if it is a zombie.
    """
    return _began(process.pid) != process.pid_started


def _boot_id() -> str:
    if sys.platform == "linux":
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").readlink().name  # such as "pid:[4026531836]"
        return boot_id if space == _FIRST_PID_NAMESPACE else f"{boot_id} {space}"
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
