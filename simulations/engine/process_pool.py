"""`LocalEngine`: Flower's Grid over worker processes of this machine, without SuperLink and Ray."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType, TracebackType

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import torch
from flwr.app import Array, Message

from simulations.engine.in_process import LocalGrid
from simulations.engine.nodes import failed
from simulations.engine.shared_memory import Parcel, Reader, Slab, take_apart
from simulations.engine.worker import load_app, work

CLIENT_APP = "federated.client.app:app"
_TRIES = 2  # a message whose worker dies is tried once more
_END_S = 2


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    tasks: list[str] = field(default_factory=list)  # ids of messages: the one it works on, and the next


@dataclass(eq=False)
class _Filled:
    """A slab, the arrays in it, and the messages that need them."""

    slab: Slab
    arrays: list[Array]
    places: list[tuple[str, tuple[int, ...], str, int, int]]
    users: set[str] = field(default_factory=set)


class LocalEngine(LocalGrid):
    """Nodes whose ClientApp runs in as many processes as there are workers, each for one node at a time.

    Workers are forked from this process, which has imported everything by then, so that a start takes
    milliseconds. The model travels in shared memory, written once a round. Messages are handed out in the order
    in which they were pushed; `RoundGrid` pushes those for the largest clients first. A worker that dies is
    replaced, and its message is tried once more; what comes back does not depend on how many workers there are,
    nor on who answers first.

    Parameters
    ----------
    client_app : str
        ``module:attribute`` of the ClientApp.
    node_configs : mapping of int to dict, optional
        More node config by client id, such as ``site``.
    home : Path, optional
        ``FEDTWIN_HOME`` of the workers; this process's by default.
    """

    def __init__(
        self,
        client_app: str = CLIENT_APP,
        *,
        num_clients: int,
        workers: int,
        node_configs: Mapping[int, Mapping[str, str | int]] | None = None,
        home: Path | None = None,
    ) -> None:
        # Here rather than in each worker: what is imported before a fork is there after it.
        super().__init__(load_app(client_app), num_clients=num_clients, node_configs=node_configs)
        self.app_name, self.num_workers, self.home = client_app, workers, home
        self._workers: list[_Worker] = []
        self._order: deque[str] = deque()  # ids of messages that no worker has
        self._done: dict[str, Message] = {}
        self._tries: dict[str, int] = {}
        self._filled: list[_Filled] = []
        self._reader = Reader()

    def __enter__(self) -> LocalEngine:
        # A fork copies locks that other threads hold, for ever, and CUDA does not work in it once this process
        # has asked for a GPU; a fork server has no other threads and has not asked.
        alone = threading.active_count() == 1 and not torch.cuda.is_available()
        for _ in range(self.num_workers):
            self._start("fork" if alone else "forkserver")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if worker.tasks:
                worker.process.terminate()  # what it works on is not wanted any more
            with suppress(OSError):
                worker.connection.send(None)
        for worker in self._workers:
            worker.process.join(_END_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()
        self._reader.close()
        for filled in self._filled:
            filled.slab.close()
        self._filled.clear()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Queue messages.

        Returns
        -------
        list of str
            Their ids.
        """
        ids = super().push_messages(messages)
        for message_id in ids:
            self._tries[message_id] = 0
        self._order.extend(ids)
        return ids  # handed out when they are waited for: only then it is known how many are left

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies that are there."""
        self._collect(0.0)
        found = [message_id for message_id in message_ids if message_id in self._done]
        return [self._done.pop(message_id) for message_id in found]

    def wait(self, seconds: float) -> None:
        """Sleep until a worker has replied.

        Parameters
        ----------
        seconds : float
            At most.
        """
        if not self._done:
            self._collect(seconds)

    def _start(self, method: str) -> None:
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(["simulations.engine.worker", self.app_name.partition(":")[0]])
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=work, args=(theirs, self.app_name, self.home), daemon=True
        )
        with _without_main():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    def _hand_out(self) -> None:
        while self._order:
            worker = min(self._workers, key=lambda one: len(one.tasks))
            # A second message waits at the worker, unless so few are left that another may be free sooner.
            if len(worker.tasks) > int(len(self._order) > len(self._workers)):
                return
            self._send(worker, self._order.popleft())

    def _send(self, worker: _Worker, message_id: str) -> None:
        message = self._queue[message_id]
        rest, arrays = take_apart((message, self.contexts[message.metadata.dst_node_id]))
        filled = self._fill(arrays)
        filled.users.add(message_id)
        worker.tasks.append(message_id)
        with suppress(OSError):  # it is gone: `_collect` sees that
            worker.connection.send(Parcel(filled.slab.path, filled.places, rest))

    def _fill(self, arrays: list[Array]) -> _Filled:
        for filled in self._filled:
            if list(map(_identity, filled.arrays)) == list(map(_identity, arrays)):
                return filled
        filled = next((one for one in self._filled if not one.users), None) or _Filled(Slab(), [], [])
        filled.arrays, filled.places = arrays, filled.slab.fill(arrays)
        if filled not in self._filled:
            self._filled.append(filled)
        return filled

    def _collect(self, seconds: float) -> None:
        self._hand_out()
        connections = {worker.connection: worker for worker in self._workers}
        for ready in wait(list(connections), timeout=seconds):
            worker = connections[ready]  # type: ignore[index]
            try:
                reply, state = self._reader.read(worker.connection.recv())
            except (EOFError, OSError):
                self._replace(worker)
                continue
            message_id = worker.tasks.pop(0)
            self.contexts[self._queue[message_id].metadata.dst_node_id].state = state
            self._finish(message_id, reply)
        self._hand_out()

    def _finish(self, message_id: str, reply: Message) -> None:
        del self._queue[message_id], self._tries[message_id]
        self._done[message_id] = reply
        for filled in self._filled:
            filled.users.discard(message_id)

    def _replace(self, worker: _Worker) -> None:
        worker.process.join(_END_S)
        code = worker.process.exitcode
        worker.connection.close()
        self._workers.remove(worker)
        self._start("forkserver")  # by now there may be threads, such as that of a progress bar
        again: deque[str] = deque()
        for place, message_id in enumerate(worker.tasks):
            self._tries[message_id] += place == 0  # the others were not begun
            if self._tries[message_id] < _TRIES:
                again.append(message_id)
            else:
                how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
                reason = f"the client's process ended, twice ({how}); if it was killed for its memory, lower "
                reason += "federation.workers"
                self._finish(message_id, failed(self._queue[message_id], reason))
        self._order = again + self._order  # their turn was before the others'


@contextmanager
def _without_main() -> Iterator[None]:
    # A fork server's children import the main module again, and with it a user's script that has no
    # `if __name__ == "__main__"`; they need the ClientApp's module alone.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _identity(array: Array) -> tuple[int, str, tuple[int, ...]]:
    return id(array.data), array.dtype, tuple(array.shape)  # copies of a record share the bytes
