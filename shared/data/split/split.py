"""Train, validation and test rows, at random or by time; never one group (such as a patient) on two sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.data.dataset import SIDES, Groups, Strata, Timeline
from shared.data.split.at_random import share_at_random
from shared.data.split.by_time import cut_by_time
from shared.runtime.errors import SplitError, bullet_list

__all__ = ["SIDES", "SplitBy", "absent_strata", "make_splits"]

SplitBy = Literal["random", "time"]


def make_splits(
    size: int,
    *,
    strata: Strata | None = None,
    groups: Groups | None = None,
    together: Groups | None = None,
    time: Timeline | None = None,
    given: npt.NDArray[np.str_] | None = None,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    by: SplitBy = "random",
    sides: Sequence[str] = SIDES,
) -> npt.NDArray[np.str_]:
    """Put every row on one side.

    What is given stays; a side that is not given is taken from the given training rows, or from all rows if
    nothing is given. By time, the last part of every series is the test and the part before it validation; a
    group goes whole to the side of its last row, and rows of one time are on one side.

    Parameters
    ----------
    size : int
        Rows, N.
    strata : Strata, optional
        Each is on every side in the same share; without them rows are drawn from all alike.
    groups : Groups, optional
        Without them every row is on its own.
    together : Groups, optional
        What a drawn split keeps on one side, if that is more than ``groups``, such as identical images too.
    given : ndarray [N], str, optional
        The split that the data comes with.
    val_fraction, test_fraction : float
        Of all rows (by time: of the rows of each series); unused for a side that is given.
    by : {"random", "time"}
        What chooses the rows of a side.
    sides : sequence of str
        What the rows are for. Without ``test`` (a site of a deployment) none are put there; ``test`` alone (a
        server) lets rows that are given to test stand without any to train.

    Returns
    -------
    ndarray [N], str
        ``train``, ``val`` or ``test``.

    Raises
    ------
    SplitError
        A group is on two given sides; no training rows are given or left; a stratum has too few rows or groups
        to be on every side, or a series too few times; or ``by="time"`` finds no times, or nothing to split.
    """
    splits = np.full(size, "train") if given is None else given.astype("<U5")
    if groups is not None and given is not None:
        _check_apart(splits, groups)
    rows = np.flatnonzero(splits == "train")
    if not len(rows):
        if tuple(sides) == ("test",) and "test" in splits:
            return splits
        raise SplitError(
            f"no row is given to train, only to {' and '.join(sorted(set(splits.tolist())))}; give it some, or "
            f"have a split drawn (data.columns.split=null)"
        )
    if given is not None:
        _check_known(splits, strata)
    fractions = {"val": val_fraction, "test": test_fraction}
    unused = {"test"} - set(sides)
    missing = [side for side in ("val", "test") if side not in splits and side not in unused]
    if by == "time":
        _check_time(time, missing)
    if not missing:
        return splits
    shares = np.array([fractions[side] * size / len(rows) for side in missing])
    if shares.sum() >= 1:
        raise SplitError(
            f"{' and '.join(missing)} would take all {len(rows)} rows that are given to train; "
            "lower data.val_fraction or data.test_fraction"
        )
    shares = np.array([1 - shares.sum(), *shares])
    names = ("train", *missing)
    groups = groups if together is None else together
    if by == "time":
        assert time is not None
        splits[rows] = np.array(names)[cut_by_time(rows, time=time, groups=groups, shares=shares, sides=names)]
        _check_known(splits, strata)
    else:
        chosen = share_at_random(rows, strata=strata, groups=groups, shares=shares, sides=names, seed=seed)
        splits[rows] = np.array(names)[chosen]
    return splits


def absent_strata(splits: npt.NDArray[np.str_], strata: Strata | None) -> list[str]:
    """Say which classes the validation or the test rows lack, one sentence a side.

    Parameters
    ----------
    splits : ndarray [N], str
        As `make_splits` returns them; a side without rows lacks nothing.
    """
    if strata is None or not strata.on_every_side:
        return []
    sentences = []
    for side, rows in (("val", "validation"), ("test", "test")):
        there = strata.numbers[splits == side]
        names = [repr(name) for number, name in enumerate(strata.names) if number not in there]
        if len(there) and names:
            noun = strata.noun if len(names) == 1 else strata.plural
            sentences.append(
                f"the {rows} rows hold no row of {noun} {', '.join(names)}: {rows} metrics say nothing about it"
            )
    return sentences


def _check_known(splits: npt.NDArray[np.str_], strata: Strata | None) -> None:
    if strata is None or not strata.on_every_side:
        return
    numbers = strata.numbers
    problems = [
        f"{strata.noun} {strata.names[number]!r} has {np.sum(numbers == number)} rows, none of them in train"
        for number in np.setdiff1d(numbers, numbers[splits == "train"])
    ]
    if problems:
        raise SplitError(
            f"the split has {strata.plural} that train does not have:\n"
            + bullet_list(problems)
            + "\ngive some of their rows to train, drop them, or have a split drawn (data.columns.split=null)"
        )


def _check_apart(splits: npt.NDArray[np.str_], groups: Groups) -> None:
    pairs = np.unique(groups.numbers * len(SIDES) + np.searchsorted(sorted(SIDES), splits))
    numbers, counts = np.unique(pairs // len(SIDES), return_counts=True)
    problems = []
    for number in numbers[counts > 1]:
        sides = [side for side in SIDES if np.any(splits[groups.numbers == number] == side)]
        problems.append(f"{groups.noun} {groups.names[number]!r} is in {' and '.join(sides)}")
    if problems:
        raise SplitError(f"the given split has {groups.noun}s on more than one side:\n" + bullet_list(problems))


def _check_time(time: Timeline | None, missing: Sequence[str]) -> None:
    if time is None:
        raise SplitError(
            "data.split_by=time needs the time of each row, and this data has none; set data.columns.time to "
            "the column that holds it, or data.split_by=random"
        )
    if not missing:
        raise SplitError(
            "data.split_by=time has no effect: the data comes with its split; set data.columns.split=null to "
            "split it anew, or data.split_by=random to keep it"
        )
