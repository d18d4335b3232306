"""Federated averaging (McMahan et al. 2017, arXiv 1602.05629): Flower's FedAvg, made deterministic."""

from __future__ import annotations

from federated.strategy.base import Algorithm


class FedAvg(Algorithm):
    """The average of the clients' models, weighted by their training examples."""
