"""`ImageDataModule`: batches of images and their targets, of all rows or of one client's."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.batches import BatchLoader, EpochSampler, part_size
from shared.data.dataset import SIDES
from shared.data.images.augment import build_transform
from shared.data.images.dataset import ImageData


class ImageDataModule(L.LightningDataModule):
    """Train, validation and test batches.

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
        cfg: ImageDataConfig,
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
        return BatchLoader(
            (self.data.images, self.data.targets), rows, batch_size=self.cfg.batch_size, sampler=sampler
        )

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
        return BatchLoader(
            (self.data.images, self.data.targets), self.rows[stage], batch_size=self.cfg.eval_batch_size
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment (training only) and normalise, on the device.

        Parameters
        ----------
        batch : tuple of Tensor [B, C, H, W] uint8 and Tensor [B, ...]

        Returns
        -------
        tuple of Tensor [B, C, H, W] float32 and Tensor [B, ...]
        """
        images, targets = batch
        training = self.trainer is not None and self.trainer.training
        return (self.train_transform if training else self.eval_transform)(images), targets
