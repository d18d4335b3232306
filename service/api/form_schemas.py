"""JSON schemas of the form for a training, as pydantic models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.api.job_schemas import JobMode
from service.read.schemas import Shape


class OnlyWith(Shape):
    """What must be set for a setting to have an effect."""

    key: str
    values: list[Any] = Field(description="One of these.")


class FormSetting(Shape):
    """One setting."""

    key: str = Field(examples=["trainer.optimizer.lr"])
    help: str
    default: Any = Field(description="In conf/; a preset may have another one.")
    kind: Literal["choice", "boolean", "integer", "number", "string", "array", "object", "other"]
    choices: list[Any] | None
    expected: str | None = Field(
        description="The range in words; null for a setting of an algorithm's own.",
        examples=["a number above 0"],
    )
    modes: list[JobMode] = Field(description="In which it has an effect.")
    only_with: OnlyWith | None


class FormChoice(Shape):
    """One choice of a group."""

    name: str
    help: str
    settings: list[FormSetting] = Field(description="Its own.")


class FormGroup(Shape):
    """A group of the configuration, such as the model."""

    name: str
    default: str | None
    modes: list[JobMode]
    choices: list[FormChoice]


class ExperimentForm(Shape):
    """What a form for a training offers; everything else is a further override."""

    groups: list[FormGroup]
    settings: list[FormSetting] = Field(description="The commonest ones.")
    datasets: list[str] = Field(
        description="Uploaded datasets that are ready, and what lies in the folders that the server allows."
    )
