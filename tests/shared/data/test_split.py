"""Splits: shares by hand, and the laws that hold for all data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from shared.data.split import SIDES, make_splits
from shared.runtime.errors import SplitError

Ints = npt.NDArray[np.int64]


def split(labels: Any, **changes: Any) -> npt.NDArray[np.str_]:
    options = {"val_fraction": 0.15, "test_fraction": 0.2, "seed": 0} | changes
    return make_splits(np.asarray(labels), **options)


def counts(splits: npt.NDArray[np.str_], labels: Ints) -> dict[str, list[int]]:
    return {side: np.bincount(labels[splits == side], minlength=labels.max() + 1).tolist() for side in SIDES}


def test_every_class_is_shared_out_by_the_fractions() -> None:
    labels = np.repeat([0, 1], [100, 20])
    assert counts(split(labels), labels) == {"train": [65, 13], "val": [15, 3], "test": [20, 4]}


def test_three_rows_of_a_class_are_one_on_each_side() -> None:
    labels = np.repeat([0, 1], [100, 3])
    assert counts(split(labels), labels) == {"train": [65, 1], "val": [15, 1], "test": [20, 1]}


def test_the_seed_alone_decides() -> None:
    labels = np.tile([0, 1], 50)
    assert np.array_equal(split(labels, seed=3), split(labels, seed=3))
    assert not np.array_equal(split(labels, seed=3), split(labels, seed=4))


def test_patients_stay_together_and_shares_stay_close() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 13, 150)
    groups = np.repeat(np.arange(150), sizes)
    labels = (rng.random(len(groups)) < rng.random(150)[groups]).astype(np.int64)
    splits = split(labels, groups=groups)
    for side, share in zip(SIDES, (0.65, 0.15, 0.2), strict=True):
        rows = splits == side
        assert not set(groups[rows]) & set(groups[~rows])
        assert abs(rows.mean() - share) < 0.01
        assert abs(labels[rows].mean() - labels.mean()) < 0.02


def test_a_split_that_is_given_whole_is_kept() -> None:
    given = np.array(["test", "train", "val", "train"])
    assert split([1, 1, 0, 0], given=given).tolist() == given.tolist()


def test_a_given_split_with_a_class_that_train_does_not_have_is_refused() -> None:
    given = np.array(["train", "train", "val", "test", "test"])
    with pytest.raises(SplitError, match=r"class '2' has 2 rows, none of them in train"):
        split([0, 1, 1, 2, 2], given=given)


@pytest.mark.parametrize(("there", "taken", "rows"), [("test", "val", 15), ("val", "test", 20)])
def test_a_missing_side_is_taken_from_train_as_a_share_of_all_rows(there: str, taken: str, rows: int) -> None:
    labels = np.tile([0, 1], 50)
    given = np.array([there] * 40 + ["train"] * 60)
    splits = split(labels, given=given)
    assert (splits[:40] == there).all()
    assert (splits[40:] == taken).sum() == rows
    assert abs(labels[splits == taken].sum() - rows / 2) <= 0.5
    assert counts(split(labels, given=np.full(100, "train")), labels) == counts(split(labels), labels)


def test_a_side_taken_from_train_keeps_patients_together() -> None:
    groups = np.arange(100) // 4
    given = np.array(["test"] * 40 + ["train"] * 60)
    splits = split(np.tile([0, 1], 50), given=given, groups=groups)
    assert all(len(set(splits[groups == patient])) == 1 for patient in range(25))
    assert 12 <= (splits == "val").sum() <= 16


def test_patients_on_two_given_sides_are_all_listed() -> None:
    given = np.array(["train", "test", "val", "train", "test", "train"])
    with pytest.raises(SplitError) as caught:
        split([0, 1, 0, 1, 0, 1], given=given, groups=np.array([0, 0, 1, 2, 2, 3]), patients="abcd")
    assert "'a' is in train and test" in str(caught.value)
    assert "'c' is in train and test" in str(caught.value)
    assert "'b'" not in str(caught.value)
    assert "'d'" not in str(caught.value)


def test_classes_that_are_too_small_are_all_named_with_their_counts() -> None:
    labels = np.repeat([0, 1, 2], [50, 2, 1])
    with pytest.raises(SplitError) as caught:
        split(labels, classes=("well", "rare", "rarer"))
    assert "'rare' has 2 rows, at least 3 rows are needed" in str(caught.value)
    assert "'rarer' has 1 rows" in str(caught.value)
    assert "'well'" not in str(caught.value)


def test_a_class_of_two_patients_is_too_small_however_many_rows_they_have() -> None:
    labels = np.repeat([0, 1], [50, 50])
    groups = np.concatenate([np.arange(50), np.repeat([50, 51], 25)])
    with pytest.raises(SplitError, match="'1' has 50 rows of 2 patients, at least 3 patients are needed"):
        split(labels, groups=groups)


def test_a_class_without_rows_asks_for_nothing() -> None:
    labels = np.repeat([0, 2], 10)
    assert set(split(labels, classes=("a", "b", "c"))) == set(SIDES)


def test_patients_that_tie_classes_together_beyond_help_are_an_error() -> None:
    # Classes are seen at patients ABC, ABD and ACD: the first class wants A, B and C on three sides, the second
    # puts D where C is, and then the third is missing on a side.
    groups = np.array([0, 1, 2, 0, 1, 3, 0, 2, 3])
    with pytest.raises(SplitError, match="tie the sides together"):
        split(np.repeat([0, 1, 2], 3), groups=groups)


def test_no_training_rows() -> None:
    with pytest.raises(SplitError, match="no row is given to train"):
        split([0, 1], given=np.array(["val", "test"]))
    with pytest.raises(SplitError, match="would take all 2 rows"):
        split([0, 1] * 10, given=np.array(["test"] * 18 + ["train"] * 2))


@st.composite
def patients(draw: st.DrawFn) -> tuple[Ints, Ints]:
    """Three or more patients a class, each with rows of that class and perhaps of others."""
    num_classes = draw(st.integers(2, 4))
    rows: list[tuple[int, int]] = []
    for patient in range(num_classes * draw(st.integers(3, 6))):
        extra = draw(st.lists(st.integers(0, num_classes - 1), max_size=3))
        rows += [(patient, label) for label in [patient % num_classes, *extra]]
    order = draw(st.permutations(rows))
    return np.array([label for _, label in order]), np.array([patient for patient, _ in order])


@for_all(data=patients(), seed=st.integers(0, 10), val=st.floats(0.05, 0.4), test=st.floats(0.05, 0.4))
@settings(max_examples=150, deadline=None)
def test_laws(data: tuple[Ints, Ints], seed: int, val: float, test: float) -> None:
    labels, groups = data
    options = {"val_fraction": val, "test_fraction": test, "seed": seed}
    splits = split(labels, groups=groups, **options)
    assert all(len(set(splits[groups == patient])) == 1 for patient in set(groups))
    for side in SIDES:
        assert set(labels[splits == side]) == set(labels)
    assert np.array_equal(splits, split(labels, groups=groups, **options))


@for_all(
    sizes=st.lists(st.integers(3, 60), min_size=2, max_size=5),
    val=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
)
@settings(max_examples=100, deadline=None)
def test_without_patients_no_class_is_off_by_more_than_a_row_or_two(
    sizes: list[int], val: float, test: float
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    found = counts(split(labels, val_fraction=val, test_fraction=test), labels)
    for side, share in zip(SIDES, (1 - val - test, val, test), strict=True):
        for size, count in zip(sizes, found[side], strict=True):
            assert count >= 1
            assert abs(count - size * share) <= 2


def test_a_site_keeps_no_test_rows() -> None:
    labels = np.repeat([0, 1], [100, 20])
    assert counts(split(labels, sides=("train", "val")), labels) == {
        "train": [85, 17],
        "val": [15, 3],
        "test": [0, 0],
    }
    given = np.where(np.arange(120) % 4 == 0, "val", "train")
    assert np.array_equal(split(labels, given=given, sides=("train", "val")), given)


def test_a_server_may_have_test_rows_alone() -> None:
    labels, given = np.tile([0, 1], 10), np.full(20, "test")
    assert np.array_equal(split(labels, given=given, sides=("test",)), given)
    with pytest.raises(SplitError, match="no row is given to train"):
        split(labels, given=given)
    with pytest.raises(SplitError, match="no row is given to train"):
        split(labels, given=np.full(20, "val"), sides=("test",))
    # With rows to train, it sees the same split as everybody else.
    assert np.array_equal(split(labels, sides=("test",)), split(labels))
