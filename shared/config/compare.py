"""Settings of the group ``compare``: how the twins are compared."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from shared.config.section import Section


class CompareConfig(Section):
    """How the twins are compared."""

    seeds: tuple[int, ...] | None
    local_only: bool
    fine_tune: Annotated[int, Field(ge=0)]
    metric: str | None
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]
    resamples: Annotated[int, Field(ge=100)]

    @model_validator(mode="after")
    def _seeds(self) -> CompareConfig:
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            raise ValueError(
                f"compare.seeds must name at least one seed, each once (null: the seed of the run), got "
                f"{list(self.seeds)}: an interval over seeds needs different ones"
            )
        return self
