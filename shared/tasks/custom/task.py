"""Custom: a LightningModule and data of the user's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from shared.data.schema import Schema
from shared.tasks.custom.metrics import Functions, MetricConfig
from shared.tasks.custom.spec import CustomSpec
from shared.tasks.task import Task

if TYPE_CHECKING:
    from shared.config.config import Config as RunConfig
    from shared.tasks.base import Learner

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,60}")


class Custom(Task):
    """A model and data of the user's own, trained by Lightning's Trainer."""

    class Config(Task.Config):
        """What is judged."""

        metrics: Annotated[dict[str, Literal["higher", "lower"] | MetricConfig], Field(min_length=1)]
        monitor: str | None

        @field_validator("metrics")
        @classmethod
        def _without_stage(cls, metrics: dict[str, object]) -> dict[str, object]:
            if wrong := [name for name in metrics if not _NAME.fullmatch(name)]:
                raise ValueError(
                    f"task.metrics are names without the stage, such as dice, of at most 60 letters, digits "
                    f"and _ . @ -; got {wrong}"
                )
            return metrics

    config: Config

    def spec(self, schema: Schema) -> CustomSpec:
        """What is measured and told; the same for every schema."""
        declared = {
            name: given if isinstance(given, MetricConfig) else MetricConfig(better=given)
            for name, given in self.config.metrics.items()
        }
        functions = {name: metric.target for name, metric in declared.items() if metric.target}
        return CustomSpec(
            tuple(metric.spec(name) for name, metric in declared.items()),
            functions=Functions(functions, may_run=self.may_run),
            monitor=self.config.monitor,
        )

    def learner(self, cfg: RunConfig) -> Learner:
        """What trains it."""
        from shared.tasks.custom.learner import CustomLearner  # imports torch

        return CustomLearner(cfg, spec=self.spec(Schema()), may_run=self.may_run)
