"""Messages of a round: every reply is judged once, whatever arrives, when and how often."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest
from flwr.app import Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from federated.messages.delivery import Delivery
from federated.messages.grid import RoundGrid
from federated.messages.records import error_content
from shared.runtime.errors import DivergedError, ReplyRejected
from simulations.engine.in_process import InProcessGrid

NODES = {1000: 2, 1001: 0, 1002: 1}  # node to client, in another order


def echo() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return Message(RecordDict({"node": MetricRecord({"id": context.node_id})}), reply_to=message)

    return app


class Clerk:
    """A handler that refuses some clients, and remembers everything."""

    def __init__(self, rejected: Iterable[int] = ()) -> None:
        self.rejected = set(rejected)
        self.seen: list[int] = []
        self.delivery = Delivery()
        self.finished = 0

    def accept(self, message_type: str, client_id: int, reply: Message) -> None:
        assert message_type == MessageType.TRAIN
        self.seen.append(client_id)
        if client_id in self.rejected:
            raise ReplyRejected(f"no \x1b[2J client {client_id}")

    def idle(self) -> None:
        self.idled = True

    def finish(self, message_type: str, delivery: Delivery) -> None:
        assert message_type == MessageType.TRAIN
        self.delivery, self.finished = delivery, self.finished + 1


def send(inner: InProcessGrid, clerk: Clerk, *, timeout: float | None = 5.0) -> list[int]:
    """Send to all nodes; the nodes that replied, in the order of the replies."""
    grid = RoundGrid(inner, clients=NODES, handler=clerk)
    content = RecordDict({"a": MetricRecord({"b": 1})})  # 1 + 8 bytes
    messages = [Message(content, node, MessageType.TRAIN) for node in NODES]
    replies = grid.send_and_receive(messages, timeout=timeout)
    return [reply.metadata.src_node_id for reply in replies]


def test_replies_come_back_by_client_whatever_their_order() -> None:
    class Shuffled(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            return super().pull_messages(random.sample(list(message_ids), k=len(list(message_ids))))

    for seed in range(5):
        random.seed(seed)
        clerk = Clerk()
        assert send(Shuffled(echo(), num_clients=3), clerk) == [1001, 1002, 1000]
        assert clerk.delivery.sent == clerk.delivery.replied == [0, 1, 2]
        assert clerk.delivery.failed == {}
        assert clerk.delivery.bytes_down == {0: 9, 1: 9, 2: 9}
        assert clerk.delivery.bytes_up == {0: 10, 1: 10, 2: 10}
        assert set(clerk.delivery.seconds) == {0, 1, 2}
        assert clerk.finished == 1


def test_nodes_are_listed_by_client() -> None:
    inner = InProcessGrid(echo(), num_clients=3)
    assert RoundGrid(inner, clients=NODES, handler=Clerk()).get_node_ids() == [1001, 1002, 1000]


def test_nothing_to_send_is_nothing_to_finish() -> None:
    clerk = Clerk()
    assert (
        RoundGrid(InProcessGrid(echo(), num_clients=3), clients=NODES, handler=clerk).send_and_receive([]) == []
    )
    assert clerk.finished == 0


def test_a_refusal_is_a_reason_without_control_characters() -> None:
    clerk = Clerk(rejected=[1])
    assert send(InProcessGrid(echo(), num_clients=3), clerk) == [1001, 1000]
    assert clerk.delivery.failed == {1: "rejected: no ?[2J client 1"}
    assert clerk.delivery.replied == [0, 2]


def test_what_a_client_raises_is_a_reason() -> None:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if context.node_id == 1000:
            raise RuntimeError("out of memory")
        if context.node_id == 1001:
            return Message(error_content(DivergedError("train/loss is nan")), reply_to=message)
        return "not a message"  # type: ignore[return-value]

    clerk = Clerk()
    assert send(InProcessGrid(app, num_clients=3), clerk) == []
    assert clerk.seen == []
    assert clerk.delivery.failed == {
        0: "DivergedError: train/loss is nan",
        1: "error 2: AssertionError: a ClientApp returned str",
        2: "error 2: RuntimeError: out of memory",
    }


class Extra(InProcessGrid):
    """Every pull also brings replies that nobody waits for."""

    def __init__(self) -> None:
        super().__init__(echo(), num_clients=3)
        self.before: list[Message] = []

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        stranger = Message(RecordDict(), 7, MessageType.TRAIN)
        stranger.metadata.__dict__["_message_id"] = "stranger"
        fresh = super().pull_messages(message_ids)
        replies = [Message(RecordDict(), reply_to=stranger), *self.before, *fresh, *fresh]
        self.before = fresh
        return replies


def test_strange_and_repeated_replies_are_passed_over() -> None:
    clerk = Clerk()
    assert send(Extra(), clerk) == [1001, 1002, 1000]
    assert sorted(clerk.seen) == [0, 1, 2]


class Late(InProcessGrid):
    """Node 1002 never replies."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [reply for reply in super().pull_messages(message_ids) if reply.metadata.src_node_id != 1002]


def test_a_reply_that_is_not_there_by_the_deadline_is_missing() -> None:
    clerk = Clerk()
    began = time.monotonic()
    assert send(Late(echo(), num_clients=3), clerk, timeout=1.0) == [1001, 1000]
    assert time.monotonic() - began >= 1
    assert clerk.delivery.failed == {1: "no reply within 1 s"}
    assert 1 not in clerk.delivery.seconds


def test_no_pause_between_polls_is_longer_than_a_quarter_of_a_second() -> None:
    class Patient(Late):
        def __init__(self) -> None:
            super().__init__(echo(), num_clients=3)
            self.pauses: list[float] = []

        def wait(self, seconds: float) -> None:
            self.pauses.append(seconds)
            time.sleep(seconds)

    inner = Patient()
    send(inner, Clerk(), timeout=3.0)
    assert inner.pauses[0] < 0.02  # prompt at first, then backed off
    assert max(inner.pauses) == 0.25
    assert len(inner.pauses) < 30


def messages_for(kind: str) -> list[Message]:
    return [Message(RecordDict({"a": MetricRecord({"b": 1})}), node, kind) for node in NODES]


class Swallows(InProcessGrid):
    """The first messages to node 1002 are lost on their way, as Flower loses them when a connection is cut."""

    def __init__(self, *, lost: int) -> None:
        super().__init__(echo(), num_clients=3)
        self.lost = lost
        self.pushed: list[int] = []
        self.gone: set[int] = set()

    def get_node_ids(self) -> list[int]:
        return [node for node in super().get_node_ids() if node not in self.gone]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = super().push_messages(messages)
        for message_id in ids:
            node = self._queue[message_id].metadata.dst_node_id
            self.pushed.append(node)
            if node == 1002 and self.lost:
                self.lost -= 1
                del self._queue[message_id]
        return ids


def test_a_message_that_was_lost_is_sent_again_and_its_reply_counts() -> None:
    clerk, inner = Clerk(), Swallows(lost=2)
    grid = RoundGrid(inner, clients=NODES, handler=clerk, ask_again_s=0.1)
    replies = grid.send_and_receive(messages_for(MessageType.TRAIN), timeout=30)
    assert [reply.metadata.src_node_id for reply in replies] == [1001, 1002, 1000]
    assert clerk.delivery.asked_again == {1: 2}
    assert clerk.delivery.bytes_down == {0: 9, 1: 27, 2: 9}
    assert clerk.delivery.failed == {}
    assert clerk.delivery.seconds[1] >= 0.3  # 0.1 s, then 0.2 s: the wait doubles


def test_without_a_wait_nothing_is_sent_again() -> None:
    clerk, inner = Clerk(), Swallows(lost=1)
    assert send(inner, clerk, timeout=1.0) == [1001, 1000]
    assert inner.pushed == [1001, 1002, 1000]


def test_a_node_that_is_away_is_neither_asked_nor_asked_again() -> None:
    clerk, inner = Clerk(), Swallows(lost=1)
    grid = RoundGrid(inner, clients=NODES, handler=clerk, ask_again_s=0.1)
    inner.gone = {1000}
    assert grid._send(messages_for(MessageType.TRAIN)[:1], clerk.delivery) == {}
    assert clerk.delivery.absent == {2: "is not connected"}
    waiting = grid._send(messages_for(MessageType.TRAIN)[2:], clerk.delivery)
    inner.gone = {1002}
    time.sleep(0.11)
    assert grid._repeat(waiting, clerk.delivery) == {}
    assert clerk.delivery.asked_again == {}


def test_a_reply_after_the_deadline_is_dropped_and_recorded_and_its_client_skips_the_evaluation() -> None:
    class Slow(InProcessGrid):
        busy = True

        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            ids = list(message_ids)
            if self.busy:
                ids = [
                    id_ for id_ in ids if self._queue.get(id_) and self._queue[id_].metadata.dst_node_id != 1002
                ]
            return super().pull_messages(sorted(ids))  # the oldest first

    app = echo()

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return Message(RecordDict({"node": MetricRecord({"id": context.node_id})}), reply_to=message)

    class Recorder(Clerk):
        def accept(self, message_type: str, client_id: int, reply: Message) -> None:
            self.seen.append(client_id)

        def finish(self, message_type: str, delivery: Delivery) -> None:
            self.delivery = delivery

    clerk, inner = Recorder(), Slow(app, num_clients=3)
    grid = RoundGrid(inner, clients=NODES, handler=clerk)
    assert len(grid.send_and_receive(messages_for(MessageType.TRAIN), timeout=0.5)) == 2
    assert clerk.delivery.failed == {1: "no reply within 0.5 s"}
    assert len(grid.send_and_receive(messages_for(MessageType.EVALUATE), timeout=30)) == 2
    assert clerk.delivery.absent == {1: "still owes its training reply"}
    inner.busy = False
    replies = grid.send_and_receive(messages_for(MessageType.TRAIN), timeout=30)
    assert len(replies) == 3  # it is asked anew, and what it owed is not taken for the answer
    assert set(clerk.delivery.late) == {1}
    assert clerk.delivery.late[1] >= 0.5
    assert clerk.seen.count(1) == 1


class Gone(InProcessGrid):
    """Messages to node 1000 cannot be pushed."""

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        messages = list(messages)
        if messages[0].metadata.dst_node_id == 1000:
            return []
        return super().push_messages(messages)


def test_a_node_that_is_gone_is_named_at_once() -> None:
    clerk = Clerk()
    assert send(Gone(echo(), num_clients=3), clerk, timeout=None) == [1001, 1002]
    assert "no longer there" in clerk.delivery.failed[2]


def test_an_error_of_flower_for_a_dead_node_goes_to_its_client() -> None:
    class Dead(InProcessGrid):
        def _run(self, message: Message) -> Message:
            reply = Message(Error(code=5, reason="Node unavailable"), reply_to=message)
            reply.metadata.__dict__["_src_node_id"] = 1  # the SuperLink's own
            return reply

    clerk = Clerk()
    assert send(Dead(echo(), num_clients=3), clerk) == []
    assert clerk.delivery.failed == dict.fromkeys((0, 1, 2), "error 5: Node unavailable")


class Unreadable(InProcessGrid):
    """As Flower's: all replies that are there come in one pull, and all are lost if one cannot be read."""

    def __init__(self) -> None:
        super().__init__(echo(), num_clients=3)
        self.pulls: list[int] = []

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        wanted = list(message_ids)
        self.pulls.append(len(wanted))
        # Two are there at the first pull, the third later.
        there = [message_id for message_id in wanted if len(self.pulls) > 1 or message_id != "message-1"]
        replies = [
            reply for message_id in there for reply in super(Unreadable, self).pull_messages([message_id])
        ]
        if any(reply.metadata.src_node_id == 1002 for reply in replies):
            raise TypeError("the bytes of node 1002 are no record")
        return replies


def test_a_reply_that_flower_cannot_read_does_not_end_the_run() -> None:
    clerk, inner = Clerk(), Unreadable()
    assert send(inner, clerk, timeout=1.0) == [1001]  # the first message is for client 0
    assert set(clerk.delivery.failed.values()) == {"no reply within 1 s"}
    assert set(inner.pulls[1:]) == {1}
    again = Clerk()
    grid = RoundGrid(inner, clients=NODES, handler=again)
    grid._one_by_one = True
    messages = [Message(RecordDict(), node, MessageType.TRAIN) for node in NODES]
    assert len(grid.send_and_receive(messages, timeout=1.0)) == 2  # alone, it harms nobody
    assert again.delivery.failed == {1: "no reply within 1 s"}


def test_a_lost_connection_is_an_error() -> None:
    class Lost(InProcessGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            raise ConnectionError("the SuperLink is gone")

    with pytest.raises(ConnectionError):
        send(Lost(echo(), num_clients=3), Clerk())
