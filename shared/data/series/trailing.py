"""`TrailingWindows`: each row with those of its series before it, for models that judge a row by its past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.config.table_data import TableDataConfig
from shared.data.dataset import Ints, Texts, Timeline
from shared.data.series.steps import order_steps
from shared.data.sources.columns import missing_column
from shared.data.sources.table import metadata_error, numbered
from shared.data.sources.timestamps import read_times
from shared.data.tables.reading import read_table


@dataclass(frozen=True)
class TrailingWindows:
    """The rows of the window that ends with each row, in the order of time.

    A window stays in the run of its row (see `number_runs`); where that has fewer rows, its first is repeated.

    Attributes
    ----------
    order : ndarray [N], int64
        The rows run by run, in the order of time.
    places : ndarray [N], int64
        Of each row in that order.
    begins : ndarray [N], int64
        Of the first row of its run.
    length : int
        Rows of a window.
    """

    order: Ints
    places: Ints
    begins: Ints
    length: int

    @classmethod
    def of(cls, times: Ints, runs: Ints, *, length: int) -> TrailingWindows:
        """The windows of rows with these times [N] and numbers of their runs [N]."""
        order = np.lexsort((times, runs)).astype(np.int64)
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        return cls(order, places, np.searchsorted(runs[order], runs).astype(np.int64), length)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, rows: Ints | slice) -> Ints:
        """The windows of some rows, [n, length]."""
        behind = np.arange(self.length - 1, -1, -1)
        found: Ints = self.order[np.maximum(self.places[rows][:, None] - behind, self.begins[rows][:, None])]
        return found


def number_runs(time: Timeline, values: Texts) -> Ints:
    """Number the stretches of a series whose rows, in the order of time, have one value.

    Parameters
    ----------
    values : ndarray [N], str
        Such as the side of each row.

    Returns
    -------
    ndarray [N], int64
        From 0, ascending with series and time.
    """
    order = np.lexsort((time.times, time.series))
    series, values = time.series[order], values[order]
    new = (series[1:] != series[:-1]) | (values[1:] != values[:-1])
    found = np.zeros(len(order), dtype=np.int64)
    found[order[1:]] = np.cumsum(new)
    return found


@dataclass(frozen=True)
class NewWindows:
    """The windows of a new file's rows, each series of which is a run.

    Attributes
    ----------
    cfg : TableDataConfig
        Of the run that trained the model.
    length : int
        Rows of a window.
    """

    cfg: TableDataConfig
    length: int

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be known of each row beside the model's inputs: when it was measured, and its series."""
        named = self.cfg.columns.time, self.cfg.columns.series
        return tuple(name for name in named if name)

    def of_file(self, path: str) -> TrailingWindows:
        """The windows of a file.

        Raises
        ------
        DataError
            A column is missing, or a time cannot be read, or is there twice.
        """
        time, *series = self.columns
        own = self.cfg.model_copy(update={"path": path, "target": None, "inputs": (), "drop": ()})
        read = read_table(own, keep=self.columns)
        problems = [missing_column(read.file.names, name) for name in self.columns if name not in read.cells]
        if problems:
            raise metadata_error(read.file.origin, problems)
        rows = [read.row(place) for place in range(len(read.rows))]
        times = read_times(read.cells[time].texts, rows=rows, column=time, problems=problems)
        timeline = Timeline(times, *numbered(read.cells[series[0]].texts if series else [""] * len(rows)))
        check_times(timeline, column=time, problems=problems)
        if problems:
            raise metadata_error(read.file.origin, problems)
        return TrailingWindows.of(timeline.times, timeline.series, length=self.length)


def check_times(time: Timeline, *, column: str, problems: list[str]) -> None:
    """Name the times that a series has twice: which of the rows came first is not known.

    Parameters
    ----------
    column : str
        Of the times, for messages.
    problems : list of str
        Takes a sentence for each.
    """
    order_steps(time, gaps="cut", column=column, problems=problems, notes=[])
