"""Strategies by their name in ``conf/strategy/``."""

from federated.strategy.deterministic import Deterministic
from federated.strategy.fedavg import DeterministicFedAvg

STRATEGIES: dict[str, type[Deterministic]] = {"fedavg": DeterministicFedAvg}
