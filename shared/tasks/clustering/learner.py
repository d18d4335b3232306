"""Trains a clustering of a table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.clusters.mixture import Mixture
from shared.config.config import Config
from shared.config.model import GmmConfig
from shared.data.schema import Column, Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.data.tables.load import TableData
from shared.data.tables.prepare import Preparation
from shared.data.tables.reading import NO_TARGET
from shared.metrics.outputs import Outputs
from shared.model.centroids import CentroidNetwork
from shared.model.fitted import FittedNetwork
from shared.runtime.errors import ConfigError
from shared.tasks.base import FitContext
from shared.tasks.clustering.module import ClusterDataModule, ClusterModule, KMeansModule, MixtureModule
from shared.tasks.clustering.predictions import ClusterPredictions, MixturePredictions
from shared.tasks.image_classification.data import read_classes
from shared.tasks.tables.learner import TableLearner
from shared.tasks.task import Task


class ClusteringLearner(TableLearner):
    """Trains a `KMeansModule` or a `MixtureModule`.

    Parameters
    ----------
    clusters : int
        How many.
    model, covariance : str
        Whose measures there are.

    Raises
    ------
    ConfigError
        Settings that distances between rows cannot follow.
    """

    needs_target = False

    def __init__(self, task: Task, cfg: Config, *, clusters: int, model: str, covariance: str) -> None:
        super().__init__(task, cfg)
        self.clusters = clusters
        data = cfg.table
        task.check(cfg)
        if model != cfg.model.name:
            raise ConfigError(
                f"task.model={model} names the model whose measures there are; set it to {cfg.model.name}, "
                "as model.name"
            )
        if isinstance(cfg.model, GmmConfig) and covariance != cfg.model.covariance:
            raise ConfigError(
                f"task.covariance={covariance} says whose parameters are counted; set it to "
                f"{cfg.model.covariance}, as model.covariance"
            )
        if data.drop_first_level:
            raise ConfigError(
                "data.drop_first_level=true would put one level nearer to all others than these are to each "
                "other; set it to false for task=clustering"
            )
        if data.positive is not None:
            raise ConfigError("data.positive has no effect on task=clustering; set it to null")
        if cfg.compare.local_only and data.scaling == "federated":
            raise ConfigError(
                "compare.local_only=true: a site alone scales its inputs by its own rows, and so its "
                "distances are in other units; set data.scaling=none or local, or compare.local_only=false"
            )

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """Labels, which only the agreement looks at; none where no column is named."""
        if column.name == NO_TARGET:
            return Targets(np.zeros(len(column.texts), dtype=np.int64), Schema(), None)
        found = read_classes(column, problems)
        schema = Schema(targets=(Column(column.name, "categorical", found.schema.classes),))
        strata = None if found.strata is None else replace(found.strata, noun="label", on_every_side=False)
        return replace(found, schema=schema, strata=strata)

    def datamodule(self, data: TableData, rows: Any, fit: FitContext) -> ClusterDataModule:
        """All rows, or a client's, as distances take them."""
        return ClusterDataModule(
            data,
            preparation=self.preparation(data.schema, {**fit.agreed, **data.agreed}),
            batch_size=self.cfg.table.batch_size,
            eval_batch_size=self.cfg.table.eval_batch_size,
            **self.settings_of(rows, fit),
        )

    def preparation(self, schema: Schema, agreed: Mapping[str, Any]) -> Preparation:
        """From a table's inputs to what distances take, in 64 bits."""
        return Preparation(schema.inputs, cfg=self.cfg.table, agreed=agreed, dtype=np.float64)

    def module(self, schema: Schema, fit: FitContext) -> ClusterModule:
        """A new module, without clusters."""
        width, model = self.preparation(schema, {}).width, self.cfg.model
        if isinstance(model, GmmConfig):
            mixture = Mixture(
                components=self.clusters,
                width=width,
                seed=self.cfg.seed,
                regularization=model.regularization,
                full=model.covariance == "full",
            )
            return MixtureModule(self.cfg, spec=self.spec(schema), network=FittedNetwork(mixture), fit=fit)
        network = CentroidNetwork(clusters=self.clusters, width=width)
        return KMeansModule(self.cfg, spec=self.spec(schema), network=network, fit=fit)

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> ClusterPredictions | MixturePredictions:
        """The cluster of each row."""
        if isinstance(self.cfg.model, GmmConfig):
            return MixturePredictions(names, values)
        return ClusterPredictions(names, values)

    def predict(self, module: Any, datamodule: Any, stage: str) -> Outputs:
        """What the metrics take of a stage's rows, with the rows."""
        outputs: Outputs = module.outputs(datamodule, stage)
        return outputs
