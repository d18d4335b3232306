"""Partitions: which rows each client holds; between the split and the data module."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shared.config.partition import PartitionConfig
from shared.data.dataset import Dataset
from shared.data.partition.natural import natural
from shared.data.partition.pathological import pathological
from shared.data.partition.schemes import dirichlet, iid, quantity, stratified
from shared.data.partition.units import Ints, Units, follow, gather_units
from shared.runtime.errors import PartitionError

__all__ = [
    "client_names",
    "dirichlet",
    "iid",
    "natural",
    "partition",
    "pathological",
    "quantity",
    "stratified",
    "client_test_rows",
]

_NEED_STRATA = ("stratified", "dirichlet", "pathological")


def partition(data: Dataset, *, cfg: PartitionConfig, num_partitions: int) -> list[Ints]:
    """Share out the train and val rows among the clients; the test rows stay with the server.

    The scheme places the training rows. Validation rows follow them: whoever has a share of the training rows
    of a stratum gets that share of its validation rows, and every client gets one or more if there are enough
    (pathological: if its strata have enough). Natural places both by the column.

    Parameters
    ----------
    data : Dataset
        Its groups are never divided; a group counts by the stratum that most of its rows have.
    cfg : PartitionConfig
        Scheme, its parameters, and the seed: the only source of randomness (`Config.shares` has it).
    num_partitions : int
        Clients, C.

    Returns
    -------
    list of NDArray, int64, C long
        Row numbers of each client, ascending. Every train and val row is with exactly one client.

    Raises
    ------
    PartitionError
        The rows cannot be shared out as asked, such as with ``cfg.min_examples`` training rows for everybody,
        or by strata that the data does not have.
    """
    assert num_partitions >= 1, num_partitions
    assert cfg.seed is not None, "the seed of the run stands in for none: Config.shares"
    _check_sites(data, cfg)
    splits, groups = data.splits, None if data.groups is None else data.groups.numbers
    if cfg.name == "natural":
        rows = np.flatnonzero(splits != "test").astype(np.int64)
        owner = natural(
            _column(data.columns, cfg.column)[rows],
            num_partitions=num_partitions,
            column=cfg.column,
            min_examples=cfg.min_examples,
            weights=(splits[rows] == "train").astype(np.int64),
            groups=None if groups is None else groups[rows],
        )
    else:
        units = gather_units(_strata(data, cfg), splits=splits, groups=groups)
        rows, owner = units.rows, _owners(cfg, units, num_partitions=num_partitions)[units.unit]
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=num_partitions))
    return list(np.split(rows[order], ends[:-1]))


def client_names(data: Dataset, *, cfg: PartitionConfig, num_partitions: int) -> list[str]:
    """What the clients of a partition are called: the values of the natural scheme's column, else by number.

    Returns
    -------
    list of str
        Of each client: ``north`` of ``partition=natural``, or ``site-3`` where the values are numbers; else
        ``client-0``.
    """
    if cfg.name != "natural":
        return [f"client-{number}" for number in range(num_partitions)]
    values = np.unique(_column(data.columns, cfg.column)[data.splits != "test"]).tolist()
    return [f"{cfg.column}-{value}" if value.isdigit() else value for value in values]


def client_test_rows(data: Dataset, *, cfg: PartitionConfig, num_partitions: int) -> list[Ints] | None:
    """Which test rows are of each client's site.

    Returns
    -------
    list of ndarray, int64, or None
        Of each client, places among the test rows, ascending; they may be none. None where the scheme says
        nothing of test rows, which all clients then have in common: all but the natural one.
    """
    if cfg.name != "natural":
        return None
    values = _column(data.columns, cfg.column)
    names = np.unique(values[data.splits != "test"])
    assert len(names) == num_partitions, (len(names), num_partitions)
    own = values[data.indices("test")]
    return [np.flatnonzero(own == name).astype(np.int64) for name in names]


def _check_sites(data: Dataset, cfg: PartitionConfig) -> None:
    # Rows that are scaled by their site: a client with rows of several would need what others know.
    if "sites" not in data.agreed:
        return
    if cfg.name != "natural":
        raise PartitionError(
            f"data.scaling=local scales each row by its site, and partition={cfg.name} divides the rows of a "
            "site among several clients; set partition=natural, or data.scaling=federated"
        )
    if not np.array_equal(_column(data.columns, cfg.column), data.columns["site"]):
        raise PartitionError(
            f"data.scaling=local scales each row by its site (data.columns.site), and the clients are the "
            f"values of another column, partition.column={cfg.column}; set both to one column"
        )


def _owners(cfg: PartitionConfig, units: Units, *, num_partitions: int) -> Ints:
    seed = cfg.seed
    assert seed is not None
    owner = np.empty(len(units.stratum), dtype=np.int64)
    train = units.train > 0  # a group with train and val rows, if there is one, goes where the former go
    strata, weights = units.stratum[train], units.train[train]
    owner[train] = _train_owners(cfg, strata=strata, weights=weights, num_partitions=num_partitions)
    num_strata = int(units.stratum.max()) + 1
    counts = np.zeros((num_partitions, num_strata), dtype=np.int64)
    np.add.at(counts, (owner[train], strata), weights)
    owner[~train] = follow(
        units.stratum[~train],
        weights=units.val[~train],
        counts=counts,
        keep_strata=cfg.name == "pathological",
        rng=np.random.default_rng([seed, 1]),
    )
    return owner


def _train_owners(cfg: PartitionConfig, *, strata: Ints, weights: Ints, num_partitions: int) -> Ints:
    assert cfg.seed is not None
    c, seed, least = num_partitions, cfg.seed, cfg.min_examples
    if cfg.name == "iid":
        return iid(strata, num_partitions=c, seed=seed, min_examples=least, weights=weights)
    if cfg.name == "stratified":
        return stratified(strata, num_partitions=c, seed=seed, min_examples=least, weights=weights)
    if cfg.name == "dirichlet":
        return dirichlet(
            strata, num_partitions=c, alpha=cfg.alpha, seed=seed, min_examples=least, weights=weights
        )
    if cfg.name == "quantity":
        return quantity(
            strata, num_partitions=c, sigma=cfg.sigma, seed=seed, min_examples=least, weights=weights
        )
    assert cfg.name == "pathological", cfg.name
    k = cfg.classes_per_client
    return pathological(
        strata, num_partitions=c, classes_per_client=k, seed=seed, min_examples=least, weights=weights
    )


def _strata(data: Dataset, cfg: PartitionConfig) -> Ints:
    if data.strata is not None:
        return data.strata.numbers
    if cfg.name in _NEED_STRATA:
        raise PartitionError(
            f"partition={cfg.name} shares out the rows by their labels (or bins of the target, or series), and "
            "this data has none; choose partition=iid, partition=quantity or partition=natural"
        )
    return np.zeros(len(data), dtype=np.int64)


def _column(columns: Mapping[str, NDArray[np.str_]], name: str) -> NDArray[np.str_]:
    if name not in columns:
        present = ", ".join(sorted(columns)) or "no further columns"
        raise PartitionError(
            f"partition=natural needs the column {name!r}, but the data has {present}; "
            "set partition.column to one of its columns, or choose another partition"
        )
    return columns[name]
