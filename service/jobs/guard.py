"""The guard of an attempt: leads its process group, and ends the group when its worker is gone or silent.

Run as a script, with Python's standard library alone, so that it costs little and cannot fail to import. It is
a process of its own because the one that trains must not have threads when it forks its workers.

``guard.py FD SILENCE_S GRACE_S COMMAND...``: FD is the end of a pipe on which the worker writes a byte with
each heartbeat. Without one for SILENCE_S seconds, or when the pipe is closed, the command gets SIGTERM and,
GRACE_S seconds later, the whole group SIGKILL. SIGTERM to the guard is passed on to the command.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType


def main(arguments: list[str]) -> int:
    """Run the command to its end.

    Returns
    -------
    int
        Its exit status; 128 and the number of the signal that ended it.
    """
    pipe, silence_s, grace_s = int(arguments[0]), float(arguments[1]), float(arguments[2])
    process = subprocess.Popen(arguments[3:])

    def pass_on(signum: int, frame: FrameType | None) -> None:
        process.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    heard, kill_at = time.monotonic(), float("inf")
    while process.poll() is None:
        if kill_at == float("inf"):
            ready, _, _ = select.select([pipe], [], [], 0.1)
            gone = bool(ready) and not os.read(pipe, 4096)
            if ready and not gone:
                heard = time.monotonic()
            if gone or time.monotonic() - heard > silence_s:
                print("the worker of this job is gone; it is stopped", file=sys.stderr, flush=True)
                process.terminate()
                kill_at = time.monotonic() + grace_s
        else:
            time.sleep(0.1)
            if time.monotonic() > kill_at:
                os.killpg(0, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # whatever it left behind
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
