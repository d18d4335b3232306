"""Trains models of a table's normal rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.anomalies.components import Components
from shared.anomalies.forest import Forest
from shared.config.config import Config
from shared.config.model import (
    AUTOENCODERS,
    AutoencoderConfig,
    ConvAutoencoderConfig,
    IsolationForestConfig,
    PcaConfig,
)
from shared.data.dataset import SIDES
from shared.data.schema import Schema
from shared.data.series.trailing import NewWindows
from shared.data.sources.targets import TargetColumn, Targets
from shared.data.tables.load import TableData
from shared.data.tables.prepare import Preparation
from shared.metrics.outputs import Outputs
from shared.model.autoencoder import Autoencoder, ConvAutoencoder, Rebuilding
from shared.model.fitted import FittedNetwork
from shared.model.weights import load_weights
from shared.runtime.errors import ConfigError
from shared.sums.questions import Fitting
from shared.tasks.anomaly.data import check_sites, read_events, with_normal_training
from shared.tasks.anomaly.datamodule import AnomalyDataModule, WholeDataModule, WindowDataModule
from shared.tasks.anomaly.module import AutoencoderModule, FittedModule, LimitedModule
from shared.tasks.anomaly.predictions import AnomalyPredictions
from shared.tasks.anomaly.settings import AnomalySettings
from shared.tasks.anomaly.trained_model import LIMITS, SiteLimitsModel
from shared.tasks.anomaly.windows import WindowedData
from shared.tasks.base import FitContext
from shared.tasks.tables.learner import TableLearner
from shared.tasks.tables.trained_model import TableModel
from shared.tasks.task import Task
from shared.tasks.task_module import TaskModule


class AnomalyLearner(TableLearner):
    """Trains a `LimitedModule`.

    Parameters
    ----------
    settings : AnomalySettings

    Raises
    ------
    ConfigError
        The model is for another task.
    """

    def __init__(self, task: Task, cfg: Config, *, settings: AnomalySettings) -> None:
        super().__init__(task, cfg)
        self.settings = settings
        task.check(cfg)
        if self.window is not None and cfg.table.columns.time is None:
            raise ConfigError(
                f"model={cfg.model.name} looks at the rows before each row of its series, and needs their "
                "times; name the column by data.columns.time (and that of the series by data.columns.series), "
                "or set model=autoencoder"
            )

    @property
    def window(self) -> int | None:
        """Rows that a model looks at together; None for one of single rows."""
        model = self.cfg.model
        return model.window if isinstance(model, ConvAutoencoderConfig) else None

    def dataset(self, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False) -> TableData:
        """Read the configured table; its training rows are normal ones.

        Raises
        ------
        ConfigError, DataError
        """
        data = with_normal_training(
            super().dataset(cache=cache, sides=sides, progress=progress),
            windows_by=None if self.window is None else self.cfg.table.columns.time,
        )
        if self.settings.limits == "site":
            check_sites(data, sides=sides)
        return data

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """Which rows are anomalies."""
        return read_events(column, problems)

    def datamodule(self, data: TableData, rows: Any, fit: FitContext) -> AnomalyDataModule:
        """All rows, or a client's."""
        settings = {
            "preparation": self.preparation(data.schema, {**fit.agreed, **data.agreed}),
            "batch_size": self.cfg.table.batch_size,
            "eval_batch_size": self.cfg.table.eval_batch_size,
            **self.settings_of(rows, fit),
        }
        if self.window is not None:
            assert isinstance(data, WindowedData)
            return WindowDataModule(data, length=self.window, **settings)
        kind = AnomalyDataModule if isinstance(self.cfg.model, AutoencoderConfig) else WholeDataModule
        return kind(data, **settings)

    def preparation(self, schema: Schema, agreed: Mapping[str, Any]) -> Preparation:
        """From a table's inputs to what the model takes; what is fitted by sums takes 64 bits."""
        dtype = np.float32 if isinstance(self.cfg.model, AUTOENCODERS) else np.float64
        return Preparation(schema.inputs, cfg=self.cfg.table, agreed=agreed, dtype=dtype)

    @property
    def new_windows(self) -> NewWindows | None:
        """How rows of a new file become windows, where the model takes these."""
        return None if self.window is None else NewWindows(self.cfg.table, length=self.window)

    def module(self, schema: Schema, fit: FitContext) -> LimitedModule:
        """A new module."""
        import torch

        width, model = self.preparation(schema, {}).width, self.cfg.model
        more: dict[str, Any] = {"spec": self.spec(schema), "fit": fit, "settings": self.settings}
        if not isinstance(model, AUTOENCODERS):
            return FittedModule(self.cfg, network=FittedNetwork(self._fitting(width)), **more)
        network: Rebuilding
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.cfg.seed)
            if isinstance(model, ConvAutoencoderConfig):
                network = ConvAutoencoder(
                    width=width,
                    steps=model.window,
                    channels=model.channels,
                    kernel=model.kernel,
                    dropout=model.dropout,
                )
            else:
                network = Autoencoder(width=width, hidden=model.hidden, code=model.code, dropout=model.dropout)
        if model.weights:
            load_weights(network, model.weights)
        return AutoencoderModule(self.cfg, network=network, **more)

    def _fitting(self, width: int) -> Fitting:
        model, quantile = self.cfg.model, self.settings.quantile
        if isinstance(model, IsolationForestConfig):
            return Forest(
                width=width, trees=model.trees, samples=model.samples, quantile=quantile, seed=self.cfg.seed
            )
        assert isinstance(model, PcaConfig)
        if isinstance(model.components, int) and model.components > width:
            raise ConfigError(
                f"model.components={model.components}, and rows have {width} numbers; set it to {width} or "
                "fewer"
            )
        return Components(width=width, keep=model.components, quantile=quantile)

    def predict(self, module: Any, datamodule: Any, stage: str) -> Outputs:
        """Ratios and scores of a stage's rows."""
        outputs: Outputs = module.outputs(datamodule, stage)
        return outputs

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> AnomalyPredictions:
        """Which rows are alarms."""
        return AnomalyPredictions(names, values)

    def kept(self, module: LimitedModule, datamodule: AnomalyDataModule) -> dict[str, Any]:
        """The limits of sites, which are no part of the network."""
        if self.settings.limits == "common":
            return {}
        limits = {site: own.tolist() for site, own in module.site_limits(datamodule).items()}
        return {LIMITS: {"column": self.cfg.table.columns.site, "sites": limits}}

    def trained_model(self, module: TaskModule, schema: Schema, *, threshold: float) -> TableModel:
        """The model of a run, for rows from anywhere; with limits of sites, for rows of these.

        Raises
        ------
        ConfigError
            Limits of sites were not stored, as the run was not tested.
        """
        if self.settings.limits == "common":
            return super().trained_model(module, schema, threshold=threshold)
        assert isinstance(module, LimitedModule)
        if LIMITS not in module.fit_context.agreed:
            raise ConfigError(
                "this run was judged by limits of its sites (task.limits=site), which are stored when a run is "
                "tested, and its are not (trainer.test=false, or an earlier version): train it again"
            )
        return SiteLimitsModel(
            module,
            cfg=self.cfg.table,
            schema=schema,
            preparation=self.preparation(schema, module.fit_context.agreed),
            tell=partial(self.tell, schema=schema, threshold=threshold),
            threshold=threshold,
            limits=module.fit_context.agreed[LIMITS],
            windows=self.new_windows,
        )
