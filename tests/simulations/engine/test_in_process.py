"""`InProcessGrid` does what Flower's grid does: ids, a copy per node, lasting contexts, errors as replies."""

from __future__ import annotations

import pytest
from flwr.app import Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from simulations.engine.in_process import InProcessGrid
from simulations.engine.nodes import CLIENT_APP_RAISED

app = ClientApp()


@app.train()
def count(message: Message, context: Context) -> Message:
    """Counts its calls in its state, and changes what it was sent."""
    before = context.state.metric_records.get("calls", MetricRecord({"n": 0}))["n"]
    assert isinstance(before, int)
    context.state["calls"] = MetricRecord({"n": before + 1})
    message.content.metric_records["sent"]["x"] = 100
    answer = MetricRecord({"calls": before + 1, "partition": int(context.node_config["partition-id"])})
    return Message(RecordDict({"answer": answer}), reply_to=message)


@app.evaluate()
def fail(message: Message, context: Context) -> Message:
    raise ValueError("no luck")


@app.query()
def nothing(message: Message, context: Context) -> Message:
    return None  # type: ignore[return-value]


def messages(grid: InProcessGrid, kind: str = MessageType.TRAIN) -> list[Message]:
    content = RecordDict({"sent": MetricRecord({"x": 1})})
    return [Message(content, node, kind) for node in grid.get_node_ids()]


def test_every_node_gets_its_own_copy_and_its_own_config() -> None:
    grid = InProcessGrid(app, num_clients=3, node_configs={1: {"site": "north"}})
    outgoing = messages(grid)
    replies = grid.send_and_receive(outgoing)
    assert [reply.content.metric_records["answer"]["partition"] for reply in replies] == [0, 1, 2]
    assert [reply.metadata.src_node_id for reply in replies] == list(grid.get_node_ids())
    assert outgoing[0].content.metric_records["sent"]["x"] == 1
    configs = [context.node_config for context in grid.contexts.values()]
    assert [config["num-partitions"] for config in configs] == [3, 3, 3]
    assert [config.get("site") for config in configs] == [None, "north", None]


def test_a_nodes_state_stays() -> None:
    grid = InProcessGrid(app, num_clients=1)
    calls = [
        grid.send_and_receive(messages(grid))[0].content.metric_records["answer"]["calls"] for _ in range(3)
    ]
    assert calls == [1, 2, 3]


def test_pulling_runs_one_message_and_gives_its_reply_once() -> None:
    grid = InProcessGrid(app, num_clients=2)
    ids = grid.push_messages(messages(grid))
    assert len(set(ids)) == 2
    first = grid.pull_messages(ids)
    second = grid.pull_messages(ids)
    assert [reply.metadata.reply_to_message_id for reply in (*first, *second)] == ids
    assert grid.pull_messages(ids) == []
    assert grid.pull_messages(["unknown"]) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (MessageType.EVALUATE, "ValueError: no luck"),
        (MessageType.QUERY, "a ClientApp returned NoneType"),
        ("train.unknown", "No train function registered with name 'unknown'"),
    ],
)
def test_what_goes_wrong_is_an_error_reply(kind: str, reason: str) -> None:
    grid = InProcessGrid(app, num_clients=1)
    (reply,) = grid.send_and_receive(messages(grid, kind))
    assert reply.has_error()
    assert reply.error.code == CLIENT_APP_RAISED
    assert reason in (reply.error.reason or "")
