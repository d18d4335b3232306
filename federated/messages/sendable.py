"""`check_sendable`: what Flower's wire can carry; a reply with anything else is rejected before it is read.

Over a network Flower refuses such a reply at the client. The local engines serialise nothing, and a client that
writes past the checks of its records would hand the server numbers without a text, or arrays without bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shared.runtime.errors import ReplyRejected

_MOST = 2**63  # whole numbers of 64 bits
_NAMED = 100  # characters


def check_sendable(content: RecordDict) -> None:
    """Make sure that a reply holds nothing but Flower's records of plain values.

    Raises
    ------
    ReplyRejected
        With the first value that cannot be sent.
    """
    for name, record in content.items():
        if not isinstance(name, str):
            raise ReplyRejected(f"the name of a record must be a text, got {_kind(name)}")
        if not isinstance(record, ArrayRecord | MetricRecord | ConfigRecord):
            raise ReplyRejected(f"{name[:_NAMED]!r} must be one of Flower's records, got {_kind(record)}")
        problem = _problem_of_arrays(record) if isinstance(record, ArrayRecord) else _problem_of_values(record)
        if problem:
            raise ReplyRejected(f"its {name[:_NAMED]!r} cannot be sent: {problem}")


def _problem_of_arrays(record: Mapping[Any, Any]) -> str | None:
    for key, array in record.items():
        if not isinstance(key, str):
            return f"a key must be a text, got {_kind(key)}"
        if not isinstance(array, Array):
            return f"{key[:_NAMED]!r} must be an array, got {_kind(array)}"
        found = (("dtype", array.dtype, str), ("stype", array.stype, str), ("data", array.data, bytes))
        for what, value, kind in found:
            if not isinstance(value, kind):
                return f"{what} of {key[:_NAMED]!r} must be {kind.__name__}, got {_kind(value)}"
        shape = array.shape
        if not isinstance(shape, tuple | list) or not all(
            isinstance(size, int) and not isinstance(size, bool) and 0 <= size < _MOST for size in shape
        ):
            return f"the shape of {key[:_NAMED]!r} must be whole numbers of 64 bits that are not negative"
    return None


def _problem_of_values(record: Mapping[Any, Any]) -> str | None:
    for key, value in record.items():
        if not isinstance(key, str):
            return f"a key must be a text, got {_kind(key)}"
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, int | float | str | bytes):
                return f"{key[:_NAMED]!r} must hold numbers, texts or bytes, got {_kind(item)}"
            if isinstance(item, int) and not -_MOST <= item < _MOST:
                return f"{key[:_NAMED]!r} holds a whole number beyond 64 bits"
    return None


def _kind(value: object) -> str:
    return type(value).__name__[:_NAMED]
