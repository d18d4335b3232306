"""What is packed comes out the same; sizes are counted by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from torch import nn

from federated.messages.parse import read_points, read_statistics
from federated.messages.records import (
    CONFIG,
    SERVER_ROUND,
    STATE_ROUND,
    TrainOrder,
    _header,
    array_of,
    arrays_from_state,
    arrays_of,
    reply_content,
    size_in_bytes,
    state_of,
    values_of,
)
from federated.messages.validate import Contract, check_reply
from federated.messages.wire import ModelLayout
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import Outputs
from shared.metrics.point import MetricPoint


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_arrays_and_back_keep_values_types_shapes_and_order() -> None:
    original = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    original(torch.rand(2, 3, 3, 3))  # moves the running statistics and the counter
    before = original.state_dict()
    after = state_of(arrays_of(original))
    assert list(after) == list(before)
    for key, tensor in before.items():
        assert after[key].dtype == tensor.dtype
        assert after[key].shape == tensor.shape
        assert torch.equal(after[key], tensor)
    assert after["1.num_batches_tracked"].shape == ()


def test_arrays_are_not_views_of_the_network() -> None:
    original = network()
    arrays = arrays_of(original)
    loaded = state_of(arrays)
    with torch.no_grad():
        original[0].weight.fill_(7.0)
    assert not np.any(arrays["0.weight"].numpy() == 7.0)
    loaded["0.weight"].fill_(8.0)
    assert not np.any(arrays["0.weight"].numpy() == 8.0)


def test_memory_format_does_not_change_the_bytes() -> None:
    tensor = torch.arange(24.0).view(1, 2, 3, 4)
    packed = [
        arrays_from_state({"a": tensor.contiguous(memory_format=layout)})["a"].data
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    assert packed[0] == packed[1]


def test_train_order_survives_the_message() -> None:
    agreed = '{"class_weights": [0.5, 1.5]}'
    order = TrainOrder(
        snapshot='{"ü": 1}', round=3, lr_scale=0.1, agreed=agreed, run_key="0" * 32, state_round=2
    )
    message = Message(RecordDict({CONFIG: order.to_record()}), 1, MessageType.TRAIN)
    assert TrainOrder.from_message(message) == order
    plain = Message(RecordDict({CONFIG: TrainOrder("{}").to_record()}), 1, MessageType.TRAIN)
    assert TrainOrder.from_message(plain).agreed == "{}"
    assert plain.content.config_records[CONFIG][SERVER_ROUND] == 0


@pytest.mark.parametrize("field", [SERVER_ROUND, STATE_ROUND])
def test_a_round_that_could_lead_to_another_file_is_not_read(field: str) -> None:
    record = ConfigRecord({**TrainOrder("{}").to_record(), field: "../../1"})
    with pytest.raises(ValueError, match="invalid literal"):
        TrainOrder.from_message(Message(RecordDict({CONFIG: record}), 1, MessageType.TRAIN))


def test_snapshot_is_sent_as_bytes_which_flower_does_not_log() -> None:
    assert isinstance(TrainOrder("{}").to_record()["snapshot"], bytes)


def test_sizes() -> None:
    array = Array(np.zeros(3, dtype=np.float32))
    content = RecordDict(
        {
            "arrays": ArrayRecord({"a": array}),
            "metrics": MetricRecord({"ab": 1, "c": [1.0, 2.0]}),  # 2 + 8, 1 + 16
            "config": ConfigRecord({"d": "üx", "e": b"xyz", "f": []}),  # 1 + 3, 1 + 3, 1
        }
    )
    assert size_in_bytes(content) == len(array.data) + 10 + 17 + 4 + 4 + 1


def test_reply_without_arrays_has_no_array_record() -> None:
    content = reply_content(points=[MetricPoint("val", "loss", 0.5)], num_examples=4)
    assert not content.array_records
    assert content.metric_records["metrics"] == {"num-examples": 4}


def over_the_wire(content: RecordDict) -> RecordDict:
    """To bytes and back, as Flower does it."""
    contents = {key: item.deflate() for key, item in get_all_nested_objects(content).items()}
    inflated = inflate_object_from_contents(content.object_id, contents)
    assert isinstance(inflated, RecordDict)
    return inflated


def test_flowers_wire_keeps_what_the_contract_asks_for() -> None:
    arrays = arrays_of(network())
    judge = ClassificationMetrics(2)
    outputs = Outputs(np.array([[0.25, 0.75]] * 4), np.array([0, 1, 1, 0]))
    content = over_the_wire(
        reply_content(
            points=[MetricPoint("val", "loss", 0.1 + 0.2, num_examples=4)],
            num_examples=4,
            arrays=arrays,
            statistics=judge.statistics(outputs),
        )
    )
    check_reply(
        content, contract=Contract.of(ModelLayout.of(arrays), max_examples=10), announced=4, trained=True
    )
    assert content.array_records["arrays"] == arrays
    (point,) = read_points(content, stage="val", round=1, client_id=0, epochs=2)
    assert (point.name, point.value, point.epoch, point.num_examples) == ("loss", 0.1 + 0.2, None, 4)
    statistics = read_statistics(content, judge=judge, num_examples=4, required=True)
    assert statistics is not None
    assert judge.pooled(statistics) == pytest.approx(judge.values(outputs))
    empty = over_the_wire(reply_content(points=[], num_examples=4))
    assert read_points(empty, stage="val", round=1, client_id=0, epochs=2) == []


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.array(3),
        np.zeros((0, 4), dtype=np.float16),
    ],
    ids=["C order", "Fortran order", "a number", "empty"],
)
def test_arrays_are_packed_and_read_as_flower_does(values):
    ours, theirs = array_of(values), Array(np.asarray(values, order="C"))
    assert (ours.dtype, tuple(ours.shape), ours.stype, ours.data) == (
        theirs.dtype,
        tuple(theirs.shape),
        theirs.stype,
        theirs.data,
    )
    np.testing.assert_array_equal(values_of(ours), values)
    fortran = io.BytesIO()
    np.save(fortran, np.asfortranarray(values))
    of_others = Array(
        dtype=str(values.dtype), shape=values.shape, stype="numpy.ndarray", data=fortran.getvalue()
    )
    np.testing.assert_array_equal(values_of(of_others), values)


def test_bytes_that_are_no_array_are_not_read():
    whole = array_of(np.arange(4.0))
    for data in (b"", whole.data[:20], whole.data[:-1], b"x" * 200):
        with pytest.raises(Exception, match=r"."):
            values_of(Array(dtype="float64", shape=(4,), stype="numpy.ndarray", data=data))
    with pytest.raises(TypeError):
        values_of(Array(dtype="float64", shape=(4,), stype="pickle", data=whole.data))
    pickled = io.BytesIO()
    np.save(pickled, np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        values_of(Array(dtype="object", shape=(1,), stype="numpy.ndarray", data=pickled.getvalue()))


@pytest.mark.parametrize("shape", [(-1,), (-5,), (2, -1), (2, -3)])
def test_negative_lengths_are_not_read(shape):
    data = _header(shape, np.dtype(np.float32)) + bytes(24)
    with pytest.raises(ValueError, match="negative"):
        values_of(Array(dtype="float32", shape=(6,), stype="numpy.ndarray", data=data))
