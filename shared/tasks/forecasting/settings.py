"""`ForecastingConfig`: settings of ``task=forecasting``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.tasks.task import Task

MOST_STEPS = 100_000  # of a window

Count = Annotated[int, Field(ge=1, le=MOST_STEPS)]


class ForecastingConfig(Task.Config):
    """How series are cut into windows, and what is minimised."""

    window: Count
    horizon: Count
    season: Count
    stride: Count
    eval_stride: Count | None
    reach_back: bool
    calendar: tuple[Literal["hour", "weekday", "month"], ...]
    known: tuple[str, ...]
    gaps: Literal["error", "cut"]
    block: Count
    loss: Literal["squared", "absolute"]

    @model_validator(mode="after")
    def _consistent(self) -> ForecastingConfig:
        if self.season > self.window:
            raise ValueError(
                f"task.season={self.season} must not exceed task.window={self.window}: the floor repeats "
                f"the last season of a window"
            )
        if self.block < self.horizon:
            raise ValueError(
                f"task.block={self.block} must not be below task.horizon={self.horizon}: steps of one "
                f"forecast depend on each other"
            )
        if len(set(self.calendar)) < len(self.calendar):
            raise ValueError(f"task.calendar names a feature twice: {', '.join(self.calendar)}")
        return self
