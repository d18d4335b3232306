"""Federated averaging (McMahan et al. 2017, arXiv 1602.05629): Flower's FedAvg, made deterministic."""

from __future__ import annotations

from federated.strategy.aggregation import WeightedMean
from federated.strategy.base import Deterministic


class DeterministicFedAvg(Deterministic, WeightedMean):
    """The average of the clients' arrays, weighted by their training examples."""
