"""`TrainedModel`: a run's network with its preprocessing, as a module; `PredictingLearner` makes it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shared.data.schema import Schema
from shared.tasks.base import Learner
from shared.tasks.predictions import Predictions
from shared.tasks.task_module import TaskModule

Row = tuple[str, npt.NDArray[Any]]  # a name for people, and what the model takes
Tell = Callable[[tuple[str, ...], npt.NDArray[np.float32]], Predictions]  # what predicted values [N, ...] say


class TrainedModel(nn.Module):
    """Rows in, predictions out; in evaluation mode when it is made.

    Parameters
    ----------
    module : TaskModule
        With the weights of the run.
    tell : callable
        From the names and the predicted values of rows to `Predictions`.
    threshold : float
        Of the probability of the second of 2 classes.
    batch_size : int
        Rows that `predict` takes at once.

    Attributes
    ----------
    network : nn.Module
        Takes what `prepare` gives.
    predicted : callable
        From what the network gives, in 32 bits, to what the metrics of the task take.
    classes : tuple of str
        Of the schema; empty where the target is no label.
    """

    def __init__(
        self, module: TaskModule, *, schema: Schema, tell: Tell, threshold: float = 0.5, batch_size: int
    ) -> None:
        super().__init__()
        self.classes, self.threshold = schema.classes, threshold
        self.network = module.network
        self.predicted, self._tell, self._batch_size = module.predictions, tell, batch_size
        self.eval()

    def forward(self, rows: Tensor) -> Tensor:
        """Prepare rows, and predict.

        Returns
        -------
        Tensor [B, ...], float32
            What the metrics of the task take: probabilities, or numbers in the target's own unit.

        Raises
        ------
        DataError
            Rows of another type or shape.
        """
        results: Tensor = self.network(self.prepare(rows))
        return self.predicted(results.float())

    @abstractmethod
    def prepare(self, rows: Tensor) -> Tensor:
        """Check a batch of rows, and make of it what the network takes."""

    @abstractmethod
    def read(self, rows: Any) -> Iterator[Row]:
        """Whatever a user may have rows in: files, arrays.

        Raises
        ------
        DataError
            It cannot be read, or is of another kind.
        """

    @abstractmethod
    def no_rows(self) -> Tensor:
        """A batch of no rows, whose predictions say what shape those of a row have."""

    def predict(self, rows: Any) -> Predictions:
        """Predict for rows in any form that `read` takes.

        Raises
        ------
        DataError
        """
        return self.predict_read(self.read(rows))

    def predict_read(self, rows: Iterable[Row]) -> Predictions:
        """Predict for rows as `read` gives them, some at a time.

        Raises
        ------
        DataError
        """
        names: list[str] = []
        with torch.inference_mode():
            parts: list[Tensor] = []
            for batch in _batches(rows, size=self._batch_size):
                names += [name for name, _ in batch]
                parts.append(self(torch.from_numpy(np.stack([row for _, row in batch]))))
            parts = parts or [self(self.no_rows())]
        return self._tell(tuple(names), torch.cat(parts).numpy())


@runtime_checkable
class PredictingLearner(Learner, Protocol):
    """A learner whose models can predict for rows that no run has seen (`fedtwin.predict`)."""

    def trained_model(self, module: Any, schema: Schema, *, threshold: float) -> TrainedModel:
        """The model of a run, with its preprocessing.

        Parameters
        ----------
        module : LightningModule
            From `module`, with the weights of the run.
        threshold : float
            That the run was tested at.

        Raises
        ------
        TrackingError
            The run lacks something that the model needs.
        """
        ...


@runtime_checkable
class KeepingLearner(Learner, Protocol):
    """A learner whose stored models need more than their weights and what was agreed on before training."""

    def kept(self, module: Any, datamodule: Any) -> dict[str, Any]:
        """What is stored with a tested model, in JSON's types: part of what later fits and models agree on.

        Parameters
        ----------
        module : LightningModule
            With the weights that are tested.
        datamodule : LightningDataModule
            Of all rows.
        """
        ...


def kept_of(learner: Learner, module: Any, datamodule: Any) -> dict[str, Any]:
    """What a learner keeps of a tested model beside its weights."""
    return learner.kept(module, datamodule) if isinstance(learner, KeepingLearner) else {}


def _batches(rows: Iterable[Row], *, size: int) -> Iterator[list[Row]]:
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch
