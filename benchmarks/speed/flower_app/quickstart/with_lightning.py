"""Training with a Lightning Trainer made anew for each fit, as in Flower's Lightning quickstart."""

from __future__ import annotations

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

WORKERS = 2  # of the DataLoader


class LitNet(lightning.LightningModule):
    """A network with its loss and optimiser."""

    def __init__(self, network: nn.Module, *, lr: float, momentum: float) -> None:
        super().__init__()
        self.network, self.lr, self.momentum = network, lr, momentum

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch."""
        images, labels = batch
        loss = functional.cross_entropy(self.network(images), labels)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=self.momentum)


def fit(model: nn.Module, rows: TensorDataset, *, batch: int, lr: float, momentum: float) -> float:
    """One epoch, with the Trainer's own logger and checkpoints.

    Parameters
    ----------
    model : nn.Module
        Changed in place.

    Returns
    -------
    float
        The loss of the last batch.
    """
    model.train()
    loader = DataLoader(rows, batch_size=batch, shuffle=True, num_workers=WORKERS)
    trainer = lightning.Trainer(max_epochs=1, enable_progress_bar=False)
    trainer.fit(LitNet(model, lr=lr, momentum=momentum), loader)
    return float(trainer.callback_metrics["train_loss"])
