"""`AnomalyDataModule` and its kin: rows with sites and times, in batches, in windows, or a stage at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.dataset import SIDES, Ints
from shared.data.series.trailing import TrailingWindows
from shared.data.tables.load import TableData
from shared.data.tables.prepare import PreparedRows
from shared.runtime.errors import DataError
from shared.tasks.anomaly.windows import WindowedData
from shared.tasks.tables.learner import TableDataModule
from shared.tasks.whole_stages import WholeStages


class AnomalyDataModule(TableDataModule):
    """Batches of a table, beside what tells rows apart."""

    data: TableData

    def sites(self, stage: str) -> npt.NDArray[Any]:
        """The site of each row of a stage; without a column, all rows are of one.

        Raises
        ------
        DataError
            A site has no training row here.
        """
        names, rows = self.data.columns.get("site"), self.rows[stage]
        if names is None:
            return np.full(len(rows), "")
        found: npt.NDArray[Any] = names[rows]
        if lacking := sorted({*found.tolist()} - {*names[self.rows["train"]].tolist()}):
            raise DataError(
                f"a client holds rows of site {', '.join(map(repr, lacking[:5]))} and none of its training "
                "rows, from which task.limits=site takes the limit; divide the rows by site (partition=natural "
                "partition.column=site), or set task.limits=common"
            )
        return found

    def timeline(self, stage: str) -> npt.NDArray[np.float64]:
        """Time and series of each row of a stage, [n, 2]; without times, its place and one series."""
        rows, time = self.rows[stage], self.data.time
        if time is None:
            return np.stack([rows.astype(np.float64), np.zeros(len(rows))], axis=1)
        return np.stack([time.times[rows], time.series[rows]], axis=1).astype(np.float64)


class WholeDataModule(WholeStages, AnomalyDataModule):  # type: ignore[misc]
    """The same, of which a stage is taken at once."""


class WindowDataModule(AnomalyDataModule):
    """Batches of windows.

    Parameters
    ----------
    length : int
        Rows of a window.
    **settings
        Of `AnomalyDataModule`.

    Raises
    ------
    DataError
        A client holds a part of the consecutive rows of a series.
    """

    data: WindowedData

    def __init__(self, data: WindowedData, *, length: int, **settings: Any) -> None:
        super().__init__(data, **settings)
        self._windows = PreparedWindows(self._prepared, data.windows(length))
        for side in SIDES:
            self._check_whole(side)

    @property
    def inputs(self) -> Any:
        """What a batch of inputs is sliced out of."""
        return self._windows

    def _check_whole(self, side: str) -> None:
        runs, own = self.data.runs, self.rows[side]
        held, there = (np.bincount(runs[rows], minlength=len(runs)) for rows in (own, self.data.indices(side)))
        cut = (held > 0) & (held < there)
        if not cut.any():
            return
        time, run = self.data.time, int(cut.argmax())
        assert time is not None
        series = time.names[time.series[own[runs[own] == run][0]]]
        raise DataError(
            f"a client holds {held[run]} of {there[run]} consecutive {side} rows of series {series!r}, and "
            f"windows need all of them; divide the rows by series (partition=natural "
            "partition.column=COLUMN)"
        )


class PreparedWindows:
    """Windows of prepared rows, made as they are taken, in place of an array [N, length, width]."""

    def __init__(self, rows: PreparedRows, windows: TrailingWindows) -> None:
        self._rows, self._windows = rows, windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, rows: Ints | slice) -> npt.NDArray[Any]:
        """Some windows, [n, length, width]."""
        taken = self._windows[rows]
        found = self._rows[taken.reshape(-1)]
        windows: npt.NDArray[Any] = found.reshape(*taken.shape, found.shape[1])
        return windows
