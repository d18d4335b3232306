"""Times of rows from text: ISO 8601, or plain numbers; what cannot be ordered is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from shared.runtime.errors import Alike

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX = 9e12  # seconds; a microsecond count of more does not fit 64 bits


def read_times(
    texts: Sequence[str], *, rows: Sequence[str], column: str, problems: list[str]
) -> npt.NDArray[np.int64]:
    """Read one time a row.

    Parameters
    ----------
    texts : sequence of str, N
        Numbers (in any unit, such as seconds or a visit's number), or ISO 8601 like ``2024-05-01 13:00``; all
        with a time zone or all without, which is then taken as UTC.
    rows : sequence of str, N
        Names of the rows, for messages.
    column : str
        Its name, for messages.
    problems : list of str
        Takes one sentence for each row whose time cannot be read.

    Returns
    -------
    ndarray [N], int64
        Microseconds since 1970 in UTC, or millionths of the numbers.
    """
    values: list[int] = []
    examples: dict[str, str] = {}
    wrong = Alike()
    for row, text in zip(rows, texts, strict=False):  # no texts: that the column is missing is said elsewhere
        kind, value = _read(text)
        values.append(value)
        if kind is None:
            wrong.add(f"{row!r} has {column} {text!r}, expected ISO 8601 or a number")
        else:
            examples.setdefault(kind, row)
    problems += wrong
    if len(examples) > 1:
        shown = " and ".join(f"{kind} (such as in {row!r})" for kind, row in sorted(examples.items()))
        problems.append(f"column {column!r} mixes {shown}; write all times alike")
    return np.array(values, dtype=np.int64)


def _read(text: str) -> tuple[str | None, int]:
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return ("numbers", round(number * 1e6)) if abs(number) < _MAX else (None, 0)  # false for NaN, too
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None, 0
    aware = time.tzinfo is not None
    micros = ((time if aware else time.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    return "times with a zone" if aware else "times without a zone", micros
