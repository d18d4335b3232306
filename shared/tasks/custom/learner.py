"""`CustomLearner`: trains a user's LightningModule on a user's rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import nn

from shared.config.compose import CONF_DIR
from shared.config.config import Config
from shared.config.data import CustomDataConfig
from shared.config.model import CustomModelConfig
from shared.data.dataset import SIDES, Ints
from shared.data.schema import Schema
from shared.metrics.outputs import Outputs
from shared.model.weights import load_weights
from shared.runtime.components import load_component
from shared.runtime.errors import ConfigError, FedtwinError
from shared.runtime.seeding import derive_seed
from shared.tasks.base import FitContext
from shared.tasks.custom.callbacks import DeclaredMetrics, PlaceInTraining, one_optimizer
from shared.tasks.custom.data import CLIENT, CustomData, read_data
from shared.tasks.custom.datamodule import CustomDataModule
from shared.tasks.custom.outputs import STEPS, check_logged, outputs_of
from shared.tasks.custom.seeding import SeedEpochs, seeded
from shared.tasks.custom.spec import CustomSpec
from shared.tasks.optimizer import configure_optimizer
from shared.training.collector import logged_values
from shared.training.trainer import build_trainer, quiet_lightning


class CustomLearner:
    """Trains a LightningModule of the user's by Lightning's Trainer."""

    def __init__(self, cfg: Config, *, spec: CustomSpec, may_run: Collection[str]) -> None:
        if not isinstance(cfg.data, CustomDataConfig) or not isinstance(cfg.model, CustomModelConfig):
            raise ConfigError(
                f"task=custom needs data=custom and model=custom, got data.source={cfg.data.source} and "
                f"model.name={cfg.model.name}"
            )
        self.cfg, self.declared, self.may_run = cfg, spec, may_run
        self.data, self.model = cfg.data, cfg.model

    def spec(self, schema: Schema) -> CustomSpec:
        """What is measured and told."""
        return self.declared

    def dataset(self, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False) -> CustomData:
        """The user's rows.

        Raises
        ------
        ConfigError, DataError
        """
        partition = self.cfg.partition
        return read_data(
            self.data,
            natural=partition.name == "natural" and partition.column == CLIENT,
            num_clients=self.cfg.federation.num_clients,
            cache=cache,
            sides=sides,
            may_run=self.may_run,
        )

    def datamodule(self, data: CustomData, rows: Ints | None, fit: FitContext) -> CustomDataModule:
        """The batches of all rows, or of a client's."""
        return CustomDataModule(data, rows=rows, seed=self.cfg.seed, fit=fit)

    def module(self, schema: Schema, fit: FitContext) -> L.LightningModule:
        """A new module, whose initial weights depend on the run's seed alone.

        Raises
        ------
        ConfigError
            The class may not run here, does not take the settings of ``model``, or lacks a method.
        WeightsError
        """
        if self.model.target is None:
            raise ConfigError("model._target_ must name your LightningModule (docs/extending.md)")
        quiet_lightning()
        kind = load_component(self.model.target, kind=L.LightningModule, may_run=self.may_run)
        try:
            with seeded(self.cfg.seed):
                module = kind(**self.model.arguments)
        except FedtwinError:
            raise
        except Exception as error:  # the user's own code may raise anything
            raise ConfigError(
                f"{self.model.target} cannot be made with {self.model.arguments or 'no arguments'}: "
                f"{type(error).__name__}: {error}; the keys of model= are its arguments"
            ) from error
        self._check_methods(module)
        if self.model.weights:
            load_weights(module, self.model.weights)
        if is_overridden("configure_optimizers", module):
            self._check_optimizer_settings()
            configure = one_optimizer(module)
        else:
            whole = replace(fit, epoch_offset=0)  # `PlaceInTraining` moves every schedule forward
            configure = partial(configure_optimizer, module, cfg=self.cfg.trainer, fit=whole)
        module.configure_optimizers = configure  # type: ignore[method-assign]
        return module

    def begin_fit(self, module: L.LightningModule, fit: FitContext) -> L.LightningModule:
        """A new module: the old one may hold anything of another client."""
        return self.module(Schema(), fit)

    def callbacks(self, fit: FitContext) -> list[Callback]:
        """What makes a fit part of a whole training."""
        spec = self.declared
        compared = self.cfg.tracking.parent_id is not None
        metrics = DeclaredMetrics(spec, monitor=self.cfg.trainer.monitor or spec.monitor)
        return [PlaceInTraining(fit, compared=compared), SeedEpochs(self.cfg.seed, fit), metrics]

    def network(self, module: L.LightningModule) -> nn.Module:
        """All of it: which part is the model, only the user's code knows."""
        return module

    def predict(self, module: L.LightningModule, datamodule: CustomDataModule, stage: str) -> Outputs:
        """What the module logs of a stage, and its outputs and targets where a metric is a function of them.

        Raises
        ------
        ConfigError
            It does not log a declared metric, or its ``predict_step`` gives no outputs and targets.
        """
        count, spec = datamodule.num_examples(stage), self.declared
        nothing = np.zeros((count, 0), dtype=np.float32)
        if not count:
            return Outputs(nothing, nothing)
        training = module.training
        trainer = self._trainer()
        evaluate = trainer.test if stage == "test" else trainer.validate
        with seeded(derive_seed(self.cfg.seed, SIDES.index(stage))):
            evaluate(module, datamodule=datamodule, verbose=False)
        logged = logged_values(trainer.callback_metrics, stage=stage)
        check_logged(logged, spec.logged, stage=stage, of=type(module).__name__)
        outputs = Outputs(nothing, nothing)
        if spec.functions.targets:
            datamodule.predicted = stage
            batches = self._trainer().predict(module, datamodule=datamodule) or []
            outputs = outputs_of(batches, of=type(module).__name__)
        if len(outputs) != count:
            raise ConfigError(f"the predict_step of {self.model.target} gave {len(outputs)} rows for {count}")
        module.train(training)
        return replace(outputs, logged={name: logged[name] for name in spec.logged})

    def _trainer(self) -> L.Trainer:
        return build_trainer(self.cfg.trainer, max_epochs=1, callbacks=[])

    def _check_methods(self, module: L.LightningModule) -> None:
        needed = dict(STEPS)
        if self.declared.functions.targets:
            needed["predict"] = "predict_step"
        if missing := [method for method in needed.values() if not is_overridden(method, module)]:
            raise ConfigError(
                f"{self.model.target} has no {' and no '.join(missing)}; training, model selection and the "
                f"final test need {', '.join(needed.values())} (docs/extending.md)"
            )

    def _check_optimizer_settings(self) -> None:
        default = _default_trainer()
        for section in ("optimizer", "scheduler"):
            for name, value in getattr(self.cfg.trainer, section).model_dump().items():
                if value != default[section][name]:
                    raise ConfigError(
                        f"trainer.{section}.{name}={value} has no effect on {self.model.target}, which has a "
                        f"configure_optimizers of its own; give the class an argument, or remove the method"
                    )


@cache
def _default_trainer() -> dict[str, Any]:
    # Kept: a client makes a module for every fit.
    settings: dict[str, Any] = yaml.safe_load((CONF_DIR / "trainer" / "default.yaml").read_text())
    return settings
