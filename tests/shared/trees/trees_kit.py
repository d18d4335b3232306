"""A generated table, its rows divided among clients, and training on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.trees.bins import Feature
from shared.trees.client import ClientTrees
from shared.trees.objectives import Objective
from shared.trees.server import ServerGrower
from shared.trees.settings import TreeSettings
from shared.trees.training import train_trees

LEVELS = 9


@dataclass
class Table:
    inputs: NDArray[Any]
    features: list[Feature]
    signal: NDArray[np.float64]
    weights: NDArray[np.float64]
    keys: NDArray[np.uint64]
    validation: NDArray[np.bool_]

    def targets(self, name: str) -> NDArray[np.float64]:
        if name == "logistic":
            return (self.signal > 0).astype(np.float64)
        if name == "softmax":
            return np.digitize(self.signal, [-1.0, 1.0]).astype(np.float64)
        if name == "poisson":
            return np.floor(np.exp(self.signal / 2))
        return self.signal


def table(rows: int = 400, *, seed: int = 0) -> Table:
    """Inputs with gaps, a category, a boolean, few values, copies (ties), a constant and an empty one."""
    draw = np.random.default_rng(seed)
    normal = draw.standard_normal((rows, 3))
    level = draw.integers(0, LEVELS, rows).astype(float)
    flag = draw.integers(0, 2, rows).astype(float)
    effect = draw.standard_normal(LEVELS)
    signal = normal[:, 0] + normal[:, 1] * flag + effect[level.astype(int)] + 0.5 * draw.standard_normal(rows)
    skewed = np.exp(3 * normal[:, 1])
    gaps = np.where(draw.random(rows) < 0.3, np.nan, normal[:, 0])
    level[draw.random(rows) < 0.1] = np.nan
    inputs = np.column_stack(
        [gaps, skewed, level, flag, np.round(normal[:, 0]), -gaps, flag, np.ones(rows), np.full(rows, np.nan)]
    )
    names = ["gaps", "skewed", "level", "flag", "few", "mirrored", "copy", "constant", "empty"]
    return Table(
        inputs=inputs,
        features=[Feature(name, LEVELS if name == "level" else 0) for name in names],
        signal=signal,
        weights=draw.choice([0.3, 1.0, 2.7], rows),
        keys=draw.permutation(rows).astype(np.uint64),
        validation=draw.random(rows) < 0.2,
    )


def divided(rows: int, way: str, *, signal: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """The rows of each client, by name."""
    every = np.arange(rows)
    draw = np.random.default_rng(7)
    match way:
        case "pooled":
            parts = [every]
        case "pooled, other order":
            parts = [draw.permutation(rows)]
        case "random":
            parts = np.array_split(draw.permutation(rows), 4)
        case "one row":
            parts = [every[:1], every[1:]]
        case "by target":
            parts = np.array_split(np.argsort(signal), 3)
        case "one without rows":
            parts = [every[:0], every[: rows // 3], every[rows // 3 :]]
        case "a row each":
            parts = np.array_split(every, rows)
        case _:
            raise AssertionError(way)
    return {f"site {number}": np.asarray(part, dtype=np.int64) for number, part in enumerate(parts)}


def clients_of(
    data: Table, parts: Mapping[str, NDArray[np.int64]], objective: Objective, **more: Any
) -> dict[str, ClientTrees]:
    targets = data.targets(objective.name)
    return {
        name: ClientTrees(
            data.inputs[rows],
            targets[rows],
            features=data.features,
            objective=objective,
            weights=data.weights[rows],
            validation=data.validation[rows],
            keys=data.keys[rows],
            **more,
        )
        for name, rows in parts.items()
    }


def train(data: Table, way: str, objective: Objective, settings: TreeSettings) -> ServerGrower:
    parts = divided(len(data.inputs), way, signal=data.signal)
    return train_trees(
        clients_of(data, parts, objective), features=data.features, objective=objective, settings=settings
    )
