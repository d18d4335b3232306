"""Settings of the group ``task``: what is learned from the data."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, model_validator

from shared.config.section import TARGET, Section


class TaskConfig(Section):
    """What all tasks have in common.

    A task's own settings are further keys here, which its ``Config`` checks when it is loaded.
    """

    model_config = ConfigDict(extra="allow")

    name: str

    @model_validator(mode="after")
    def _named(self) -> TaskConfig:
        if self.model_config.get("extra") == "allow" and not isinstance(self._extra.get(TARGET), str):
            raise ValueError(f"task.{TARGET} must name the class of a task, such as package.module.Class")
        return self

    @property
    def _extra(self) -> dict[str, Any]:
        return self.model_extra or {}

    @property
    def target(self) -> str:
        """The class of the task, ``package.module.Class``."""
        return str(self._extra[TARGET])

    def settings(self) -> dict[str, Any]:
        """All but the class."""
        return {name: value for name, value in self.model_dump().items() if name != TARGET}
