"""A split by time: every series is cut at the same shares of its rows; its last part is the test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Groups, Timeline
from shared.runtime.errors import SplitError, bullet_list

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def cut_by_time(
    rows: Ints, *, time: Timeline, groups: Groups | None, shares: Floats, sides: Sequence[str]
) -> Ints:
    """Cut every series into consecutive parts.

    Parameters
    ----------
    rows : ndarray [n], int64
        That are to be split.
    shares : ndarray [S], float64
        Of each series, in the order of the time; sum to 1.
    sides : sequence of str, S
        Names, for messages.

    Returns
    -------
    ndarray [n], int64
        The side of each row. A group is whole on the side of its last row; rows of one time are on one side.

    Raises
    ------
    SplitError
        A series has too few times for every side.
    """
    unit = np.arange(len(rows)) if groups is None else np.unique(groups.numbers[rows], return_inverse=True)[1]
    unit = unit.reshape(-1)
    times, series = time.times[rows], time.series[rows]
    last = np.lexsort((times, unit))  # the last row of each unit says when, and in which series, the unit is
    last = last[np.flatnonzero(np.diff(unit[last], append=unit.max(initial=-1) + 1))]
    when, where, weight = times[last], series[last], np.bincount(unit)
    side_of_unit = np.empty(len(last), dtype=np.int64)
    problems = []
    for number in np.unique(where):
        units = np.flatnonzero(where == number)
        units = units[np.argsort(when[units], kind="stable")]
        size = int(weight[units].sum())
        ends = np.rint(np.cumsum(shares)[:-1] * size).astype(np.int64)
        before = np.cumsum(weight[units]) - weight[units]
        first = np.searchsorted(when[units], when[units], side="left")  # rows of one time stay together
        side_of_unit[units] = np.searchsorted(ends, before[first], side="right")
        if absent := [side for place, side in enumerate(sides) if place not in side_of_unit[units]]:
            problems.append(
                f"series {time.names[number]!r} has {size} rows of {len(np.unique(when[units]))} times, none "
                f"for {' and '.join(absent)}"
            )
    if problems:
        raise SplitError(
            f"series are too short to be on each of {', '.join(sides)} (data.split_by=time):\n"
            + bullet_list(problems)
        )
    return side_of_unit[unit]
