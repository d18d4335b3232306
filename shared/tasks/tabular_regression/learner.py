"""Trains tabular regression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.model.tabular import build_tabular
from shared.tasks.base import FitContext
from shared.tasks.image_regression.data import read_numbers
from shared.tasks.image_regression.module import LitRegressor
from shared.tasks.predictions import NumberPredictions
from shared.tasks.tables.learner import TableLearner
from shared.tasks.tables.trees import TreeRegressor, tree_network
from shared.tasks.tabular_regression.spec import TabularRegressionSpec
from shared.trees.objectives import SquaredError


class TabularRegressionLearner(TableLearner):
    """Trains a `LitRegressor`: of trees a `TreeRegressor`."""

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """A number for each row."""
        return read_numbers(column, problems)

    def module(self, schema: Schema, fit: FitContext) -> LitRegressor:
        """A new regressor."""
        self.task.check(self.cfg)
        if self.grows_trees:
            trees = tree_network(self.cfg, schema, objective=SquaredError())
            return TreeRegressor(self.cfg, spec=TabularRegressionSpec(schema), network=trees, fit=fit)
        width = self.preparation(schema, {}).width
        network = build_tabular(self.cfg, num_inputs=width, num_outputs=1)
        return LitRegressor(self.cfg, spec=TabularRegressionSpec(schema), network=network, fit=fit)

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> NumberPredictions:
        """The number of each row."""
        return NumberPredictions(names, values.reshape(-1))
