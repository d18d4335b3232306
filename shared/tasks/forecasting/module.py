"""`LitForecaster`: the error of all steps of a forecast, in deviations of the target."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from shared.config.config import Config
from shared.data.tables.prepare import INPUTS
from shared.metrics.forecasting import Loss
from shared.tasks.base import FitContext
from shared.tasks.forecasting.spec import ForecastingSpec
from shared.tasks.task_module import TaskModule


class LitForecaster(TaskModule):
    """Forecasts the next steps of a window.

    Parameters
    ----------
    loss : {"squared", "absolute"}
    scaling : str
        ``data.scaling``. With ``local``, the targets of each window say its unit.
    """

    def __init__(
        self,
        cfg: Config,
        *,
        spec: ForecastingSpec,
        network: nn.Module,
        fit: FitContext,
        loss: Loss,
        scaling: str,
    ) -> None:
        spec.check_settings(cfg.trainer)
        self.horizon, self.loss, self.scaling = spec.horizon, loss, scaling
        super().__init__(cfg, spec=spec, network=network, fit=fit)

    def begin_fit(self, fit: FitContext) -> None:
        """Make ready for the next fit, with the deviation of the target that was agreed on."""
        super().begin_fit(fit)
        agreed: dict[str, Any] = fit.agreed.get(INPUTS, {}) if self.scaling == "federated" else {}
        self.deviation = float(agreed["scales"][0]) if agreed else 1.0
        self.loss_unit = self.deviation if self.loss == "absolute" else self.deviation**2

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Mean error of scaled numbers [B, horizon]."""
        return self._error(results, targets, reduction="mean")

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """Error of scaled numbers, mean over the steps, summed over the rows."""
        return self._error(results, targets, reduction="sum") / self.horizon

    def predictions(self, results: Tensor) -> Tensor:
        """Numbers in the target's own unit, [B, horizon]."""
        return results

    def _error(self, results: Tensor, targets: Tensor, *, reduction: str) -> Tensor:
        unit = targets[:, -1:] * self.deviation
        measure = functional.l1_loss if self.loss == "absolute" else functional.mse_loss
        return measure(results / unit, targets[:, : self.horizon] / unit, reduction=reduction)
