"""FedProx (Li et al. 2020, arXiv 1812.06127): averaging, with clients held near the received model."""

from __future__ import annotations

from typing import Annotated

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from pydantic import Field
from torch import Tensor, nn

from federated.strategy.base import Algorithm
from federated.strategy.client_half import ClientContext, ClientHalf, check_unscaled


class FedProx(Algorithm):
    """Federated averaging whose clients minimise their loss plus ``mu / 2`` times the squared distance."""

    class Config(Algorithm.Config):
        """``proximal_mu=0`` is federated averaging."""

        proximal_mu: Annotated[float, Field(ge=0.0)]

    config: Config

    def client(self, context: ClientContext) -> ClientHalf:
        """A fit with the proximal term."""
        return _Client(self.config.proximal_mu)


class _Client(ClientHalf):
    def __init__(self, mu: float) -> None:
        self.mu = mu

    def callbacks(self) -> list[Callback]:
        return [ProximalTerm(self.mu)] if self.mu else []


class ProximalTerm(Callback):
    """Adds the gradient of ``mu / 2`` times the squared distance from the received model.

    The logged loss is that of the data alone.

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
        check_unscaled(trainer, optimizer)
        for parameter, start in self._pairs:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - start, alpha=self.mu)
