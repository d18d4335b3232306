"""`TableLearner`: what the tasks on tables have in common: reading, batches, evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.model import OF_TREES
from shared.config.table_data import TableDataConfig
from shared.data.arrays import ArrayDataModule
from shared.data.dataset import SIDES, Ints
from shared.data.schema import Schema
from shared.data.series.trailing import NewWindows
from shared.data.sources.targets import TargetColumn, Targets
from shared.data.sql.rows import table_of_query
from shared.data.tables.entry import read_through_cache
from shared.data.tables.load import TableData, load_table
from shared.data.tables.prepare import Preparation, PreparedRows
from shared.metrics.outputs import Outputs
from shared.model.trees import features_of
from shared.runtime.errors import ConfigError
from shared.tasks.base import FitContext
from shared.tasks.module_learner import ModuleLearner
from shared.tasks.predictions import Predictions
from shared.tasks.tables.trained_model import TableModel
from shared.tasks.tables.trees import TreeDataModule, TreeModule
from shared.tasks.task_module import TaskModule


class TableDataModule(ArrayDataModule):
    """Batches of a table, prepared as they are taken.

    Parameters
    ----------
    preparation : Preparation
    **settings
        Of `ArrayDataModule`.
    """

    def __init__(self, data: TableData, *, preparation: Preparation, **settings: Any) -> None:
        super().__init__(data, **settings)
        sites = None if data.sites is None else data.sites.numbers
        self._prepared = PreparedRows(data.inputs, preparation, sites=sites)

    @property
    def inputs(self) -> Any:
        """What a batch of inputs is sliced out of."""
        return self._prepared

    def prepared(self, stage: str) -> npt.NDArray[Any]:
        """The rows of a stage, scaled and without gaps, [n, d].

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        found: npt.NDArray[Any] = self.inputs[self.rows[stage]]
        return found


class TableLearner(ModuleLearner):
    """Trains a task on tables; a subclass reads its targets and makes its module.

    Attributes
    ----------
    needs_target : bool
        Whether there must be a column to predict.
    """

    needs_target = True

    def dataset(self, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False) -> TableData:
        """Read the configured table.

        Raises
        ------
        ConfigError
            No column is to be predicted.
        DataError
        """
        table = self.table
        if self.needs_target and table.target is None:
            raise ConfigError(
                f"task={self.cfg.task.name} needs data.target, the column that is to be predicted"
            )
        partition = self.cfg.partition
        keep = [partition.column] if partition.name == "natural" and partition.column else []
        origin = None
        if table.source == "sql":
            table, origin = table_of_query(table, cache=cache, keep=keep)
        load = partial(
            load_table,
            table,
            read_targets=self.read_targets,
            sides=sides,
            keep=keep,
            keeps_gaps=self.grows_trees,
            origin=origin,
        )
        task = f"{type(self).__module__}.{type(self).__qualname__}"
        read_as = {"task": task, "sides": sorted(sides), "keep": keep, "keeps_gaps": self.grows_trees}
        data = read_through_cache(table, cache=cache, load=load, read_as=read_as)
        if self.grows_trees:
            features_of(data.schema.inputs)  # a category of too many levels is an error of the table
        return data

    def datamodule(self, data: TableData, rows: Ints | None, fit: FitContext) -> ArrayDataModule:
        """The batches of all rows, or of a client's."""
        settings = {
            "batch_size": self.cfg.table.batch_size,
            "eval_batch_size": self.cfg.table.eval_batch_size,
            **self.settings_of(rows, fit),
        }
        if self.grows_trees:
            return TreeDataModule(data, **settings)
        preparation = self.preparation(data.schema, {**fit.agreed, **data.agreed})
        return TableDataModule(data, preparation=preparation, **settings)

    @property
    def table(self) -> TableDataConfig:
        """How the file is read and split."""
        return self.cfg.table

    @property
    def grows_trees(self) -> bool:
        """Whether the model is one of trees."""
        return isinstance(self.cfg.model, OF_TREES)

    @property
    def new_windows(self) -> NewWindows | None:
        """How rows of a new file become windows; None: a model takes them one by one."""
        return None

    def preparation(self, schema: Schema, agreed: Mapping[str, Any]) -> Preparation:
        """From a table's inputs to what the network takes."""
        return Preparation(schema.inputs, cfg=self.cfg.table, agreed=agreed)

    @abstractmethod
    def read_targets(self, column: TargetColumn, problems: list[str]) -> Targets:
        """What is to be predicted, from the text of a column; `problems` takes what is wrong."""

    @abstractmethod
    def module(self, schema: Schema, fit: FitContext) -> TaskModule:
        """A new module with its initial weights."""

    @abstractmethod
    def tell(
        self, names: tuple[str, ...], values: npt.NDArray[np.float32], *, schema: Schema, threshold: float
    ) -> Predictions:
        """What predicted values [N, ...] say about rows."""

    def predict(self, module: TaskModule, datamodule: ArrayDataModule, stage: str) -> Outputs:
        """Evaluate a module on a stage; trees look at what has grown since the last time."""
        if isinstance(module, TreeModule):
            assert isinstance(datamodule, TreeDataModule)
            return module.outputs(datamodule, stage)
        return super().predict(module, datamodule, stage)

    def trained_model(self, module: TaskModule, schema: Schema, *, threshold: float) -> TableModel:
        """The model of a run, for rows from anywhere."""
        return TableModel(
            module,
            cfg=self.cfg.table,
            schema=schema,
            preparation=None if self.grows_trees else self.preparation(schema, module.fit_context.agreed),
            tell=partial(self.tell, schema=schema, threshold=threshold),
            threshold=threshold,
            windows=self.new_windows,
        )
