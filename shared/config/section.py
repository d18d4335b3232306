"""`Section`, the base of every part of the configuration, and types that several sections use."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

TARGET = "_target_"  # the key under which a component is named
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A frozen part of the configuration in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CustomSection(Section):
    """A part that names code of the user's own; further keys are the arguments that it is called with."""

    model_config = ConfigDict(extra="allow")

    @property
    def target(self) -> str | None:
        """Dotted name of the code."""
        return (self.model_extra or {}).get(TARGET)

    @property
    def arguments(self) -> dict[str, Any]:
        """What it is called with."""
        return {name: value for name, value in (self.model_extra or {}).items() if name != TARGET}
