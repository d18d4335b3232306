"""FedProx (Li et al. 2020, arXiv 1812.06127): Flower's, made deterministic; clients: `proximal_term`."""

from __future__ import annotations

from flwr.serverapp.strategy import FedProx

from federated.strategy.aggregation import WeightedMean
from federated.strategy.base import Deterministic


class DeterministicFedProx(Deterministic, FedProx, WeightedMean):
    """Federated averaging whose clients are held near the model that they received, by ``proximal_mu``."""
