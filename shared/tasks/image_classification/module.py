"""`LitClassifier`: cross entropy, with weights of the classes or their shares in the logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.config.config import Config
from shared.model.backbones import build_network
from shared.tasks.base import FitContext
from shared.tasks.image_classification.spec import CLASS_WEIGHTS, ClassificationSpec
from shared.tasks.task_module import TaskModule


class LitClassifier(TaskModule):
    """A classifier, one of several classes for each row.

    Parameters
    ----------
    network : nn.Module, optional
        Gives logits [B, classes]; without it, that of images which is configured.

    Raises
    ------
    ConfigError
        Settings of the training do not fit so many classes.
    WeightsError
        ``model.weights`` cannot be loaded.
    """

    spec: ClassificationSpec

    def __init__(
        self,
        cfg: Config,
        *,
        spec: ClassificationSpec,
        network: nn.Module | None = None,
        fit: FitContext | None = None,
    ) -> None:
        spec.check_settings(cfg.trainer)
        if network is None:
            network = build_network(cfg, num_outputs=len(spec.classes))
        super().__init__(cfg, spec=spec, network=network, fit=fit or FitContext())

    def begin_fit(self, fit: FitContext) -> None:
        """Make ready for the next fit, with the weights of the classes that were agreed on."""
        super().begin_fit(fit)
        weights = fit.agreed.get(CLASS_WEIGHTS)
        # No buffers: what belongs to the loss must not enter the state_dict, where it would be averaged.
        self.class_weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.log_prior: Tensor | None = None

    def on_fit_start(self) -> None:
        """Take the shares of the classes from the rows that this fit trains on."""
        if self.cfg.trainer.logit_adjustment:
            datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
            profile = self.spec.profile(datamodule.data, datamodule.rows["train"])
            counts = list(profile.counts[self.spec.variable].values())
            # One row more of each class: a client may have none of some.
            shares = (torch.tensor(counts, dtype=torch.float64) + 1) / (sum(counts) + len(counts))
            self.log_prior = (self.cfg.trainer.logit_adjustment * shares.log()).float().to(self.device)

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Weighted cross entropy of logits [B, classes], with smoothed labels."""
        return functional.cross_entropy(
            results if self.log_prior is None else results + self.log_prior,
            targets,
            weight=None if self.class_weights is None else self.class_weights.to(results.device),
            label_smoothing=self.cfg.trainer.label_smoothing,
        )

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy of logits [B, classes], summed."""
        return functional.cross_entropy(results, targets, reduction="sum")

    def predictions(self, results: Tensor) -> Tensor:
        """Probabilities [B, classes]."""
        return results.softmax(dim=1)
