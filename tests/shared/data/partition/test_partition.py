"""Whole partitions: the properties that every scheme must keep, whatever the rows are, and the counts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.config.partition import PartitionConfig
from shared.data.dataset import Dataset, Groups, Strata
from shared.data.partition.partition import client_names, client_test_rows, partition
from shared.data.schema import Schema
from shared.runtime.errors import PartitionError
from tests.fuzzing import draws

SCHEMES = ("iid", "stratified", "dirichlet", "pathological", "quantity")


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def config(name: str, **changes: Any) -> PartitionConfig:
    return PartitionConfig(**{"name": name, "seed": 7, "min_examples": 1, **changes})


def rows_of(labels: Any, splits: Any, groups: Any = None, **columns: Any) -> Dataset:
    labels = np.asarray(labels, dtype=np.int64)
    names = tuple(f"class {k}" for k in range(int(labels.max(initial=0)) + 1))
    if groups is not None:
        groups = np.asarray(groups, dtype=np.int64)
        groups = Groups(groups, tuple(f"p{k}" for k in range(int(groups.max(initial=0)) + 1)))
    return Dataset(
        schema=Schema(),
        targets=labels,
        splits=np.asarray(splits, dtype=np.str_),
        strata=Strata(labels, names),
        groups=groups,
        columns={name: np.asarray(values) for name, values in columns.items()},
    )


def share(
    cfg: PartitionConfig, clients: int, labels: Any, splits: Any, groups: Any = None, **columns: Any
) -> Any:
    data = rows_of(labels, splits, groups, **columns)
    return partition(data, cfg=cfg, num_partitions=clients)


def label_counts(parts: Any, *, labels: Any, splits: Any, num_classes: int) -> NDArray[np.int64]:
    """Training rows of each client and class."""
    own = [np.bincount(labels[part[splits[part] == "train"]], minlength=num_classes) for part in parts]
    return np.array(own, dtype=np.int64)


@pytest.mark.parametrize("name", SCHEMES)
def test_train_and_val_are_shared_out_and_test_is_not(name: str) -> None:
    labels = np.tile(ints(0, 1, 2), 40)
    splits = np.repeat(["train", "val", "test"], [72, 24, 24])
    parts = share(config(name, min_examples=3), 4, labels, splits)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(96))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    counts = label_counts(parts, labels=labels, splits=splits, num_classes=3)
    assert counts.sum(axis=0).tolist() == [24, 24, 24]
    assert counts.sum(axis=1).min() >= 3
    for part, row in zip(parts, counts, strict=True):
        val = np.bincount(labels[part[splits[part] == "val"]], minlength=3)
        assert np.abs(val - row / 3).max() <= 1.5


@pytest.mark.parametrize("absent", ["", "NA", "nan", "?"])
def test_rows_of_no_site_are_no_client(absent: str) -> None:
    sites = ["Rome", "Rome", absent, absent, "Oslo", "Oslo"]
    with pytest.raises(PartitionError, match="fill them in"):
        share(config("natural"), 3, [0, 1] * 3, ["train"] * 6, site=sites)


def test_natural_places_training_and_validation_rows() -> None:
    splits = ["train", "val", "test", "train", "train", "val"]
    sites = ["y", "x", "z", "x", "y", "y"]  # z has test rows only, so it is no client
    parts = share(config("natural"), 2, [0, 1, 0, 1, 0, 1], splits, site=sites)
    assert [part.tolist() for part in parts] == [[1, 3], [0, 4, 5]]
    with pytest.raises(
        PartitionError, match=r"(?s)min_examples=3 .* but 1 have fewer.* y: 3 rows, 2 for training"
    ):
        share(
            config("natural", min_examples=3), 2, [0] * 6, ["train"] * 5 + ["val"], site=["x"] * 3 + ["y"] * 3
        )
    with pytest.raises(PartitionError, match=r"column 'ward', but the data has site; set partition.column"):
        share(config("natural", column="ward"), 2, [0, 1, 0, 1, 0, 1], splits, site=sites)


def test_the_natural_scheme_knows_whose_test_rows_are() -> None:
    splits = ["train", "test", "train", "test", "test", "test"]
    data = rows_of([0] * 6, splits, site=["y", "y", "x", "z", "", "y"])  # z and no site are no clients
    found = client_test_rows(data, cfg=config("natural"), num_partitions=2)
    assert found is not None
    assert [own.tolist() for own in found] == [[], [0, 3]]
    assert client_test_rows(data, cfg=config("iid"), num_partitions=2) is None


def test_rows_that_are_scaled_by_site_stay_at_their_site() -> None:
    data = rows_of([0, 1] * 4, ["train"] * 8, site=["a", "b"] * 4, ward=["x"] * 4 + ["y"] * 4)
    data = replace(data, agreed={"sites": {}})
    assert len(partition(data, cfg=config("natural"), num_partitions=2)) == 2
    with pytest.raises(PartitionError, match="partition=iid divides the rows of a site among"):
        partition(data, cfg=config("iid"), num_partitions=2)
    with pytest.raises(PartitionError, match=r"another column, partition\.column=ward; set both to one"):
        partition(data, cfg=config("natural", column="ward"), num_partitions=2)


def test_too_few_rows_or_patients() -> None:
    with pytest.raises(
        PartitionError, match=r"3 clients with partition.min_examples=2 need 6 training rows, got 5"
    ):
        share(config("iid", min_examples=2), 3, [0] * 7, ["train"] * 5 + ["val", "test"])
    with pytest.raises(PartitionError, match=r"3 clients need as many groups .* with training rows, got 2"):
        share(config("iid"), 3, [0] * 5, ["train"] * 5, [1, 1, 2, 2, 2])
    with pytest.raises(PartitionError, match=r"need 1 training rows, got 0"):
        share(config("dirichlet"), 1, [0, 0], ["test", "val"])


def test_a_patient_with_training_and_validation_rows_goes_to_one_client() -> None:
    groups = [0, 1, 2, 3] * 2
    for name in SCHEMES:
        parts = share(config(name), 2, [0, 1] * 4, ["train"] * 4 + ["val"] * 4, groups)
        assert sorted(len(part) for part in parts) == [4, 4] or name in ("dirichlet", "quantity")
        assert all((part[len(part) // 2 :] - 4).tolist() == part[: len(part) // 2].tolist() for part in parts)


def test_one_client_gets_everything() -> None:
    for name in SCHEMES:
        parts = share(config(name, classes_per_client=2), 1, [0, 1, 0, 1], ["train", "train", "val", "test"])
        assert [part.tolist() for part in parts] == [[0, 1, 2]]


def test_the_seed_alone_decides() -> None:
    labels, splits = np.tile(np.arange(4), 100), ["train"] * 300 + ["val"] * 60 + ["test"] * 40
    for name in SCHEMES:
        np.random.seed(0)
        first = share(config(name), 5, labels, splits)
        np.random.seed(1)
        again = share(config(name), 5, labels, splits)
        other = share(config(name, seed=8), 5, labels, splits)
        assert [part.tolist() for part in first] == [part.tolist() for part in again]
        assert [part.tolist() for part in first] != [part.tolist() for part in other]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("iid", "ed5d05bb6bda"),
        ("stratified", "3b4ff3bc95eb"),
        ("dirichlet", "b18b37f404f5"),
        ("pathological", "75e5da87555a"),
        ("quantity", "411cfa42d31d"),
    ],
)
def test_partitions_are_the_same_on_every_machine(name: str, digest: str) -> None:
    # A change here means that seeds of published runs no longer give their partitions: say so in the changelog.
    labels, splits = np.tile(np.arange(4), 100), ["train"] * 300 + ["val"] * 60 + ["test"] * 40
    parts = share(config(name), 5, labels, splits)
    text = ";".join(",".join(map(str, part.tolist())) for part in parts)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == digest


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """Any scheme on any small table, with or without patients."""
    rows = draw(st.integers(1, 60))
    with_patients = draw(st.booleans())
    patients = draw(st.lists(st.integers(0, 25), min_size=rows, max_size=rows)) if with_patients else None
    labels = draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))
    choose = st.sampled_from(["train", "train", "train", "val", "test"])
    sides = draw(st.lists(choose, min_size=26, max_size=26))
    splits = [sides[p] for p in patients] if patients else draw(st.lists(choose, min_size=rows, max_size=rows))
    cfg = config(
        draw(st.sampled_from(SCHEMES)),
        seed=draw(st.integers(0, 2**32)),
        min_examples=draw(st.integers(1, 4)),
        alpha=draw(st.sampled_from([1e-3, 0.1, 0.5, 5.0])),
        sigma=draw(st.sampled_from([0.0, 1.0, 4.0])),
        classes_per_client=draw(st.integers(1, 3)),
    )
    clients = draw(st.integers(1, 8))
    return {"cfg": cfg, "clients": clients, "labels": labels, "splits": splits, "groups": patients}


@settings(max_examples=draws(300))
@given(problems())
def test_every_partition_keeps_the_contract(problem: dict[str, Any]) -> None:
    cfg, clients = problem["cfg"], problem["clients"]
    labels, splits = np.array(problem["labels"]), np.array(problem["splits"])
    train = splits == "train"
    try:
        parts = share(**problem)
    except PartitionError:
        few = train.sum() < clients * cfg.min_examples
        # What is surely possible must not be refused.
        assert few or cfg.name == "pathological" or problem["groups"] is not None
        return
    assert len(parts) == clients
    assert np.sort(np.concatenate(parts)).tolist() == np.flatnonzero(splits != "test").tolist()
    assert all(train[part].sum() >= cfg.min_examples for part in parts)
    if problem["groups"] is not None:
        groups = np.array(problem["groups"])
        homes = [set(groups[part]) for part in parts]
        assert sum(map(len, homes)) == len(set().union(*homes))
    else:
        counts = label_counts(parts, labels=labels, splits=splits, num_classes=4)
        val = [int((splits[part] == "val").sum()) for part in parts]
        if cfg.name == "pathological":
            assert ((counts > 0).sum(axis=1) == cfg.classes_per_client).all()
        elif sum(val) >= clients:
            assert min(val) >= 1
        if cfg.name in ("iid", "stratified"):
            assert np.ptp(counts.sum(axis=1)) <= 1
        if cfg.name == "stratified":
            assert np.ptp(counts, axis=0).max() <= 1
    again = share(**problem)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@settings(max_examples=draws(60))
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans()), min_size=1, max_size=40))
def test_natural_keeps_the_contract(rows: list[tuple[int, int, bool]]) -> None:
    sites = np.array([f"site {site}" for site, _, _ in rows])
    splits = np.array(["train" if train else "val" for _, _, train in rows])
    groups = [10 * site + patient for site, patient, _ in rows]
    names = sorted(set(sites))
    assume(all((splits[sites == name] == "train").any() for name in names))
    parts = share(config("natural"), len(names), [0] * len(rows), splits, groups, site=sites)
    assert [set(sites[part]) for part in parts] == [{name} for name in names]
    assert sum(map(len, parts)) == len(rows)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_thousand_clients(name: str) -> None:
    rng = np.random.default_rng(0)
    labels, splits = (
        rng.integers(0, 10, 10_000),
        rng.choice(["train", "val", "test"], 10_000, p=[0.7, 0.2, 0.1]),
    )
    parts = share(config(name, min_examples=2), 1000, labels, splits)
    assert min(int((splits[part] == "train").sum()) for part in parts) >= 2


# --- without labels ---------------------------------------------------------------------------------


def unlabelled(splits: Any, **columns: Any) -> Dataset:
    return Dataset(
        schema=Schema(),
        targets=np.zeros((len(splits), 0)),
        splits=np.asarray(splits, dtype=np.str_),
        columns=columns,
    )


def test_schemes_that_need_no_labels_do_without() -> None:
    splits = np.repeat(["train", "val", "test"], [60, 20, 20])
    sites = np.repeat(["a", "b"], 50)
    for name in ("iid", "quantity", "natural"):
        parts = partition(unlabelled(splits, site=sites), cfg=config(name), num_partitions=2)
        assert np.sort(np.concatenate(parts)).tolist() == list(range(80))


def test_one_label_for_all_is_the_same_as_no_labels() -> None:
    splits = np.repeat(["train", "val", "test"], [60, 20, 20])
    for name in ("iid", "quantity"):
        labelled = share(config(name), 4, np.zeros(100), splits)
        without = partition(unlabelled(splits), cfg=config(name), num_partitions=4)
        assert all(map(np.array_equal, labelled, without))


@pytest.mark.parametrize("name", ["stratified", "dirichlet", "pathological"])
def test_schemes_by_label_name_themselves_where_there_are_none(name: str) -> None:
    with pytest.raises(PartitionError, match=rf"partition={name} shares out .* this data has none; choose"):
        partition(unlabelled(["train"] * 10), cfg=config(name), num_partitions=2)


def test_clients_are_called_by_number_or_by_the_column_that_makes_them() -> None:
    sites = np.array(["west", "east", "east", "abroad"])
    data = unlabelled(["train", "val", "train", "test"], site=sites)
    assert client_names(data, cfg=config("iid"), num_partitions=2) == ["client-0", "client-1"]
    parts = partition(data, cfg=config("natural"), num_partitions=2)
    names = client_names(data, cfg=config("natural"), num_partitions=2)
    assert {name: {*sites[part]} for name, part in zip(names, parts, strict=True)} == {
        "east": {"east"},
        "west": {"west"},
    }
    numbered = unlabelled(["train", "train"], site=np.array(["10", "2"]))
    assert client_names(numbered, cfg=config("natural"), num_partitions=2) == ["site-10", "site-2"]
