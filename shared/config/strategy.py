"""Settings of the group ``strategy``: how the server samples clients and aggregates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.config.section import Positive, Section, Share


class StrategyConfig(Section):
    """How the server samples clients and aggregates."""

    name: Literal["fedavg", "fedmedian"]
    fraction_train: Annotated[float, Field(gt=0.0, le=1.0)]
    fraction_evaluate: Share
    min_train: Positive


class FedProxConfig(StrategyConfig):
    """FedAvg with clients that are held near the model they received."""

    name: Literal["fedprox"]  # type: ignore[assignment]
    proximal_mu: Annotated[float, Field(ge=0.0)]


class FedAvgMConfig(StrategyConfig):
    """FedAvg with momentum on the server."""

    name: Literal["fedavgm"]  # type: ignore[assignment]
    server_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    server_learning_rate: Annotated[float, Field(gt=0.0)]


class FedTrimmedAvgConfig(StrategyConfig):
    """The mean of each weight without its largest and smallest values."""

    name: Literal["fedtrimmedavg"]  # type: ignore[assignment]
    beta: Annotated[float, Field(ge=0.0, lt=0.5)]
