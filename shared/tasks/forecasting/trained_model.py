"""`ForecastModel`: a trained model that takes the last steps of series, from a file or a data frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.config.table_data import TableDataConfig
from shared.data.schema import Schema
from shared.data.series.load import Cutting
from shared.data.series.new_rows import NewSeries, read_new_series
from shared.data.series.steps import step_of, time_text
from shared.runtime.errors import DataError
from shared.tasks.forecasting.module import LitForecaster
from shared.tasks.predictions import NumberPredictions
from shared.tasks.trained_model import Row, TrainedModel


class OneWindow(Protocol):
    """What a model takes of a window of a new file: `FeatureWindow`, `LagWindow`."""

    shape: tuple[int, int]
    sites: tuple[str, ...]
    dtype: torch.dtype

    def __call__(
        self,
        values: npt.NDArray[np.float64],
        calendar: npt.NDArray[np.float32],
        *,
        sites: npt.NDArray[np.int64] | None,
    ) -> npt.NDArray[Any]:
        """Make it of what `NewSeries` holds, and the number of each step's series."""
        ...


class ForecastModel(TrainedModel):
    """Windows in, forecasts [B, horizon] out.

    Attributes
    ----------
    cutting : Cutting
        How far it looks back, and ahead.
    """

    def __init__(
        self,
        module: LitForecaster,
        *,
        cfg: TableDataConfig,
        schema: Schema,
        cutting: Cutting,
        inputs: OneWindow,
    ) -> None:
        super().__init__(module, schema=schema, tell=self._tell_steps, batch_size=cfg.eval_batch_size)
        self.cutting = cutting
        self._cfg, self._schema, self._inputs = cfg, schema, inputs
        self._step = step_of(schema.inputs[0].levels[0])
        self._begun: dict[
            str, tuple[str, int]
        ] = {}  # of a window's name: series, and time of its first step ahead

    def prepare(self, rows: Tensor) -> Tensor:
        """Windows as `read` gives them.

        Parameters
        ----------
        rows : Tensor [B, window + horizon, features], float32; for trees [B, horizon, columns], float64
        """
        if rows.ndim != 3 or tuple(rows.shape[1:]) != self._inputs.shape:
            steps, width = self._inputs.shape
            raise DataError(f"expected windows [B, {steps}, {width}], got {list(rows.shape)}")
        return rows

    def read(self, rows: Any) -> Iterator[Row]:
        """The last window of each series.

        Parameters
        ----------
        rows : str, Path or DataFrame
            Rows of a table as in training; the steps after the last target of each series are forecast.
        """
        import pandas as pd
        import pyarrow as pa

        if isinstance(rows, str | Path):
            found = self._read_file(str(rows))
        elif isinstance(rows, pd.DataFrame):
            with TemporaryDirectory() as folder:  # what a file would say, so that both are read alike
                path = Path(folder) / "rows.parquet"
                try:
                    rows.rename(columns=str).reset_index(drop=True).to_parquet(path)
                except (pa.ArrowException, TypeError, ValueError) as error:
                    raise DataError(f"the data frame cannot be read: {error}") from None
                found = self._read_file(str(path))
        else:
            raise DataError(f"expected a file or a data frame of series, got {type(rows).__name__}")
        for one in found:
            first = int(one.times[self.cutting.window])
            name = f"{one.name} {time_text(first)}".strip()
            self._begun[name] = (one.name, first)
            yield name, self._inputs(one.values, one.calendar, sites=self._site(one))

    def no_rows(self) -> Tensor:
        """No windows."""
        return torch.zeros((0, *self._inputs.shape), dtype=self._inputs.dtype)

    def _read_file(self, path: str) -> list[NewSeries]:
        return read_new_series(self._cfg, self._schema, self.cutting, path=path)

    def _site(self, one: NewSeries) -> npt.NDArray[np.int64] | None:
        sites = self._inputs.sites
        if not sites:
            return None
        if one.name not in sites:
            raise DataError(
                f"this model scales each series by its own training rows (data.scaling=local), and was not "
                f"trained on {one.name!r}, only on {', '.join(sites[:20])}; new series need a model that was "
                "trained with data.scaling=federated"
            )
        return np.full(len(one.times), sites.index(one.name), dtype=np.int64)

    def _tell_steps(self, names: tuple[str, ...], values: npt.NDArray[np.float32]) -> NumberPredictions:
        """The number of each step, under its series and time."""
        told = []
        for name in names:
            series, first = self._begun[name]
            told += [
                f"{series} {time_text(first + ahead * self._step)}".strip()
                for ahead in range(self.cutting.horizon)
            ]
        return NumberPredictions(tuple(told), values.reshape(-1), noun="step")
