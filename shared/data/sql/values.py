"""`Column`: the values of one column of a query, gathered in chunks, as numbers, booleans or texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from shared.runtime.errors import DataError

EXACT = 2**53  # whole numbers up to it are floats too
_NUMBERS = {int, float, Decimal}


@dataclass
class Column:
    """One column while it is read."""

    name: str
    chunks: list[Any] = field(default_factory=list)

    def add(self, values: Sequence[Any]) -> int:
        """Add the values of the next rows; returns the bytes that they take.

        Raises
        ------
        DataError
            One is no number, text, truth value or time.
        """
        array = _array(values, name=self.name)
        self.chunks.append(array)
        return int(array.nbytes)

    def whole(self) -> Any:
        """All values, of one type whatever chunks they came in: int64, double, bool or large_string."""
        kinds = {chunk.type for chunk in self.chunks} - {pa.null()}
        if kinds == {pa.int64(), pa.float64()} and not any(map(_inexact, self.chunks)):
            kinds = {pa.float64()}
        if len(kinds) == 1:
            (kind,) = kinds
            chunks = [chunk.cast(kind) for chunk in self.chunks]
        else:
            kind = pa.large_string()
            chunks = [_array_of_texts(chunk.to_pylist(), name=self.name) for chunk in self.chunks]
        return pa.concat_arrays(chunks) if chunks else pa.nulls(0, kind)


def _inexact(chunk: Any) -> bool:
    if not pa.types.is_integer(chunk.type) or not len(chunk):
        return False
    ends = pc.min_max(chunk).as_py()
    return bool(max(abs(ends["min"] or 0), abs(ends["max"] or 0)) > EXACT)


def _array(values: Sequence[Any], *, name: str) -> Any:
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds <= _NUMBERS and not any(_is_large(value) for value in values):
        # -0.0 is 0.0, as they compare equal and would be told apart by their order alone
        return pa.array([None if value is None else float(value) + 0.0 for value in values], pa.float64())
    return _array_of_texts(values, name=name)


def _is_large(value: Any) -> bool:
    """Whether a float cannot say which whole number it is."""
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value) > EXACT and value == value.to_integral_value()
    return isinstance(value, int) and abs(value) > EXACT


def _array_of_texts(values: Sequence[Any], *, name: str) -> Any:
    return pa.array([None if value is None else _text(value, name=name) for value in values], pa.large_string())


def _text(value: Any, *, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        whole = value == value and abs(value) != float("inf") and value == int(value)
        return str(int(value)) if whole else str(float(value))
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise DataError(
        f"column {name!r} holds values of the type {type(value).__name__}, expected numbers, texts, booleans "
        "or times; leave it out of the query, or select a part of it that is one value (CAST)"
    )
