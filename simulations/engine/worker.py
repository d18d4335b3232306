"""A worker process of `LocalEngine`: one ClientApp that answers for whichever node it is asked."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path

from flwr.clientapp import ClientApp

from simulations.engine.nodes import answer, identify
from simulations.engine.shared_memory import Parcel, Reader, Slab, take_apart


def load_app(name: str) -> ClientApp:
    """Import a ClientApp.

    Parameters
    ----------
    name : str
        ``module:attribute``, as in Flower's components.
    """
    module, _, attribute = name.partition(":")
    app = getattr(import_module(module), attribute)
    assert isinstance(app, ClientApp), f"{name} is no ClientApp"
    return app


def work(connection: Connection, app_name: str, home: Path | None) -> None:
    """Answer messages until the engine says that there are no more, or is gone.

    Parameters
    ----------
    connection : Connection
        Gives parcels of (message, context), takes parcels of (reply, the context's state); None ends it.
    home : Path or None
        ``FEDTWIN_HOME`` from now on.
    """
    if home is not None:
        os.environ["FEDTWIN_HOME"] = str(home)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the engine decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_engine, daemon=True).start()
    identify()
    app = load_app(app_name)
    reader = Reader()
    # Two in turn: the engine sends the next message but one only when it has read the reply before.
    slabs = [Slab(), Slab()]
    for count in itertools.count():
        parcel: Parcel | None = connection.recv()
        if parcel is None:
            return
        message, context = reader.read(parcel)
        reply = answer(app, message, context)
        slab = slabs[count % 2]
        rest, arrays = take_apart((reply, context.state))
        connection.send(Parcel(slab.path, slab.fill(arrays), rest))


def _end_with_the_engine() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
