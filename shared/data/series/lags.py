"""`LagRows`: windows of time series as rows of a table, one for each step ahead, for models of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Ints
from shared.data.schema import Column, Schema
from shared.data.series.load import input_columns
from shared.data.tables.prepare import Preparation, are_numbers
from shared.runtime.counts import count_of

Floats = npt.NDArray[np.float64]


def lag_columns(schema: Schema, *, window: int, season: int, calendar: int) -> tuple[Column, ...]:
    """The columns of `LagRows`.

    Parameters
    ----------
    window, season : int
        Steps that are looked at, and of a season.
    calendar : int
        Features of the calendar.

    Returns
    -------
    tuple of Column
        How many steps ahead; the target at each step that is looked at (``target -1`` is the last), and the
        same step of each season before, as far as the window reaches; the calendar at the step; the inputs.
    """
    (target,) = schema.targets
    return (
        Column("steps ahead", "numeric"),
        *(Column(f"{target.name} {place}", "numeric") for place in range(-window, 0)),
        *(
            Column(f"{target.name} {count_of(before, 'season')} before", "numeric")
            for before in _seasons(window, season)
        ),
        *(Column(f"calendar {place}", "numeric") for place in range(calendar)),
        *input_columns(schema),
    )


class LagRows:
    """What is known of each step of some windows when it is forecast; rows are made as they are taken.

    Row ``horizon * i + k`` is step ``k`` ahead of window ``i``. The target and inputs that are numbers are
    scaled as those of networks are; gaps stay NaN.

    Parameters
    ----------
    schema : Schema
    values : ndarray [T, 1 + inputs], float64
        As `shared.data.series.load.SeriesData` has them.
    calendar : ndarray [T, C], float32
    starts : ndarray [N], int64
        The first step of each window.
    window, season : int
        Steps that are looked at, and of a season.
    known : tuple of str
        Inputs that are known ahead of time: their values at the step itself; of the others, the last ones.
    preparation : Preparation
        Of the target and the inputs: how they are scaled.
    sites : ndarray [T], int64, or None
        The number of each step's series, if each is scaled by its own.

    Attributes
    ----------
    horizon : int
        Steps ahead: rows of a window.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        values: Floats,
        calendar: npt.NDArray[np.float32],
        starts: Ints,
        window: int,
        season: int,
        known: Sequence[str],
        preparation: Preparation,
        sites: Ints | None,
    ) -> None:
        inputs = input_columns(schema)
        self.horizon, self._window, self._season = schema.horizon, window, season
        self._origins, self._calendar = starts + window, calendar
        own = np.zeros(len(values), dtype=np.int64) if sites is None else sites
        numbers = are_numbers((*schema.targets, *inputs))
        self._values = values.copy()
        self._values[:, numbers] -= preparation.centers[own]
        self._values[:, numbers] /= preparation.scales[own]
        self._units = np.stack([preparation.centers[own, 0], preparation.scales[own, 0]], axis=1)
        self._known = np.array([column.name in known for column in inputs], dtype=bool)
        self.width = len(lag_columns(schema, window=window, season=season, calendar=calendar.shape[1]))

    def __len__(self) -> int:
        return len(self._origins) * self.horizon

    def __getitem__(self, rows: Ints) -> Floats:
        """Some rows, [n, columns], float64."""
        origins, ahead = self._origins[rows // self.horizon], rows % self.horizon
        at, found = origins + ahead, np.empty((len(rows), self.width))
        found[:, 0] = 1 + ahead
        first, stop = 1, 1 + self._window
        found[:, first:stop] = self._values[origins[:, None] + np.arange(-self._window, 0), 0]
        for before in _seasons(self._window, self._season):
            found[:, stop] = self._values[origins + ahead % self._season - before * self._season, 0]
            stop += 1
        first, stop = stop, stop + self._calendar.shape[1]
        found[:, first:stop] = self._calendar[at]
        behind = self._values[origins - 1, 1:]
        behind[:, self._known] = self._values[at, 1:][:, self._known]
        found[:, stop:] = behind
        return found

    def targets(self, rows: Ints) -> Floats:
        """The scaled target of some rows, [n]."""
        values: Floats = self._values[self._origins[rows // self.horizon] + rows % self.horizon, 0]
        return values

    def units(self, windows: Ints) -> Floats:
        """What was taken off the target of some windows, and what it was divided by, [n, 2]."""
        units: Floats = self._units[self._origins[windows] - 1]
        return units

    def of_windows(self, windows: Ints) -> Ints:
        """The rows of some windows, [n * horizon]."""
        rows: Ints = (windows[:, None] * self.horizon + np.arange(self.horizon)).reshape(-1)
        return rows


class LagWindows:
    """`LagRows` window by window: what a stored model takes.

    Of each step ahead its row, and behind that what the target was scaled by.
    """

    def __init__(self, rows: LagRows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows) // self.rows.horizon

    def __getitem__(self, windows: Ints | slice) -> npt.NDArray[Any]:
        """Some windows, [n, horizon, columns + 2], float64."""
        taken = np.arange(len(self))[windows]
        found = self.rows[self.rows.of_windows(taken)].reshape(len(taken), self.rows.horizon, self.rows.width)
        units = np.repeat(self.rows.units(taken)[:, None], self.rows.horizon, axis=1)
        return np.concatenate([found, units], axis=2)


def _seasons(window: int, season: int) -> range:
    return range(1, window // season + 1)
