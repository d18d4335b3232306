"""`in_span`: which rows were measured in the time span that the settings name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.config.table_data import TableDataConfig
from shared.data.sources.table import metadata_error
from shared.data.sources.timestamps import read_times
from shared.data.tables.reading import ReadTable
from shared.runtime.counts import count_of


def in_span(read: ReadTable, cfg: TableDataConfig, *, notes: list[str]) -> npt.NDArray[np.bool_]:
    """Whether each row is from ``data.start`` to ``data.end``, both of which belong to the span.

    Parameters
    ----------
    notes : list of str
        Takes a sentence for the rows that are left out.

    Returns
    -------
    ndarray [N], bool
        All true where the settings name no span, or the column of times is not there, which others say.

    Raises
    ------
    DataError
        A time or a bound cannot be read, or no row is in the span.
    """
    every = np.ones(len(read.rows), dtype=bool)
    given = {"data.start": cfg.start, "data.end": cfg.end}
    bounds = {name: text for name, text in given.items() if text is not None}
    if not bounds or cfg.columns.time not in read.cells:
        return every
    problems: list[str] = []
    # Together, so that a bound that is written otherwise than the times is named.
    times = read_times(
        [*bounds.values(), *read.cells[cfg.columns.time].texts],
        rows=[*bounds, *(read.row(place) for place in range(len(every)))],
        column=cfg.columns.time,
        problems=problems,
    )
    limits, times = dict(zip(bounds, times.tolist(), strict=False)), times[len(bounds) :]
    before = times < limits["data.start"] if "data.start" in limits else ~every
    after = times > limits["data.end"] if "data.end" in limits else ~every
    inside: npt.NDArray[np.bool_] = ~(before | after)
    told = " and ".join(f"{name}={text}" for name, text in bounds.items())
    counts = f"{int(before.sum())} before it, {int(after.sum())} after it"
    if not inside.any() and not problems:
        problems.append(f"no row is in the time span of {told}: {counts}")
    if problems:
        raise metadata_error(read.file.origin, problems)
    if not inside.all():
        left = count_of(int((~inside).sum()), "row")
        notes.append(
            f"left out, for they are outside the time span of {told}: {left} of {len(times)} ({counts})"
        )
    return inside
