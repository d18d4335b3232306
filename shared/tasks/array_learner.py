"""`ArrayLearner`: trains a task whose rows are arrays in memory; a subclass reads them and makes its module."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.data.arrays import ArrayDataModule, Rows
from shared.data.dataset import SIDES, Dataset, Ints
from shared.data.schema import Schema
from shared.data.split.split import absent_strata, make_splits
from shared.data.summary import describe_split
from shared.model.weights import load_weights
from shared.runtime.errors import ConfigError, DataError, FedtwinError
from shared.tasks.base import FitContext
from shared.tasks.module_learner import ModuleLearner
from shared.tasks.predictions import NumberPredictions, Predictions
from shared.tasks.task_module import TaskModule
from shared.tasks.trained_model import Row, TrainedModel


class ArrayLearner(ModuleLearner):
    """Trains a task of somebody's own, whose rows are arrays; splits, batches and evaluation are ready."""

    @abstractmethod
    def read(self, path: Path | None) -> Rows:
        """Read the data.

        Parameters
        ----------
        path : Path or None
            ``data.path``; at a site of a deployment, the site's own.

        Raises
        ------
        DataError
        """

    @abstractmethod
    def build(self, schema: Schema, fit: FitContext) -> TaskModule:
        """A new module; torch's random numbers are those of ``cfg.seed``, so that both modes begin alike."""

    def inputs(self, rows: Any, schema: Schema) -> npt.NDArray[Any]:
        """What `fedtwin.predict` was given, as the model's inputs [N, ...]: an array of numbers, or a file.

        Raises
        ------
        DataError
        """
        if isinstance(rows, str | Path):
            return self._read(Path(rows)).inputs
        try:
            found = np.asarray(rows, dtype=np.float32)
        except (TypeError, ValueError):
            found = np.zeros(0, dtype=np.float32)
        expected = len(schema.inputs)
        if found.ndim < 2 or (expected and found.shape[1] != expected):
            raise DataError(f"expected a file or numbers [N, {expected or '...'}], got {np.shape(rows)}")
        return found

    def tell(self, names: tuple[str, ...], values: npt.NDArray[np.float32]) -> Predictions:
        """What predicted values [N, ...] say; by default one number a row.

        Raises
        ------
        ConfigError
            There are several, and the learner does not say what they are.
        """
        if values.size != len(names):
            raise ConfigError(
                f"the model of task={self.task.config.name} predicts {list(values.shape[1:])} values a "
                f"row; its learner {type(self).__qualname__} must say what they are (method tell)"
            )
        return NumberPredictions(names, values.reshape(-1))

    def dataset(self, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False) -> Dataset:
        """Read the configured data, and split it where it comes without a split.

        Raises
        ------
        DataError
        """
        cfg = self.cfg.rows
        rows = self._read(Path(cfg.path) if cfg.path else None)
        splits = make_splits(
            len(rows.inputs),
            strata=rows.strata,
            groups=rows.groups,
            time=rows.time,
            given=rows.given,
            **cfg.split_rule,
            sides=sides,
        )
        return replace(
            rows.split(splits),
            origin=cfg.path or "",
            layout=describe_split(given=rows.given is not None, by=cfg.split_by, seed=cfg.split_seed),
            notes=tuple(absent_strata(splits, rows.strata)),
        )

    def datamodule(self, data: Dataset, rows: Ints | None, fit: FitContext) -> ArrayDataModule:
        """The batches of all rows, or of a client's."""
        return ArrayDataModule(
            data,
            batch_size=self.cfg.rows.batch_size,
            eval_batch_size=self.cfg.rows.eval_batch_size,
            **self.settings_of(rows, fit),
        )

    def module(self, schema: Schema, fit: FitContext) -> TaskModule:
        """A new module; its initial weights depend on ``cfg.seed`` alone, or are those of ``model.weights``.

        Raises
        ------
        WeightsError
            ``model.weights`` cannot be loaded.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.cfg.seed)
            module = self.build(schema, fit)
        if self.cfg.model.weights:
            load_weights(module.network, self.cfg.model.weights)
        return module

    def _read(self, path: Path | None) -> Rows:
        try:
            return self.read(path)
        except FedtwinError:
            raise
        except Exception as error:  # code of the user's own may raise anything
            raise DataError(
                f"{path or 'the data'} cannot be read by {type(self).__qualname__}: {type(error).__name__}: "
                f"{error}"
            ) from error

    def trained_model(self, module: TaskModule, schema: Schema, *, threshold: float) -> ArrayModel:
        """The model of a run, for rows from anywhere."""
        return ArrayModel(module, schema=schema, learner=self)


class ArrayModel(TrainedModel):
    """Arrays in, predictions out.

    Parameters
    ----------
    learner : ArrayLearner
        Reads new rows, and says what predicted values are.
    """

    def __init__(self, module: TaskModule, *, schema: Schema, learner: ArrayLearner) -> None:
        size = learner.cfg.rows.eval_batch_size
        super().__init__(module, schema=schema, tell=learner.tell, batch_size=size)
        self._inputs = partial(learner.inputs, schema=schema)
        self._columns = len(schema.inputs)

    def prepare(self, rows: Tensor) -> Tensor:
        """Rows as they are."""
        return rows

    def read(self, rows: Any) -> Iterator[Row]:
        """Rows with their numbers."""
        return ((str(number), row) for number, row in enumerate(self._inputs(rows)))

    def no_rows(self) -> Tensor:
        """No rows."""
        return torch.zeros((0, self._columns))
