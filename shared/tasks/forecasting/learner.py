"""Trains forecasts of time series, by networks and by trees."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from shared.config.config import Config
from shared.config.table_data import TableDataConfig
from shared.data.dataset import SIDES, Ints
from shared.data.schema import Schema
from shared.data.series.lags import LagRows
from shared.data.series.load import Cutting, SeriesData, cut_series, scaled_columns
from shared.data.series.windows import Windows
from shared.data.sources.targets import TargetColumn, Targets
from shared.data.tables.prepare import Preparation
from shared.model.forecasting import build_forecaster
from shared.runtime.errors import ConfigError, bullet_list
from shared.tasks.base import FitContext
from shared.tasks.forecasting.batches import (
    Features,
    FeatureWindow,
    ForecastDataModule,
    ForecastInputs,
    hidden_features,
)
from shared.tasks.forecasting.lags import (
    UNITS,
    LagDataModule,
    LagNetwork,
    LagWindow,
    TreeForecaster,
    lag_network,
)
from shared.tasks.forecasting.module import LitForecaster
from shared.tasks.forecasting.settings import ForecastingConfig
from shared.tasks.forecasting.trained_model import ForecastModel, OneWindow
from shared.tasks.image_regression.data import read_numbers
from shared.tasks.predictions import NumberPredictions
from shared.tasks.tables.learner import TableLearner
from shared.tasks.task import Task


class ForecastingLearner(TableLearner):
    """Trains a `LitForecaster`: of trees a `TreeForecaster`.

    Parameters
    ----------
    settings : ForecastingConfig

    Raises
    ------
    ConfigError
        Settings of the data that forecasts cannot follow.
    """

    def __init__(self, task: Task, cfg: Config, *, settings: ForecastingConfig) -> None:
        super().__init__(task, cfg)
        self.settings = settings
        self._steps: tuple[str, npt.NDArray[np.float32]] | None = None
        if problems := _wrong(cfg.table):
            raise ConfigError("the configuration is not valid:\n" + bullet_list(problems))

    @property
    def table(self) -> TableDataConfig:
        """How the file is read; scaling is that of series, not of sites."""
        return self.cfg.table.model_copy(update={"scaling": "none"})

    @property
    def cutting(self) -> Cutting:
        """How series are cut into windows."""
        own = self.settings
        return Cutting(
            window=own.window,
            horizon=own.horizon,
            stride=own.stride,
            eval_stride=own.eval_stride or own.horizon,
            reach_back=own.reach_back,
            season=own.season,
            block=own.block,
            calendar=own.calendar,
            known=own.known,
            gaps=own.gaps,
        )

    def dataset(  # type: ignore[override]  # of windows, not of rows
        self, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False
    ) -> SeriesData:
        """Read the configured table, and cut its series into windows.

        Raises
        ------
        ConfigError
            No column is to be forecast.
        DataError
        """
        table = super().dataset(cache=cache, sides=sides, progress=progress)
        columns = self.cfg.table.columns
        assert columns.time is not None
        return cut_series(
            table,
            self.cutting,
            time=columns.time,
            series=columns.series,
            scaling=self.cfg.table.scaling,
            sides=sides,
        )

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """A number for each row."""
        return read_numbers(column, problems)

    def datamodule(  # type: ignore[override]
        self, data: SeriesData, rows: Ints | None, fit: FitContext
    ) -> ForecastDataModule | LagDataModule:
        """The batches of all windows, or of a client's."""
        agreed = {**fit.agreed, **data.agreed}
        settings = {
            "batch_size": self.cfg.table.batch_size,
            "eval_batch_size": self.cfg.table.eval_batch_size,
            **self.settings_of(rows, fit),
        }
        if self.grows_trees:
            sites = None if data.sites is None else data.sites.numbers
            lags = self.lags(
                data.schema, agreed, values=data.values, calendar=data.calendar, starts=data.starts, sites=sites
            )
            return LagDataModule(data, lags=lags, **settings)
        features = self.features(data.schema, agreed)
        windows = Windows(self._steps_of(data, features, agreed), data.starts, data.length)
        return ForecastDataModule(
            data,
            inputs=ForecastInputs(windows, self.settings.window, hidden_features(features)),
            **settings,
        )

    def lags(self, schema: Schema, agreed: Mapping[str, Any], **steps: Any) -> LagRows:
        """The rows that trees see of windows.

        Parameters
        ----------
        **steps
            ``values``, ``calendar``, ``starts`` and ``sites`` of `LagRows`.
        """
        own = self.settings
        preparation = Preparation(scaled_columns(schema), cfg=self.cfg.table, agreed=agreed)
        return LagRows(
            schema, window=own.window, season=own.season, known=own.known, preparation=preparation, **steps
        )

    def features(self, schema: Schema, agreed: Mapping[str, Any]) -> Features:
        """What a network takes of each step."""
        return Features.of(
            schema,
            cfg=self.cfg.table,
            agreed=agreed,
            calendar=2 * len(self.settings.calendar),
            known=self.settings.known,
        )

    def module(self, schema: Schema, fit: FitContext) -> LitForecaster:
        """A new forecaster."""
        self.task.check(self.cfg)
        own, kind = self.settings, TreeForecaster if self.grows_trees else LitForecaster
        network: nn.Module
        if self.grows_trees:
            network = lag_network(
                self.cfg,
                schema,
                window=own.window,
                season=own.season,
                calendar=2 * len(own.calendar),
                loss=own.loss,
            )
        else:
            features = self.features(schema, {})
            network = build_forecaster(
                self.cfg,
                window=own.window,
                horizon=schema.horizon,
                features=features.width,
                known=features.known,
            )
        return kind(
            self.cfg,
            spec=self.spec(schema),  # type: ignore[arg-type]  # of this task
            network=network,
            fit=fit,
            loss=own.loss,
            scaling=self.cfg.table.scaling,
        )

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> NumberPredictions:
        """The number of each step."""
        return NumberPredictions(names, values.reshape(-1), noun="step")

    def trained_model(  # type: ignore[override]
        self, module: LitForecaster, schema: Schema, *, threshold: float
    ) -> ForecastModel:
        """The model of a run, for new rows of its series or of others."""
        agreed = module.fit_context.agreed
        if not self.grows_trees:
            inputs: OneWindow = FeatureWindow(self.features(schema, agreed), self.cutting)
        else:
            assert isinstance(module.network, LagNetwork)
            sites = Preparation(scaled_columns(schema), cfg=self.cfg.table, agreed=agreed).sites
            shape = self.settings.horizon, len(module.network.model.features) + UNITS
            inputs = LagWindow(partial(self.lags, schema, agreed), shape=shape, sites=sites)
        return ForecastModel(module, cfg=self.table, schema=schema, cutting=self.cutting, inputs=inputs)

    def _steps_of(
        self, data: SeriesData, features: Features, agreed: Mapping[str, Any]
    ) -> npt.NDArray[np.float32]:
        """The features of all steps, made once for all fits that agree on the same."""
        key = json.dumps([data.fingerprint, agreed], sort_keys=True)
        if self._steps is None or self._steps[0] != key:
            sites = None if data.sites is None else data.sites.numbers
            self._steps = (key, features.of_steps(data.values, data.calendar, sites=sites))
        return self._steps[1]


def _wrong(data: TableDataConfig) -> list[str]:
    """What of the settings of a table forecasts cannot follow."""
    found = []
    if data.columns.time is None:
        found.append(
            "task=forecasting needs data.columns.time, the column that says when each row was measured"
        )
    if data.split_by != "time":
        found.append(
            f"data.split_by={data.split_by} would train on what follows the test; set data.split_by=time"
        )
    if data.columns.series is not None and data.columns.series == data.target:
        found.append(f"data.columns.series and data.target both name {data.target!r}")
    found += [
        f"data.{name} has no effect on task=forecasting, whose target is a number; set it to null"
        for name in ("target_bins", "classes", "positive")
        if getattr(data, name) is not None
    ]
    return found
