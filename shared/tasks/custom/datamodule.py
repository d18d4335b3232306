"""`CustomDataModule`: batches of a user's rows, of all or of one client's."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from shared.data.batches import EpochSampler, part_size
from shared.data.dataset import SIDES, Ints
from shared.tasks.base import FitContext
from shared.tasks.custom.data import CustomData


class CustomDataModule(L.LightningDataModule):
    """Loaders of the user's datasets; hooks around the transfer of a batch are the user's own.

    Parameters
    ----------
    rows : ndarray [n], int64, or None
        Of one client; None: all.
    seed : int
        Of the order of the training rows.
    """

    def __init__(self, data: CustomData, *, rows: Ints | None, seed: int, fit: FitContext) -> None:
        super().__init__()
        self.data, self.seed, self.fit_context = data, seed, fit
        self.places = {side: data.places(side, rows) for side in SIDES}
        self.predicted = "test"  # the stage that `predict_dataloader` gives

    def num_examples(self, stage: str) -> int:
        """Rows of a stage; of training, those of the first epoch of the fit."""
        size, fit = len(self.places[stage]), self.fit_context
        return part_size(size, epoch=fit.epoch_offset, parts=fit.parts) if stage == "train" else size

    def train_dataloader(self) -> DataLoader[Any]:
        """Training batches, in an order that seed, client and epoch determine."""
        places, fit = self.places["train"], self.fit_context
        # Lightning's epoch counts from the beginning of the whole training here.
        sampler = EpochSampler(len(places), seed=self.seed, partition_id=fit.partition_id, parts=fit.parts)
        sampler.set_epoch(fit.epoch_offset)
        return self.data.loading["train"].train_loader(places, sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation batches, in order."""
        return self.eval_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Test batches, in order."""
        return self.eval_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """The batches of the stage that outputs are asked of."""
        return self.eval_loader(self.predicted)

    def eval_loader(self, stage: str) -> DataLoader[Any]:
        """Batches of a stage, in order."""
        return self.data.loading[stage].eval_loader(self.places[stage])

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The user's hook."""
        return self._own().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The user's hook."""
        return self._own().on_before_batch_transfer(batch, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The user's hook."""
        return self._own().on_after_batch_transfer(batch, dataloader_idx)

    def _own(self) -> L.LightningDataModule:
        self.data.module.trainer = self.trainer
        return self.data.module
