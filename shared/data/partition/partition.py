"""Partitions: which rows each client holds, and tables that show it; between the split and the data module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from shared.config.partition import PartitionConfig
from shared.data.images.dataset import ImageData
from shared.data.partition.natural import natural
from shared.data.partition.pathological import pathological
from shared.data.partition.schemes import dirichlet, iid, quantity, stratified
from shared.data.partition.units import Ints, Units, follow, gather_units
from shared.runtime.errors import PartitionError

__all__ = [
    "counts_table",
    "dirichlet",
    "iid",
    "label_counts",
    "natural",
    "partition",
    "partition_images",
    "pathological",
    "quantity",
    "stratified",
]

BAR_WIDTH = 12  # characters


def partition(
    cfg: PartitionConfig,
    *,
    num_partitions: int,
    labels: Ints,
    splits: NDArray[np.str_],
    groups: Ints | None,
    columns: Mapping[str, NDArray[np.str_]],
    classes: Sequence[str],
) -> list[Ints]:
    """Share out the train and val rows among the clients; the test rows stay with the server.

    The scheme places the training rows. Validation rows follow them: whoever has a share of the training rows
    of a class gets that share of its validation rows, and every client gets one or more if there are enough
    (pathological: if its classes have enough). Natural places both by the column.

    Parameters
    ----------
    cfg : PartitionConfig
        Scheme, its parameters, and the seed: the only source of randomness.
    num_partitions : int
        Clients, C.
    labels : NDArray [N], int64
    splits : NDArray [N], str
        ``train``, ``val`` or ``test``.
    groups : NDArray [N], int64, or None
        The patient of each row, whose rows are never divided; it counts by the label that most of them have.
    columns : mapping of str to NDArray [N], str
        Further columns of the table, for the natural scheme.
    classes : sequence of str, K
        Names of the labels.

    Returns
    -------
    list of NDArray, int64, C long
        Row numbers of each client, ascending. Every train and val row is with exactly one client.

    Raises
    ------
    PartitionError
        The rows cannot be shared out as asked, such as with ``cfg.min_examples`` training rows for everybody.
    """
    assert num_partitions >= 1, num_partitions
    assert len(labels) == len(splits), (len(labels), len(splits))
    assert groups is None or len(groups) == len(labels), len(labels)
    assert set(np.unique(splits)) <= {"train", "val", "test"}, np.unique(splits)
    assert len(labels) == 0 or 0 <= labels.min() <= labels.max() < len(classes), np.unique(labels)
    if cfg.name == "natural":
        rows = np.flatnonzero(splits != "test").astype(np.int64)
        owner = natural(
            _column(columns, cfg.column)[rows],
            num_partitions=num_partitions,
            column=cfg.column,
            min_examples=cfg.min_examples,
            weights=(splits[rows] == "train").astype(np.int64),
            groups=None if groups is None else groups[rows],
        )
    else:
        units = gather_units(labels, splits=splits, groups=groups)
        rows, owner = units.rows, _owners(cfg, units, num_partitions=num_partitions)[units.unit]
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=num_partitions))
    return list(np.split(rows[order], ends[:-1]))


def partition_images(data: ImageData, *, cfg: PartitionConfig, num_partitions: int) -> list[Ints]:
    """Share out the rows of loaded images, see `partition`.

    Returns
    -------
    list of NDArray [n], int64

    Raises
    ------
    PartitionError
    """
    return partition(
        cfg,
        num_partitions=num_partitions,
        labels=data.labels,
        splits=data.splits,
        groups=data.groups,
        columns=data.columns,
        classes=data.classes,
    )


def label_counts(
    parts: Sequence[Ints], *, labels: Ints, splits: NDArray[np.str_], num_classes: int
) -> NDArray[np.int64]:
    """Training rows of each client and class.

    Parameters
    ----------
    parts : sequence of NDArray, int64, C long
        Row numbers of each client.
    labels : NDArray [N], int64
    splits : NDArray [N], str
    num_classes : int
        K.

    Returns
    -------
    NDArray [C, K], int64
    """
    train = splits == "train"
    counts = np.zeros((len(parts), num_classes), dtype=np.int64)
    for client, rows in enumerate(parts):
        counts[client] = np.bincount(labels[rows[train[rows]]], minlength=num_classes)
    return counts


def counts_table(counts: Ints, *, classes: Sequence[str], names: Sequence[str] | None = None) -> Table:
    """The training rows of each client and class as a table for the terminal.

    Parameters
    ----------
    counts : NDArray [C, K], int64
        From `label_counts`.
    classes : sequence of str, K
        Headings.
    names : sequence of str, C, optional
        Of the clients; their numbers from 0 unless given.

    Returns
    -------
    rich.table.Table
        One row a client and a footer with the sums. The share is of all training rows; its bars are to scale
        with the largest client's.
    """
    assert counts.shape[1] == len(classes), (counts.shape, len(classes))
    names = names if names is not None else [str(client) for client in range(len(counts))]
    sizes = counts.sum(axis=1)
    everything, largest = max(int(sizes.sum()), 1), max(int(sizes.max(initial=0)), 1)
    # Narrow enough for 10 classes in 80 columns; where it does not fit, names fold and bars are cut first.
    table = Table(title="Training rows of each client", show_footer=True, box=box.SIMPLE_HEAD, padding=0)
    table.add_column("client", footer="all", overflow="fold")
    for name, total in zip([*classes, "total"], [*counts.sum(axis=0), sizes.sum()], strict=True):
        footer = f"{total:,}"
        table.add_column(Text(name), footer=footer, justify="right", min_width=len(footer), overflow="fold")
    table.add_column("share", no_wrap=True, overflow="crop", min_width=len("100.0%"))
    for name, row, size in zip(names, counts, sizes, strict=True):
        bar = "█" * round(BAR_WIDTH * int(size) / largest)
        cells = [Text(f"{count:,}", style="" if count else "dim") for count in row]
        table.add_row(Text(name), *cells, f"{size:,}", f"{size / everything:6.1%} {bar}")
    return table


def _owners(cfg: PartitionConfig, units: Units, *, num_partitions: int) -> Ints:
    owner = np.empty(len(units.label), dtype=np.int64)
    train = units.train > 0  # a patient with train and val rows, if there is one, goes where the former go
    labels, weights = units.label[train], units.train[train]
    owner[train] = _train_owners(cfg, labels=labels, weights=weights, num_partitions=num_partitions)
    num_classes = int(units.label.max()) + 1
    counts = np.zeros((num_partitions, num_classes), dtype=np.int64)
    np.add.at(counts, (owner[train], labels), weights)
    owner[~train] = follow(
        units.label[~train],
        weights=units.val[~train],
        counts=counts,
        keep_classes=cfg.name == "pathological",
        rng=np.random.default_rng([cfg.seed, 1]),
    )
    return owner


def _train_owners(cfg: PartitionConfig, *, labels: Ints, weights: Ints, num_partitions: int) -> Ints:
    c, seed, least = num_partitions, cfg.seed, cfg.min_examples
    if cfg.name == "iid":
        return iid(labels, num_partitions=c, seed=seed, min_examples=least, weights=weights)
    if cfg.name == "stratified":
        return stratified(labels, num_partitions=c, seed=seed, min_examples=least, weights=weights)
    if cfg.name == "dirichlet":
        return dirichlet(
            labels, num_partitions=c, alpha=cfg.alpha, seed=seed, min_examples=least, weights=weights
        )
    if cfg.name == "quantity":
        return quantity(
            labels, num_partitions=c, sigma=cfg.sigma, seed=seed, min_examples=least, weights=weights
        )
    assert cfg.name == "pathological", cfg.name
    k = cfg.classes_per_client
    return pathological(
        labels, num_partitions=c, classes_per_client=k, seed=seed, min_examples=least, weights=weights
    )


def _column(columns: Mapping[str, NDArray[np.str_]], name: str) -> NDArray[np.str_]:
    if name not in columns:
        present = ", ".join(sorted(columns)) or "no further columns"
        raise PartitionError(
            f"partition=natural needs the column {name!r}, but the data has {present}; "
            "set partition.column to one of its columns, or choose another partition"
        )
    return columns[name]
