"""Dealing out units, by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.data.partition.units import cut, deal, follow, gather_units, top_up
from shared.runtime.errors import PartitionError


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def test_deal_gives_each_unit_to_who_is_furthest_behind() -> None:
    # (load + 1/2) / target of the targets 1, 2, 3, from 1/2, 1/4, 1/6: then 2 has 1/2, 1 has 3/4, ...
    owner = deal(ints(1, 1, 1, 1, 1, 1), targets=np.array([1.0, 2.0, 3.0]))
    assert owner.tolist() == [2, 1, 0, 2, 1, 2]


def test_deal_counts_the_rows_of_units_and_the_loads_before() -> None:
    assert deal(ints(3, 1, 1, 1), targets=np.ones(2)).tolist() == [0, 1, 1, 1]
    assert deal(ints(1, 1, 1), targets=np.ones(2), loads=np.array([2.0, 0.0])).tolist() == [1, 1, 0]


def test_deal_gives_nothing_to_a_target_of_zero() -> None:
    assert deal(ints(1, 1), targets=np.array([0.0, 1.0])).tolist() == [1, 1]
    assert deal(ints(1, 1), targets=np.zeros(2)).tolist() == [0, 1]


def test_cut_goes_by_the_middle_of_a_unit() -> None:
    shares = np.array([0.5, 0.25, 0.25])
    assert cut(ints(1, 1, 1, 1, 1, 1, 1, 1), shares=shares).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    # rows 0-4 | 5-7, middles 2.5 and 6.5, edges 4, 6 and 8
    assert cut(ints(5, 3), shares=shares).tolist() == [0, 2]


def test_top_up_moves_the_smallest_units_of_the_largest_client() -> None:
    owner, weights = ints(0, 0, 0, 1, 1, 2), ints(5, 2, 1, 2, 2, 1)  # loads 8, 4, 1
    rng = np.random.default_rng(0)
    moved = top_up(owner, weights=weights, num_partitions=3, minimum=4, rng=rng)
    assert moved.tolist() == [0, 2, 2, 1, 1, 2]  # loads 5, 4, 4
    assert owner.tolist() == [0, 0, 0, 1, 1, 2]


def test_top_up_refuses_what_whole_patients_do_not_allow() -> None:
    with pytest.raises(PartitionError, match=r"each of 2 clients partition.min_examples=3 .* client 1 has 1"):
        top_up(ints(0, 1), weights=ints(5, 1), num_partitions=2, minimum=3, rng=np.random.default_rng(0))


def test_units_are_rows_without_patients() -> None:
    units = gather_units(ints(4, 5, 6), splits=np.array(["train", "test", "val"]), groups=None)
    assert units.rows.tolist() == [0, 2]
    assert units.unit.tolist() == [0, 1]
    assert units.stratum.tolist() == [4, 6]
    assert (units.train.tolist(), units.val.tolist()) == ([1, 0], [0, 1])


def test_a_patient_counts_by_the_label_of_most_of_its_rows() -> None:
    groups = ints(9, 9, 9, 3, 3, 3, 5)
    labels = ints(1, 2, 2, 4, 0, 1, 7)  # patient 9: 2, 3: the lowest of three, 5: only in the test split
    splits = np.array(["train"] * 3 + ["val"] * 2 + ["train", "test"])
    units = gather_units(labels, splits=splits, groups=groups)
    assert units.unit.tolist() == [1, 1, 1, 0, 0, 0]
    assert units.stratum.tolist() == [0, 2]
    assert (units.train.tolist(), units.val.tolist()) == ([1, 3], [2, 0])


def test_validation_follows_training() -> None:
    counts = np.array([[30, 0], [10, 50]])
    labels = np.repeat(ints(0, 1), [8, 5])
    owner = follow(
        labels, weights=np.ones_like(labels), counts=counts, keep_strata=False, rng=np.random.default_rng(0)
    )
    assert [np.bincount(labels[owner == c], minlength=2).tolist() for c in (0, 1)] == [[6, 0], [2, 5]]


def test_everybody_gets_a_validation_row_if_there_are_enough() -> None:
    counts = np.array([[97], [1], [1], [1]])
    for rows, expected in ((4, [1, 1, 1, 1]), (6, [3, 1, 1, 1]), (3, [3, 0, 0, 0])):
        labels = np.zeros(rows, dtype=np.int64)
        owner = follow(
            labels, weights=np.ones_like(labels), counts=counts, keep_strata=True, rng=np.random.default_rng(0)
        )
        assert np.bincount(owner, minlength=4).tolist() == expected


def test_a_foreign_validation_row_only_where_classes_may_mix() -> None:
    counts, labels = np.array([[9, 0], [0, 9]]), ints(0, 0, 0)  # nothing of client 1's class
    for keep_strata, expected in ((True, [3, 0]), (False, [2, 1])):
        owner = follow(
            labels,
            weights=np.ones_like(labels),
            counts=counts,
            keep_strata=keep_strata,
            rng=np.random.default_rng(0),
        )
        assert np.bincount(owner, minlength=2).tolist() == expected


def test_classes_that_nobody_trains_on_go_by_size() -> None:
    counts, labels = np.array([[30, 0], [10, 0]]), ints(1, 1, 1, 1)
    owner = follow(
        labels, weights=np.ones_like(labels), counts=counts, keep_strata=False, rng=np.random.default_rng(0)
    )
    assert np.bincount(owner).tolist() == [3, 1]
