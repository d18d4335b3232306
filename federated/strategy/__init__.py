"""Strategies by their name in ``conf/strategy/``."""

from federated.strategy.base import Deterministic
from federated.strategy.fedavg import DeterministicFedAvg
from federated.strategy.fedavgm import DeterministicFedAvgM
from federated.strategy.fedmedian import DeterministicFedMedian
from federated.strategy.fedprox import DeterministicFedProx
from federated.strategy.fedtrimmedavg import DeterministicFedTrimmedAvg

STRATEGIES: dict[str, type[Deterministic]] = {
    "fedavg": DeterministicFedAvg,
    "fedavgm": DeterministicFedAvgM,
    "fedmedian": DeterministicFedMedian,
    "fedprox": DeterministicFedProx,
    "fedtrimmedavg": DeterministicFedTrimmedAvg,
}
