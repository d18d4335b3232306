"""Loaders of a user's dataset: of some of its rows, in an order that seed, client and epoch determine."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
)

from shared.data.batches import EpochSampler
from shared.runtime.errors import DataError

# Options of a user's DataLoader that a loader of some of its rows keeps.
_KEPT = ("num_workers", "collate_fn", "pin_memory", "timeout", "multiprocessing_context", "prefetch_factor")


@dataclass(frozen=True)
class Loading:
    """How rows are read.

    Attributes
    ----------
    dataset : torch.utils.data.Dataset
        With a length and items.
    batch_size : int
    shuffle : bool
        Whether each epoch has an order of its own.
    options : mapping
        Further arguments of the DataLoader.
    """

    dataset: Any
    batch_size: int
    shuffle: bool
    options: Mapping[str, Any] = field(default_factory=dict)

    def train_loader(self, places: Sequence[int], sampler: EpochSampler) -> DataLoader[Any]:
        """Batches of some items, in the order of the sampler, or in their own where nothing is shuffled."""
        batches = Batches(sampler, batch_size=self.batch_size, shuffle=self.shuffle)
        return self._loader(places, batch_sampler=batches, seed=sampler.seed)

    def eval_loader(self, places: Sequence[int]) -> DataLoader[Any]:
        """Batches of some items, in their order; none is left out."""
        return self._loader(places, batch_size=self.batch_size, seed=0)

    def _loader(self, places: Sequence[int], *, seed: int, **how: Any) -> DataLoader[Any]:
        # Workers draw their seeds from here, and not from the generator that the training draws from.
        generator = torch.Generator().manual_seed(seed % 2**63)
        return DataLoader(
            Subset(self.dataset, places),
            generator=generator,
            worker_init_fn=_seed_worker,
            **how,
            **self.options,
        )


class Batches(Sampler[list[int]]):
    """Batches of an epoch; a last one of a single row joins the one before it, as BatchNorm needs two."""

    def __init__(self, sampler: EpochSampler, *, batch_size: int, shuffle: bool) -> None:
        self.sampler, self.batch_size = sampler, batch_size  # Lightning tells `sampler` which epoch it is
        self.shuffle = shuffle

    def __len__(self) -> int:
        return len(self._bounds())

    def __iter__(self) -> Iterator[list[int]]:
        order = self.sampler.order()
        if not self.shuffle:
            order = np.sort(order)
        for start, stop in self._bounds():
            yield order[start:stop].tolist()

    def _bounds(self) -> list[tuple[int, int]]:
        size = len(self.sampler)
        edges = [*range(0, size, self.batch_size), size]
        rest = edges[-1] - edges[-2] if len(edges) > 2 else self.batch_size
        if rest == 1 and self.batch_size > 1:
            del edges[-2]
        return list(pairwise(edges))


def loading_of(loader: Any, *, name: str) -> Loading:
    """How a user's DataLoader reads its rows.

    Parameters
    ----------
    name : str
        Of the method that gave it, for messages.

    Raises
    ------
    DataError
        Its rows cannot be shared out: it has no dataset with a length and items, or takes rows in a way of its
        own.
    """
    if not isinstance(loader, DataLoader):
        raise DataError(f"{name} must give one torch DataLoader, got {type(loader).__name__}")
    if isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "__len__"):
        raise DataError(
            f"the dataset of {name} must have a length and items, so that its rows can be shared out among "
            f"clients, got {type(loader.dataset).__name__}; a function "
            f"datasets(partition_id, num_partitions) may give each client a dataset of its own"
        )
    sampler = loader.sampler
    if loader.drop_last and name == "train_dataloader":
        raise DataError(
            f"{name} has drop_last=True: clients would be weighed by rows that they do not train on, and one "
            f"with fewer rows than a batch would not train at all; set it to False (a last batch of a single "
            f"row joins the one before it)"
        )
    own = type(loader.batch_sampler) is not BatchSampler or type(sampler) not in (
        RandomSampler,
        SequentialSampler,
    )
    if own or getattr(sampler, "replacement", False) or loader.batch_size is None:
        raise DataError(
            f"{name} takes its rows by {type(sampler).__name__} in {type(loader.batch_sampler).__name__}; each "
            f"client takes its own rows, so expected batch_size=... and shuffle=True or False"
        )
    options = {option: getattr(loader, option) for option in _KEPT}
    return Loading(
        loader.dataset,
        loader.batch_size,
        shuffle=isinstance(sampler, RandomSampler),
        options=options,
    )


def _seed_worker(worker: int) -> None:
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)  # users draw from the global generator
