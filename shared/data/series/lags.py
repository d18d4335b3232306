"""`lag_table`: windows of time series as rows of a table, for models of tables such as trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Ints
from shared.data.schema import Column
from shared.data.series.load import SeriesData, input_columns


@dataclass(frozen=True)
class LagTable:
    """One row for each step that is forecast: those of a window one after the other.

    Attributes
    ----------
    columns : tuple of Column
    inputs : ndarray [windows * horizon, columns], float64
        NaN where a value is missing; of categories the number of the level.
    targets : ndarray [windows * horizon], float32
    """

    columns: tuple[Column, ...]
    inputs: npt.NDArray[np.float64]
    targets: npt.NDArray[np.float32]


def lag_table(data: SeriesData, rows: Ints, *, known: tuple[str, ...] = ()) -> LagTable:
    """What is known of each step of some windows when it is forecast, in the units of the table.

    Parameters
    ----------
    rows : ndarray [n], int64
        Windows.
    known : tuple of str
        Inputs that are known ahead of time: their values at the step itself; of the others, the last ones.

    Returns
    -------
    LagTable
        Its columns: how many steps ahead; the target at each step that is looked at (``target -1`` is the
        last); the calendar at the step; the inputs.
    """
    horizon = data.schema.horizon
    window, inputs = data.length - horizon, input_columns(data.schema)
    origins = np.repeat(data.starts[rows] + window, horizon)
    ahead = np.tile(np.arange(horizon), len(rows))
    at, last = origins + ahead, origins - 1
    target = data.schema.targets[0].name
    past = data.values[origins[:, None] + np.arange(-window, 0), 0]
    of_inputs = [
        data.values[at if column.name in known else last, 1 + place] for place, column in enumerate(inputs)
    ]
    columns = (
        Column("steps ahead", "numeric"),
        *(Column(f"{target} {place}", "numeric") for place in range(-window, 0)),
        *(Column(f"calendar {place}", "numeric") for place in range(data.calendar.shape[1])),
        *inputs,
    )
    found = [
        1.0 + ahead[:, None],
        past,
        data.calendar[at].astype(np.float64),
        *(one[:, None] for one in of_inputs),
    ]
    return LagTable(columns, np.concatenate(found, axis=1), data.values[at, 0].astype(np.float32))
