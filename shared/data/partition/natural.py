"""The natural scheme: the clients are the values of a column, such as hospitals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.data.partition.units import Ints
from shared.data.sources.spelling import is_missing
from shared.runtime.counts import count_of
from shared.runtime.errors import PartitionError, bullet_list


def natural(
    values: NDArray[np.str_],
    *,
    num_partitions: int,
    column: str,
    min_examples: int = 1,
    weights: Ints | None = None,
    groups: Ints | None = None,
) -> Ints:
    """One client for each value of a column, such as a hospital, sorted by value (as text: "10" before "2").

    Parameters
    ----------
    values : NDArray [R], str
        Of the train and val rows; a value that only test rows have makes no client.
    num_partitions : int
        Clients, C.
    column : str
        Its name, for messages.
    min_examples : int
        Training rows that every client must get.
    weights : NDArray [R], int64, optional
        1 for a training row, 0 for a validation row; 1 each unless given.
    groups : NDArray [R], int64, optional
        The group of each row.

    Returns
    -------
    NDArray [R], int64
        The client of each row.

    Raises
    ------
    PartitionError
        Rows have no value, there are more or fewer values than clients, a value has too few training rows, or a
        patient has several values.
    """
    if blank := int((np.char.strip(values) == "").sum()):
        raise PartitionError(
            f"partition=natural needs a value of {column!r} in every row, but {blank} train and val rows have "
            "none; fill them in, or choose another partition"
        )
    if absent := sorted({name for name in values.tolist() if is_missing(name)}):
        count = int(np.isin(values, absent).sum())
        raise PartitionError(
            f"partition=natural would make one client of {count_of(count, 'row')} whose {column!r} "
            f"is {', '.join(map(repr, absent))}, a word for a missing value; fill them in, or choose another "
            f"partition"
        )
    names, owner = np.unique(values, return_inverse=True)
    owner = owner.reshape(-1).astype(np.int64)
    weights = np.ones(len(values), dtype=np.int64) if weights is None else weights
    train = np.bincount(owner, weights=weights, minlength=len(names)).astype(np.int64)
    rows = np.bincount(owner, minlength=len(names))
    listed = [
        f"{name}: {count_of(n, 'row')}, {t} for training" for name, n, t in zip(names, rows, train, strict=True)
    ]
    if len(names) != num_partitions:
        raise PartitionError(
            f"partition=natural makes one client of each value of {column!r}: expected {num_partitions} values "
            f"(federation.num_clients), got {len(names)}; set federation.num_clients={len(names)} or another "
            f"partition.column. The values of the train and val rows:\n{bullet_list(listed)}"
        )
    if train.min() < min_examples:
        short = [listed[client] for client in np.flatnonzero(train < min_examples)]
        raise PartitionError(
            f"each value of {column!r} must have partition.min_examples={min_examples} training rows or more, "
            f"but {len(short)} have fewer; lower partition.min_examples, or leave their rows out:\n"
            f"{bullet_list(short)}"
        )
    if groups is not None:
        _check_patients(groups, owner=owner, names=names, column=column)
    return owner


def _check_patients(groups: Ints, *, owner: Ints, names: NDArray[np.str_], column: str) -> None:
    pairs = np.unique(np.stack([groups, owner], axis=1), axis=0)
    patients, starts, places = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    several = [
        f"patient {patient}: {', '.join(names[pairs[start : start + count, 1]])}"
        for patient, start, count in zip(patients, starts, places, strict=True)
        if count > 1
    ]
    if several:
        raise PartitionError(
            f"expected all rows of a patient at one client, got {len(several)} patients with several values of "
            f"{column!r}; correct the column, or choose another partition:\n{bullet_list(several)}"
        )
