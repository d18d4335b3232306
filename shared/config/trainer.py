"""Settings of the group ``trainer``: optimiser, schedule, length and model selection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from shared.config.section import Positive, Section
from shared.metrics.catalogue import spec_of
from shared.metrics.spec import MetricSpec
from shared.runtime.errors import ConfigError


class OptimizerConfig(Section):
    """The optimiser of both modes."""

    name: Literal["sgd", "adamw"]
    lr: Annotated[float, Field(gt=0.0)]
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0.0)]


class SchedulerConfig(Section):
    """How the learning rate moves over the whole of a training."""

    name: Literal["none", "cosine", "one_cycle", "plateau"]
    warmup: Annotated[float, Field(gt=0.0, lt=1.0)]
    patience: Annotated[int, Field(ge=0)]
    factor: Annotated[float, Field(gt=0.0, lt=1.0)]


class EarlyStoppingConfig(Section):
    """When a training that no longer improves is stopped."""

    enabled: bool
    patience: Positive
    min_delta: Annotated[float, Field(ge=0.0)]


class TrainerConfig(Section):
    """Optimiser, schedule, length and selection of a training."""

    max_epochs: Positive
    optimizer: OptimizerConfig
    scheduler: SchedulerConfig
    class_weights: Literal["none", "balanced"]
    logit_adjustment: Annotated[float, Field(ge=0.0, le=10.0)]
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    gradient_clip: Annotated[float, Field(gt=0.0)] | None
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    monitor: str | None
    mode: Literal["min", "max"] | None
    early_stopping: EarlyStoppingConfig
    test: bool
    test_model: Literal["best", "last"]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["val"]
    accelerator: str
    devices: int | str | list[int]
    precision: str
    compile: bool
    num_threads: Positive | None
    progress: bool

    @property
    def wants_gpu(self) -> bool:
        """Whether it trains on a GPU where there is one."""
        return self.accelerator in ("auto", "gpu", "cuda")

    @property
    def fixed_threshold(self) -> float:
        """The threshold where none is chosen on the validation split."""
        return 0.5 if self.threshold == "val" else self.threshold

    def monitored(
        self, default: str, *, metrics: Iterable[MetricSpec] = ()
    ) -> tuple[str, Literal["min", "max"]]:
        """The metric that chooses the best model, and the better direction.

        Parameters
        ----------
        default : str
            The task's own (`shared.tasks.base.TaskSpec.monitor`).
        metrics : iterable of MetricSpec
            The task's; what it does not know, the catalogue may.

        Returns
        -------
        tuple of str and {"min", "max"}

        Raises
        ------
        ConfigError
            Neither the settings nor the catalogue of metrics know the better direction.
        """
        monitor = self.monitor or default
        name = monitor.partition("/")[2]
        spec = next((spec for spec in metrics if spec.name == name), None) or spec_of(name)
        mode = self.mode or spec.mode
        if mode is None:
            raise ConfigError(
                f"trainer.monitor={monitor}: it is not known whether lower or higher is better; "
                "set trainer.mode=min or trainer.mode=max"
            )
        return monitor, mode
