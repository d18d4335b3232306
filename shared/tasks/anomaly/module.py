"""`FittedModule` and `AutoencoderModule`: models of normal rows as Lightning modules, with their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.anomalies.limits import UNKNOWN, ratios
from shared.metrics.anomaly import SCORE
from shared.metrics.outputs import Outputs
from shared.model.autoencoder import Rebuilding
from shared.model.fitted import FittedNetwork
from shared.runtime.errors import DivergedError
from shared.sums.exact import Floats
from shared.sums.order import quantiles
from shared.tasks.anomaly.datamodule import AnomalyDataModule
from shared.tasks.anomaly.settings import AnomalySettings
from shared.tasks.checks import reject_settings
from shared.tasks.stage_outputs import predict
from shared.tasks.task_module import TaskModule

_ALL = "all rows"  # the one client of a pooled training


class LimitedModule(TaskModule):
    """Says of rows how far they are from their control limit.

    Parameters
    ----------
    settings : AnomalySettings
    """

    def __init__(self, *args: Any, settings: AnomalySettings, **more: Any) -> None:
        self.settings = settings
        super().__init__(*args, **more)
        self.spec.check_settings(self.cfg.trainer)

    def outputs(self, datamodule: AnomalyDataModule, stage: str) -> Outputs:
        """Ratio, score, time and series of a stage's rows, [n, 4], and which are anomalies."""
        results = self.results_of(datamodule, stage)
        if self.settings.limits == "site":
            limits = self._limits_by_site(datamodule, stage, results)
        else:
            limits = self.common_limits()
        found = np.concatenate(
            [
                ratios(results, limits, margin=self.settings.margin)[:, None],
                results[:, -1:],
                datamodule.timeline(stage),
            ],
            axis=1,
        )
        return Outputs(found, datamodule.data.targets[datamodule.rows[stage]])

    def results_of(self, datamodule: AnomalyDataModule, stage: str) -> Floats:
        """What the model says of a stage's rows, [n, S], float64."""
        raise NotImplementedError

    def common_limits(self) -> Floats:
        """The limits that the model holds, [S]."""
        raise NotImplementedError

    def site_limits(self, datamodule: AnomalyDataModule) -> dict[str, Floats]:
        """The limits [S] of each site whose training rows are here, from these."""
        trained, at = self.results_of(datamodule, "train"), datamodule.sites("train")
        return {str(site): quantiles(trained[at == site], self.settings.quantile) for site in np.unique(at)}

    def _limits_by_site(self, datamodule: AnomalyDataModule, stage: str, results: Floats) -> Floats:
        """The limits of each row's site, [n, S]."""
        found, sites = np.empty_like(results), datamodule.sites(stage)
        limits = self.site_limits(datamodule) if len(results) else {}
        for site in np.unique(sites):
            found[sites == site] = limits[str(site)]
        return found

    def predictions(self, results: Tensor) -> Tensor:
        """Ratio to the common limit, and score, [B, 2]."""
        return self.judged(results, self.common_limits())

    def judged(self, results: Tensor, limits: Floats) -> Tensor:
        """Ratio to some limits [S] or [B, S], and score, [B, 2]."""
        values = results.detach().cpu().numpy().astype(np.float64)
        ratio = ratios(values, limits, margin=self.settings.margin)
        return torch.from_numpy(np.stack([ratio, values[:, -1]], axis=1))

    def train_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The mean score."""
        return results[:, -1].mean()

    def eval_loss(self, results: Tensor, targets: Tensor) -> Tensor:
        """The scores, summed."""
        return results[:, -1].sum()

    def log_stage(self, stage: str) -> None:
        """Measure and log a stage.

        Raises
        ------
        DivergedError
        """
        outputs = self.outputs(self.trainer.datamodule, stage)  # type: ignore[attr-defined]
        if not len(outputs):
            return
        if not outputs.is_finite:
            raise DivergedError(
                f"scores of {stage} rows are not finite in epoch {self.trainer.current_epoch + 1}: the "
                f"training diverged; lower trainer.optimizer.lr (now {self.cfg.trainer.optimizer.lr})"
            )
        for name, value in self.spec.values(outputs).items():
            shown = name in ("loss", self.spec.client_metric)
            self.log(f"{stage}/{name}", value, on_step=False, on_epoch=True, batch_size=1, prog_bar=shown)


class FittedModule(LimitedModule):
    """Takes one step of its fit in each epoch."""

    minimal_loop = False
    network: FittedNetwork

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        model = f"model={self.cfg.model.name}"
        reject_settings(self.cfg.trainer, model, gradient_clip=None, ema_decay=None, compile=False)
        self.automatic_optimization = False

    def training_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """One step of the fit; log what it makes of the training rows."""
        rows = self.trainer.datamodule.prepared("train")  # type: ignore[attr-defined]
        fitting = self.network.fitting
        self.network.take(
            fitting.step(self.network.found, lambda asked: {_ALL: fitting.answers.answer(asked, rows)})
        )
        self.optimizers().step()  # type: ignore[union-attr]  # Lightning counts steps
        self.log_stage("train")

    def validation_step(self, batch: int, batch_idx: int) -> None:  # type: ignore[override]
        """Measure all validation rows."""
        self.log_stage("val")

    def configure_optimizers(self) -> Any:
        """One that does nothing: Lightning counts its steps, and saves no checkpoint where there are none."""
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)

    def results_of(self, datamodule: AnomalyDataModule, stage: str) -> Floats:
        """What the model says of a stage's rows."""
        return self.network.fitting.results(self.network.found, datamodule.prepared(stage))

    def common_limits(self) -> Floats:
        """The limits that were fitted."""
        return self.network.found["limits"]


class AutoencoderModule(LimitedModule):
    """Trains an autoencoder, which keeps the distribution of its errors of training rows after each epoch."""

    network: Rebuilding

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        reject_settings(self.cfg.trainer, f"model={self.cfg.model.name}", ema_decay=None)
        self._kept_in: int | None = None

    def on_train_epoch_start(self) -> None:
        """Seed dropout."""
        super().on_train_epoch_start()
        self._kept_in = None

    def on_validation_epoch_start(self) -> None:
        """Validation comes before the end of the epoch, and needs its limit."""
        super().on_validation_epoch_start()
        self._keep_errors()

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._results.clear()
        self.log_stage("val")

    def on_train_epoch_end(self) -> None:
        """Keep the errors, where validation did not."""
        self._keep_errors()

    def results_of(self, datamodule: AnomalyDataModule, stage: str) -> Floats:
        """Errors of a stage's rows."""
        errors = predict(self, datamodule, stage, device=self.device).predictions[:, SCORE : SCORE + 1]
        return errors.astype(np.float64)

    def common_limits(self) -> Floats:
        """The quantile of the distribution that the model holds."""
        limit = self.network.limit(self.settings.quantile)
        return np.array([UNKNOWN if limit is None else limit])

    def _keep_errors(self) -> None:
        if self._kept_in == self.trainer.current_epoch:
            return
        errors = self.results_of(self.trainer.datamodule, "train")  # type: ignore[attr-defined]
        if np.isfinite(errors).all():  # or the training has diverged, which the loss says
            self.network.keep(torch.from_numpy(errors))
        self._kept_in = self.trainer.current_epoch
