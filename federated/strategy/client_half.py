"""`ClientHalf`: what an algorithm does at a client around a fit that is the same for all algorithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from federated.messages.question_log import QuestionLog
from federated.messages.wire import WireSpec
from shared.runtime.errors import ConfigError, FederationError

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class ClientContext:
    """What an algorithm's client half knows of the message that it answers.

    Attributes
    ----------
    client_id : int
        The partition.
    round : int
        Server round, from 1.
    network : nn.Module
        The part of the module whose weights and buffers are the model.
    received : mapping of str to mapping
        The declared records beside the model: name to key to values.
    state : mapping of str to Tensor
        What this client kept in the last round in which the server accepted its reply; empty before that. The
        same message asked again finds the same state.
    datamodule : LightningDataModule
        Of the client's rows.
    """

    client_id: int
    round: int
    network: nn.Module
    received: Mapping[str, Tensors] = field(default_factory=dict)
    state: Tensors = field(default_factory=dict)
    datamodule: Any = None


@dataclass(frozen=True)
class FitResult:
    """What a client half adds to a fit.

    Attributes
    ----------
    arrays : mapping of str to mapping
        The declared records of the reply: name to key to values.
    metrics : mapping of str to float
        The declared metrics.
    state : mapping of str to Tensor
        What stays at this client for its next round.
    """

    arrays: Mapping[str, Tensors] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: Tensors = field(default_factory=dict)

    def check(self, wire: WireSpec) -> None:
        """Make sure that what travels is what is declared.

        Raises
        ------
        FederationError
        """
        declared = {"arrays": {spec.name for spec in wire.up}, "metrics": {*wire.metrics}}
        for kind, found in (("arrays", self.arrays), ("metrics", self.metrics)):
            if {*found} != declared[kind]:
                raise FederationError(
                    f"the algorithm's client half returned {kind} {sorted(found)}, but its wire declares "
                    f"{sorted(declared[kind])}"
                )


def check_unscaled(trainer: L.Trainer, optimizer: torch.optim.Optimizer) -> None:
    """Make sure, in ``on_before_optimizer_step``, that no loss scale of 16 bits is left in the gradients.

    Raises
    ------
    ConfigError
        The optimiser is fused, and so takes the scale out in its own step.
    """
    if getattr(trainer, "scaler", None) is not None and optimizer.defaults.get("fused"):
        raise ConfigError(
            f"trainer.precision=16-mixed scales gradients, and {type(optimizer).__name__} with fused=True "
            "leaves them so for the algorithm's client half; set its fused=False"
        )


@dataclass(frozen=True)
class AskedContext:
    """What a client answers a question with.

    Attributes
    ----------
    client_id : int
        The partition.
    run_key : str
        Of the run; what is kept in this process is kept under it.
    module : LightningModule
        Ready for a fit, with whatever weights.
    datamodule : LightningDataModule
        Of the client's rows.
    log : QuestionLog
        What this client was asked before, for an algorithm that adds to it.
    """

    client_id: int
    run_key: str
    module: L.LightningModule
    datamodule: Any
    log: QuestionLog


class ClientHalf:
    """Made anew for each train message; this one adds nothing, as in federated averaging."""

    def callbacks(self) -> Sequence[Callback]:
        """Lightning callbacks of the fit.

        Called are ``on_train_start``, ``on_train_epoch_start``, ``on_before_optimizer_step`` (with gradients
        that are not yet clipped, nor scaled, see `check_unscaled`; if ``trainer.scaler`` is there, a step whose
        gradients are not finite is skipped after it), ``on_train_epoch_end`` and ``on_train_end``.
        """
        return ()

    def before_fit(self, module: L.LightningModule) -> None:
        """See, or change, the module with the weights that this client starts from."""

    def after_fit(self, module: L.LightningModule) -> FitResult:
        """See, or change, the trained module, and say what travels and stays beside it."""
        return FitResult()
