"""`WindowedData`: rows with the stretches of their series that a window of rows stays in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Ints, Timeline
from shared.data.series.trailing import TrailingWindows, check_times, number_runs
from shared.data.sources.table import metadata_error
from shared.data.tables.load import TableData
from shared.runtime.errors import first_of

_LEFT_OUT = "out"  # in the place of a side


@dataclass(frozen=True, kw_only=True)
class WindowedData(TableData):
    """Rows of a table, with the stretches of its series that windows stay in.

    Attributes
    ----------
    runs : ndarray [N], int64
        Of each row: a stretch of its series that is on one side, and whole: nothing of it is left out.
    """

    runs: Ints

    def windows(self, length: int) -> TrailingWindows:
        """The window of each row."""
        assert self.time is not None
        return TrailingWindows.of(self.time.times, self.runs, length=length)


def with_runs(data: TableData, *, left_out: npt.NDArray[np.bool_], column: str) -> WindowedData:
    """Find the stretches that windows stay in.

    Parameters
    ----------
    left_out : ndarray [N], bool
        Rows that no model will see.
    column : str
        Of the times, for messages.

    Raises
    ------
    DataError
        A series has a time twice, or its sides alternate.
    """
    time = data.time
    assert time is not None, "the settings name a column of times"
    problems: list[str] = []
    check_times(time, column=column, problems=problems)
    kept = np.flatnonzero(~left_out)
    series, sides = time.series[kept], data.splits[kept]
    _, first = np.unique(number_runs(Timeline(time.times[kept], series, time.names), sides), return_index=True)
    stretches = Counter(zip(series[first].tolist(), sides[first].tolist(), strict=True))
    problems += first_of(
        f"the {side} rows of series {time.names[number]!r} are in {count} stretches with others between them, "
        "and a window is of consecutive rows of one side; set data.split_by=time"
        for (number, side), count in sorted(stretches.items())
        if count > 1
    )
    if problems:
        raise metadata_error(data.origin, problems)
    own = {one.name: getattr(data, one.name) for one in fields(TableData)}
    return WindowedData(**own, runs=number_runs(time, np.where(left_out, _LEFT_OUT, data.splits)))
