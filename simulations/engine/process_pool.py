"""`ProcessPoolGrid`: a Flower Grid over worker processes on this machine, without SuperLink or Ray."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import torch
from flwr.app import Array, Message

from shared.runtime.main_module import without_main
from simulations.engine.in_process import InProcessGrid
from simulations.engine.nodes import error_reply
from simulations.engine.shared_memory import BufferReader, SharedBuffer, SharedObject, pickle_without_arrays
from simulations.engine.worker import load_app, work

CLIENT_APP = "federated.client.app:app"
_TRIES = 2  # a message whose worker dies is retried once
_END_S = 2


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    tasks: list[str] = field(default_factory=list)  # message ids: the one in progress, and the next


@dataclass(eq=False)
class _LoadedBuffer:
    """A shared buffer, the arrays in it, and the messages that use them."""

    buffer: SharedBuffer
    arrays: list[Array]
    slices: list[tuple[str, tuple[int, ...], str, int, int]]
    users: set[str] = field(default_factory=set)


class ProcessPoolGrid(InProcessGrid):
    """Runs the nodes' ClientApp in worker processes, each for one node at a time.

    Workers are forked after all imports, so that they start within milliseconds. The model is passed in shared
    memory, written once per round. Messages are dispatched in the order in which they were pushed; `RoundGrid`
    pushes those for the largest clients first. A worker that dies is replaced and its message retried once. The
    results depend neither on the number of workers nor on the order of their replies.

    Parameters
    ----------
    client_app : str
        ``module:attribute`` of the ClientApp.
    node_configs : mapping of int to dict, optional
        Additional node config by client id, such as ``site``.
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
        # Imported here rather than in each worker: a forked process shares its parent's imports.
        super().__init__(load_app(client_app), num_clients=num_clients, node_configs=node_configs)
        self.app_name, self.num_workers, self.home = client_app, workers, home
        self._workers: list[_Worker] = []
        self._order: deque[str] = deque()  # ids of messages not yet dispatched
        self._done: dict[str, Message] = {}
        self._tries: dict[str, int] = {}
        self._loaded: list[_LoadedBuffer] = []
        self._reader = BufferReader()

    def __enter__(self) -> ProcessPoolGrid:
        # A forked process inherits locks held by other threads for ever, and CUDA does not work in it once this
        # process has initialized a GPU; a fork server has no other threads and has not initialized one.
        alone = threading.active_count() == 1 and not torch.cuda.is_available()
        for _ in range(self.num_workers):
            self._start("fork" if alone else "forkserver")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if worker.tasks:
                worker.process.terminate()  # its result is no longer needed
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
        for loaded in self._loaded:
            loaded.buffer.close()
        self._loaded.clear()

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
        return ids  # dispatched when replies are awaited: only then is it known how many are left

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies received so far."""
        self._collect(0.0)
        found = [message_id for message_id in message_ids if message_id in self._done]
        return [self._done.pop(message_id) for message_id in found]

    def wait(self, seconds: float) -> None:
        """Wait until a worker has replied.

        Parameters
        ----------
        seconds : float
            Longest time to wait.
        """
        if not self._done:
            self._collect(seconds)

    def _start(self, method: str) -> None:
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(["simulations.engine.worker", self.app_name.partition(":")[0]])
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=work, args=(theirs, self.app_name, self.home, dict(os.environ)), daemon=True
        )
        with without_main():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    def _dispatch(self) -> None:
        while self._order:
            worker = min(self._workers, key=lambda one: len(one.tasks))
            # Queue a second message at a worker, unless so few are left that another worker may be free sooner.
            if len(worker.tasks) > int(len(self._order) > len(self._workers)):
                return
            self._send(worker, self._order.popleft())

    def _send(self, worker: _Worker, message_id: str) -> None:
        message = self._queue[message_id]
        rest, arrays = pickle_without_arrays((message, self.contexts[message.metadata.dst_node_id]))
        loaded = self._load(arrays)
        loaded.users.add(message_id)
        worker.tasks.append(message_id)
        with suppress(OSError):  # the worker is gone: `_collect` notices
            worker.connection.send(SharedObject(loaded.buffer.path, loaded.slices, rest))

    def _load(self, arrays: list[Array]) -> _LoadedBuffer:
        for loaded in self._loaded:
            if list(map(_identity, loaded.arrays)) == list(map(_identity, arrays)):
                return loaded
        loaded = next((one for one in self._loaded if not one.users), None) or _LoadedBuffer(
            SharedBuffer(), [], []
        )
        loaded.arrays, loaded.slices = arrays, loaded.buffer.fill(arrays)
        if loaded not in self._loaded:
            self._loaded.append(loaded)
        return loaded

    def _collect(self, seconds: float) -> None:
        self._dispatch()
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
        self._dispatch()

    def _finish(self, message_id: str, reply: Message) -> None:
        del self._queue[message_id], self._tries[message_id]
        self._done[message_id] = reply
        for loaded in self._loaded:
            loaded.users.discard(message_id)

    def _replace(self, worker: _Worker) -> None:
        worker.process.join(_END_S)
        code = worker.process.exitcode
        worker.connection.close()
        self._workers.remove(worker)
        self._start("forkserver")  # there may be threads by now, such as that of a progress bar
        again: deque[str] = deque()
        for place, message_id in enumerate(worker.tasks):
            self._tries[message_id] += place == 0  # the others were not started
            if self._tries[message_id] < _TRIES:
                again.append(message_id)
            else:
                how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
                reason = f"the client's process died twice ({how}); if memory ran out, lower federation.workers"
                self._finish(message_id, error_reply(self._queue[message_id], reason))
        self._order = again + self._order  # these were pushed earlier


def _identity(array: Array) -> tuple[int, str, tuple[int, ...]]:
    return id(array.data), array.dtype, tuple(array.shape)  # copies of a record share their bytes
