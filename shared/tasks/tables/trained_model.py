"""`TableModel`: a trained model that takes rows of a table: a file, a data frame, an array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.config.table_data import TableDataConfig
from shared.data.schema import Column, Schema
from shared.data.series.trailing import NewWindows
from shared.data.tables.load import read_inputs
from shared.data.tables.prepare import Preparation
from shared.runtime.errors import DataError
from shared.tasks.task_module import TaskModule
from shared.tasks.trained_model import Row, Tell, TrainedModel


class TableModel(TrainedModel):
    """Rows [B, columns] in, predictions out; of a model of windows, windows [B, length, columns].

    Parameters
    ----------
    windows : NewWindows, optional
        How rows of a file become windows.

    Attributes
    ----------
    columns : tuple of Column
        The inputs, in their order; behind them the site of the row, where it is needed.
    preparation : Preparation or None
        Of the inputs; None for trees.
    row_shape : tuple of int
        Of what stands for one row.
    """

    def __init__(
        self,
        module: TaskModule,
        *,
        cfg: TableDataConfig,
        schema: Schema,
        preparation: Preparation | None,
        tell: Tell,
        threshold: float,
        site: Column | None = None,
        windows: NewWindows | None = None,
    ) -> None:
        super().__init__(module, schema=schema, tell=tell, threshold=threshold, batch_size=cfg.eval_batch_size)
        if preparation and preparation.site_column:  # each row is scaled by its site
            site = Column(preparation.site_column, "categorical", preparation.sites)
        self._site = site
        self.columns = (*schema.inputs, *((self._site,) if self._site else ()))
        self._cfg, self.preparation, self.windows = cfg, preparation, windows
        self.row_shape = (*(() if windows is None else (windows.length,)), len(self.columns))

    def prepare(self, rows: Tensor) -> Tensor:
        """Scale numbers, fill gaps, and give each level an input of its own.

        Parameters
        ----------
        rows : Tensor [B, columns] or [B, length, columns]
            Numbers, 0 and 1 of booleans, numbers of levels (and of sites) from 0; NaN where a value is missing.

        Returns
        -------
        Tensor [B, width] or [B, length, width], float32, or for trees the rows as they are
        """
        if tuple(rows.shape[1:]) != self.row_shape:
            names, shape = ", ".join(column.name for column in self.columns), _told(self.row_shape)
            raise DataError(f"expected rows [B, {shape}] of {names}, got {list(rows.shape)}{self._site_note()}")
        values = rows.detach().cpu().numpy().astype(np.float64).reshape(-1, len(self.columns))
        self._check(values)
        inputs, sites = (values[:, :-1], values[:, -1].astype(np.int64)) if self._site else (values, None)
        if self.preparation is None:
            return torch.from_numpy(inputs).to(rows.device)
        found = self.preparation(inputs, sites=sites if self.preparation.sites else None)
        return torch.from_numpy(found.reshape(*rows.shape[:-1], found.shape[1])).to(rows.device)

    def _check(self, values: npt.NDArray[np.float64]) -> None:
        for column, own in zip(self.columns, values.T, strict=True):
            if self._site is not None and column is self._site and np.isnan(own).any():
                raise DataError(f"{column.name!r} is missing in a row{self._site_note()}")
            if np.isnan(own).any() and self._cfg.missing == "error":
                raise DataError(f"{column.name!r} is missing in a row, and the model was trained without gaps")
            own = own[~np.isnan(own)]
            if column.kind == "numeric":
                right = np.isfinite(own)
            else:
                count = len(column.levels) if column.kind == "categorical" else 2
                right = np.isin(own, np.arange(count))
            if not right.all():
                expected = {"numeric": "finite numbers", "boolean": "0 or 1"}.get(
                    column.kind, f"numbers of its levels, 0 to {len(column.levels) - 1}"
                )
                raise DataError(f"expected {expected} for {column.name!r}, got {own[~right][0]:g}")

    def read(self, rows: Any) -> Iterator[Row]:
        """Rows by their names.

        Parameters
        ----------
        rows : str, Path, DataFrame, or ndarray [N, columns] or [N, length, columns]
            A CSV or Parquet file, or a data frame, with the columns by name, in any order, beside others; for
            windows with the times and the series too. An array of what `prepare` takes.
        """
        import pandas as pd
        import pyarrow as pa

        if isinstance(rows, str | Path):
            names, values = self._read_file(str(rows))
        elif isinstance(rows, pd.DataFrame):
            if twice := [str(name) for name in rows.columns[rows.columns.duplicated()]]:
                raise DataError(f"the data frame has the column {twice[0]!r} twice")
            frame = rows.rename(columns=str)
            wanted = dict.fromkeys([*(column.name for column in self.columns), *self._of_windows])
            frame = frame[[name for name in wanted if name in frame]]
            with TemporaryDirectory() as folder:  # what a file would say, so that both are read alike
                path = Path(folder) / "rows.parquet"
                try:
                    frame.reset_index(drop=True).to_parquet(path)
                except (pa.ArrowException, TypeError, ValueError) as error:  # such as numbers beside texts
                    raise DataError(f"the data frame cannot be read: {error}") from None
                _, values = self._read_file(str(path))
            names = [str(name) for name in rows.index]
        else:
            try:
                values = np.asarray(rows, dtype=np.float64)
            except (TypeError, ValueError):
                raise DataError(
                    f"expected a file, a data frame or numbers, got {type(rows).__name__}"
                ) from None
            if values.ndim != 1 + len(self.row_shape):
                raise DataError(
                    f"expected rows [N, {_told(self.row_shape)}], got an array {list(values.shape)}"
                )
            names = [str(number) for number in range(len(values))]
        return zip(names, values, strict=True)

    @property
    def _of_windows(self) -> tuple[str, ...]:
        """Columns that put rows into windows."""
        return () if self.windows is None else self.windows.columns

    def _read_file(self, path: str) -> tuple[list[str], Iterable[npt.NDArray[np.float64]]]:
        try:
            names, values = read_inputs(self._cfg, self.columns, path=path)
        except DataError as error:
            raise DataError(f"{error}{self._site_note()}") from None
        if self.windows is None:
            return names, values
        windows = self.windows.of_file(path)
        return names, (values[windows[place : place + 1][0]] for place in range(len(windows)))

    def _site_note(self) -> str:
        if self._site is None:
            return ""
        return (
            f"\nThis model scales each row by the training rows of its site (data.scaling=local), so a row "
            f"needs {self._site.name!r}, one of {', '.join(self._site.levels)}; rows of "
            "another site need a model that was trained with data.scaling=federated"
        )

    def no_rows(self) -> Tensor:
        """No rows."""
        return torch.zeros((0, *self.row_shape))


def _told(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
