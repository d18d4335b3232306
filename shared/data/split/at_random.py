"""A random split: each stratum is shared out alike, and a group (a patient) stays whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Groups, Strata
from shared.runtime.counts import count_of
from shared.runtime.errors import SplitError, bullet_list, first_of

_ATTEMPTS = 20
_NO_GROUPS = "set data.columns.patient_id=null"
_FEW = 10  # classes that are too small: of more, if they are most of them, the labels may be no classes
_NO_CLASSES = (
    "\nmost classes are that small: if the labels are numbers, a task of regression (task=image_regression, "
    "task=tabular_regression) learns them; if they are names of rows, data.columns.label is another column"
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Units:
    # A unit is what stays together, a group or a row. Units with the same strata are of one kind [T, K]: how
    # many rows of each. Most data has few kinds, and units of one kind can be dealt out like cards.
    kinds: Ints
    kind_of_unit: Ints


def share_at_random(
    rows: Ints,
    *,
    strata: Strata | None,
    groups: Groups | None,
    shares: Floats,
    sides: Sequence[str],
    seed: int,
) -> Ints:
    """Share out each stratum among the sides.

    Parameters
    ----------
    rows : ndarray [n], int64
        That are to be split.
    shares : ndarray [S], float64
        Sum to 1.
    sides : sequence of str, S
        Names, for messages.

    Returns
    -------
    ndarray [n], int64
        The side of each row.

    Raises
    ------
    SplitError
        There are too few rows or groups, of a stratum that must be on every side or in all.
    """
    numbers = np.zeros(len(rows), dtype=np.int64) if strata is None else strata.numbers[rows]
    num_strata = 1 if strata is None else len(strata.names)
    keys = rows if groups is None else groups.numbers[rows]
    keys, unit_of_row = np.unique(keys, return_inverse=True)
    units = _gather(numbers, unit_of_row, len(keys), num_strata)
    strict = strata is not None and strata.on_every_side
    noun = "row" if groups is None else groups.noun
    if strict and strata is not None:
        _check_room(units, strata, sides, noun)
    elif len(keys) < len(sides):
        raise SplitError(
            f"{len(keys)} {noun}s cannot be on each of {', '.join(sides)}; more {noun}s are needed"
        )
    for attempt in range(_ATTEMPTS):
        order = np.random.default_rng([seed, attempt]).permutation(len(keys))
        side_of_unit = _assign(units, order, shares)
        if _complete(units, side_of_unit, shares) or (
            not strict and len(np.unique(side_of_unit)) == len(sides)
        ):
            return side_of_unit[unit_of_row]
    assert strata is not None, "without strata every order has units on every side"
    raise SplitError(
        f"no way was found to have every {strata.noun} on each of {', '.join(sides)} with no {noun} on two of "
        f"them; {noun}s with several {strata.plural} tie the sides together"
    )


def _gather(numbers: Ints, unit_of_row: Ints, num_units: int, num_strata: int) -> _Units:
    if len(numbers) == num_units:
        by_unit = np.empty(num_units, dtype=np.int64)
        by_unit[unit_of_row] = numbers
        return _Units(np.eye(num_strata, dtype=np.int64), by_unit)
    cells = np.bincount(unit_of_row * num_strata + numbers, minlength=num_units * num_strata)
    kinds, kind_of_unit = np.unique(cells.reshape(num_units, num_strata), axis=0, return_inverse=True)
    return _Units(kinds.astype(np.int64), kind_of_unit.reshape(-1).astype(np.int64))


def _check_room(units: _Units, strata: Strata, sides: Sequence[str], noun: str) -> None:
    per_kind = np.bincount(units.kind_of_unit, minlength=len(units.kinds))
    holders = per_kind @ (units.kinds > 0)
    rows = per_kind @ units.kinds
    small = np.flatnonzero((holders > 0) & (holders < len(sides))).tolist()
    problems = first_of(
        f"{strata.noun} {strata.names[number]!r} has {count_of(int(rows[number]), 'row')}"
        + (f" of {count_of(int(holders[number]), noun)}" if noun != "row" else "")
        + f", at least {len(sides)} {noun}s are needed"
        for number in small
    )
    if problems:
        everywhere = f"on each of {', '.join(sides)}"
        hint = f"\n{noun}s stay whole; {_NO_GROUPS} where ids are not those of {noun}s" if noun != "row" else ""
        if len(small) > max(_FEW, len(strata.names) / 2):
            hint += _NO_CLASSES if strata.noun == "class" else ""
        raise SplitError(f"{strata.plural} are too small to be {everywhere}:\n" + bullet_list(problems) + hint)


def _assign(units: _Units, order: Ints, shares: Floats) -> Ints:
    kinds, kind_of_unit = units.kinds, units.kind_of_unit
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
    # What a unit adds, on each side, to the squared distance from the targets: of every stratum, relative to
    # the stratum, and of all rows; relative to the side, so that the small sides are right too.
    scale = np.maximum(totals, 1) ** 2
    by_stratum = ((2 * (counts - targets) + added) * added / scale).sum(axis=1)
    size = added.sum()
    by_size = (2 * (counts - targets).sum(axis=1) + size) * size / totals.sum() ** 2
    return np.asarray((by_stratum + by_size) / shares)


def _complete(units: _Units, side_of_unit: Ints, shares: Floats) -> bool:
    # Moves units, in place, until every stratum is on every side; False if no single move helps any more.
    kind_of_unit, held = units.kind_of_unit, (units.kinds > 0).astype(np.int64)
    counts = np.zeros((len(shares), units.kinds.shape[1]), dtype=np.int64)
    np.add.at(counts, side_of_unit, held[kind_of_unit])
    present = counts.sum(axis=0) > 0
    sizes = units.kinds.sum(axis=1)
    while (gaps := np.argwhere((counts == 0) & present)).size:
        for side, stratum in gaps:
            spare = counts[side_of_unit] - held[kind_of_unit]  # what stays behind if a unit leaves
            free = (held[kind_of_unit][:, stratum] > 0) & ~((spare == 0) & (held[kind_of_unit] > 0)).any(axis=1)
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
