"""`LitRegressor`: squared error of a number that is scaled to -1 to 1."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from shared.config.config import Config
from shared.model.backbones import build_network
from shared.tasks.base import FitContext
from shared.tasks.image_regression.spec import SPAN, RegressionSpec
from shared.tasks.task_module import TaskModule


class LitRegressor(TaskModule):
    """Predicts a number for each row.

    Parameters
    ----------
    network : nn.Module, optional
        Gives numbers [B, 1]; without it, that of images which is configured.
    """

    def __init__(
        self,
        cfg: Config,
        *,
        spec: RegressionSpec,
        network: nn.Module | None = None,
        fit: FitContext | None = None,
    ) -> None:
        spec.check_settings(cfg.trainer)
        if network is None:
            network = build_network(cfg, num_outputs=1)
        super().__init__(cfg, spec=spec, network=network, fit=fit or FitContext())

    def begin_fit(self, fit: FitContext) -> None:
        """Make ready for the next fit, with the span of the targets that was agreed on."""
        super().begin_fit(fit)
        low, high = fit.agreed.get(SPAN, (-1.0, 1.0))
        self.middle, self.half_span = float(low + high) / 2, float(high - low) / 2 or 1.0
        self.loss_unit = self.half_span**2  # losses are told in the target's own unit

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of scaled numbers [B, 1]."""
        return functional.mse_loss(results, (targets - self.middle) / self.half_span)

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Squared error of scaled numbers [B, 1], summed."""
        return functional.mse_loss(results, (targets - self.middle) / self.half_span, reduction="sum")

    def predictions(self, results: Tensor) -> Tensor:
        """Numbers in the target's own unit, [B, 1]."""
        return results * self.half_span + self.middle
