"""The worker process of `ProcessPoolGrid`: runs a ClientApp for one message after another, of any node."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path

from flwr.clientapp import ClientApp

from simulations.engine.nodes import run_client_app, set_task_identity
from simulations.engine.shared_memory import BufferReader, SharedBuffer, SharedObject, pickle_without_arrays


def load_app(name: str) -> ClientApp:
    """Import a ClientApp.

    Parameters
    ----------
    name : str
        ``module:attribute``, as in Flower's components.
    """
    module, _, attribute = name.partition(":")
    app = getattr(import_module(module), attribute)
    assert isinstance(app, ClientApp), f"{name} is not a ClientApp"
    return app


def work(connection: Connection, app_name: str, home: Path | None, environment: Mapping[str, str]) -> None:
    """Process messages until the parent sends None or is gone.

    Parameters
    ----------
    connection : Connection
        Receives shared objects of (message, context), sends shared objects of (reply, the context's state).
    home : Path or None
        ``FEDTWIN_HOME`` from now on.
    environment : mapping of str to str
        Of the parent now: a fork server has that of its first use, in which less may have been allowed to run.
    """
    os.environ.clear()
    os.environ.update(environment)
    if home is not None:
        os.environ["FEDTWIN_HOME"] = str(home)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent handles it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    # A daemon may start no processes, and a user's DataLoader may have workers; they end with this process.
    vars(multiprocessing.current_process())["_config"]["daemon"] = False
    set_task_identity()
    app = load_app(app_name)
    reader = BufferReader()
    # Two buffers in turn: the parent sends the next message but one only after reading the previous reply.
    buffers = [SharedBuffer(), SharedBuffer()]
    for count in itertools.count():
        received: SharedObject | None = connection.recv()
        if received is None:
            return
        message, context = reader.read(received)
        reply = run_client_app(app, message, context)
        buffer = buffers[count % 2]
        rest, arrays = pickle_without_arrays((reply, context.state))
        connection.send(SharedObject(buffer.path, buffer.fill(arrays), rest))


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
