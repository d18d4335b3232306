"""`AnomalyDataModule` and `WholeDataModule`: rows with their sites and times, in batches or a stage at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.tables.load import TableData
from shared.runtime.errors import DataError
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
