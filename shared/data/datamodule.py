"""`ImageDataModule`: batches for training and evaluation, of all rows or of one client's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.config.data import DataConfig
from shared.data.dataset import SIDES
from shared.data.images.augment import build_transform
from shared.data.images.dataset import ImageData
from shared.data.profile import Profile
from shared.runtime.errors import ConfigError
from shared.runtime.seeding import derive_seed
from shared.tasks.image_classification.profile import profile_of

Batch = tuple[Tensor, Tensor]


class EpochSampler:
    """The order of the rows, a function of seed, partition and epoch alone.

    Parameters
    ----------
    size : int
        Rows.
    epoch_offset : int
        Epochs that came before this fit: of earlier rounds.
    parts : int
        Epochs that share one pass over the rows, each with a part of it.
    """

    def __init__(
        self, size: int, *, seed: int, partition_id: int, epoch_offset: int = 0, parts: int = 1
    ) -> None:
        self.size, self.seed, self.partition_id = size, seed, partition_id
        self.epoch_offset, self.parts = epoch_offset, parts
        self.epoch = epoch_offset

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each.

        Parameters
        ----------
        epoch : int
            Of this fit, from 0.
        """
        self.epoch = self.epoch_offset + epoch

    def __len__(self) -> int:
        return part_size(self.size, epoch=self.epoch, parts=self.parts)

    def order(self) -> npt.NDArray[np.int64]:
        """A permutation of ``range(size)``, or the part of it that the epoch takes.

        Returns
        -------
        ndarray [len(self)], int64
        """
        whole, part = divmod(self.epoch, self.parts)
        rows = np.random.default_rng(derive_seed(self.seed, self.partition_id, whole)).permutation(self.size)
        return rows[self.size * part // self.parts :][: len(self)]


def part_size(size: int, *, epoch: int, parts: int) -> int:
    """Rows of an epoch, where several share one pass over all rows.

    Parameters
    ----------
    size : int
        All rows.
    epoch : int
        From 0.
    parts : int
        Epochs that share a pass.

    Returns
    -------
    int
        They differ by one at most, and those of a pass add up to ``size``.
    """
    part = epoch % parts
    return size * (part + 1) // parts - size * part // parts


class BatchLoader:
    """Slices batches straight out of the memory-mapped images: no workers, no per-image Python.

    A last training batch of one row joins the one before it, as BatchNorm cannot train on a single value. Of
    several devices each gets as many batches as the others, of about the same size, and each row is on one.

    Parameters
    ----------
    rows : ndarray [n], int64
    sampler : EpochSampler, optional
        Without one the rows come in their order.
    """

    def __init__(
        self,
        data: ImageData,
        rows: npt.NDArray[np.int64],
        *,
        batch_size: int,
        sampler: EpochSampler | None = None,
    ) -> None:
        self.data, self.rows, self.batch_size, self.sampler = data, rows, batch_size, sampler
        self.batch_sampler = None  # Lightning asks for it where there is a sampler

    def __len__(self) -> int:
        return len(self._bounds())

    def __iter__(self) -> Iterator[Batch]:
        rows = self.rows if self.sampler is None else self.rows[self.sampler.order()]
        for start, stop in self._bounds():
            batch = rows[start:stop]
            yield torch.from_numpy(self.data.images[batch]), torch.from_numpy(self.data.labels[batch])

    def _bounds(self) -> list[tuple[int, int]]:
        rank, world = _rank_and_world()
        size = len(self.rows if self.sampler is None else self.sampler)
        if world > 1:
            return _even_bounds(size, batch_size=self.batch_size, world=world)[rank::world]
        edges = [*range(0, size, self.batch_size), size]
        if self.sampler is not None and len(edges) > 2 and self.batch_size > 1 and edges[-1] - edges[-2] == 1:
            del edges[-2]
        return list(pairwise(edges))


class ImageDataModule(L.LightningDataModule):
    """Train, validation and test batches for the `LitClassifier`.

    Parameters
    ----------
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
    """

    def __init__(
        self,
        data: ImageData,
        *,
        cfg: DataConfig,
        seed: int,
        indices: npt.NDArray[np.int64] | None = None,
        partition_id: int = 0,
        epoch_offset: int = 0,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.data, self.cfg, self.seed, self.partition_id = data, cfg, seed, partition_id
        self.epoch_offset, self.parts = epoch_offset, parts
        self.rows = {stage: data.rows(stage, indices) for stage in SIDES}
        self.train_transform = build_transform(cfg, train=True)
        self.eval_transform = build_transform(cfg, train=False)

    def num_examples(self, stage: str) -> int:
        """Rows of a stage; of training, those of the first epoch of the fit.

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        size = len(self.rows[stage])
        return part_size(size, epoch=self.epoch_offset, parts=self.parts) if stage == "train" else size

    def label_counts(self, stage: str = "train") -> list[int]:
        """Rows of each class.

        Parameters
        ----------
        stage : {"train", "val", "test"}
        """
        counts = np.bincount(self.data.labels[self.rows[stage]], minlength=len(self.data.classes))
        return [int(count) for count in counts]

    def profile(self) -> Profile:
        """What may be said of the training rows: how many there are of each class."""
        return profile_of(self.data, self.rows["train"])

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
        return BatchLoader(self.data, rows, batch_size=self.cfg.batch_size, sampler=sampler)

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
        return BatchLoader(self.data, self.rows[stage], batch_size=self.cfg.eval_batch_size)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment (training only) and normalise, on the device.

        Parameters
        ----------
        batch : tuple of Tensor [B, C, H, W] uint8 and Tensor [B] int64

        Returns
        -------
        tuple of Tensor [B, C, H, W] float32 and Tensor [B] int64
        """
        images, labels = batch
        training = self.trainer is not None and self.trainer.training
        return (self.train_transform if training else self.eval_transform)(images), labels


def _even_bounds(size: int, *, batch_size: int, world: int) -> list[tuple[int, int]]:
    if 0 < size < world:
        raise ConfigError(f"trainer.devices={world} cannot share {size} rows; use fewer devices")
    # Sizes differ by one row at most: where they do not come out even, a batch may have one row too many.
    count = world * min(-(-size // (batch_size * world)), size // world)
    return list(pairwise(size * part // count for part in range(count + 1))) if count else []


def _rank_and_world() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
