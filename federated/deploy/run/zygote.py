"""The zygote of ClientApps: imports the packages once, and forks a process for each message.

Flower starts a new Python process at a site for every message, and its imports take seconds. Flower calls the
command ``flwr-clientapp``, which it finds by ``PATH``: at a site of ours that is `zygote_client`, which asks
the zygote for a process. What runs there is Flower's own command, with the app that the server sent.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

# What a ClientApp of ours imports and does not bring itself; none of it starts threads or touches a GPU.
PACKAGES = (
    "flwr.supernode.cli",
    "flwr.clientapp",
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics.classification",
    "pandas",
    "sklearn.datasets",
    "sqlalchemy",
    "hydra",
    "pydantic",
    "safetensors.torch",
    "rich.progress",
)
_PATIENCE_S = 30.0  # with a caller that connects and does not say what it wants
_OWN = ("federated", "shared", "centralized", "simulations")


def main(folder: Path) -> None:
    """Serve until a signal comes.

    Parameters
    ----------
    folder : Path
        Takes the socket; nobody else may enter it.
    """
    for name in PACKAGES:
        with suppress(ImportError):  # the app will say what it misses
            importlib.import_module(name)
    # The app comes from the server, with modules of these names: what is installed here must not replace them.
    for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
        del sys.modules[name]
    gc.freeze()  # a collection in a child would copy every page of it
    os.chdir(folder)  # a socket's path is short: so it may lie anywhere
    with socket.socket(socket.AF_UNIX) as listener:
        Path("zygote.sock").unlink(missing_ok=True)
        os.umask(0o077)
        listener.bind("zygote.sock")
        listener.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the system
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print(f"ready, with {sum(name in sys.modules for name in PACKAGES)} packages", flush=True)
        while True:
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(caller)
            caller.close()


def _run(caller: socket.socket) -> None:
    """Become the process that was asked for, and end with it; the caller gets its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with caller:
        caller.settimeout(_PATIENCE_S)
        _, handles, _, _ = socket.recv_fds(caller, 1, 2)
        with caller.makefile("rb") as stream:
            call = json.loads(stream.read())
        caller.settimeout(None)
        for number, handle in zip((1, 2), handles, strict=True):
            os.dup2(handle, number)
            os.close(handle)
        os.environ.clear()
        os.environ.update(call["env"])
        os.chdir(call["cwd"])
        sys.argv = ["flwr-clientapp", *call["arguments"]]
        from flwr.supernode.cli import flwr_clientapp

        status = 1
        try:
            flwr_clientapp()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            gc.unfreeze()  # what is never collected is reported as leaked at the end
            with suppress(OSError):
                caller.sendall(bytes([status & 0xFF]))
    raise SystemExit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
