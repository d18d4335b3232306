"""Batches of rows: in which order they come, and how they are sliced out of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shared.runtime.errors import ConfigError
from shared.runtime.seeding import derive_seed

Batch = tuple[Tensor, ...]


class EpochSampler:
    """The order of the rows, a function of seed, partition and epoch alone.

    Parameters
    ----------
    size : int
        Rows.
    epoch_offset : int
        Epochs that came before this fit: of earlier rounds.
    parts : int
        Epochs that share one pass over the rows, each with a part of it.
    """

    def __init__(
        self, size: int, *, seed: int, partition_id: int, epoch_offset: int = 0, parts: int = 1
    ) -> None:
        self.size, self.seed, self.partition_id = size, seed, partition_id
        self.epoch_offset, self.parts = epoch_offset, parts
        self.epoch = epoch_offset

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each.

        Parameters
        ----------
        epoch : int
            Of this fit, from 0.
        """
        self.epoch = self.epoch_offset + epoch

    def __len__(self) -> int:
        return part_size(self.size, epoch=self.epoch, parts=self.parts)

    def order(self) -> npt.NDArray[np.int64]:
        """A permutation of ``range(size)``, or the part of it that the epoch takes.

        Returns
        -------
        ndarray [len(self)], int64
        """
        whole, part = divmod(self.epoch, self.parts)
        rows = np.random.default_rng(derive_seed(self.seed, self.partition_id, whole)).permutation(self.size)
        return rows[self.size * part // self.parts :][: len(self)]


def part_size(size: int, *, epoch: int, parts: int) -> int:
    """Rows of an epoch, where several share one pass over all rows.

    Parameters
    ----------
    size : int
        All rows.
    epoch : int
        From 0.
    parts : int
        Epochs that share a pass.

    Returns
    -------
    int
        They differ by one at most, and those of a pass add up to ``size``.
    """
    part = epoch % parts
    return size * (part + 1) // parts - size * part // parts


class BatchLoader:
    """Slices batches straight out of arrays, which may be memory-mapped: no workers, no Python for each row.

    A last training batch of one row joins the one before it, as BatchNorm cannot train on a single value. Of
    several devices each gets as many batches as the others, of about the same size, and each row is on one.

    Parameters
    ----------
    arrays : sequence of ndarray [N, ...]
        Such as inputs and targets.
    rows : ndarray [n], int64
    sampler : EpochSampler, optional
        Without one the rows come in their order.
    """

    def __init__(
        self,
        arrays: Sequence[npt.NDArray[Any]],
        rows: npt.NDArray[np.int64],
        *,
        batch_size: int,
        sampler: EpochSampler | None = None,
    ) -> None:
        self.arrays, self.rows, self.batch_size, self.sampler = arrays, rows, batch_size, sampler
        self.batch_sampler = None  # Lightning asks for it where there is a sampler

    def __len__(self) -> int:
        return len(self._bounds())

    def __iter__(self) -> Iterator[Batch]:
        rows = self.rows if self.sampler is None else self.rows[self.sampler.order()]
        for start, stop in self._bounds():
            batch = rows[start:stop]
            yield tuple(torch.from_numpy(array[batch]) for array in self.arrays)

    def _bounds(self) -> list[tuple[int, int]]:
        rank, world = _rank_and_world()
        size = len(self.rows if self.sampler is None else self.sampler)
        if world > 1:
            return _even_bounds(size, batch_size=self.batch_size, world=world)[rank::world]
        edges = [*range(0, size, self.batch_size), size]
        if self.sampler is not None and len(edges) > 2 and self.batch_size > 1 and edges[-1] - edges[-2] == 1:
            del edges[-2]
        return list(pairwise(edges))


def _even_bounds(size: int, *, batch_size: int, world: int) -> list[tuple[int, int]]:
    if 0 < size < world:
        raise ConfigError(f"trainer.devices={world} cannot share {size} rows; use fewer devices")
    # Sizes differ by one row at most: where they do not come out even, a batch may have one row too many.
    count = world * min(-(-size // (batch_size * world)), size // world)
    return list(pairwise(size * part // count for part in range(count + 1))) if count else []


def _rank_and_world() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
