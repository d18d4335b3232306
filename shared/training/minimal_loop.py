"""`LeanTrainer`: fits a client's module where Lightning's Trainer would cost more than the steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.logger import Logger
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from shared.config.trainer import TrainerConfig
from shared.runtime.errors import ConfigError
from shared.training.trainer import quiet_lightning


class LeanTrainer(Fabric):
    """A Fabric that a LightningModule and its callbacks take for their Trainer.

    It fits on one device and calls the hooks that training without validation needs: ``on_fit_start``,
    ``on_train_start``, ``on_train_epoch_start``, ``on_before_optimizer_step``, ``on_train_epoch_end`` and
    ``on_train_end``. The steps are those of Lightning's Trainer, to the last bit, without what it does around
    them; one object serves any number of fits.

    Parameters
    ----------
    cfg : TrainerConfig
        Its device, precision and gradient clipping.

    Raises
    ------
    ConfigError
        ``accelerator``, ``devices`` or ``precision`` cannot be had, or there is more than one device.
    """

    sanity_checking = False
    enable_validation = False

    def __init__(self, cfg: TrainerConfig) -> None:
        quiet_lightning()
        self._logged = _Logged()
        asked = f"trainer.accelerator={cfg.accelerator} trainer.devices={cfg.devices} trainer.precision="
        try:
            super().__init__(
                accelerator=cfg.accelerator,
                devices=cfg.devices,
                precision=cfg.precision,  # type: ignore[arg-type]
                loggers=self._logged,
            )
        except (MisconfigurationException, ValueError, TypeError) as error:
            raise ConfigError(f"{asked}{cfg.precision} cannot be used here: {error}") from None
        if self.world_size > 1:
            raise ConfigError(
                f"trainer.devices={cfg.devices} gives {self.world_size} devices; only pooled training "
                "uses several, a client trains on one: set trainer.devices=1"
            )
        self.gradient_clip = cfg.gradient_clip
        self.training, self.is_last_batch = False, False
        self.current_epoch, self.max_epochs, self.estimated_stepping_batches = 0, 0, 0
        self.optimizers: list[torch.optim.Optimizer] = []
        self.datamodule: Any

    @property
    def callback_metrics(self) -> dict[str, float]:
        """What the module has logged in this epoch, by name."""
        return self._logged.values

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """What scales the loss in 16 bits, and skips steps whose gradients overflow."""
        return cast("torch.amp.GradScaler | None", getattr(self.strategy.precision, "scaler", None))

    def fit(
        self,
        module: Any,
        *,
        datamodule: Any,
        max_epochs: int,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Train a module on the training rows, in place.

        Raises
        ------
        DivergedError
            The loss is not finite.
        """
        loader = datamodule.train_dataloader()
        self.datamodule, self.max_epochs, self.current_epoch = datamodule, max_epochs, 0
        self.estimated_stepping_batches = max_epochs * len(loader)
        datamodule.trainer = module.fabric = self
        self._precision.convert_module(module).train()
        if module.device != self.device:  # to look at every tensor takes a millisecond
            module.to(self.device)
        configured = module.configure_optimizers()
        plain = configured["optimizer"] if isinstance(configured, dict) else configured
        schedule = configured["lr_scheduler"]["scheduler"] if isinstance(configured, dict) else None
        optimizer = cast(torch.optim.Optimizer, self.setup_optimizers(plain))
        self.optimizers, self._callbacks, self.training = [plain], [module, *callbacks], True
        module.on_fit_start()
        self._tell("on_train_start", module)
        for self.current_epoch in range(max_epochs):
            if loader.sampler is not None:
                loader.sampler.set_epoch(self.current_epoch)
            self.callback_metrics.clear()
            self._tell("on_train_epoch_start", module)
            for index, batch in enumerate(loader):
                self.is_last_batch = index == len(loader) - 1
                moved = tuple(tensor.to(self.device) for tensor in batch)
                with self.autocast():
                    loss = module.training_step(datamodule.on_after_batch_transfer(moved, 0), index)
                plain.zero_grad()
                self.backward(loss)
                self._before_step(module, plain)
                optimizer.step()
                if schedule is not None:
                    schedule.step()
            self._tell("on_train_epoch_end", module)
        self._tell("on_train_end", module)
        self.training = False

    def _before_step(self, module: Any, optimizer: torch.optim.Optimizer) -> None:
        precision = self.strategy.precision
        try:
            precision.unscale_gradients(optimizer)
        except NotImplementedError:
            raise ConfigError(
                f"trainer.precision=16-mixed scales gradients, and {type(optimizer).__name__} with fused=True "
                "leaves them so for callbacks and for trainer.gradient_clip; set its fused=False"
            ) from None
        self._tell("on_before_optimizer_step", module, optimizer)
        if self.gradient_clip is not None:  # not by Fabric, which would unscale them again
            torch.nn.utils.clip_grad_norm_(precision.main_params(optimizer), self.gradient_clip)

    def _tell(self, hook: str, module: Any, *more: Any) -> None:
        for listener in self._callbacks:
            call = getattr(listener, hook)
            call(*more) if listener is module else call(self, module, *more)


class _Logged(Logger):
    """Where ``LightningModule.log`` leaves its values when it trains by Fabric."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "lean"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.values.update(metrics)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass


def lean_trainer(cfg: TrainerConfig) -> LeanTrainer:
    """The trainer for these settings, which is kept for the next client.

    Returns
    -------
    LeanTrainer
        A new one where the precision is 16-mixed, whose scale of the loss must not go from client to client.

    Raises
    ------
    ConfigError
    """
    settings = json.dumps(cfg.model_dump(mode="json"), sort_keys=True)
    return LeanTrainer(cfg) if cfg.precision == "16-mixed" else _kept(settings)


@lru_cache(maxsize=2)
def _kept(settings: str) -> LeanTrainer:
    return LeanTrainer(TrainerConfig.model_validate_json(settings))
