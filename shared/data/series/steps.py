"""`Steps`: the rows of a table in the order of time, series by series, with what is wrong with their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Ints, Timeline
from shared.runtime.counts import count_of
from shared.runtime.errors import first_of

Gaps = Literal["error", "cut"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATES = 31_536_000_000_000  # microseconds of a year: times that are all before 1971 are counts
_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))


@dataclass(frozen=True)
class Steps:
    """Rows in the order of time, the series one after the other.

    Attributes
    ----------
    order : ndarray [T], int64
        The row of the table that is each step.
    times : ndarray [T], int64
        As in `shared.data.dataset.Timeline`.
    series : ndarray [T], int64
        Number of the series.
    names : tuple of str
        Of the series, by number.
    stretch : ndarray [T], int64
        Number of the stretch without a gap, ascending.
    step : int
        From one step to the next, in the unit of the times.
    """

    order: Ints
    times: Ints
    series: Ints
    names: tuple[str, ...]
    stretch: Ints
    step: int

    def __len__(self) -> int:
        return len(self.order)

    def called(self, number: int) -> str:
        """A series, for messages."""
        return f"series {self.names[number]!r}" if self.names[number] else "the series"

    def stretch_start(self, step: int) -> int:
        """The first step of the stretch that a step is in."""
        return int(self._starts[self.stretch[step]])

    def runs(self, values: npt.NDArray[np.generic]) -> list[tuple[int, int]]:
        """First and last step (exclusive) of each run of one stretch with one value.

        Parameters
        ----------
        values : ndarray [T]
            Such as the side of each step.
        """
        if not len(self):
            return []
        new = (self.stretch[1:] != self.stretch[:-1]) | (values[1:] != values[:-1])
        return list(pairwise([0, *(np.flatnonzero(new) + 1).tolist(), len(self)]))

    @cached_property
    def _starts(self) -> Ints:
        return (
            np.searchsorted(self.stretch, np.arange(int(self.stretch[-1]) + 1)) if len(self) else self.stretch
        )


def order_steps(time: Timeline, *, gaps: Gaps, column: str, problems: list[str], notes: list[str]) -> Steps:
    """Put rows in the order of time, and find the stretches without a gap.

    Parameters
    ----------
    gaps : {"error", "cut"}
        What a gap is: wrong, or where a series is cut in two.
    column : str
        Of the times, for messages.
    problems, notes : list of str
        Take a sentence for what is wrong (a time that a series has twice, a gap, steps of several lengths), and
        for what was done (rows sorted, series cut).
    """
    order = np.lexsort((time.times, time.series)).astype(np.int64)
    times, series = time.times[order], time.series[order]
    called = [f"series {name!r}" if name else "the series" for name in time.names]
    same, apart = series[1:] == series[:-1], np.diff(times)
    if twice := np.flatnonzero(same & (apart == 0)).tolist():
        problems += first_of(
            f"{called[series[place]]} has the {column} {time_text(times[place])} twice; keep one row of each"
            for place in twice
        )
    step = _usual(apart[same & (apart > 0)])
    moved = _unsorted(time)
    if moved:
        notes.append(f"not in the order of {column}: {count_of(moved, 'row')}, which were sorted")
    broken = same & (apart != step) & (apart > 0)
    if broken.any():
        _tell_gaps(
            np.flatnonzero(broken), times, [called[number] for number in series[:-1]], gaps=gaps, step=step,
            column=column, problems=problems, notes=notes,
        )  # fmt: skip
    stretch = np.concatenate([[0], np.cumsum(broken | ~same)]).astype(np.int64) if len(order) else order
    return Steps(order, times, series, time.names, stretch, step)


def check_future(steps: Steps, sides: npt.NDArray[np.str_], *, problems: list[str], notes: list[str]) -> None:
    """Say where a model would learn from what is later than a test.

    Parameters
    ----------
    sides : ndarray [T], str
        The side of each step.
    problems, notes : list of str
        Take a sentence for a series that is tested before it is trained on, and for series of which some are
        tested at times that others are trained on.
    """
    tested = sides == "test"
    if not tested.any():
        return
    for number in range(len(steps.names)):
        own = steps.series == number
        test, other = steps.times[own & tested], steps.times[own & ~tested]
        if len(test) and len(other) and other.max() > test.min():
            problems.append(
                f"{steps.called(number)} is trained on after its test: until {time_text(other.max())}, and the "
                f"test begins at {time_text(test.min())}; the test must be its last part"
            )
    first = steps.times[tested].min()
    late = ~tested & (steps.times >= first)
    if late.any() and not problems:
        count = len(np.unique(steps.series[late]))
        notes.append(
            f"{count_of(int(late.sum()), 'step')} of {count} series for training or validation are not before "
            f"{time_text(first)}, where the first test begins: what series have in common is known from them"
        )


def calendar_problem(steps: Steps, *, column: str) -> str | None:
    """Why hours and days cannot be told from the times; None where they can."""
    if len(steps) and steps.times.max() < _DATES:
        return (
            f"task.calendar needs dates, and {column!r} holds counts up to {steps.times.max() / 1e6:g}; set "
            f"task.calendar=[]"
        )
    return None


def time_text(time: int | np.integer) -> str:
    """A time for people: ISO 8601 in UTC, or the number that it was."""
    if abs(int(time)) < _DATES:
        return f"{int(time) / 1e6:g}"
    found = _EPOCH + timedelta(microseconds=int(time))
    return found.replace(tzinfo=None).isoformat(sep=" ")


def step_text(step: int) -> str:
    """A length of time, exactly: ``1 h``, ``15 min``."""
    for name, size in _UNITS:
        if step and step % size == 0:
            return f"{step // size} {name}"
    return f"{step} us"


def step_of(text: str) -> int:
    """What `step_text` says, in microseconds."""
    number, _, name = text.partition(" ")
    return int(number) * dict(_UNITS).get(name, 1)


def _usual(apart: Ints) -> int:
    if not len(apart):
        return 0
    values, counts = np.unique(apart, return_counts=True)
    return int(values[counts.argmax()])


def _unsorted(time: Timeline) -> int:
    """Rows that come after a later one of their series."""
    by_series = np.argsort(time.series, kind="stable")
    times, series = time.times[by_series], time.series[by_series]
    found = 0
    for start, stop in pairwise([0, *(np.flatnonzero(np.diff(series)) + 1).tolist(), len(times)]):
        own = times[start:stop]
        found += int((own < np.maximum.accumulate(own)).sum()) if len(own) else 0
    return found


def _tell_gaps(
    places: npt.NDArray[np.intp],
    times: Ints,
    called: Sequence[str],
    *,
    gaps: Gaps,
    step: int,
    column: str,
    problems: list[str],
    notes: list[str],
) -> None:
    apart = times[places + 1] - times[places]
    usual = f"{column} goes on by {step_text(step)}"
    shown = [
        f"{called[place]} from {time_text(times[place])} to {time_text(times[place + 1])}"
        for place in places[:5]
    ]
    more = f" and {len(places) - 5} more" if len(places) > 5 else ""
    missing = int(np.maximum(apart // step - 1, 0).sum())
    if gaps == "cut":
        notes.append(
            f"{usual}, but for {count_of(len(places), 'gap')} ({count_of(missing, 'missing step')}), where the "
            f"series is cut: no window crosses them: {', '.join(shown)}{more}"
        )
        return
    uneven = " (steps of other lengths)" if (apart % step).any() else ""
    problems.append(
        f"{usual}, but for {count_of(len(places), 'gap')}{uneven}: {', '.join(shown)}{more}; fill in the "
        f"{count_of(missing, 'missing step')}, or cut the series there with task.gaps=cut"
    )
