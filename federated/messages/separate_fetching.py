"""`SeparateFetching`: Flower's grid, whose replies arrive each on its own; none waits for another's arrays."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any, cast

from flwr.app import Error, Message, MessageType, Metadata
from flwr.app.message import make_message
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PullAppMessagesResponse
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.superlink.grid import HttpGrid

from federated.messages.grid import UNREADABLE

MOST_AT_A_TIME = 32
_UNREADABLE = 0  # Flower's code of an error that it has no name for


class SeparateFetching(Grid):
    """Fetches the arrays of each reply in a thread of its own.

    Flower's grid takes the headers of all replies that are there, and then fetches their arrays one reply after
    the other, each for up to minutes: a site that announces a reply and sends its arrays slowly, or never,
    keeps those of all others back, past any deadline. Here a call returns what has arrived whole.

    Parameters
    ----------
    grid : HttpGrid
        Its own code fetches, confirms and builds each message.
    """

    def __init__(self, grid: HttpGrid) -> None:
        self.inner = grid
        self._fetching: set[str] = set()  # ids of the messages whose replies are being fetched
        self._announced: SimpleQueue[PullAppMessagesResponse] = SimpleQueue()
        self._arrived: SimpleQueue[list[Message] | BaseException] = SimpleQueue()
        self._any = threading.Event()
        self._workers = 0
        self._lock = threading.Lock()  # of the workers' number and the next of what is announced

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Ask for replies, and return those that have arrived whole, now or since the last call."""
        asked = [message_id for message_id in message_ids if message_id not in self._fetching]
        if asked:
            found = self.inner._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=asked))
            for header, tree in zip(found.messages_list, found.message_object_trees, strict=True):
                self._fetching.add(header.metadata.reply_to_message_id)
                one = PullAppMessagesResponse(messages_list=[header], message_object_trees=[tree])
                self._announced.put(one)
                self._add_worker()
        self._any.clear()
        arrived: list[Message] = []
        while not self._arrived.empty():
            fetched = self._arrived.get()
            if isinstance(fetched, BaseException):
                raise fetched
            arrived += fetched
        self._fetching -= {message.metadata.reply_to_message_id for message in arrived}
        return arrived

    def wait(self, seconds: float) -> None:
        """Sleep, or until a reply has arrived whole."""
        self._any.wait(seconds)

    def _add_worker(self) -> None:
        with self._lock:
            if self._workers == MOST_AT_A_TIME:
                return
            self._workers += 1
        # One that waits for a site's arrays does not keep the process from ending.
        threading.Thread(target=self._fetch_all, name="fedtwin-fetch", daemon=True).start()

    def _fetch_all(self) -> None:
        while True:
            with self._lock:
                if self._announced.empty():
                    self._workers -= 1
                    return
                announced = self._announced.get()
            try:
                self._arrived.put(self._fetch(announced))
            except BaseException as error:  # of the connection: raised in the caller's thread
                self._arrived.put(error)
            self._any.set()

    def _fetch(self, announced: PullAppMessagesResponse) -> list[Message]:
        grid = copy.copy(self.inner)
        grid._client = cast(RuntimeHttpClient, _Announced(self.inner._client, announced))
        (header,) = announced.messages_list
        try:
            return list(grid.pull_messages([header.metadata.reply_to_message_id]))
        except UNREADABLE as error:
            reason = f"the reply cannot be read: {type(error).__name__}: {error}"
            return [_error_reply(header.metadata.reply_to_message_id, reason=reason)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on to Flower's grid."""
        return self.inner.push_messages(messages)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Not used: `RoundGrid` sends and receives."""
        raise NotImplementedError

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Not used: messages are made by their constructor, as Flower advises."""
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        """The nodes that are there."""
        return self.inner.get_node_ids()

    @property
    def run(self) -> Run:
        """Flower's run."""
        return self.inner.run

    def set_run(self, run: Run) -> None:
        """Pass on to Flower's grid."""
        self.inner.set_run(run)


class _Announced:
    """The grid's client, of which one reply is already announced: its header is not asked for again."""

    def __init__(self, client: Any, announced: PullAppMessagesResponse) -> None:
        self._client, self._found = client, announced

    def PullMessages(self, _request: PullAppMessagesRequest) -> PullAppMessagesResponse:  # Flower's
        return self._found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def _error_reply(reply_to: str, *, reason: str) -> Message:
    metadata = Metadata(
        run_id=0,
        message_id="",
        src_node_id=0,
        dst_node_id=0,
        reply_to_message_id=reply_to,
        group_id="",
        created_at=time.time(),
        ttl=0,
        message_type=MessageType.QUERY,  # it must have one
    )
    return make_message(metadata=metadata, error=Error(_UNREADABLE, reason))
