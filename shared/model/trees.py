"""`TreeNetwork`: histogram trees where a network is expected, with a state dict that grows with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.config.model import TreesConfig
from shared.data.schema import Column
from shared.runtime.errors import TreesError
from shared.trees.arrays import TYPES, from_arrays, to_arrays
from shared.trees.bins import Feature
from shared.trees.model import TreeEnsemble
from shared.trees.objectives import LEAST_SHARE, Logistic, Objective, Shares
from shared.trees.settings import MAX_ROUNDS, TreeSettings


def features_of(columns: tuple[Column, ...]) -> tuple[Feature, ...]:
    """The inputs of a table, as trees take them.

    Raises
    ------
    ConfigError
        A category has too many levels.
    """
    return tuple(
        Feature(column.name, len(column.levels) if column.kind == "categorical" else 0) for column in columns
    )


def tree_settings(cfg: TreesConfig, *, seed: int) -> TreeSettings:
    """How trees grow; how many is said by whoever trains.

    Raises
    ------
    ConfigError
    """
    own = cfg.model_dump(exclude={"name", "weights"})
    return TreeSettings(**own, rounds=MAX_ROUNDS, seed=seed)


class TreeNetwork(nn.Module):
    """A model of trees; without one it predicts the same for all rows.

    Its state dict holds the arrays of `shared.trees.arrays`, which are longer with every tree. It stays in 64
    bits, and on the CPU.

    Attributes
    ----------
    model : TreeEnsemble
    settings : TreeSettings or None
        How trees grow by sums; None: another library grows them.
    """

    def __init__(
        self, features: tuple[Feature, ...], *, objective: Objective, settings: TreeSettings | None
    ) -> None:
        super().__init__()
        self.settings = settings
        share = 1 / objective.classes if isinstance(objective, Shares) else 0.0
        self.model = TreeEnsemble(features, objective, np.full(objective.outputs, share), ())

    def forward(self, inputs: Tensor) -> Tensor:
        """Raw scores of rows.

        Parameters
        ----------
        inputs : Tensor [B, columns], float64
            NaN: missing; numbers of levels.

        Returns
        -------
        Tensor [B, outputs], float64
            Logits; of two classes, that of the first is 0. Of numbers, the numbers. Of a forest, the logarithms
            of its shares.
        """
        return self.results(self.model.scores(inputs.detach().cpu().numpy()))

    def results(self, scores: np.ndarray[Any, np.dtype[np.float64]]) -> Tensor:
        """What `forward` gives, of raw scores [K, N]."""
        if self.model.objective.name == Shares.name:
            shares = self.model.objective.predictions(scores).T
            scores = np.log(np.maximum(shares, LEAST_SHARE))
        elif self.model.objective.name == Logistic.name:
            scores = np.concatenate([np.zeros_like(scores), scores])
        return torch.from_numpy(np.ascontiguousarray(scores.T))

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, array in to_arrays(self.model).items():
            destination[prefix + name] = torch.from_numpy(np.array(array))

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        absent = [prefix + name for name in TYPES if prefix + name not in state_dict]
        if absent:
            missing_keys += absent
            return
        arrays = {name: state_dict[prefix + name].detach().cpu().numpy() for name in TYPES}
        # Truth values travel as whole numbers.
        arrays["missing_left"] = arrays["missing_left"].astype(np.bool_)
        own = self.model
        try:
            self.model = from_arrays(arrays, features=own.features, objective=own.objective, known=own.rounds)
        except TreesError as error:
            error_msgs.append(str(error))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TreeNetwork:
        """Leave it as it is: thresholds in 32 bits would divide other rows."""
        return self
