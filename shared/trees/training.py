"""`train_trees`: clients and server in one process; pooled training is one client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.trees.bins import Feature
from shared.trees.client import ClientTrees
from shared.trees.objectives import Objective
from shared.trees.server import ServerGrower
from shared.trees.settings import TreeSettings


def train_trees(
    clients: Mapping[str, ClientTrees],
    *,
    features: Sequence[Feature],
    objective: Objective,
    settings: TreeSettings,
) -> ServerGrower:
    """Train by asking the clients in turn; the model is the ``ensemble`` of what is returned.

    Raises
    ------
    DataError
        The rows of all clients together cannot be trained on.
    """
    server = ServerGrower(features, objective=objective, settings=settings)
    while (question := server.ask()) is not None:
        server.take({name: client.answer(question) for name, client in clients.items()})
    return server
