"""`LitMultiLabel`: binary cross entropy of each label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from shared.config.config import Config
from shared.model.backbones import build_network
from shared.tasks.base import FitContext
from shared.tasks.image_multilabel.spec import LABEL_WEIGHTS, MultiLabelSpec
from shared.tasks.task_module import TaskModule


class LitMultiLabel(TaskModule):
    """A classifier of images that may have any number of labels."""

    def __init__(self, cfg: Config, *, spec: MultiLabelSpec, fit: FitContext | None = None) -> None:
        spec.check_settings(cfg.trainer)
        network = build_network(cfg, num_outputs=len(spec.labels))
        super().__init__(cfg, spec=spec, network=network, fit=fit or FitContext())

    def begin_fit(self, fit: FitContext) -> None:
        """Make ready for the next fit, with the weights of the labels that were agreed on."""
        super().begin_fit(fit)
        weights = fit.agreed.get(LABEL_WEIGHTS)
        self.label_weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross entropy of logits [B, labels], positives weighted."""
        weights = None if self.label_weights is None else self.label_weights.to(results.device)
        return functional.binary_cross_entropy_with_logits(results, targets, pos_weight=weights)

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Binary cross entropy of logits [B, labels], summed over rows, mean over labels."""
        losses = functional.binary_cross_entropy_with_logits(results, targets, reduction="none")
        return losses.mean(dim=1).sum()

    def predictions(self, results: Tensor) -> Tensor:
        """Probabilities [B, labels]."""
        return results.sigmoid()
