"""`Rows`, `ArrayData` and `ArrayDataModule`: rows that are in memory as arrays, and their batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.data.batches import BatchLoader, EpochSampler, part_size
from shared.data.dataset import SIDES, Dataset, Groups, Ints, Strata, Texts, Timeline
from shared.data.schema import Schema

Transform = Callable[[Tensor], Tensor]  # of a batch


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What was read, before it is split; row ``i`` of every array is the same row.

    Attributes
    ----------
    inputs, targets : ndarray [N, ...]
        What a model takes, and what it is to predict.
    schema : Schema
        What a row holds; must be alike on the server and at all clients.
    strata, groups, time
        What splits and partitions need to know, see `shared.data.dataset.Dataset`.
    given : ndarray [N], str, optional
        ``train``, ``val`` or ``test``, of data that comes with a split.
    columns : mapping of str to ndarray [N], str
        For the natural partition, by name.
    """

    inputs: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    schema: Schema
    strata: Strata | None = None
    groups: Groups | None = None
    time: Timeline | None = None
    given: Texts | None = None
    columns: Mapping[str, Texts] = field(default_factory=dict)

    def split(self, splits: Texts) -> ArrayData:
        """The data set in which every row is on a side."""
        content = hashlib.sha256()
        for array in (self.inputs, self.targets):
            content.update(np.ascontiguousarray(array).tobytes())
        return ArrayData(
            schema=self.schema,
            targets=self.targets,
            splits=splits,
            strata=self.strata,
            groups=self.groups,
            time=self.time,
            columns=self.columns,
            fingerprint=content.hexdigest()[:32],
            inputs=self.inputs,
        )


@dataclass(frozen=True, kw_only=True)
class ArrayData(Dataset):
    """Rows that are arrays.

    Attributes
    ----------
    inputs : ndarray [N, ...]
        What a model takes; may be memory-mapped.
    """

    inputs: npt.NDArray[Any]


class ArrayDataModule(L.LightningDataModule):
    """Train, validation and test batches, sliced out of arrays.

    Parameters
    ----------
    data : ArrayData
    batch_size, eval_batch_size : int
        Rows a gradient step, and a forward pass in evaluation.
    seed : int
        Of the order of the training rows.
    indices : ndarray [n], int64, optional
        The rows of one client; all rows without it.
    partition_id : int
        Enters the order of the training rows.
    epoch_offset : int
        Epochs before this fit, so that round 2 does not repeat the order of round 1.
    parts : int
        Epochs that share one pass over the training rows.

    Attributes
    ----------
    train_transform, eval_transform : callable
        What is done to a batch of inputs on the device, in training and in evaluation; a subclass sets them.
    """

    def __init__(
        self,
        data: Any,
        *,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        indices: Ints | None = None,
        partition_id: int = 0,
        epoch_offset: int = 0,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.data, self.batch_size, self.eval_batch_size = data, batch_size, eval_batch_size
        self.seed, self.partition_id = seed, partition_id
        self.epoch_offset, self.parts = epoch_offset, parts
        self.rows = {stage: data.rows(stage, indices) for stage in SIDES}
        self.train_transform: Transform = _unchanged
        self.eval_transform: Transform = _unchanged

    @property
    def inputs(self) -> npt.NDArray[Any]:
        """What a batch of inputs is sliced out of."""
        inputs: npt.NDArray[Any] = self.data.inputs
        return inputs

    def num_examples(self, stage: str) -> int:
        """Rows of a stage; of training, those of the first epoch of the fit.

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        size = len(self.rows[stage])
        return part_size(size, epoch=self.epoch_offset, parts=self.parts) if stage == "train" else size

    def train_dataloader(self) -> BatchLoader:
        """Shuffled training batches."""
        rows = self.rows["train"]
        sampler = EpochSampler(
            len(rows),
            seed=self.seed,
            partition_id=self.partition_id,
            epoch_offset=self.epoch_offset,
            parts=self.parts,
        )
        return BatchLoader((self.inputs, self.data.targets), rows, batch_size=self.batch_size, sampler=sampler)

    def val_dataloader(self) -> BatchLoader:
        """Validation batches, in order."""
        return self.eval_loader("val")

    def test_dataloader(self) -> BatchLoader:
        """Test batches, in order."""
        return self.eval_loader("test")

    def eval_loader(self, stage: str) -> BatchLoader:
        """Large batches of a stage, in order.

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        return BatchLoader((self.inputs, self.data.targets), self.rows[stage], batch_size=self.eval_batch_size)

    def no_inputs(self) -> Tensor:
        """A batch of no rows, whose predictions say what shape those of a row have."""
        return torch.from_numpy(self.inputs[:0].copy())

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Transform the inputs, on the device.

        Parameters
        ----------
        batch : tuple of Tensor [B, ...] and Tensor [B, ...]
        """
        inputs, targets = batch
        training = self.trainer is not None and self.trainer.training
        return (self.train_transform if training else self.eval_transform)(inputs), targets


def _unchanged(inputs: Tensor) -> Tensor:
    return inputs
