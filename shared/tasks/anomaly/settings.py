"""`AnomalySettings`: where control limits are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.tasks.task import Task


class AnomalySettings(Task.Config):
    """Where control limits are."""

    quantile: Annotated[float, Field(gt=0.0, le=1.0)]
    margin: Annotated[float, Field(gt=0.0)]
    limits: Literal["common", "site"]
