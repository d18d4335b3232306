"""JSON schemas of a run's use of the machine and of its changed settings, as pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from service.read.schemas import Shape


class Resources(Shape):
    """Moments of a run, as columns."""

    time: list[int] = Field(description="Milliseconds since 1970.")
    cpu: list[float | None] = Field(description="Per cent of one core, of the run's processes.")
    memory: list[int] = Field(description="Bytes, of the run's processes.")
    machine_cpu: list[float] = Field(description="Per cent of all cores of the machine.")
    machine_memory: list[int] = Field(description="Bytes used on the machine.")
    gpu: list[float | None] = Field(description="Per cent, mean of all GPUs; null without one.")
    gpu_memory: list[int | None] = Field(description="Bytes, sum of all GPUs; null without one.")
    total: int = Field(description="Number of stored moments.")


class ChangedSetting(Shape):
    """A setting that differs from its default; null also means not set."""

    key: str = Field(examples=["trainer.optimizer.lr"])
    default: Any
    value: Any


class Changed(Shape):
    """The settings in which a run differs from the defaults of this version."""

    rows: list[ChangedSetting]


class Example(Shape):
    """One test image."""

    row: int = Field(description="Its place among the test rows, from 0.")
    true: str
    predicted: str
    probabilities: list[float] = Field(description="In the order of the classes.")
    image: str = Field(description="PNG as a data: address, at most 256 pixels a side.")


class Examples(Shape):
    """Test images worth a look."""

    classes: list[str]
    threshold: float = Field(description="Of two classes, above which the second is predicted.")
    total: int = Field(description="How many there are: misclassified ones, or all test rows.")
    examples: list[Example]
