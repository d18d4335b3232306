"""Settings of the group ``strategy``: how the server samples clients, and which algorithm trains."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from shared.config.section import TARGET, Positive, Section, Share


def sample_size(total: int, fraction: float, *, at_least: int) -> int:
    """How many of so many clients are sampled in a round."""
    return min(total, max(int(total * fraction), at_least))


class StrategyConfig(Section):
    """What all algorithms have in common.

    An algorithm's own settings are further keys here, which its ``Config`` checks when it is loaded.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    fraction_train: Annotated[float, Field(gt=0.0, le=1.0)]
    fraction_evaluate: Share
    min_train: Positive

    @model_validator(mode="after")
    def _named(self) -> StrategyConfig:
        if self.model_config.get("extra") == "allow" and not isinstance(
            (self.model_extra or {}).get(TARGET), str
        ):
            raise ValueError(
                f"strategy.{TARGET} must name the class of an algorithm, such as package.module.Class"
            )
        return self

    @property
    def target(self) -> str:
        """The class of the algorithm, ``package.module.Class``."""
        return str((self.model_extra or {})[TARGET])

    def settings(self) -> dict[str, Any]:
        """All settings but the class of the algorithm."""
        return {key: value for key, value in self.model_dump().items() if key != TARGET}
