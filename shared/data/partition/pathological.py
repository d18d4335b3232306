"""The pathological scheme: each client gets a few shards of single classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.data.partition.schemes import MAX_DRAWS, checked_weights, rows_of_clients, shuffled
from shared.data.partition.units import Ints, deal
from shared.runtime.errors import PartitionError


def pathological(
    strata: Ints,
    *,
    num_partitions: int,
    classes_per_client: int,
    seed: int,
    min_examples: int = 1,
    weights: Ints | None = None,
) -> Ints:
    """Each client gets units of exactly so many classes, and every class is with some client.

    Each stratum is cut into shards, the more the larger it is, so that shards are of about the same size; each
    client gets shards of different classes. In the paper a shard may lie across two classes, here never.

    Parameters
    ----------
    strata, num_partitions, seed, min_examples, weights
        As for `stratified`. Of groups the majority stratum counts: single rows may be of further classes.

    Returns
    -------
    NDArray [U], int64
        The client of each unit.

    Raises
    ------
    PartitionError
        There are more classes than clients can take, or too few classes, rows or groups.

    References
    ----------
    McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017.
    """
    weights = checked_weights(strata, weights, num_partitions=num_partitions, min_examples=min_examples)
    rng = np.random.default_rng(seed)
    present, index = np.unique(strata, return_inverse=True)
    _check_classes(len(present), num_partitions=num_partitions, classes_per_client=classes_per_client)
    shards = _shards(index, weights=weights, num_partitions=num_partitions, per_client=classes_per_client)
    owner = np.empty(len(strata), dtype=np.int64)
    for _ in range(MAX_DRAWS):
        holders = _draw_holders(shards, num_partitions=num_partitions, per_client=classes_per_client, rng=rng)
        order = shuffled(weights, rng=rng)
        for k in range(len(present)):
            units = order[index[order] == k]
            owner[units] = deal(weights[units], targets=holders[:, k])
        smallest = int(rows_of_clients(owner, weights=weights, num_partitions=num_partitions).min())
        if smallest >= min_examples:
            return owner
    raise PartitionError(
        f"each of {num_partitions} clients must get partition.min_examples={min_examples} training rows of "
        f"exactly {classes_per_client} classes, but {MAX_DRAWS} draws left a client with fewer (the last one "
        f"with {smallest}); lower federation.num_clients or partition.min_examples, or change "
        "partition.classes_per_client"
    )


def _check_classes(num_strata: int, *, num_partitions: int, classes_per_client: int) -> None:
    if num_partitions * classes_per_client < num_strata:
        raise PartitionError(
            f"partition=pathological: {num_partitions} clients with partition.classes_per_client="
            f"{classes_per_client} take {num_partitions * classes_per_client} classes at most, got "
            f"{num_strata}; raise federation.num_clients or partition.classes_per_client"
        )
    if classes_per_client > num_strata:
        raise PartitionError(
            f"partition.classes_per_client must be at most {num_strata}, the number of classes in the "
            f"training rows, got {classes_per_client}"
        )


def _shards(index: Ints, *, weights: Ints, num_partitions: int, per_client: int) -> Ints:
    # Sainte-Laguë, with a shard or more for each class, but never more than it has units or there are clients
    rows = np.bincount(index, weights=weights)
    most = np.minimum(np.bincount(index), num_partitions)
    if most.sum() < num_partitions * per_client:
        raise PartitionError(
            f"partition=pathological: {num_partitions} clients need units (rows, or whole groups) of "
            f"{per_client} classes each, {num_partitions * per_client} in all, but the classes allow only "
            f"{most.sum()}; lower federation.num_clients or partition.classes_per_client"
        )
    classes = np.repeat(np.arange(len(rows)), most - 1)
    quotients = np.concatenate([rows[k] / (np.arange(1, most[k]) + 0.5) for k in range(len(rows))])
    chosen = np.argsort(-quotients, kind="stable")[: num_partitions * per_client - len(rows)]
    return 1 + np.bincount(classes[chosen], minlength=len(rows)).astype(np.int64)


def _draw_holders(
    shards: Ints, *, num_partitions: int, per_client: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    # Client by client, classes at random by the shards they have left. A class with as many shards left as
    # there are clients left must be taken, or two of its shards would have to go to one client.
    left = shards.astype(np.float64)
    holders = np.zeros((num_partitions, len(shards)))
    for client in range(num_partitions):
        with np.errstate(divide="ignore"):
            urgency = rng.random(len(shards)) ** (1.0 / left)  # Efraimidis and Spirakis 2006
        urgency[left == 0] = -1.0
        urgency[left == num_partitions - client] = 2.0
        chosen = np.argsort(-urgency, kind="stable")[:per_client]
        holders[client, chosen] = 1.0
        left[chosen] -= 1.0
    assert not left.any(), left
    return holders
