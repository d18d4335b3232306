"""`ServerEvaluation`: the global model on the server's held-out rows."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord
from torch import nn

from federated.messages.records import state_of
from shared.config.trainer import TrainerConfig
from shared.data.dataset import Dataset
from shared.metrics.outputs import Outputs
from shared.runtime.errors import DivergedError
from shared.tasks.base import FitContext, Learner


class ServerEvaluation:
    """Loads the global model into a module and predicts the test rows.

    Attributes
    ----------
    module : LightningModule
        Holds the newest global model after each evaluation.
    """

    def __init__(self, learner: Learner, *, data: Dataset, context: FitContext, cfg: TrainerConfig) -> None:
        self.learner, self.data, self.cfg = learner, data, cfg
        self.spec = learner.spec(data.schema)
        self.datamodule = learner.datamodule(data, None, context)
        self.module = learner.module(data.schema, context)

    @property
    def network(self) -> nn.Module:
        """The part of the module that is the model."""
        return self.learner.network(self.module)

    def evaluate(self, arrays: ArrayRecord, *, round: int) -> Outputs | None:
        """Load a new global model, and predict with it.

        Returns
        -------
        Outputs or None
            None where ``trainer.test=false`` leaves the test rows alone.

        Raises
        ------
        DivergedError
            Its weights or its predictions are not finite.
        """
        state = state_of(arrays)
        finite = all(bool(tensor.isfinite().all()) for tensor in state.values())
        if self.cfg.test:
            outputs = self.predict(state)
            finite = finite and outputs.is_finite
        else:
            outputs = None
            self.network.load_state_dict(state)
        if not finite:
            raise DivergedError(
                f"round {round}: the global model or its predictions are not finite: the training diverged; "
                f"lower trainer.optimizer.lr (now {self.cfg.optimizer.lr}) or set trainer.gradient_clip"
            )
        return outputs

    def predict(self, state: dict[str, torch.Tensor]) -> Outputs:
        """Predict with a network's state."""
        self.network.load_state_dict(state)
        return self.learner.predict(self.module, self.datamodule, "test")
