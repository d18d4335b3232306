"""The coordinate-wise median (Yin et al. 2018, arXiv 1803.01498): Flower's FedMedian, made deterministic."""

from __future__ import annotations

from flwr.serverapp.strategy import FedMedian

from federated.strategy.base import Deterministic


class DeterministicFedMedian(Deterministic, FedMedian):
    """The median of the clients' arrays, whatever their numbers of examples: a few wild clients do no harm.

    It needs all models at once: the server keeps those of a round until the last has come.
    """
