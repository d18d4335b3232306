"""Train, validation and test rows: stratified by label, and never one patient on two sides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from shared.runtime.errors import SplitError, bullet_list

SIDES = ("train", "val", "test")
_ATTEMPTS = 20

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def make_splits(
    labels: Ints,
    *,
    groups: Ints | None = None,
    given: npt.NDArray[np.str_] | None = None,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    classes: Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
    sides: Sequence[str] = SIDES,
) -> npt.NDArray[np.str_]:
    """Put every row on one side.

    What is given stays; a side that is not given is taken from the given training rows, or from all rows if
    nothing is given.

    Parameters
    ----------
    labels : ndarray [N], int64
    groups : ndarray [N], int64, optional
        Patients; without them every row is on its own.
    given : ndarray [N], str, optional
        The split that the data comes with.
    val_fraction, test_fraction : float
        Of all rows; unused for a side that is given.
    classes, patients : sequence of str, optional
        Names by number, for messages.
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
        A patient is on two given sides; no training rows are given or left; or a class has too few rows or
        patients to be on every side.
    """
    splits = np.full(len(labels), "train") if given is None else given.astype("<U5")
    if groups is not None and given is not None:
        _check_apart(splits, groups, patients)
    rows = np.flatnonzero(splits == "train")
    if not len(rows):
        if tuple(sides) == ("test",) and "test" in splits:
            return splits
        raise SplitError(f"no row is given to train, only to {sorted(set(splits.tolist()))}")
    if given is not None:
        _check_known(splits, labels, classes)
    fractions = {"val": val_fraction, "test": test_fraction}
    unused = {"test"} - set(sides)
    missing = [side for side in ("val", "test") if side not in splits and side not in unused]
    if not missing:
        return splits
    shares = np.array([fractions[side] * len(labels) / len(rows) for side in missing])
    if shares.sum() >= 1:
        raise SplitError(
            f"{' and '.join(missing)} would take all {len(rows)} rows that are given to train; "
            "lower data.val_fraction or data.test_fraction"
        )
    shares = np.array([1 - shares.sum(), *shares])
    units, unit_of_row = np.unique(rows if groups is None else groups[rows], return_inverse=True)
    names = [str(number) for number in range(int(labels.max()) + 1)] if classes is None else list(classes)
    kinds, kind_of_unit = _kinds(labels[rows], unit_of_row, len(units), len(names))
    sides = ("train", *missing)
    _check_room(kinds, kind_of_unit, names, sides, "rows" if groups is None else "patients")
    for attempt in range(_ATTEMPTS):
        order = np.random.default_rng([seed, attempt]).permutation(len(units))
        side_of_unit = _assign(kinds, kind_of_unit, order, shares)
        if _complete(kinds, kind_of_unit, side_of_unit, shares):
            splits[rows] = np.array(sides)[side_of_unit[unit_of_row]]
            return splits
    raise SplitError(
        f"no way was found to have every class on each of {', '.join(sides)} with no patient on two of them; "
        "patients with several labels tie the sides together"
    )


def _check_known(splits: npt.NDArray[np.str_], labels: Ints, classes: Sequence[str] | None) -> None:
    problems = []
    for number in np.setdiff1d(labels, labels[splits == "train"]):
        name = classes[number] if classes else str(number)
        problems.append(f"class {name!r} has {np.sum(labels == number)} rows, none of them in train")
    if problems:
        raise SplitError("the given split has classes that train does not have:\n" + bullet_list(problems))


def _check_apart(splits: npt.NDArray[np.str_], groups: Ints, patients: Sequence[str] | None) -> None:
    pairs = np.unique(groups * len(SIDES) + np.searchsorted(sorted(SIDES), splits))
    numbers, counts = np.unique(pairs // len(SIDES), return_counts=True)
    problems = []
    for number in numbers[counts > 1]:
        name = patients[number] if patients else str(number)
        sides = [side for side in SIDES if np.any(splits[groups == number] == side)]
        problems.append(f"patient {name!r} is in {' and '.join(sides)}")
    if problems:
        raise SplitError("the given split has patients on more than one side:\n" + bullet_list(problems))


def _kinds(labels: Ints, unit_of_row: Ints, num_units: int, num_classes: int) -> tuple[Ints, Ints]:
    # A unit is what stays together, a patient or a row. Units with the same labels are of one kind [T, K]: how
    # many rows of each class. Most data has few kinds, and units of one kind can be dealt out like cards.
    if len(labels) == num_units:
        by_unit = np.empty(num_units, dtype=np.int64)
        by_unit[unit_of_row] = labels
        return np.eye(num_classes, dtype=np.int64), by_unit
    cells = np.bincount(unit_of_row * num_classes + labels, minlength=num_units * num_classes)
    kinds, kind_of_unit = np.unique(cells.reshape(num_units, num_classes), axis=0, return_inverse=True)
    return kinds.astype(np.int64), kind_of_unit.reshape(-1).astype(np.int64)


def _check_room(kinds: Ints, kind_of_unit: Ints, names: list[str], sides: Sequence[str], what: str) -> None:
    per_kind = np.bincount(kind_of_unit, minlength=len(kinds))
    holders = per_kind @ (kinds > 0)
    rows = per_kind @ kinds
    problems = [
        f"class {name!r} has {rows[number]} rows"
        + (f" of {holders[number]} patients" if what == "patients" else "")
        + f", at least {len(sides)} {what} are needed"
        for number, name in enumerate(names)
        if 0 < holders[number] < len(sides)
    ]
    if problems:
        raise SplitError(
            f"classes are too small to be on each of {', '.join(sides)}:\n" + bullet_list(problems)
        )


def _assign(kinds: Ints, kind_of_unit: Ints, order: Ints, shares: Floats) -> Ints:
    side_of_unit = np.empty(len(order), dtype=np.int64)
    totals = np.bincount(kind_of_unit, minlength=len(kinds)) @ kinds
    targets = shares[:, None] * totals
    counts = np.zeros(targets.shape)
    rest: list[int] = []
    by_kind = order[np.argsort(kind_of_unit[order], kind="stable")]
    edges = np.searchsorted(kind_of_unit[by_kind], np.arange(len(kinds) + 1))
    for kind, (start, end) in enumerate(pairwise(edges.tolist())):
        whole = np.floor((end - start) * shares).astype(np.int64)
        side_of_unit[by_kind[start : start + whole.sum()]] = np.repeat(np.arange(len(shares)), whole)
        counts += whole[:, None] * kinds[kind]
        rest += by_kind[start + whole.sum() : end].tolist()
    sizes = kinds.sum(axis=1)
    for unit in sorted(rest, key=lambda unit: -sizes[kind_of_unit[unit]]):  # stable, so seeded where equal
        added = kinds[kind_of_unit[unit]]
        side = int(np.argmin(_cost(added, counts, targets, totals, shares)))
        side_of_unit[unit] = side
        counts[side] += added
    return side_of_unit


def _cost(added: Ints, counts: Floats, targets: Floats, totals: Ints, shares: Floats) -> Floats:
    # What a unit adds, on each side, to the squared distance from the targets: of every class, relative to the
    # class, and of all rows; relative to the side, so that the small sides are right too.
    scale = np.maximum(totals, 1) ** 2
    by_class = ((2 * (counts - targets) + added) * added / scale).sum(axis=1)
    size = added.sum()
    by_size = (2 * (counts - targets).sum(axis=1) + size) * size / totals.sum() ** 2
    return np.asarray((by_class + by_size) / shares)


def _complete(kinds: Ints, kind_of_unit: Ints, side_of_unit: Ints, shares: Floats) -> bool:
    # Moves units, in place, until every class is on every side; False if no single move helps any more.
    held = (kinds > 0).astype(np.int64)
    counts = np.zeros((len(shares), kinds.shape[1]), dtype=np.int64)
    np.add.at(counts, side_of_unit, held[kind_of_unit])
    present = counts.sum(axis=0) > 0
    sizes = kinds.sum(axis=1)
    while (gaps := np.argwhere((counts == 0) & present)).size:
        for side, label in gaps:
            spare = counts[side_of_unit] - held[kind_of_unit]  # what stays behind if a unit leaves
            free = (held[kind_of_unit][:, label] > 0) & ~((spare == 0) & (held[kind_of_unit] > 0)).any(axis=1)
            movable = np.flatnonzero(free)
            if movable.size:
                unit = movable[np.argmin(sizes[kind_of_unit[movable]])]
                counts[side_of_unit[unit]] -= held[kind_of_unit[unit]]
                counts[side] += held[kind_of_unit[unit]]
                side_of_unit[unit] = side
                break
        else:
            return False
    return True
