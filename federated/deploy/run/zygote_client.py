"""What Flower starts as ``flwr-clientapp`` at a site: asks the zygote for the process, or starts it cold.

Run as a script with nothing but the standard library, because its own start is what every message waits for.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path


def main(folder: str, cold: str, arguments: list[str]) -> int:
    """Pass the call on, and wait for its end.

    Parameters
    ----------
    folder : str
        Where the zygote listens.
    cold : str
        Flower's own command, in case the zygote is not running.

    Returns
    -------
    int
        Its exit status.
    """
    request = json.dumps({"arguments": arguments, "env": dict(os.environ), "cwd": str(Path.cwd())}).encode()
    try:
        caller = _connect(folder)
    except OSError as error:
        print(f"no zygote ({error}): cold start", file=sys.stderr, flush=True)
        os.execv(cold, [cold, *arguments])
    with caller:
        socket.send_fds(caller, [b"+"], [1, 2])  # where its output goes
        caller.sendall(request)
        caller.shutdown(socket.SHUT_WR)
        status = caller.recv(1)
    return status[0] if status else 1  # it was killed


def _connect(folder: str) -> socket.socket:
    here = Path.cwd()
    os.chdir(folder)  # a socket's path is short
    try:
        caller = socket.socket(socket.AF_UNIX)
        caller.connect("zygote.sock")
        return caller
    finally:
        os.chdir(here)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
