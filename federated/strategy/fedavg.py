"""Federated averaging (McMahan et al. 2017, arXiv 1602.05629): Flower's FedAvg, made deterministic."""

from __future__ import annotations

from federated.strategy.deterministic import Deterministic
from federated.strategy.mean import WeightedMean


class DeterministicFedAvg(Deterministic, WeightedMean):
    """The average of the clients' arrays, weighted by their training examples."""
