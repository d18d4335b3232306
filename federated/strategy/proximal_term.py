"""`ProximalTerm`: FedProx's half on the client, a Lightning callback beside the unchanged `LitClassifier`."""

from __future__ import annotations

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class ProximalTerm(Callback):
    """Adds the gradient of ``mu / 2`` times the squared distance from the received model.

    The logged loss is that of the data alone (Li et al. 2020, arXiv 1812.06127).

    Parameters
    ----------
    mu : float
        Not negative.
    """

    def __init__(self, mu: float) -> None:
        self.mu = mu
        self._pairs: list[tuple[nn.Parameter, Tensor]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the received model."""
        trained = [parameter for parameter in pl_module.parameters() if parameter.requires_grad]
        self._pairs = [(parameter, parameter.detach().clone()) for parameter in trained]

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add ``mu`` times the distance to the gradient; Lightning clips after this."""
        for parameter, start in self._pairs:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - start, alpha=self.mu)
