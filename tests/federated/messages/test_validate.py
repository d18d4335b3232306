"""One good reply passes; every broken one is rejected with a reason that names what is wrong."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from federated.messages.records import ARRAYS, METRICS, NUM_EXAMPLES, reply_content
from federated.messages.validate import Contract, check_reply
from federated.messages.wire import ArraySpec, ModelLayout, WireSpec, size_of
from shared.runtime.errors import ReplyRejected

pytestmark = pytest.mark.attack

GLOBAL = {
    "weight": np.ones((2, 3), dtype=np.float32),
    "counter": np.array(5, dtype=np.int64),
}
MODEL = ModelLayout.of(ArrayRecord({key: Array(value) for key, value in GLOBAL.items()}), trained=["weight"])
CONTRACT = Contract.of(MODEL, max_examples=1000)


def reply(**changes: Any) -> RecordDict:
    """A good reply, in which some arrays are others."""
    values = {**GLOBAL, **changes}
    arrays = {key: value if isinstance(value, Array) else Array(value) for key, value in values.items()}
    return reply_content(points=[], num_examples=7, arrays=ArrayRecord(arrays))


def check(content: RecordDict, announced: int = 7) -> None:
    check_reply(content, contract=CONTRACT, announced=announced, trained=True)


def with_bytes(
    data: bytes, *, shape: tuple[int, ...] = (2, 3), dtype: str = "float32", stype: str = "numpy.ndarray"
) -> RecordDict:
    return reply(weight=Array(dtype, shape, stype, data))


def npy(array: np.ndarray[Any, Any], *, pickles: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=pickles)
    return buffer.getvalue()


def weight(value: float, dtype: str = "float32") -> np.ndarray[Any, Any]:
    array = np.ones((2, 3), dtype=dtype)
    array[1, 2] = value
    return array


def test_a_good_reply_passes() -> None:
    check(reply())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (reply(weight=weight(np.nan)), "weight has 1 values that are NaN, infinite"),
        (reply(weight=weight(np.inf)), "weight has 1 values that are NaN, infinite"),
        (reply(weight=weight(-np.inf)), "weight has 1 values that are NaN, infinite"),
        (reply(weight=weight(3e38)), "beyond 1.7e+38"),
        (reply(counter=np.array(np.iinfo(np.int64).min)), "counter has 1 values"),
        (reply(weight=np.ones((3, 2), dtype=np.float32)), "weight must be float32 (2, 3), got float32 (3, 2)"),
        (reply(weight=np.ones((1,), dtype=np.float32)), "got float32 (1,)"),
        (reply(weight=np.ones((2, 3))), "got float64 (2, 3)"),
        (reply(counter=np.array(5.0)), "counter must be int64 (), got float64 ()"),
        (reply(more=np.ones(1)), "more is not an array of the model"),
        (with_bytes(npy(np.ones((2, 3)))), "its bytes are something else"),
        (with_bytes(npy(np.ones((6,), dtype=np.float32))), "its bytes are something else"),
        (with_bytes(npy(np.ones((2, 3), dtype=">f4"))), "its bytes are something else"),
        (with_bytes(b""), "weight cannot be decoded"),
        (with_bytes(b"\x93NUMPY"), "weight cannot be decoded"),
        (with_bytes(npy(GLOBAL["weight"])[:-1]), "weight cannot be decoded"),
        (with_bytes(npy(GLOBAL["weight"]), stype="torch.Tensor"), "weight cannot be decoded"),
        (with_bytes(npy(GLOBAL["weight"]) + b"x" * 2**17), "bytes, at most"),
        (with_bytes(npy(GLOBAL["weight"]), shape=(2, -3)), "got float32 (2, -3)"),
    ],
)  # fmt: skip
def test_broken_arrays(content: RecordDict, reason: str) -> None:
    with pytest.raises(ReplyRejected, match=re.escape(reason)):
        check(content)


def test_what_an_algorithm_declares_must_be_there_and_fit() -> None:
    wire = WireSpec(down=(ArraySpec("control"),), up=(ArraySpec("control", like="trained"),))
    assert size_of(wire.reply(MODEL)) == (4 * 6 + 8) + 4 * 6
    assert size_of(wire.message(MODEL)) == 2 * (4 * 6 + 8)
    contract = Contract.of(MODEL, wire=wire, max_examples=1000)

    def check(*names: str, control: np.ndarray[Any, Any] = GLOBAL["weight"]) -> None:
        content = reply()
        for name in names:
            content[name] = ArrayRecord({"weight": Array(control)})
        check_reply(content, contract=contract, announced=7, trained=True)

    check("control")
    with pytest.raises(
        ReplyRejected, match=r"expected ArrayRecords named \['arrays', 'control'\], got \['arrays'\]"
    ):
        check()
    with pytest.raises(ReplyRejected, match="named"):
        check("control", "more")
    with pytest.raises(ReplyRejected, match=r"its control do not fit the global model: weight must be float32"):
        check("control", control=np.ones(6, dtype=np.float32))
    with pytest.raises(ReplyRejected, match=r"its control .* weight has 1 values that are NaN"):
        check("control", control=weight(np.nan))


def test_local_arrays_travel_only_where_the_algorithm_says_so() -> None:
    model = ModelLayout.of(ArrayRecord({k: Array(v) for k, v in GLOBAL.items()}), local=["counter"])
    whole, part = reply(), reply()
    del part.array_records[ARRAYS]["counter"]
    for sends, good, bad in ((True, whole, part), (False, part, whole)):
        contract = Contract.of(model, wire=WireSpec(sends_local=sends), max_examples=1000)
        check_reply(good, contract=contract, announced=7, trained=True)
        with pytest.raises(ReplyRejected, match="counter"):
            check_reply(bad, contract=contract, announced=7, trained=True)


def huge_header() -> bytes:
    data = npy(np.ones((2, 3), dtype=np.float32))
    return data.replace(b"(2, 3), }" + b" " * 12, b"(2000000000000, 3), }"[:21])


def test_a_header_that_claims_terabytes_is_rejected() -> None:
    with pytest.raises(ReplyRejected, match="weight cannot be decoded"):
        check(with_bytes(huge_header()))


@pytest.mark.parametrize("claimed", [b"(-1, 3)", b"(2, -1)", b"(-2, 3)"])
def test_a_header_with_a_negative_length_is_rejected(claimed: bytes) -> None:
    data = npy(np.ones((2, 3), dtype=np.float32))
    changed = data.replace(b"(2, 3), }" + b" " * (len(claimed) - 6), claimed + b", }")
    assert len(changed) == len(data)
    assert claimed in changed
    with pytest.raises(ReplyRejected, match="weight cannot be decoded"):
        check(with_bytes(changed))


class Bomb:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    array = np.empty((2, 3), dtype=object)
    array.fill(Bomb(trap))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("arr.npy", npy(array, pickles=True))
    for data in (pickle.dumps(Bomb(trap)), npy(array, pickles=True), archive.getvalue()):
        with pytest.raises(ReplyRejected, match=r"weight (cannot be decoded|must be)"):
            check(with_bytes(data))
    assert not trap.exists()


@pytest.mark.parametrize("count", [0, -1, 10**12, 2**62, 6, 8, 7.0, float("nan"), float("inf"), [7], []])
def test_wrong_counts(count: Any) -> None:
    content = reply()
    content[METRICS] = MetricRecord({NUM_EXAMPLES: count})
    with pytest.raises(ReplyRejected, match="num-examples"):
        check(content)


def test_true_is_not_a_count() -> None:
    content = reply()
    content.metric_records[METRICS].__dict__["_data"][NUM_EXAMPLES] = True  # past Flower's own check
    with pytest.raises(ReplyRejected, match="must be a whole number, got True"):
        check(content, announced=1)


def test_a_count_that_was_not_announced_is_rejected() -> None:
    with pytest.raises(ReplyRejected, match="is 7, but the client announced 9"):
        check(reply(), announced=9)


def remove(content: RecordDict, key: str) -> RecordDict:
    del content[key]
    return content


def put(content: RecordDict, key: str, record: Any) -> RecordDict:
    content[key] = record
    return content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (remove(reply(), METRICS), "expected MetricRecords named ['metrics'], got []"),
        (remove(reply(), ARRAYS), "expected ArrayRecords named ['arrays'], got []"),
        (put(reply(), "more", ArrayRecord()), "got ['arrays', 'more']"),
        (put(remove(reply(), ARRAYS), "other", ArrayRecord()), "got ['other']"),
        (put(reply(), "more", MetricRecord({"a": 1})), "got ['metrics', 'more']"),
        (put(reply(), METRICS, MetricRecord({"a": 1})), "expected only 'num-examples' in 'metrics', got ['a']"),
        (put(reply(), METRICS, MetricRecord({NUM_EXAMPLES: 7, "a": 1})), "got ['num-examples', 'a']"),
        (put(reply(), METRICS, ConfigRecord({NUM_EXAMPLES: 7})), "got []"),
        (put(reply(), ARRAYS, ArrayRecord()), "weight is missing"),
        (RecordDict(), "got []"),
    ],
)
def test_wrong_records(content: RecordDict, reason: str) -> None:
    with pytest.raises(ReplyRejected, match=re.escape(reason)):
        check(content)


def test_arrays_in_another_order_are_rejected() -> None:
    # FedAvgM goes by position: two arrays of one shape would change places.
    arrays = ArrayRecord({key: Array(GLOBAL[key]) for key in reversed(GLOBAL)})
    with pytest.raises(ReplyRejected, match="another order"):
        check(reply_content(points=[], num_examples=7, arrays=arrays))


def test_an_evaluate_reply_holds_no_arrays() -> None:
    def check_evaluation(content: RecordDict) -> None:
        check_reply(content, contract=CONTRACT, announced=7, trained=False)

    check_evaluation(reply_content(points=[], num_examples=7))
    with pytest.raises(ReplyRejected, match="expected ArrayRecords named"):
        check_evaluation(reply())


def test_many_problems_are_counted() -> None:
    more = {f"key{number}": np.ones(1) for number in range(15)}
    with pytest.raises(ReplyRejected, match=r"key9 is not an array of the model; and 5 more$"):
        check(reply(**more))


def test_all_problems_of_a_reply_are_named() -> None:
    content = reply(weight=weight(np.nan), more=np.ones(1))
    with pytest.raises(ReplyRejected, match=r"more is not an array of the model; weight has 1"):
        check(content)
