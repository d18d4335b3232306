"""Trains tabular classification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.data.schema import Schema
from shared.data.sources.targets import TargetColumn, Targets
from shared.model.tabular import build_tabular
from shared.tasks.base import FitContext
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_classification.module import LitClassifier
from shared.tasks.image_classification.predictions import ClassPredictions
from shared.tasks.tables.learner import TableLearner
from shared.tasks.tables.trees import TreeClassifier, tree_network
from shared.tasks.tabular_classification.spec import TabularClassificationSpec
from shared.trees.objectives import Logistic, Softmax


class TabularClassificationLearner(TableLearner):
    """Trains a `LitClassifier`: of trees a `TreeClassifier`."""

    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """One of the classes for each row."""
        return read_classes(column, problems)

    def module(self, schema: Schema, fit: FitContext) -> LitClassifier:
        """A new classifier."""
        self.task.check(self.cfg)
        if self.grows_trees:
            objective = Logistic() if len(schema.classes) == 2 else Softmax(len(schema.classes))
            trees = tree_network(self.cfg, schema, objective=objective)
            return TreeClassifier(self.cfg, spec=TabularClassificationSpec(schema), network=trees, fit=fit)
        width = self.preparation(schema, {}).width
        network = build_tabular(self.cfg, num_inputs=width, num_outputs=len(schema.classes))
        return LitClassifier(self.cfg, spec=TabularClassificationSpec(schema), network=network, fit=fit)

    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> ClassPredictions:
        """The class of each row."""
        return ClassPredictions(names, schema.classes, values, threshold, noun="row")
