"""`WireSpec`: what an algorithm lets travel; the checks of replies, the egress filter and sizes read it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from flwr.app import ArrayRecord

from federated.messages.records import ARRAYS

ArrayType = tuple[tuple[int | None, ...], str]  # shape (None: any length) and NumPy's name of the type
Layout = Mapping[str, ArrayType]


@dataclass(frozen=True)
class ModelLayout:
    """The arrays of a model, in the order of its state dict.

    Attributes
    ----------
    trained : frozenset of str
        Keys of the parameters that are trained.
    local : frozenset of str
        Keys that a client keeps its own values of.
    """

    arrays: Layout
    trained: frozenset[str]
    local: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, arrays: ArrayRecord, *, trained: Collection[str] = (), local: Collection[str] = ()
    ) -> ModelLayout:
        """The layout of a global model."""
        return cls(layout_of(arrays), trained=frozenset(trained), local=frozenset(local))


@dataclass(frozen=True)
class ArraySpec:
    """A record of arrays that travels beside the model.

    Attributes
    ----------
    name : str
        Of the record.
    like : {"model", "trained", "grown"}
        It has an array of the same key, shape and type for each array of the model, or for each trained one; or
        of the same key and type and any length, for a model that grows.
    """

    name: str
    like: Literal["model", "trained", "grown"] = "model"

    def layout(self, model: ModelLayout) -> Layout:
        """Keys, shapes and types for a given model."""
        if self.like == "model":
            return model.arrays
        if self.like == "grown":
            return {key: ((None,) * len(shape), dtype) for key, (shape, dtype) in model.arrays.items()}
        return {key: kind for key, kind in model.arrays.items() if key in model.trained}


@dataclass(frozen=True)
class WireSpec:
    """What train messages and their replies carry; nothing else leaves a client or enters the aggregation.

    Attributes
    ----------
    down, up : tuple of ArraySpec
        Records beside the model: of each train message, and of each reply to one.
    metrics : tuple of str
        Names of metrics that each reply to a train message must have, beside those of the model.
    sends_local : bool
        Whether replies carry the arrays that stay local, for the server's average of them.
    returns_model : bool
        Whether replies carry the model; not where the server makes it of answers to its questions.
    sums : bool
        Whether the server needs no more than weighted sums of what replies carry. Compression and secure
        aggregation are for algorithms of which that is true.
    """

    down: tuple[ArraySpec, ...] = ()
    up: tuple[ArraySpec, ...] = ()
    metrics: tuple[str, ...] = ()
    sends_local: bool = True
    returns_model: bool = True
    sums: bool = True

    def message(self, model: ModelLayout) -> dict[str, Layout]:
        """The records of arrays of a train message."""
        return {ARRAYS: model.arrays, **{spec.name: spec.layout(model) for spec in self.down}}

    def reply(self, model: ModelLayout) -> dict[str, Layout]:
        """The records of arrays of a reply to a train message."""
        arrays = model.arrays
        if not self.sends_local:
            arrays = {key: kind for key, kind in arrays.items() if key not in model.local}
        own = {ARRAYS: arrays} if self.returns_model else {}
        return {**own, **{spec.name: spec.layout(model) for spec in self.up}}


def layout_of(arrays: ArrayRecord) -> dict[str, ArrayType]:
    """Keys, shapes and types of a record of arrays."""
    return {key: (tuple(array.shape), array.dtype) for key, array in arrays.items()}


def fits(shape: Sequence[int | None], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is the one that is expected."""
    return len(shape) == len(expected) and all(
        own is None or size == own for size, own in zip(shape, expected, strict=True)
    )


def size_of(records: Mapping[str, Layout]) -> int:
    """Bytes of the values of some records of arrays, without NumPy's headers, and what may have any length."""
    return sum(
        math.prod(size or 0 for size in shape) * np.dtype(dtype).itemsize
        for layout in records.values()
        for shape, dtype in layout.values()
    )
