"""The trimmed mean (Yin et al. 2018, arXiv 1803.01498): Flower's FedTrimmedAvg, made deterministic."""

from __future__ import annotations

from flwr.serverapp.strategy import FedTrimmedAvg

from federated.strategy.base import Deterministic


class DeterministicFedTrimmedAvg(Deterministic, FedTrimmedAvg):
    """The mean without the share ``beta`` at each end, value by value, whatever the numbers of examples.

    It needs all models at once: the server keeps those of a round until the last has come.
    """
