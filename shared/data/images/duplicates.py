"""`Duplicates`: images that occur more than once; on which sides they are, and whether their labels agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.dataset import SIDES, Groups, Ints, Texts
from shared.runtime.counts import count_of

_SIDE = 16  # pixels of the small copies that are compared
_BLOCK = 1024  # images that are compared with all others at once
_PLACES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Duplicates:
    """Images that occur more than once.

    Attributes
    ----------
    images : int
        Images of which there is another, identical one (or one that is alike, where that is looked for).
    across : mapping of str to int
        Images of one side of which there is one on another, such as ``{"test in train": 12}``.
    """

    images: int = 0
    across: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.images:
            return "none"
        sides = "".join(
            f", {count} of {name.replace(' in ', ' also in ')}" for name, count in self.across.items()
        )
        return f"{count_of(self.images, 'image')} more than once{sides}"


def identical(facts: npt.NDArray[Any]) -> Ints:
    """Number images such that those with the same pixels have the same number.

    Parameters
    ----------
    facts : ndarray [N] of `shared.data.pixels.facts.FACTS`

    Returns
    -------
    ndarray [N], int64
    """
    _, numbers = np.unique(np.ascontiguousarray(facts["digest"]).view("S16"), return_inverse=True)
    return numbers.astype(np.int64)


def alike(images: npt.NDArray[np.uint8], least: float) -> list[tuple[int, int]]:
    """Find images that differ little: re-encoded, resized, brighter or with more contrast.

    Their copies of 16 x 16 pixels are compared, each with each: 10,000 images take seconds, 100,000 minutes.

    Parameters
    ----------
    images : ndarray [N, C, H, W], uint8
    least : float
        Correlation of the small copies from which on two images are alike. An image of one grey level is like
        no other.

    Returns
    -------
    list of pairs of int
        Rows, the lower first.
    """
    small = np.concatenate([_small(images[at : at + _BLOCK]) for at in range(0, len(images), _BLOCK)])
    pairs = []
    for at in range(0, len(small), _BLOCK):
        first, second = np.nonzero(small[at : at + _BLOCK] @ small[at:].T >= least)
        pairs += [(at + a, at + b) for a, b in zip(first.tolist(), second.tolist(), strict=True) if a < b]
    return pairs


def join(numbers: Ints, sets: Sequence[Sequence[int]]) -> Ints:
    """Number rows such that those of one number, and those of one set, have one number.

    Parameters
    ----------
    numbers : ndarray [N], int64
        From 0.
    sets : sequence of sequence of int
        Rows.
    """
    above = list(range(int(numbers.max()) + 1 if len(numbers) else 0))

    def top(number: int) -> int:
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    for rows in sets:
        first = top(int(numbers[rows[0]]))
        for row in rows[1:]:
            above[top(int(numbers[row]))] = first
    tops = np.array([top(number) for number in range(len(above))], dtype=np.int64)
    _, joined = np.unique(tops[numbers], return_inverse=True)
    return joined.astype(np.int64)


def sets_of(numbers: Ints) -> list[list[int]]:
    """The rows of each number that several rows have, ascending."""
    order = np.argsort(numbers, kind="stable")
    _, starts, counts = np.unique(numbers[order], return_index=True, return_counts=True)
    sets = (order[at : at + count].tolist() for at, count in zip(starts, counts, strict=True) if count > 1)
    return sorted(sets)


def together(groups: Groups | None, numbers: Ints) -> Groups | None:
    """What a split must not divide: patients, duplicates, and patients that share duplicates.

    Returns
    -------
    Groups or None
        The same as ``groups`` where there are no duplicates.
    """
    sets = sets_of(numbers)
    if not sets:
        return groups
    own = np.arange(len(numbers)) if groups is None else groups.numbers
    joined = join(own, sets)
    noun = "image" if groups is None else groups.noun
    return Groups(joined, tuple(map(str, range(int(joined.max()) + 1))), noun)


def count_duplicates(numbers: Ints, splits: Texts) -> Duplicates:
    """Count duplicates, and those on two sides."""
    counts = np.bincount(numbers, minlength=1)
    across = {}
    for other, side in combinations(SIDES, 2):
        count = int(np.isin(numbers[splits == side], numbers[splits == other]).sum())
        if count:
            across[f"{side} in {other}"] = count
    return Duplicates(int(counts[counts > 1].sum()), across)


def duplicate_notes(numbers: Ints, splits: Texts, groups: Groups | None, *, what: str) -> list[str]:
    """Say which images are on two sides, and which belong to two patients.

    Parameters
    ----------
    what : str
        What they are to each other: "identical to", "nearly identical to".
    """
    notes = []
    for name, count in count_duplicates(numbers, splits).across.items():
        side, other = name.split(" in ")
        total, place = int((splits == side).sum()), _PLACES[side]
        images = count_of(total, f"{place} image")
        notes.append(
            f"{count} of {images}: {what} {_PLACES[other]} images, so {place} metrics are too good; remove "
            f"them, or have a split drawn instead of the given one"
        )
    if groups is not None:
        shared = [rows for rows in sets_of(numbers) if len(set(groups.numbers[rows].tolist())) > 1]
        if shared:
            apart = any(len(set(splits[rows].tolist())) > 1 for rows in shared)
            where = "are on two sides of the given split" if apart else "stay together"
            notes.append(
                f"{count_of(sum(map(len, shared)), 'image')} {what} one of another {groups.noun}; such "
                f"{groups.noun}s {where}"
            )
    return notes


def check_labels(
    numbers: Ints, targets: npt.NDArray[Any], names: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """Say which identical images have different labels, two of each that do.

    Parameters
    ----------
    targets : ndarray [N, ...]
    names : sequence of str, N
        Of the rows.
    classes : sequence of str
        Of labels by number; empty of other targets.
    """
    found = []
    for rows in sets_of(numbers):
        other = next((row for row in rows[1:] if not np.array_equal(targets[row], targets[rows[0]])), None)
        if other is not None:
            texts = [f"{names[row]!r} ({_label(targets[row], classes)})" for row in (rows[0], other)]
            found.append(" and ".join(texts))
    return found


def _label(target: Any, classes: Sequence[str]) -> str:
    if not classes or np.ndim(target) > 1:
        return str(target)
    if np.ndim(target) == 1:
        return ", ".join(name for name, value in zip(classes, target, strict=True) if value) or "none"
    return classes[int(target)]


def _small(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    # Copies of 16 x 16 pixels of mean 0 and length 1, [n, 256].
    size = images.shape[2]
    edges = np.arange(_SIDE) * size // _SIDE
    grey = images.mean(axis=1, dtype=np.float32)
    sums = np.add.reduceat(np.add.reduceat(grey, edges, axis=1), edges, axis=2)
    areas = np.maximum(np.diff(np.append(edges, size)), 1).astype(np.float32)
    small: npt.NDArray[np.float32] = (sums / (areas[:, None] * areas)).reshape(len(images), -1)
    small -= small.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(small, axis=1, keepdims=True)
    small /= np.where(lengths > _SIDE * 1e-3, lengths, np.inf)  # an image of one grey level is all 0
    return small
