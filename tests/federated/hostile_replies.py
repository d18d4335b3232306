"""Replies that break a rule, each with the reason that names it, and ClientApps that send them."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from federated.messages.records import ARRAYS, METRICS, NUM_EXAMPLES, POINTS
from tests.federated.federation_kit import Asked, toy_app

Spoil = Callable[[RecordDict], Any]


def data_of(record: Any) -> dict[str, Any]:
    """Past the checks of Flower's records, which a client need not run."""
    data: dict[str, Any] = record.__dict__["_data"]
    return data


def array(change: Callable[[np.ndarray[Any, Any]], Any]) -> Spoil:
    """Change the first array."""

    def spoil(content: RecordDict) -> None:
        arrays = content.array_records[ARRAYS]
        key = next(iter(arrays))
        values = change(arrays[key].numpy().copy())
        arrays[key] = values if isinstance(values, Array) else Array(np.asarray(values))

    return spoil


def raw_array(**changes: Any) -> Spoil:
    """Replace fields of the first array, past the checks of Flower's records."""

    def spoil(content: RecordDict) -> None:
        first = next(iter(content.array_records[ARRAYS].values()))
        fields = {
            "dtype": first.dtype,
            "shape": first.shape,
            "stype": first.stype,
            "data": first.data,
            **changes,
        }
        bad = Array.__new__(Array)
        for name, value in fields.items():
            object.__setattr__(bad, name, value)
        data_of(content[ARRAYS])[next(iter(content.array_records[ARRAYS]))] = bad

    return spoil


def one(value: float) -> Spoil:
    def change(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values.flat[0] = value
        return values

    return array(change)


def metric(**changes: Any) -> Spoil:
    return lambda content: data_of(content[METRICS]).update({NUM_EXAMPLES: 20, **changes})


def examples(value: Any) -> Spoil:
    return lambda content: data_of(content[METRICS]).update({NUM_EXAMPLES: value})


def point(column: str, value: Any) -> Spoil:
    """Change the first point."""
    return lambda content: data_of(content[POINTS]).update(
        {column: [value, *data_of(content[POINTS])[column][1:]]}
    )


def column(name: str, value: Any) -> Spoil:
    return lambda content: data_of(content[POINTS]).update({name: value})


def drop(key: str) -> Spoil:
    return lambda content: content.pop(key)


def drop_array(content: RecordDict) -> None:
    arrays = content.array_records[ARRAYS]
    del arrays[next(iter(arrays))]


def other_array(content: RecordDict) -> None:
    content.array_records[ARRAYS]["extra\x1b[31m"] = Array(np.zeros(1))


def second_record(content: RecordDict) -> None:
    content["second"] = ArrayRecord(dict(content.array_records[ARRAYS]))


def renamed_record(content: RecordDict) -> None:
    content["elsewhere"] = content.pop(ARRAYS)


def garbage(content: RecordDict) -> None:
    content.clear()
    content["garbage"] = ConfigRecord({"a": b"\x00\xff"})


def raises(content: RecordDict) -> None:
    raise MemoryError("\x1b[31mCUDA\x00 out of memory")


ANY_REPLY: dict[str, tuple[Spoil, str]] = {
    "count 0": (examples(0), "must be in [1,"),
    "count -1": (examples(-1), "must be in [1,"),
    "count 10^12": (examples(10**12), "(federation.max_examples), got 1000000000000"),
    "count NaN": (examples(math.nan), "must be a whole number, got nan"),
    "count True": (examples(True), "must be a whole number, got True"),
    "count float": (examples(20.0), "must be a whole number, got 20.0"),
    "count list": (examples([20]), "must be a whole number, got [20]"),
    "count text": (examples("20"), "must be a whole number"),
    "count of another": (examples(21), "is 21, but the client announced 20"),
    "count 10^5000": (examples(10**5000), "holds a whole number beyond 64 bits"),
    "points 10^5000": (column("counts", [10**5000]), "holds a whole number beyond 64 bits"),
    "a value of no kind": (point("values", None), "must hold numbers, texts or bytes, got NoneType"),
    "a name of a record that is no text": (
        lambda c: data_of(c).update({7: MetricRecord()}),
        "must be a text, got int",
    ),
    "a record that is none": (
        lambda c: data_of(c).update(more=[1]),
        "must be one of Flower's records, got list",
    ),
    "another metric": (metric(loss=math.nan), "expected only 'num-examples'"),
    "no MetricRecord": (drop(METRICS), "expected MetricRecords named ['metrics']"),
    "second MetricRecord": (lambda c: c.update(more=MetricRecord()), "got ['metrics', 'more']"),
    "point NaN": (point("values", math.nan), "loss is nan"),
    "point Inf": (point("values", math.inf), "loss is inf"),
    "point beyond 32 bits": (point("values", 1e300), "loss is 1e+300"),
    "point text": (point("values", "1.0"), "loss is '1.0'"),
    "name NUL": (point("names", "a\x00b"), "expected a name of letters"),
    "name escape": (point("names", "\x1b]0;x\x07"), "expected a name of letters"),
    "name of ours": (point("names", "bytes_up"), "is measured by the server"),
    "epoch beyond SQL": (point("epochs", 2**40), "expected a whole number in"),
    "stage test": (point("stages", "test"), "expected stage"),
    "columns of different length": (column("values", []), "cannot be read"),
    "column missing": (lambda c: data_of(c[POINTS]).pop("names"), "'names' must be a list"),
    "no points": (drop(POINTS), "expected a ConfigRecord 'points'"),
    "empty": (lambda c: c.clear(), "expected MetricRecords named"),
    "garbage": (garbage, "expected MetricRecords named"),
    "raises": (raises, "error 2: MemoryError: ?[31mCUDA? out of memory"),
}
TRAIN_REPLY: dict[str, tuple[Spoil, str]] = {
    **ANY_REPLY,
    "wrong stage": (point("stages", "val"), "expected stage train, got 'val'"),
    "array NaN": (one(math.nan), "values that are NaN, infinite"),
    "array Inf": (one(math.inf), "values that are NaN, infinite"),
    "array huge": (one(3e38), "beyond 1.7e+38"),
    "array of another shape": (array(lambda values: values[:1]), "must be float32 ("),
    "array that broadcasts": (array(lambda values: np.zeros(1, np.float32)), "got float32 (1,)"),
    "array of another type": (array(lambda values: values.astype(np.float64)), "got float64"),
    "array with a false header": (
        array(lambda v: Array("float32", v.shape, "numpy.ndarray", Array(v[:1]).data)),
        "its bytes are something else",
    ),
    "array that is a pickle": (
        array(lambda v: Array("float32", v.shape, "numpy.ndarray", pickle.dumps(v))),
        "cannot be decoded",
    ),
    "array of nothing": (array(lambda v: Array("float32", v.shape, "numpy.ndarray", b"")), "cannot be decoded"),
    "array without data": (raw_array(data=None), "must be bytes, got NoneType"),
    "array whose shape is no whole numbers": (raw_array(shape=(2.5, "x")), "must be whole numbers of 64 bits"),
    "array whose shape is 10^5000": (raw_array(shape=(10**5000,)), "must be whole numbers of 64 bits"),
    "array whose type is none": (raw_array(dtype=None), "must be str, got NoneType"),
    "array that is a list": (
        lambda c: data_of(c[ARRAYS]).update({"conv1.weight": [1.0]}),
        "must be an array, got list",
    ),
    "array missing": (drop_array, "conv1.weight is missing"),
    "array too many": (other_array, "extra?[31m is not an array of the model"),
    "no ArrayRecord": (drop(ARRAYS), "expected ArrayRecords named ['arrays'], got []"),
    "second ArrayRecord": (second_record, "got ['arrays', 'second']"),
    "ArrayRecord elsewhere": (renamed_record, "got ['elsewhere']"),
}  # fmt: skip
EVALUATE_REPLY: dict[str, tuple[Spoil, str]] = {
    **ANY_REPLY,
    "wrong stage": (point("stages", "train"), "expected stage val, got 'train'"),
    "with arrays": (
        lambda c: c.update({ARRAYS: ArrayRecord()}),
        "expected ArrayRecords named [], got ['arrays']",
    ),
}


CASES = {"train": TRAIN_REPLY, "evaluate": EVALUATE_REPLY}
COUNTS = {kind: [10, 30] + [20] * len(cases) for kind, cases in CASES.items()}


def spoiling(cases: list[Spoil], kind: str) -> Callable[[RecordDict, Asked], RecordDict]:
    """Clients 0 and 1 are good; the others are the cases."""

    def reply(content: RecordDict, where: Asked) -> RecordDict:
        if where.kind == kind and where.client_id >= 2:
            cases[where.client_id - 2](content)
        return content

    return reply


# By name, for the engines whose workers import their ClientApp.
train_app, evaluate_app = (
    toy_app(COUNTS[kind], reply=spoiling([spoil for spoil, _ in cases.values()], kind))
    for kind, cases in CASES.items()
)
