"""Settings of the group ``partition``: how the rows are divided among the clients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.config.section import Positive, Section


class PartitionConfig(Section):
    """How the rows are shared out among the clients."""

    name: Literal["iid", "stratified", "dirichlet", "pathological", "quantity", "natural"]
    seed: Annotated[int, Field(ge=0)] | None
    min_examples: Positive
    alpha: Annotated[float, Field(gt=0.0)] = 0.5
    classes_per_client: Positive = 2
    sigma: Annotated[float, Field(ge=0.0)] = 1.0
    column: str = "site"
