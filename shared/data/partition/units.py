"""Units: what is never divided (a row, or all rows of a group such as a patient), and ways to deal them out."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.runtime.errors import PartitionError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """The rows that clients can get, gathered into units.

    Attributes
    ----------
    rows : NDArray [R], int64
        Row numbers of the train and val rows, ascending.
    unit : NDArray [R], int64
        The unit of each of these rows, from 0.
    stratum : NDArray [U], int64
        The stratum that most of a unit's rows have; the lowest of several.
    train, val : NDArray [U], int64
        How many rows of a unit are in either split.
    """

    rows: Ints
    unit: Ints
    stratum: Ints
    train: Ints
    val: Ints


def gather_units(strata: Ints, *, splits: NDArray[np.str_], groups: Ints | None) -> Units:
    """Gather the train and val rows into units.

    Parameters
    ----------
    strata : NDArray [N], int64
    splits : NDArray [N], str
    groups : NDArray [N], int64, or None
        The group of each row; None: every row is a unit of its own.
    """
    rows = np.flatnonzero(splits != "test").astype(np.int64)
    unit = np.arange(len(rows)) if groups is None else np.unique(groups[rows], return_inverse=True)[1]
    unit = unit.reshape(-1).astype(np.int64)
    count = int(unit.max()) + 1 if len(unit) else 0
    train = np.bincount(unit[splits[rows] == "train"], minlength=count).astype(np.int64)
    rows_of_unit = np.bincount(unit, minlength=count).astype(np.int64)
    stratum = _majority(unit, strata=strata[rows]) if groups is not None else strata[rows]
    return Units(rows=rows, unit=unit, stratum=stratum, train=train, val=rows_of_unit - train)


def deal(weights: Ints, *, targets: Floats, loads: Floats | None = None) -> Ints:
    """Give each unit, in the order given, to the client that is relatively furthest from its target.

    With units of one row this is the apportionment of Sainte-Laguë (Balinski and Young, Fair Representation,
    1982): at the end, and at any moment before, every client's load is about proportional to its target.

    Parameters
    ----------
    weights : NDArray [U], int64
        Rows of each unit.
    targets : NDArray [C], float64
        What the clients' loads are to be proportional to; who has 0 gets nothing (unless all have 0).
    loads : NDArray [C], float64, optional
        Rows that the clients have already.

    Returns
    -------
    NDArray [U], int64
        The client of each unit.
    """
    target = targets.tolist() if targets.max() > 0 else [1.0] * len(targets)
    load = [0.0] * len(target) if loads is None else loads.tolist()
    heap = [((load[c] + 0.5) / target[c], c) for c in range(len(target)) if target[c] > 0]
    heapq.heapify(heap)
    owner = np.empty(len(weights), dtype=np.int64)
    for unit, weight in enumerate(weights.tolist()):
        client = heap[0][1]
        owner[unit] = client
        load[client] += weight
        heapq.heapreplace(heap, ((load[client] + 0.5) / target[client], client))
    return owner


def cut(weights: Ints, *, shares: Floats) -> Ints:
    """Cut a sequence of units into consecutive pieces, one a client; the middle of a unit says whose it is.

    Parameters
    ----------
    weights : NDArray [U], int64
        Rows of each unit.
    shares : NDArray [C], float64
        Of all rows; sums to 1.

    Returns
    -------
    NDArray [U], int64
        The client of each unit, ascending.
    """
    ends = np.cumsum(weights)
    edges = np.cumsum(shares) * ends[-1] if len(ends) else np.cumsum(shares)
    owner = np.searchsorted(edges, ends - weights / 2)
    return np.minimum(owner, len(shares) - 1).astype(np.int64)  # the last edge may be below 1 by a rounding


def top_up(owner: Ints, *, weights: Ints, num_partitions: int, minimum: int, rng: np.random.Generator) -> Ints:
    """Move units from the largest clients to those that have fewer rows than the minimum.

    Parameters
    ----------
    owner : NDArray [U], int64
        The client of each unit.
    weights : NDArray [U], int64
        Rows of each unit.
    rng : Generator
        Chooses among a donor's units of the same size, so that no stratum is preferred.

    Returns
    -------
    NDArray [U], int64
        The same but for the units moved: one at a time, each the smallest of the client then largest.

    Raises
    ------
    PartitionError
        No client can give a unit without falling below the minimum itself.
    """
    loads = np.bincount(owner, weights=weights, minlength=num_partitions).astype(np.int64)
    if loads.min() >= minimum:
        return owner
    owner = owner.copy()
    order = np.lexsort((rng.permutation(len(owner)), -weights, owner))
    ends = np.cumsum(np.bincount(owner, minlength=num_partitions))
    stacks = [piece.tolist() for piece in np.split(order, ends[:-1])]
    donors = [(-int(load), client) for client, load in enumerate(loads) if load > minimum]
    heapq.heapify(donors)
    for poor in np.flatnonzero(loads < minimum).tolist():
        while loads[poor] < minimum:
            if not donors:
                raise PartitionError(
                    f"no way was found to give each of {num_partitions} clients "
                    f"partition.min_examples={minimum} training rows with groups (patients) kept whole: "
                    f"client {poor} has {loads[poor]}; lower federation.num_clients or partition.min_examples"
                )
            donor = heapq.heappop(donors)[1]
            unit = stacks[donor][-1]
            if loads[donor] - weights[unit] < minimum:
                continue  # its smallest unit is too much, so it gives nothing any more
            stacks[donor].pop()
            owner[unit] = poor
            loads[donor] -= weights[unit]
            loads[poor] += weights[unit]
            heapq.heappush(donors, (-int(loads[donor]), donor))
    return owner


def follow(strata: Ints, *, weights: Ints, counts: Ints, keep_strata: bool, rng: np.random.Generator) -> Ints:
    """Share out validation units so that a client's validation strata follow its training strata.

    A client that has a share of the training rows of a stratum gets that share of its validation rows; one
    that nobody trains on goes by the clients' sizes. Where there are at least as many units as clients, each
    client is first given one, of a stratum it can expect most of.

    Parameters
    ----------
    strata, weights : NDArray [U], int64
        Label and rows of each validation unit.
    counts : NDArray [C, K], int64
        Training rows of each client and stratum.
    keep_strata : bool
        True: rather no validation row for a client than one of a stratum it does not train on.

    Returns
    -------
    NDArray [U], int64
        The client of each unit.
    """
    num_partitions, num_strata = counts.shape
    held = counts.sum(axis=0)
    by_size = counts.sum(axis=1, keepdims=True) / held.sum()
    shares = np.where(held > 0, counts / np.maximum(held, 1), by_size)
    targets = shares * np.bincount(strata, weights=weights, minlength=num_strata)
    order = rng.permutation(len(strata))
    queues = [order[strata[order] == k] for k in range(num_strata)]
    loads = np.zeros(counts.shape)
    owner = np.empty(len(strata), dtype=np.int64)
    lengths = np.array([len(queue) for queue in queues])
    taken = np.zeros(num_strata, dtype=np.int64)
    if len(strata) >= num_partitions:
        for client in np.argsort(targets.sum(axis=1), kind="stable"):  # large clients get theirs in any case
            wish = targets[client] * (1 - taken / np.maximum(lengths, 1))  # spares strata that run short
            k = int(wish.argmax())
            if wish[k] <= 0:
                if keep_strata:
                    continue
                k = int((lengths - taken).argmax())
            unit = queues[k][taken[k]]
            owner[unit] = client
            loads[client, k] += weights[unit]
            taken[k] += 1
    for k, queue in enumerate(queues):
        rest = queue[taken[k] :]
        owner[rest] = deal(weights[rest], targets=targets[:, k], loads=loads[:, k])
    return owner


def _majority(unit: Ints, *, strata: Ints) -> Ints:
    num_strata = int(strata.max(initial=0)) + 1
    pairs, count = np.unique(unit * num_strata + strata, return_counts=True)
    of_unit, stratum = pairs // num_strata, pairs % num_strata
    order = np.lexsort((stratum, -count, of_unit))
    first = np.unique(of_unit[order], return_index=True)[1]
    return np.asarray(stratum[order][first], dtype=np.int64)
