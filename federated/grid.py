"""`RoundGrid`: the messages of a round over Flower's grid; the replies that pass come back, in client order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from flwr.app import Message
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from federated.reading import printable, read_error, telling_line_first
from federated.records import size_in_bytes
from shared.errors import ReplyRefused

# What Flower raises when the bytes of a reply are not what they should be.
UNREADABLE = (DecodeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


@dataclass
class Exchange:
    """What happened to the messages of one send.

    Attributes
    ----------
    sent : list of int
        Client ids, ascending.
    replied : list of int
        Clients whose reply was accepted.
    failed : dict of int to str
        Client id to reason: an error, a refusal, or no reply in time.
    bytes_down, bytes_up : dict of int to int
        Client id to bytes.
    seconds : dict of int to float
        Client id to the time from sending to its reply.
    """

    sent: list[int] = field(default_factory=list)
    replied: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    bytes_down: dict[int, int] = field(default_factory=dict)
    bytes_up: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)


class ReplyHandler(Protocol):
    """Sees each reply as it arrives."""

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        """Check and record a reply.

        Parameters
        ----------
        message_type : str
        client_id : int
        reply : Message

        Raises
        ------
        ReplyRefused
            It is left out, with this reason.
        """
        ...

    def idle(self) -> None:
        """Record what was put aside: nothing has come in the last poll."""
        ...

    def finish(self, message_type: str, exchange: Exchange) -> None:
        """Record what happened to all messages of one send.

        Parameters
        ----------
        message_type : str
        exchange : Exchange
        """
        ...


class RoundGrid(Grid):
    """Flower's grid, with prompt polling, a deadline, and a handler that may refuse replies.

    Parameters
    ----------
    grid : Grid
        Flower's, or one that has a method ``wait``, which sleeps for so many seconds or until there is a reply.
    clients : dict of int to int
        Node id to client id.
    handler : ReplyHandler
    """

    def __init__(self, grid: Grid, *, clients: dict[int, int], handler: ReplyHandler) -> None:
        self.inner, self.clients, self.handler = grid, clients, handler
        self._one_by_one = False
        self._wait: Callable[[float], None] = getattr(grid, "wait", time.sleep)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages, wait for their replies, and let the handler judge each as it arrives.

        Parameters
        ----------
        messages : iterable of Message
            All of one type.
        timeout : float, optional
            Seconds.

        Returns
        -------
        list of Message
            The accepted replies, sorted by client id, whatever order they came in.
        """
        outgoing = sorted(messages, key=lambda message: self.clients[message.metadata.dst_node_id])
        if not outgoing:
            return []
        exchange, began = Exchange(), time.monotonic()
        waiting: dict[str, int] = {}
        for message in outgoing:
            client_id = self.clients[message.metadata.dst_node_id]
            exchange.sent.append(client_id)
            exchange.bytes_down[client_id] = size_in_bytes(message.content)
            pushed = list(self.inner.push_messages([message]))
            if pushed and pushed[0]:
                waiting[pushed[0]] = client_id
            else:
                exchange.failed[client_id] = "Flower did not take the message: the node is no longer there"
        kind = outgoing[0].metadata.message_type
        accepted: dict[int, Message] = {}
        pause = 0.005
        while waiting and (timeout is None or time.monotonic() - began < timeout):
            replies = self._pull(waiting)
            for reply in replies:
                if reply.metadata.reply_to_message_id not in waiting:
                    continue  # nobody was asked, or it has answered already: the first reply counts
                client_id = waiting.pop(reply.metadata.reply_to_message_id)
                exchange.seconds[client_id] = time.monotonic() - began
                reason = self._judge(kind, client_id, reply, exchange)
                if reason is None:
                    accepted[client_id] = reply
                else:
                    exchange.failed[client_id] = printable(reason)
            pause = 0.005 if replies else min(pause * 1.5, 0.25)
            if waiting and not replies:
                self.handler.idle()
                self._wait(pause)
        for client_id in waiting.values():
            exchange.failed[client_id] = f"no reply within {timeout:g} s"
        exchange.replied = sorted(accepted)
        self.handler.finish(kind, exchange)
        return [accepted[client_id] for client_id in exchange.replied]

    def _pull(self, waiting: Iterable[str]) -> list[Message]:
        if not self._one_by_one:
            try:
                return list(self.inner.pull_messages(list(waiting)))
            except UNREADABLE:
                # Flower drops all replies of a pull in which it cannot read one: from now on each comes alone.
                self._one_by_one = True
        replies: list[Message] = []
        for message_id in list(waiting):
            with suppress(*UNREADABLE):  # not seen again: its sender will be said to be late
                replies += self.inner.pull_messages([message_id])
        return replies

    def _judge(self, kind: str, client_id: int, reply: Message, exchange: Exchange) -> str | None:
        if reply.has_error():
            return f"error {reply.error.code}: {telling_line_first(reply.error.reason or '')}"
        exchange.bytes_up[client_id] = size_in_bytes(reply.content)
        if (error := read_error(reply.content)) is not None:
            return f"{type(error).__name__}: {error}"
        try:
            self.handler.accept(kind, client_id, reply)
        except ReplyRefused as refusal:
            return f"refused: {refusal}"
        return None

    def get_node_ids(self) -> list[int]:
        """The nodes that were there when the run began, by client id.

        Returns
        -------
        list of int
        """
        return sorted(self.clients, key=lambda node_id: self.clients[node_id])

    @property
    def run(self) -> Run:
        """Flower's run."""
        return self.inner.run

    def set_run(self, run: Run) -> None:
        """Pass on to Flower's grid.

        Parameters
        ----------
        run : Run
        """
        self.inner.set_run(run)

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Not used: messages are made by their constructor, as Flower advises."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on to Flower's grid.

        Parameters
        ----------
        messages : iterable of Message

        Returns
        -------
        iterable of str
        """
        return self.inner.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on to Flower's grid.

        Parameters
        ----------
        message_ids : iterable of str

        Returns
        -------
        iterable of Message
        """
        return self.inner.pull_messages(message_ids)
