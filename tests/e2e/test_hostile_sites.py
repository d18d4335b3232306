"""Sites that send the worst that Flower's protocol carries to a real SuperLink: named, and left out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import add_header_to_object_body

from benchmarks.deadlines import hidden, site
from benchmarks.light_nodes import Answer, LightFederation
from federated.launch.launch import prepare_run
from federated.messages.records import ARRAYS, METRICS, NUM_EXAMPLES, POINTS, values_of
from shared.config.compose import compose
from shared.runtime.errors import LONGEST_LINE
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.federated.hostile_replies import Spoil, column, data_of, examples, one, raw_array

pytestmark = [pytest.mark.slow, pytest.mark.attack, pytest.mark.timeout(900)]

ROUNDS = 2
MANY = 100_000
HUGE = "1" + "0" * 5000  # as text: neither Python's JSON nor protobuf writes it as a number


def with_body(kind: type[Any], body: bytes) -> Any:
    """A record of a kind whose bytes on the wire are not what Flower would write."""

    def deflate(self: Any) -> bytes:
        return add_header_to_object_body(object_body=body, obj=self)

    # The header holds the name of the class.
    return type(kind.__name__, (kind,), {"deflate": deflate})()


class HugeShape(Array):
    """An array that says that its first side is 10^5000."""

    def deflate(self) -> bytes:
        content = super().deflate()
        shape = json.dumps(list(self.shape)).encode()
        assert shape in content
        body = content.split(b"\x00", 1)[1].replace(shape, f"[{HUGE}]".encode())
        return add_header_to_object_body(object_body=body, obj=self)


HugeShape.__qualname__ = "Array"


def huge_shape(content: RecordDict) -> None:
    key, first = next(iter(content.array_records[ARRAYS].items()))
    made = HugeShape.__new__(HugeShape)
    for name in ("dtype", "shape", "stype", "data"):
        object.__setattr__(made, name, getattr(first, name))
    data_of(content[ARRAYS])[key] = made


def many_points(content: RecordDict) -> None:
    names = [f"m{number}" for number in range(MANY)]
    every = {"stages": ["train"], "values": [0.5], "epochs": [1], "counts": [1]}
    data_of(content[POINTS]).update(names=names, **{key: value * MANY for key, value in every.items()})


def many_metrics(content: RecordDict) -> None:
    data_of(content[METRICS]).update({f"m{number}": 0.5 for number in range(MANY)})


def replaced(name: str, record: Any) -> Spoil:
    return lambda content: data_of(content).update({name: record})


CASES: dict[str, tuple[Spoil, str]] = {
    "a count beyond 64 bits": (examples(2**64 - 1), "holds a whole number beyond 64 bits"),
    "the largest count": (examples(2**63 - 1), "(federation.max_examples), got 9223372036854775807"),
    "a count that is not a number": (examples(math.nan), "must be a whole number, got nan"),
    "a count of other kind": (column("counts", ["1"]), "cannot be read"),
    "NaN": (one(math.nan), "values that are NaN, infinite"),
    "a shape of 10^12": (raw_array(shape=(10**12,)), "got float32 (1000000000000,)"),
    "a shape of 10^5000": (huge_shape, "the reply cannot be read"),
    "metrics that are no protobuf": (
        replaced(METRICS, with_body(MetricRecord, b"\xff" * 1000)),
        "the reply cannot be read",
    ),
    "arrays that are JSON without end": (
        replaced(ARRAYS, with_body(ArrayRecord, b'{"a":' * 100_000)),
        "the reply cannot be read",
    ),
    "points that are someone's pickle": (
        replaced(POINTS, with_body(ConfigRecord, b"cos\nsystem\n(S'id'\ntR.")),
        "the reply cannot be read",
    ),
    "100,000 points": (many_points, f"it has {MANY} points"),
    "100,000 metrics": (many_metrics, f"expected only '{NUM_EXAMPLES}'"),
}


def hostile(answer: Answer, spoil: Spoil) -> Answer:
    """A site that spoils its training replies only: what it says of itself is true."""

    def spoiled(message: Message) -> Message:
        reply = answer(message)
        if message.metadata.message_type == MessageType.TRAIN:
            spoil(reply.content)
        return reply

    return spoiled


def heard(answer: Answer, arrays: list[dict[str, Any]]) -> Answer:
    """A site that keeps the arrays that it is sent, and those that it sends."""

    def kept(message: Message) -> Message:
        reply = answer(message)
        if message.metadata.message_type == MessageType.TRAIN:
            for content in (message.content, reply.content):
                found = content.array_records[ARRAYS]
                arrays.append({key: values_of(array).copy() for key, array in found.items()})
        return reply

    return kept


def wait_until(done: Callable[[], bool], *, of: LightFederation) -> None:
    while not done():
        assert of.process.poll() is None, "the SuperLink ended"
        time.sleep(0.5)


def test_the_worst_that_the_protocol_carries_is_named_and_left_out(tmp_path: Path) -> None:
    total = 2 + len(CASES)
    cfg = compose(
        [
            "model.widths=[8,8]",
            f"model.hidden={hidden(0.05)}",
            "federation.engine=flower",
            f"federation.num_clients={total}",
            f"federation.num_rounds={ROUNDS}",
            "federation.min_replies=2",
            "federation.round_timeout_s=300",
            "federation.connect_timeout_s=600",
            "strategy.fraction_evaluate=0",
            "trainer.test_model=last",
            "trainer.accelerator=cpu",
        ]
    )
    place = Home(root=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'fedtwin.db'}")
    place.root.mkdir()
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []
    with Store(place.database_url) as store, LightFederation(place) as federation:
        run_id = prepare_run(cfg, store=store)
        federation.add_node(heard(site(0, total), first))
        federation.add_node(heard(site(1, total), second))
        for number, (spoil, _) in enumerate(CASES.values(), start=2):
            federation.add_node(hostile(site(number, total), spoil))
        federation.run(run_id)
        wait_until(lambda: store.runs.get(run_id).finished, of=federation)
        run, rounds, rows = store.runs.get(run_id), store.rounds.of_run(run_id), store.metrics.of_run(run_id)
    assert (run.status, run.error) == ("completed", None)
    assert [row.round for row in rounds] == list(range(1, ROUNDS + 1))
    for row in rounds:
        assert row.replied == [0, 1]
        named = {name: row.failed.pop(number, "") for number, name in enumerate(CASES, start=2)}
        wrong = {name: named[name] for name, (_, reason) in CASES.items() if reason not in named[name]}
        assert wrong == {}
        assert row.failed == {}
        assert all(len(reason) < LONGEST_LINE + 100 for reason in named.values())
    # Both have as many examples: what the second round begins with is their mean, and of nobody else.
    for key, begun in first[2].items():
        np.testing.assert_allclose(begun, (first[1][key] + second[1][key]) / 2, rtol=1e-6, atol=1e-7)
    assert {row.client_id for row in rows if row.stage == "train" and row.name == "loss"} <= {None, 0, 1}
    assert len(rows) < 20 * total * ROUNDS
