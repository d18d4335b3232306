"""`Windows`: stretches of steps, copied when they are taken; `cut_windows` says where they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Ints, Texts
from shared.data.series.steps import Steps


@dataclass(frozen=True)
class Windows:
    """Windows of an array of steps, in place of an array [N, length, ...]: a window is copied when it is taken.

    Attributes
    ----------
    steps : ndarray [T, ...]
        What there is at each step, the steps of a series one after the other.
    starts : ndarray [N], int64
        The first step of each window.
    length : int
        Steps of a window.
    """

    steps: npt.NDArray[Any]
    starts: Ints
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Ints | slice) -> npt.NDArray[Any]:
        """Some windows, [n, length, ...]."""
        taken: npt.NDArray[Any] = self.steps[self.starts[rows][:, None] + np.arange(self.length)]
        return taken


@dataclass(frozen=True)
class Cut:
    """Where windows begin, and on which side of the split they are.

    Attributes
    ----------
    starts : ndarray [N], int64
        The first step of each, ascending.
    sides : ndarray [N], str
        Of the split.
    """

    starts: Ints
    sides: Texts


def cut_windows(
    steps: Steps,
    sides: Texts,
    *,
    back: int,
    ahead: int,
    stride: int,
    eval_stride: int,
    reach_back: bool,
    needed: Sequence[str],
    problems: list[str],
) -> Cut:
    """Cut every series into windows that cross neither a gap nor a border of the split.

    Parameters
    ----------
    sides : ndarray [T], str
        The side of each step.
    back, ahead : int
        Steps of a window that are looked at, and steps after these that are forecast (0: none).
    stride, eval_stride : int
        Steps between the beginnings of two windows, for training, and for validation and test.
    reach_back : bool
        Whether the steps that are looked at may lie on the side before, as they do where a forecast is made;
        those that are forecast never do.
    needed : sequence of str
        Sides on which every series must have a window.
    problems : list of str
        Takes a sentence for each side of each series that is too short.
    """
    length, found, where = back + ahead, [], []
    lengths: dict[tuple[int, str], int] = {}
    for start, stop in steps.runs(sides):
        side, series = str(sides[start]), int(steps.series[start])
        begin = start if side == "train" or not reach_back else max(steps.stretch_start(start), start - back)
        lengths[series, side] = max(lengths.get((series, side), 0), stop - begin)
        own = np.arange(begin, stop - length + 1, stride if side == "train" else eval_stride, dtype=np.int64)
        found.append(own)
        where.append(np.full(len(own), side, dtype="<U5"))
    for number, name in enumerate(steps.names):
        for side in needed:
            longest = lengths.get((number, side), 0)
            if longest < length:
                called, more = (
                    (steps.called(number), ", or leave the series out") if name else ("the series", "")
                )
                problems.append(
                    f"{called} has {longest} steps in a row for {side}, and a window takes {length} ({back} to "
                    f"look at, {ahead} ahead); shorten the window, change data.val_fraction or "
                    f"data.test_fraction{more}"
                )
    if not found:
        return Cut(np.zeros(0, dtype=np.int64), np.zeros(0, dtype="<U5"))
    return Cut(np.concatenate(found), np.concatenate(where))
