"""`RoundGrid`: the messages of a round over Flower's grid; the replies that pass come back, in client order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from federated.messages.delivery import NOT_CONNECTED, Delivery, ReplyHandler
from federated.messages.norm_bound import FEWEST, NormBound
from federated.messages.parse import printable, read_error, telling_line_first
from federated.messages.records import size_in_bytes
from federated.messages.sendable import check_sendable
from federated.messages.turns import Turns
from shared.runtime.errors import ReplyRejected

# What Flower raises when the bytes of a reply are not what they should be.
UNREADABLE = (DecodeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


@dataclass
class _Question:
    """A message that waits for its answer."""

    message: Message
    client_id: int
    asked: float  # seconds of the monotonic clock, as all times here
    due: float  # when it is asked again
    patience: float


class RoundGrid(Grid):
    """Flower's grid, with prompt polling, a deadline, questions asked again, and a handler that judges replies.

    Flower gives a message to its node once: what a cut connection swallows, or a node that is killed, is lost.
    So a node that does not answer is asked again, after twice the time that the slowest answer of this kind has
    taken, and each time the wait doubles. The first answer counts: clients answer alike every time.

    Parameters
    ----------
    grid : Grid
        Flower's, or one that has a method ``wait``, which sleeps for so many seconds or until there is a reply.
    clients : dict of int to int
        Node id to client id.
    ask_again_s : float, optional
        The shortest wait before a question is repeated; None: never.
    examples : mapping of int to int, optional
        Client id to training examples. Clients with many are asked first, as they take longest; those with
        equally many go by their id, and so do all without this.
    take : callable, optional
        Gets each accepted training reply in the order in which the clients were asked; see `Turns`.
    bound : NormBound, optional
        Drops training replies that are far longer than others.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        clients: dict[int, int],
        handler: ReplyHandler,
        ask_again_s: float | None = None,
        examples: Mapping[int, int] | None = None,
        take: Callable[[Message], None] | None = None,
        bound: NormBound | None = None,
    ) -> None:
        self.inner, self.clients, self.handler, self.ask_again_s = grid, clients, handler, ask_again_s
        self.examples, self.take, self.bound = examples or {}, take, bound
        self._one_by_one = False
        self._wait: Callable[[float], None] = getattr(grid, "wait", time.sleep)
        self._slowest: dict[str, float] = {}  # kind of message to seconds
        # What was not answered by its deadline: message id to client and the time when it was asked.
        self._missed: dict[str, tuple[int, float]] = {}
        self._behind: set[int] = set()  # clients that have missed this round's training

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
        outgoing = sorted(messages, key=self._place)
        if not outgoing:
            return []
        delivery, began, kind = Delivery(), time.monotonic(), outgoing[0].metadata.message_type
        waiting = self._send(outgoing, delivery)
        accepted: dict[int, Message] = {}
        turns = self._turns(kind, outgoing, [question.client_id for question in waiting.values()])
        pause = 0.005
        while waiting and (timeout is None or time.monotonic() - began < timeout):
            replies = self._pull([*waiting, *self._missed])
            replies.sort(key=lambda reply: reply.metadata.reply_to_message_id in waiting)  # late ones first
            for reply in replies:
                question = waiting.pop(reply.metadata.reply_to_message_id, None)
                if question is None:
                    self._note_late(reply, delivery)
                    continue
                client_id = question.client_id
                # A node works on one message at a time: what it has not answered by now will not be answered.
                self._missed = {id_: missed for id_, missed in self._missed.items() if missed[0] != client_id}
                if client_id in delivery.asked_again:  # its other messages count no more
                    waiting = {id_: other for id_, other in waiting.items() if other is not question}
                delivery.seconds[client_id] = time.monotonic() - question.asked
                reason = self._judge(kind, client_id, reply, delivery)
                if reason is None:
                    accepted[client_id] = reply
                    turns.arrived(client_id, reply)
                    self._slowest[kind] = max(self._slowest.get(kind, 0.0), delivery.seconds[client_id])
                else:
                    delivery.failed[client_id] = printable(reason)
                turns.advance(accepted, delivery)
            pause = 0.005 if replies else min(pause * 1.5, 0.25)
            if waiting and not replies:
                waiting |= self._repeat(waiting, delivery)
                self.handler.idle()
                self._wait(pause)
        for question in waiting.values():
            delivery.failed[question.client_id] = f"no reply within {timeout:g} s"
        turns.advance(accepted, delivery)
        self._missed |= {id_: (question.client_id, question.asked) for id_, question in waiting.items()}
        if kind == MessageType.TRAIN:
            self._behind = {question.client_id for question in waiting.values()}
        delivery.replied = sorted(accepted)
        self.handler.finish(kind, delivery)
        return [accepted[client_id] for client_id in delivery.replied]

    def _place(self, message: Message) -> tuple[int, int]:
        client_id = self.clients[message.metadata.dst_node_id]
        return -self.examples.get(client_id, 0), client_id

    def _turns(self, kind: str, messages: Sequence[Message], order: Sequence[int]) -> Turns:
        if kind != MessageType.TRAIN:
            return Turns(order, bound=None, take=None)
        bound = self.bound if len(order) >= FEWEST else None  # fewer are not judged
        if bound is not None:
            bound.begin(messages[0].content)
        return Turns(order, bound=bound, take=self.take)

    def _send(self, messages: Sequence[Message], delivery: Delivery) -> dict[str, _Question]:
        there, now = set(self.inner.get_node_ids()), time.monotonic()
        waiting = {}
        for message in messages:
            kind, node_id = message.metadata.message_type, message.metadata.dst_node_id
            client_id = self.clients[node_id]
            if node_id not in there:
                delivery.absent[client_id] = NOT_CONNECTED
                continue
            if kind == MessageType.EVALUATE and client_id in self._behind:
                delivery.absent[client_id] = "still owes its training reply"
                continue
            delivery.sent.append(client_id)
            delivery.bytes_down[client_id] = size_in_bytes(message.content)
            patience = max(self.ask_again_s or math.inf, 2 * self._slowest.get(kind, 0.0))
            if message_id := self._push(message):
                waiting[message_id] = _Question(message, client_id, now, now + patience, patience)
            else:
                delivery.failed[client_id] = "Flower did not take the message: the node is no longer there"
        delivery.sent.sort()
        return waiting

    def _push(self, message: Message) -> str:
        return next(iter(self.inner.push_messages([message])), "") or ""

    def _repeat(self, waiting: Mapping[str, _Question], delivery: Delivery) -> dict[str, _Question]:
        now = time.monotonic()
        due = {question.client_id: question for question in waiting.values() if question.due <= now}
        there = set(self.inner.get_node_ids()) if due else set()
        again = {}
        for question in due.values():
            metadata = question.message.metadata
            if metadata.dst_node_id not in there:
                question.due = now + 1.0  # Flower answers in place of a node that stays away
                continue
            copy = Message(
                question.message.content,
                metadata.dst_node_id,
                metadata.message_type,
                group_id=metadata.group_id,
            )
            if message_id := self._push(copy):
                again[message_id] = question
                delivery.asked_again[question.client_id] = delivery.asked_again.get(question.client_id, 0) + 1
                delivery.bytes_down[question.client_id] += size_in_bytes(copy.content)
            question.patience *= 2
            question.due = now + question.patience
        return again

    def _note_late(self, reply: Message, delivery: Delivery) -> None:
        missed = self._missed.get(reply.metadata.reply_to_message_id)
        if missed is None:
            return  # nobody was asked, or it has answered already: the first reply counts
        self._missed = {id_: other for id_, other in self._missed.items() if other != missed}
        if reply.has_content():
            client_id, asked = missed
            delivery.late[client_id] = time.monotonic() - asked

    def _pull(self, waiting: Iterable[str]) -> list[Message]:
        if not self._one_by_one:
            try:
                return list(self.inner.pull_messages(list(waiting)))
            except UNREADABLE:
                # Flower drops all replies of a pull in which it cannot read one: from now on each comes alone.
                self._one_by_one = True
        replies: list[Message] = []
        for message_id in list(waiting):
            with suppress(*UNREADABLE):  # not seen again: its sender counts as late
                replies += self.inner.pull_messages([message_id])
        return replies

    def _judge(self, kind: str, client_id: int, reply: Message, delivery: Delivery) -> str | None:
        if reply.has_error():
            return f"error {reply.error.code}: {telling_line_first(reply.error.reason or '')}"
        try:
            check_sendable(reply.content)
            delivery.bytes_up[client_id] = size_in_bytes(reply.content)
            if (error := read_error(reply.content)) is not None:
                return f"{type(error).__name__}: {error}"
            self.handler.accept(kind, client_id, reply)
        except ReplyRejected as rejection:
            return f"rejected: {rejection}"
        return None

    def get_node_ids(self) -> list[int]:
        """The nodes that were there when the run began, by client id."""
        return sorted(self.clients, key=lambda node_id: self.clients[node_id])

    @property
    def run(self) -> Run:
        """Flower's run."""
        return self.inner.run

    def set_run(self, run: Run) -> None:
        """Pass on to Flower's grid."""
        self.inner.set_run(run)

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Not used: messages are made by their constructor, as Flower advises."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on to Flower's grid."""
        return self.inner.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on to Flower's grid."""
        return self.inner.pull_messages(message_ids)
