"""Splits: shares by hand, and the laws that hold for all data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from shared.data.dataset import SIDES, Groups, Strata, Timeline
from shared.data.split.split import make_splits
from shared.runtime.errors import SplitError
from tests.fuzzing import draws

Ints = npt.NDArray[np.int64]


def split(labels: Any, **changes: Any) -> npt.NDArray[np.str_]:
    options = {"val_fraction": 0.15, "test_fraction": 0.2, "seed": 0} | changes
    labels = np.asarray(labels, dtype=np.int64)
    names = options.pop("classes", [str(number) for number in range(labels.max() + 1)])
    patients = options.pop("patients", None)
    if (groups := options.pop("groups", None)) is not None:
        groups = Groups(np.asarray(groups), tuple(patients or map(str, range(int(np.max(groups)) + 1))))
    return make_splits(len(labels), strata=Strata(labels, tuple(names)), groups=groups, **options)


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
    assert "'rarer' has 1 row," in str(caught.value)
    assert "'well'" not in str(caught.value)


def test_many_classes_that_are_too_small_may_be_none() -> None:
    with pytest.raises(SplitError) as caught:
        split(list(range(40)), classes=tuple(f"{number / 2}" for number in range(40)))
    listed = str(caught.value).splitlines()
    assert listed[11] == "  - ... and 30 more of this kind"
    assert listed[12].startswith("most classes are that small: if the labels are numbers")
    with pytest.raises(SplitError) as caught:
        split(np.repeat(np.arange(40), [9] * 28 + [1] * 12), classes=tuple(map(str, range(40))))
    assert "most classes" not in str(caught.value)


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
@settings(max_examples=draws(150))
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
@settings(max_examples=draws(100))
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


# --- without labels, and labels that need not be everywhere -----------------------------------------


def test_rows_without_labels_are_shared_out_by_the_fractions() -> None:
    options: dict[str, Any] = {"val_fraction": 0.15, "test_fraction": 0.2, "seed": 0}
    splits = make_splits(100, **options)
    assert [int((splits == side).sum()) for side in SIDES] == [65, 15, 20]
    groups = Groups(np.arange(100) // 10, tuple(map(str, range(10))))
    splits = make_splits(100, groups=groups, **options)
    assert all(len(set(splits[groups.numbers == number])) == 1 for number in range(10))
    with pytest.raises(SplitError, match="2 rows cannot be on each of train, val, test"):
        make_splits(2, **options)


def test_bins_need_not_be_on_every_side() -> None:
    numbers = np.repeat([0, 1, 2], [50, 2, 1])
    options: dict[str, Any] = {"val_fraction": 0.15, "test_fraction": 0.2, "seed": 0}
    bins = Strata(numbers, ("low", "high", "highest"), noun="bin", on_every_side=False)
    splits = make_splits(53, strata=bins, **options)
    assert set(splits) == set(SIDES)
    given = np.where(np.arange(53) == 52, "test", "train")
    assert make_splits(53, strata=bins, given=given, **options)[52] == "test"
    with pytest.raises(SplitError, match="bins are too small to be on each of train, val, test"):
        make_splits(53, strata=Strata(numbers, bins.names, noun="bin"), **options)


# --- by time ----------------------------------------------------------------------------------------


def by_time(times: Any, series: Any = None, **changes: Any) -> Any:
    times = np.asarray(times, dtype=np.int64)
    series = np.zeros(len(times), dtype=np.int64) if series is None else np.asarray(series)
    line = Timeline(times, series, tuple(f"home {number}" for number in range(int(series.max()) + 1)))
    options = {"val_fraction": 0.2, "test_fraction": 0.3, "seed": 0, "by": "time", "time": line} | changes
    return make_splits(len(times), **options)


def test_the_last_part_of_every_series_is_the_test() -> None:
    times = [*range(10), *range(100, 120)]
    series = [0] * 10 + [1] * 20
    expected = ["train"] * 5 + ["val"] * 2 + ["test"] * 3
    assert by_time(times, series).tolist() == expected + list(np.repeat(["train", "val", "test"], [10, 4, 6]))
    shuffled = np.random.default_rng(1).permutation(30)
    again = by_time(np.array(times)[shuffled], np.array(series)[shuffled])
    assert again.tolist() == by_time(times, series)[shuffled].tolist()


def test_one_series_ends_before_another_begins_and_both_are_tested() -> None:
    splits = by_time([*range(10), *range(1000, 1010)], [0] * 10 + [1] * 10)
    assert (splits[:10] == splits[10:]).all()


def test_rows_of_one_time_are_on_one_side() -> None:
    times = np.repeat(range(5), 2)
    splits = by_time(times)
    assert splits.tolist() == list(np.repeat(["train", "train", "train", "val", "test"], 2))
    for time in range(5):
        assert len(set(splits[times == time])) == 1


def test_a_group_goes_whole_to_the_side_of_its_last_row() -> None:
    times = [0, 9, 1, 2, 3, 4, 5, 6, 7, 8]
    groups = Groups(np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), tuple("abcde"))
    splits = by_time(times, groups=groups)
    assert splits.tolist() == ["test"] * 2 + ["train"] * 6 + ["val"] * 2
    last_of_train = max(time for time, side in zip(times, splits, strict=True) if side == "train")
    assert last_of_train < 7, "training knows nothing of what was measured after it"


def test_a_side_that_is_given_stays_and_the_past_of_the_rest_trains() -> None:
    given = np.array(["test", "test", *["train"] * 8])
    splits = by_time(range(10), given=given)
    assert splits.tolist() == ["test"] * 2 + ["train"] * 6 + ["val"] * 2


def test_what_a_split_by_time_needs() -> None:
    with pytest.raises(SplitError, match=r"data.split_by=time needs the time of each row.*data.columns.time"):
        by_time(range(10), time=None)
    with pytest.raises(SplitError, match=r"no effect: the data comes with its split"):
        by_time(range(10), given=np.repeat(["train", "val", "test"], [8, 1, 1]))
    with pytest.raises(SplitError) as caught:
        by_time([0, 1, *range(10), 5, 5, 5, 5], [0] * 2 + [1] * 10 + [2] * 4)
    assert "series 'home 0' has 2 rows of 2 times, none for" in str(caught.value)
    assert "series 'home 2' has 4 rows of 1 times" in str(caught.value)
    assert "'home 1'" not in str(caught.value)


def test_a_class_that_comes_after_the_training_rows_is_named() -> None:
    with pytest.raises(SplitError, match="class 'new' has 2 rows, none of them in train"):
        by_time(range(10), strata=Strata(np.repeat([0, 1], [8, 2]), ("old", "new")))


@for_all(
    times=st.lists(st.integers(0, 30), min_size=30, max_size=60),
    num_series=st.integers(1, 3),
    val=st.floats(0.1, 0.3),
    test=st.floats(0.1, 0.3),
)
@settings(max_examples=draws(100))
def test_no_row_of_the_past_is_tested_by_what_came_later(
    times: list[int], num_series: int, val: float, test: float
) -> None:
    moments, series = np.array(times), np.arange(len(times)) % num_series
    try:
        splits = by_time(times, series, val_fraction=val, test_fraction=test)
    except SplitError:
        return  # too few different times
    for number in range(num_series):
        spans = [moments[(series == number) & (splits == side)] for side in SIDES]
        assert spans[0].max() < spans[1].min() <= spans[1].max() < spans[2].min()
