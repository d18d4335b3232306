"""`ServerEvaluation`: the global model on the server's held-out rows."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord

from federated.messages.records import state_of
from shared.config.trainer import TrainerConfig
from shared.data.datamodule import ImageDataModule
from shared.metrics.outputs import Outputs
from shared.model.classifier import LitClassifier
from shared.model.prediction import predict
from shared.runtime.errors import DivergedError
from shared.training.trainer import evaluation_device


class ServerEvaluation:
    """Loads the global model into a module and predicts the test rows.

    Parameters
    ----------
    module : LitClassifier
        Holds the newest global model after each evaluation.
    """

    def __init__(self, module: LitClassifier, *, datamodule: ImageDataModule, cfg: TrainerConfig) -> None:
        self.module, self.datamodule, self.cfg = module, datamodule, cfg
        self.device = evaluation_device(cfg)

    @property
    def num_classes(self) -> int:
        """Classes that the model tells apart."""
        return len(self.datamodule.data.classes)

    def evaluate(self, arrays: ArrayRecord, *, round: int) -> Outputs:
        """Predict with a new global model.

        Raises
        ------
        DivergedError
            Its weights or its predictions are not finite.
        """
        state = state_of(arrays)
        finite = all(bool(tensor.isfinite().all()) for tensor in state.values())
        outputs = self.predict(state)
        if not finite or not outputs.is_finite:
            raise DivergedError(
                f"round {round}: the global model or its predictions are not finite: the training diverged; "
                f"lower trainer.optimizer.lr (now {self.cfg.optimizer.lr}) or set trainer.gradient_clip"
            )
        return outputs

    def predict(self, state: dict[str, torch.Tensor]) -> Outputs:
        """Predict with a network's state."""
        self.module.network.load_state_dict(state)
        return predict(self.module.network, self.datamodule, "test", device=self.device)
