"""Points, statistics, descriptions and errors from clients: what is read, and what is rejected."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict

from federated.messages.parse import (
    printable,
    read_error,
    read_info,
    read_points,
    read_statistics,
    telling_line_first,
)
from federated.messages.records import (
    CLIENT,
    ERROR,
    POINTS,
    STATISTICS,
    ClientInfo,
    error_content,
    reply_content,
)
from shared.data.profile import Profile
from shared.data.schema import Schema
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.point import MetricPoint
from shared.runtime.errors import DivergedError, FedtwinError, PartitionError, ReplyRejected

pytestmark = pytest.mark.attack

GOOD: dict[str, Any] = {
    "stages": ["train", "train"],
    "names": ["loss", "accuracy"],
    "values": [0.5, 1.0],
    "epochs": [1, 1],
    "counts": [7, 7],
}


def points(**changes: Any) -> list[MetricPoint]:
    record = ConfigRecord()
    record.__dict__["_data"].update({**GOOD, **changes})  # past Flower's own check, which clients need not run
    return read_points(RecordDict({POINTS: record}), stage="train", round=3, client_id=2, epochs=2)


def test_points_come_out_as_they_went_in() -> None:
    sent = [
        MetricPoint("train", "loss", 0.1 + 0.2, epoch=1, round=3, client_id=2, num_examples=7),
        MetricPoint("train", "loss", 1e-40, epoch=2, round=3, client_id=2, num_examples=7),
        MetricPoint("train", "a.b_c/d@5-x", -3.0, round=3, client_id=2),
    ]
    content = reply_content(points=sent, num_examples=7)
    got = read_points(content, stage="train", round=3, client_id=2, epochs=2)
    fields = ("stage", "name", "value", "epoch", "round", "client_id", "num_examples")
    assert [[getattr(point, field) for field in fields] for point in got] == [
        [getattr(point, field) for field in fields] for point in sent
    ]


def test_no_points_are_points() -> None:
    assert points(**{key: [] for key in GOOD}) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"values": [0.5, float("nan")]}, "accuracy is nan, expected a finite number"),
        ({"values": [float("inf"), 1.0]}, "loss is inf"),
        ({"values": [0.5, -1e39]}, "accuracy is -1e+39"),
        ({"values": [0.5, 10**400]}, "a number beyond 64 bits"),
        ({"values": [0.5, True]}, "accuracy is True"),
        ({"values": ["0.5", "1"]}, "loss is '0.5'"),
        ({"values": [0.5]}, "cannot be read"),
        ({"values": 0.5}, "'values' must be a list, got float"),
        ({"values": "ab"}, "'values' must be a list, got str"),
        ({"values": None}, "'values' must be a list, got NoneType"),
        ({"names": ["loss", "x\x00y"]}, "expected a name of letters"),
        ({"names": ["loss", "\x1b[2J"]}, "expected a name of letters"),
        ({"names": ["loss", ""]}, "expected a name of letters"),
        ({"names": ["loss", "x" * 101]}, "expected a name of letters"),
        ({"names": ["loss", "\ud800"]}, "expected a name of letters"),
        ({"names": ["loss", 3]}, "expected a name of letters"),
        ({"names": ["loss", "bytes_up"]}, "bytes_up is measured by the server"),
        ({"names": ["loss", "loss"]}, "two values for the same name and epoch"),
        ({"stages": ["train", "val"]}, "expected stage train, got 'val'"),
        ({"stages": ["train", "test"]}, "expected stage train, got 'test'"),
        ({"stages": ["train", 1]}, "expected stage train, got 1"),
        ({"epochs": [1, -1]}, "expected a whole number in [0, 2147483647], got -1"),
        ({"epochs": [1, 2**31]}, "got 2147483648"),
        ({"epochs": [1, True]}, "got True"),
        ({"counts": [7, 7.0]}, "got 7.0"),
        ({"counts": [7, 10**5000]}, "a number beyond 64 bits"),
    ],
)  # fmt: skip
def test_rejected_points(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReplyRejected, match=re.escape(reason)):
        points(**changes)


def test_more_points_than_a_training_has_are_rejected() -> None:
    """A site could fill the database: 100 metrics of two local epochs are what is expected at most."""
    names = [f"m{number}" for number in range(100)]
    most = {
        "stages": ["train"] * 300,
        "names": names * 3,
        "values": [0.5] * 300,
        "epochs": [epoch for epoch in range(3) for _ in names],
        "counts": [7] * 300,
    }
    assert len(points(**most)) == 300
    more = {key: [*value, value[0]] for key, value in most.items()}
    with pytest.raises(ReplyRejected, match="it has 301 points; at most 300 are expected"):
        points(**more)


def test_no_points_at_all() -> None:
    with pytest.raises(ReplyRejected, match=re.escape("expected a ConfigRecord 'points', got []")):
        read_points(RecordDict(), stage="val", round=1, client_id=0, epochs=1)


JUDGE = ClassificationMetrics(2)
KNOWN = JUDGE.statistics(Outputs(np.array([[0.25, 0.75]] * 4), np.array([0, 1, 1, 0]))).to_bytes()


def statistics(*, required: bool = True, num_examples: int = 4, **changes: Any) -> Any:
    record = ConfigRecord()
    record.__dict__["_data"].update({**KNOWN, **changes})
    content = RecordDict({STATISTICS: record})
    return read_statistics(content, judge=JUDGE, num_examples=num_examples, required=required)


def test_statistics() -> None:
    assert statistics()["confusion"].tolist() == [[0, 2], [0, 2]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"more": b""}, "expected the statistics"),
        ({"confusion": "x"}, "expected bytes, got 'x'"),
        ({"confusion": [1, 2]}, "expected bytes"),
        ({"confusion": b"x"}, "confusion does not hold 4 counts"),
        ({"loss": np.array([np.nan]).tobytes()}, "loss has sums that are not finite"),
        ({"loss": np.array([-1.0]).tobytes()}, "loss is -1"),
        ({"num_examples": 5}, "confusion adds up to 4, expected 5"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_rejected_statistics(changes: dict[str, Any], reason: str, required: bool) -> None:
    with pytest.raises(ReplyRejected, match=re.escape(reason)):
        statistics(required=required, **changes)


def test_a_site_may_keep_its_statistics_unless_they_are_needed() -> None:
    assert read_statistics(RecordDict(), judge=JUDGE, num_examples=4, required=False) is None
    with pytest.raises(ReplyRejected, match="expected a ConfigRecord 'statistics'"):
        read_statistics(RecordDict(), judge=JUDGE, num_examples=4, required=True)


INFO = ClientInfo(
    client_id=1,
    num_partitions=2,
    name="Hôpital Nord",
    schema=Schema(classes=("sick", "well")),
    num_examples=10,
    profile=Profile({"label": {"sick": 4, "well": 6}}, {"age": (18.0, 91.5)}, {"age": 2}),
    num_val=3,
)


def profile(**changes: Any) -> str:
    return json.dumps({**Profile().as_dict(), **changes})


def schema(**changes: Any) -> str:
    return json.dumps({**json.loads(Schema().to_json()), **changes})


def described(**changes: Any) -> Message:
    record = INFO.to_record()
    record.__dict__["_data"].update(changes)
    return Message(RecordDict({CLIENT: record}), 1, MessageType.QUERY)


def test_descriptions_come_out_as_they_went_in() -> None:
    assert read_info(described()) == INFO


def test_a_name_cannot_move_the_cursor() -> None:
    assert read_info(described(name="a\x1b[2J\nb")).name == "a?[2J b"
    assert len(read_info(described(name="x" * 5000)).name) < 300


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client-id": -1}, "expected a whole number"),
        ({"client-id": 0.0}, "expected a whole number"),
        ({"client-id": True}, "expected a whole number"),
        ({"num-examples": 5}, "its profile counts 6 rows of 5 examples"),
        ({"profile": profile(counts={"label": {"a": -1}})}, "expected a whole number"),
        ({"profile": profile(counts={"label": {"a": True}})}, "expected a whole number"),
        ({"profile": profile(counts={"label": [1]})}, "expected values by name"),
        ({"profile": profile(spans={"age": [2, 1]})}, "expected the smallest and the largest value"),
        ({"profile": profile(spans={"age": [0, float("nan")]})}, "expected the smallest and the largest value"),
        ({"profile": profile(spans={"age": [0, 10**400]})}, "expected the smallest and the largest value"),
        ({"profile": profile(missing={"age": 11})}, "its profile counts 11 rows of 10 examples"),
        ({"profile": profile(rows=["Ann"])}, "expected counts, spans, missing and moments"),
        ({"profile": "[" * 100_000}, "cannot be read"),
        ({"profile": "3"}, "expected counts, spans, missing and moments"),
        ({"profile": b"{}"}, "expected a text"),
        ({"name": b"x"}, "expected a text"),
        ({"schema": schema(classes=[1, 2])}, "expected a list of texts"),
        ({"schema": schema(classes="ab")}, "expected a list"),
        ({"schema": schema(horizon=-1)}, "expected a horizon"),
        ({"schema": schema(inputs=[{"name": "age", "kind": "colour", "levels": []}])}, "of a known kind"),
        ({"schema": schema(more=1)}, "expected a schema"),
        ({"schema": "{"}, "cannot be read"),
        ({"num-val": "3"}, "expected a whole number"),
    ],
)
def test_rejected_descriptions(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReplyRejected, match=re.escape(reason)):
        read_info(described(**changes))


def test_a_description_that_is_not_there() -> None:
    message = described()
    del message.content[CLIENT]
    with pytest.raises(ReplyRejected, match="expected a ConfigRecord 'client'"):
        read_info(message)
    empty = described()
    empty.content[CLIENT] = ConfigRecord()
    with pytest.raises(ReplyRejected, match="client-id"):
        read_info(empty)


def test_errors_keep_their_kind_and_text() -> None:
    error = read_error(error_content(PartitionError("too few rows:\n  - client 3")))
    assert type(error) is PartitionError
    assert str(error) == "too few rows:\n  - client 3"
    assert read_error(RecordDict()) is None


@pytest.mark.parametrize("name", ["Nonsense", "bullet_list", "Sequence", "__name__", 3, b"x"])
def test_errors_of_no_known_kind(name: Any) -> None:
    error = read_error(RecordDict({ERROR: ConfigRecord({"name": name, "text": "a\x07b"})}))
    assert type(error) is FedtwinError
    assert str(error) == "a?b"


def test_an_error_record_without_text() -> None:
    assert type(read_error(RecordDict({ERROR: ConfigRecord({"name": "DivergedError"})}))) is DivergedError


def test_printable() -> None:
    assert printable("a\tb\r\nc\x00\x1b\ud800é") == "a?b?\nc???é"
    assert printable("abcdef", limit=3) == "abc..."


RAY = """<class 'ray.exceptions.RayTaskError(ClientAppException)'>:<'ray::ClientAppActor.run()
  File "actor.py", line 1, in run
ValueError: bad

Exception ClientAppException occurred. Message: bad'>"""


@pytest.mark.parametrize(
    ("reason", "first"),
    [
        ("ValueError: bad\n", "ValueError: bad"),
        ("<class 'ValueError'>:<'bad\nand worse'>", "<class 'ValueError'>:<'bad"),
        (RAY, "Exception ClientAppException occurred. Message: bad'>"),
        ("", "no reason given"),
        ("\n \n", "no reason given"),
    ],
)
def test_the_telling_line_comes_first(reason: str, first: str) -> None:
    text = telling_line_first(reason)
    assert text.splitlines()[0] == first
    assert len(telling_line_first(reason + "\n" + "x" * 10_000)) < 2000
