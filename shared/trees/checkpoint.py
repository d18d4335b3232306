"""`Checkpoint`: a training between two rounds, from which it is resumed as if it had not been interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import TreesError
from shared.trees.format import dumps, loads
from shared.trees.messages import Arrays, Question
from shared.trees.model import TreeEnsemble
from shared.trees.wire import packed_past, unpacked_past

_PAST = "past/"
# What clients do before the next round begins: arrays of `Grow`.
UPDATE = ("parent", "left", "right", "feature", "table", "leaf", "value")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two rounds.

    Attributes
    ----------
    past : tuple of Question
        From `Begin` on; which histograms they asked for is not kept.
    model : TreeEnsemble
        All rounds so far.
    losses : tuple of tuple of float
        Before each of these rounds.
    scales : tuple of float, or None
        Of the gradients and Hessians of the next round.
    update : mapping
        Some of the arrays `UPDATE`.
    """

    past: tuple[Question, ...]
    model: TreeEnsemble
    losses: tuple[tuple[float, float], ...]
    scales: tuple[float, float] | None
    update: Mapping[str, NDArray[Any]]
    clients: tuple[str, ...]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays by name, without objects: what `numpy.savez` stores and `numpy.load` reads."""
        arrays: dict[str, NDArray[Any]] = {
            "model": _bytes(dumps(self.model)),
            "clients": _bytes(json.dumps(self.clients).encode()),
            "losses": np.array(self.losses, dtype=np.float64).reshape(-1, 2),
            "scales": np.array(self.scales or (), dtype=np.float64),
        }
        arrays |= {f"{_PAST}{name}": array for name, array in packed_past(self.past).items()}
        return arrays | {f"update/{name}": array.copy() for name, array in self.update.items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Checkpoint:
        """The checkpoint that `to_arrays` took apart.

        Raises
        ------
        TreesError, FederationError
            It is damaged.
        """
        past = {key.removeprefix(_PAST): array for key, array in arrays.items() if key.startswith(_PAST)}
        try:
            scales = [float(scale) for scale in arrays["scales"]]
            return cls(
                past=tuple(unpacked_past(past, after=-1)),
                model=loads(arrays["model"].tobytes(), source="the checkpoint's model"),
                losses=tuple((float(train), float(held_out)) for train, held_out in arrays["losses"]),
                scales=(scales[0], scales[1]) if scales else None,
                update={name: arrays[f"update/{name}"] for name in UPDATE if f"update/{name}" in arrays},
                clients=tuple(str(name) for name in json.loads(arrays["clients"].tobytes())),
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise TreesError(
                f"the checkpoint is damaged ({type(error).__name__}: {error}); start again"
            ) from None


def _bytes(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, dtype=np.uint8).copy()
