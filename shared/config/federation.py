"""Settings of the group ``federation``: clients, rounds, timeouts, the quorum and the engine."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.section import Positive, Section


class FederationConfig(Section):
    """Clients, rounds, waits and the quorum."""

    num_clients: Positive
    num_rounds: Positive
    local_epochs: Positive
    rounds_per_epoch: Positive
    keep_optimizer: bool
    min_replies: Positive
    round_timeout_s: Annotated[float, Field(gt=0.0)]
    connect_timeout_s: Annotated[float, Field(gt=0.0)]
    max_examples: Positive
    max_share: Annotated[float, Field(gt=0.0, le=1.0)]
    max_update_norm: Annotated[float, Field(gt=1.0)] | None
    early_stopping: bool
    client_cpus: Positive
    client_gpus: Annotated[float, Field(ge=0.0)] | None
    start_timeout_s: Annotated[float, Field(gt=0.0)]
    engine: Literal["local", "flower"]
    workers: Positive | None
    ray_address: str | None
    kit: str | None
    ask_again_s: Annotated[float, Field(gt=0.0)] | None

    @model_validator(mode="after")
    def _consistent(self) -> FederationConfig:
        if self.kit is not None and self.engine == "local":
            raise ValueError(f"federation.kit={self.kit} needs federation.engine=flower: real sites use Flower")
        if self.ray_address is not None and not re.fullmatch(r"[^\s/]+:\d+", self.ray_address):
            raise ValueError(
                f"federation.ray_address must be HOST:PORT, such as 10.0.0.5:6379, got {self.ray_address!r}"
            )
        if self.ray_address is not None and (self.kit is not None or self.workers is not None):
            raise ValueError(
                f"federation.ray_address={self.ray_address} goes with neither federation.kit nor "
                "federation.workers: the cluster's cores say how many clients train at once"
            )
        if self.rounds_per_epoch > 1 and self.local_epochs > 1:
            raise ValueError(
                f"federation.rounds_per_epoch={self.rounds_per_epoch} needs federation.local_epochs=1, got "
                f"{self.local_epochs}"
            )
        if self.num_rounds % self.rounds_per_epoch:
            raise ValueError(
                f"federation.num_rounds={self.num_rounds} must be a multiple of "
                f"federation.rounds_per_epoch={self.rounds_per_epoch}: every row is seen as often as any other"
            )
        return self
