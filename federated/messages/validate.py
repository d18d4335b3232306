"""`check_reply`: which replies enter the aggregation; what breaks the contract is rejected by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from federated.messages.records import METRICS, NUM_EXAMPLES, values_of
from federated.messages.wire import Layout, ModelLayout, WireSpec, fits
from shared.runtime.errors import ReplyRejected

_HEADER_BYTES = 2**16  # NumPy's are far smaller
_MOST_VALUES = 2**25  # of an array of any length


@dataclass(frozen=True)
class Contract:
    """What a reply to a train message must look like.

    Attributes
    ----------
    records : dict of str to Layout
        Its records of arrays, as the algorithm declares them.
    metrics : tuple of str
        Names of metrics that it must have.
    max_examples : int
        ``federation.max_examples``.
    """

    records: dict[str, Layout]
    max_examples: int
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: ModelLayout, *, max_examples: int, wire: WireSpec = WireSpec()) -> Contract:  # noqa: B008
        """The contract of a global model and an algorithm."""
        return cls(wire.reply(model), max_examples=max_examples, metrics=wire.metrics)


def check_reply(content: RecordDict, *, contract: Contract, announced: int, trained: bool) -> None:
    """Check the weight of a reply, and the arrays of a reply to a train message.

    Parameters
    ----------
    announced : int
        Rows (training or validation) that the client announced before the first round; its weight.
    trained : bool
        Whether it must hold arrays; else it must hold none.

    Raises
    ------
    ReplyRejected
        With the reason.
    """
    # Exactly these names: Flower looks for those of the first reply in all others, and raises.
    _expect(content.metric_records, [METRICS], kind="MetricRecord")
    _expect(content.array_records, list(contract.records) if trained else [], kind="ArrayRecord")
    _check_count(content.metric_records[METRICS], contract, announced=announced)
    for name, arrays in content.array_records.items():
        if problems := array_problems(arrays, contract.records[name]):
            more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise ReplyRejected(f"its {name} do not fit the global model: {'; '.join(problems[:10])}{more}")


def _expect(records: Mapping[str, object], names: list[str], *, kind: str) -> None:
    if list(records) != names:
        raise ReplyRejected(f"expected {kind}s named {names}, got {list(records)}")


def _check_count(metrics: MetricRecord, contract: Contract, *, announced: int) -> None:
    if list(metrics) != [NUM_EXAMPLES]:
        raise ReplyRejected(f"expected only '{NUM_EXAMPLES}' in '{METRICS}', got {list(metrics)}")
    count = metrics[NUM_EXAMPLES]
    if isinstance(count, bool) or not isinstance(count, int):
        raise ReplyRejected(f"'{NUM_EXAMPLES}' must be a whole number, got {count!r}")
    if not 1 <= count <= contract.max_examples:
        raise ReplyRejected(
            f"'{NUM_EXAMPLES}' must be in [1, {contract.max_examples}] (federation.max_examples), got {count}"
        )
    if count != announced:
        raise ReplyRejected(f"'{NUM_EXAMPLES}' is {count}, but the client announced {announced}")


def array_problems(arrays: ArrayRecord, layout: Layout) -> list[str]:
    """What is wrong with arrays that should have certain names, shapes and types, and finite values."""
    problems = [f"{key} is missing" for key in layout if key not in arrays]
    problems += [f"{key} is not an array of the model" for key in arrays if key not in layout]
    if not problems and list(arrays) != list(layout):
        problems.append("they come in another order")  # some of Flower's strategies go by position
    for key, array in arrays.items():
        if key in layout and (problem := _array_problem(array, *layout[key])):
            problems.append(f"{key} {problem}")
    return problems


def _array_problem(array: Array, expected: tuple[int | None, ...], dtype: str) -> str | None:
    shape = tuple(array.shape)
    if not fits(shape, expected) or array.dtype != dtype:
        return f"must be {dtype} {expected}, got {array.dtype} {shape}"
    if math.prod(shape) > _MOST_VALUES and shape != expected:
        return f"has {math.prod(shape):,} values, at most {_MOST_VALUES:,} are expected"
    most_bytes = math.prod(shape) * np.dtype(dtype).itemsize + _HEADER_BYTES
    if len(array.data) > most_bytes:
        return f"has {len(array.data)} bytes, at most {most_bytes} are expected"
    try:
        values = values_of(array)
    except Exception as error:  # whatever hostile bytes provoke in NumPy's readers
        return f"cannot be decoded: {type(error).__name__}: {error}"
    if not isinstance(values, np.ndarray) or values.shape != shape or str(values.dtype) != dtype:
        return f"must be {dtype} {shape}, but its bytes are something else"
    limits = np.finfo(values.dtype) if values.dtype.kind == "f" else np.iinfo(values.dtype)
    most = float(limits.max) / 2  # so that no average overflows
    # NaN is the least and the greatest of all; nearly always this is all that is to be looked at.
    if values.size == 0 or (values.min() >= -most and values.max() <= most):
        return None
    bad = values.size - int(np.count_nonzero((values >= -most) & (values <= most)))  # NaN is neither
    return f"has {bad} values that are NaN, infinite or beyond {most:.3g}"
