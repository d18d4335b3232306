"""Code as users bring it: modules and data that know nothing of fedtwin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

ROWS = {"train": 60, "val": 31, "test": 24}


def rows(count: int, *, seed: int) -> TensorDataset:
    """Rows of 4 numbers, and a number that follows from them."""
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, (inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0]))[:, None])


class Data(L.LightningDataModule):
    """Three sides, of which `columns` says where each row comes from."""

    def __init__(self, path: str | None = None, batch_size: int = 8, how: str = "shuffled") -> None:
        super().__init__()
        self.path, self.batch_size, self.how = path, batch_size, how

    def setup(self, stage: str) -> None:
        self.sides = {side: rows(count, seed=place) for place, (side, count) in enumerate(ROWS.items())}
        if self.how == "split":  # draws from the global generator, in every process anew
            both = torch.utils.data.ConcatDataset([self.sides["train"], self.sides["val"]])
            parts = random_split(both, [ROWS["train"], ROWS["val"]])
            self.sides.update(train=parts[0], val=parts[1])

    def train_dataloader(self) -> Any:
        dataset = self.sides["train"]
        if self.how == "iterable":
            return DataLoader(_Stream())
        if self.how == "weighted":
            return DataLoader(dataset, sampler=WeightedRandomSampler([1.0] * len(dataset), len(dataset)))
        if self.how == "list":
            return [DataLoader(dataset)]
        if self.how == "broken":
            raise RuntimeError("no such file")
        shuffle = self.how != "in order"
        workers = 2 if self.how == "workers" else 0
        return DataLoader(
            dataset, self.batch_size, shuffle=shuffle, drop_last=self.how == "dropping", num_workers=workers
        )

    def val_dataloader(self) -> Any:
        return [] if self.how == "unvalidated" else DataLoader(self.sides["val"], batch_size=8)

    def test_dataloader(self) -> Any:
        return DataLoader(self.sides["test"], batch_size=8)

    def columns(self, stage: str) -> dict[str, list[str]]:
        count = ROWS[stage]
        kind = {"site": [f"site {row % 3}" for row in range(count)], "kind": ["even", "odd"] * count}
        patients = [f"{'' if self.how == 'mixed up' else stage}{row // 2}" for row in range(count)]
        return {"site": kind["site"], "kind": kind["kind"][:count], "patient": patients}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        inputs, targets = batch
        return inputs * 2, targets  # each of our loaders must call it


class _Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Any:
        return iter([torch.zeros(4)])


def datasets(partition_id: int | None, num_partitions: int, rows_each: int = 20) -> dict[str, Any]:
    """Each client has data of its own."""
    if partition_id is None:
        return {"test": rows(24, seed=99)}
    return {"train": rows(rows_each + partition_id, seed=partition_id), "val": rows(9, seed=10 + partition_id)}


def no_mapping(partition_id: int | None, num_partitions: int) -> list[int]:
    return [1, 2]


def squared(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """A value a row."""
    return ((outputs - targets) ** 2)[:, 0]


def r2(outputs: np.ndarray, targets: np.ndarray) -> float:
    """One value of all rows."""
    return float(1 - ((outputs - targets) ** 2).mean() / targets.var())


def wrong_shape(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.zeros((2, 2))


class Plain(L.LightningModule):
    """Logs a loss, with the stage before a slash; no optimiser."""

    def __init__(
        self,
        width: int = 8,
        dropout: float = 0.0,
        norm: bool = False,
        poison: float = 1.0,
        logs: str = "loss",
    ) -> None:
        super().__init__()
        self.logs = logs
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("seen", torch.tensor(3))
        norms = [nn.BatchNorm1d(width)] if norm else []
        self.net = nn.Sequential(
            nn.Linear(4, width), *norms, nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, 1)
        )
        self.poison = poison

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def step(self, batch: Any, stage: str) -> Tensor:
        inputs, targets = batch
        loss = functional.mse_loss(self(inputs), targets) * self.poison
        self.log(f"{stage}/{self.logs}", loss, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: Any, index: int) -> Tensor:
        return self.step(batch, "train")

    def validation_step(self, batch: Any, index: int) -> None:
        self.step(batch, "val")

    def test_step(self, batch: Any, index: int) -> None:
        self.step(batch, "test")


class Predicting(Plain):
    """Gives outputs and targets too."""

    def predict_step(self, batch: Any, index: int) -> Any:
        return self(batch[0]), batch[1]


class Silent(Plain):
    """Gives outputs alone."""

    def predict_step(self, batch: Any, index: int) -> Any:
        return self(batch[0])


class Scheduled(Plain):
    """An optimiser and a schedule of its own, whose length it reads from its trainer."""

    def __init__(self, schedule: str = "cosine", **more: Any) -> None:
        super().__init__(**more)
        self.schedule = schedule

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedulers = torch.optim.lr_scheduler
        if self.schedule == "cosine":
            return [optimizer], [schedulers.CosineAnnealingLR(optimizer, self.trainer.max_epochs)]
        if self.schedule == "steps":
            total = int(self.trainer.estimated_stepping_batches)
            rate = schedulers.LambdaLR(optimizer, lambda step: 1 - step / total)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}
        if self.schedule == "plateau":
            rate = schedulers.ReduceLROnPlateau(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "monitor": "train/loss"}}
        return [optimizer, torch.optim.SGD(self.parameters(), lr=0.1)]  # "two"


class Counting(Scheduled):
    """Trains by what it reads of its trainer: the epoch and the step of the whole training."""

    def training_step(self, batch: Any, index: int) -> Tensor:
        return super().training_step(batch, index) * (1 + self.current_epoch + self.global_step / 10)


class Underscored(Plain):
    """Logs as Lightning's own tutorials do, in steps and epochs, and from the end of an epoch."""

    def step(self, batch: Any, stage: str) -> Tensor:
        inputs, targets = batch
        loss = functional.mse_loss(self(inputs), targets)
        self.log(f"{stage}_loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train_late", 7.0)


class Lacking(L.LightningModule):
    """No validation and no test."""

    def training_step(self, batch: Any, index: int) -> Tensor:
        return batch[0].sum()


def stored(partition_id: int | None, num_partitions: int, path: str) -> dict[str, Any]:
    """Rows in files: of all clients in a folder, or of one site."""
    folder = Path(path)
    if partition_id is None:
        return {"test": _read(folder / "test.npy")}
    own = _read(folder / f"{partition_id}.npy" if folder.is_dir() else folder)
    return {"train": Subset(own, range(5, len(own))), "val": Subset(own, range(5))}


def _read(path: Path) -> TensorDataset:
    values = torch.from_numpy(np.load(path))
    return TensorDataset(values[:, :4], values[:, 4:])
