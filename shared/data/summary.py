"""`DataSummary`: what was read, as people are told before training; imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any

from shared.runtime.notebook import in_notebook

SIDES = ("train", "val", "test")
MOST_VALUES = 6  # lines of a table in the terminal, where nobody asked for all
_WIDTH = 12  # of the names at the left, with the space behind them


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What was read: where it lies, how it was understood, how many rows of what are on which side.

    Attributes
    ----------
    origin, layout : str
        What was read, and how it was understood.
    rows : mapping of str to int
        Rows by side; only sides that have some.
    counts : mapping of str to mapping of str to mapping of str to int
        Rows by variable, value and side: ``{"label": {"sick": {"train": 4, "test": 2}}}``.
    spans : mapping of str to mapping of str to tuple of float and float
        Smallest and largest value by variable and side.
    positive : str or None
        The class that recall, precision and the like are of, where there are two.
    groups : mapping of str to int or None
        Groups (such as patients) by side; None where rows are in no groups.
    group_noun : str
        What a group is.
    facts : mapping of str to str
        What else was found while reading, by what it is.
    notes : tuple of str
        What was ignored, clipped, merged, dropped or guessed.
    """

    origin: str
    layout: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    spans: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    positive: str | None = None
    groups: Mapping[str, int] | None = None
    group_noun: str = "patient"
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines(most=None))

    def as_dict(self) -> dict[str, Any]:
        """The summary in JSON's types, as it is stored with a run."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSummary:
        """Read `as_dict`; entries of a later version are left out."""
        known = {item.name for item in fields(cls)}
        own = {name: value for name, value in values.items() if name in known}
        return cls(**{**own, "notes": tuple(own.get("notes", ()))})

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that have rows, in their order."""
        return tuple(side for side in SIDES if self.rows.get(side))

    def table(self, variable: str) -> list[tuple[str, list[int]]]:
        """Rows of each value of a variable: on each of `sides`, and on all."""
        lines = []
        for value, own in self.counts[variable].items():
            by_side = [own.get(side, 0) for side in self.sides]
            lines.append((value, [*by_side, sum(by_side)]))
        return lines

    def lines(self, *, most: int | None = MOST_VALUES) -> list[str]:
        """The summary as lines of text.

        Parameters
        ----------
        most : int or None
            Values of a variable that are listed; None: all.
        """
        lines = [_line("data", self.origin)]
        if self.layout:
            lines.append(_line("layout", self.layout))
        lines += self._rows(most)
        for variable, spans in self.spans.items():
            found = (f"{side} {spans[side][0]:g} to {spans[side][1]:g}" for side in self.sides if side in spans)
            lines.append(_line(variable, ", ".join(found)))
        if self.groups is not None:
            found = (f"{side} {self.groups.get(side, 0):,}" for side in self.sides)
            lines.append(_line(f"{self.group_noun}s", ", ".join(found)))
        lines += [_line(name, text) for name, text in self.facts.items()]
        lines += [_line("note", text) for text in self.notes]
        return lines

    def _rows(self, most: int | None) -> list[str]:
        listed: list[tuple[str, Sequence[str | int]]] = [("rows", [*self.sides, "all"])]
        for variable in self.counts:
            found = self.table(variable)
            shown = found if most is None or len(found) <= most + 1 else found[:most]
            for number, (value, counts) in enumerate(shown):
                name = f"{variable} {value}" if value == str(number) else f"{variable} {number} {value}"
                listed.append((name + (" (positive)" if value == self.positive else ""), counts))
            if len(shown) < len(found):
                rarest, counts = min(found, key=lambda line: line[1][-1])
                listed.append(
                    (f"  and {len(found) - len(shown)} more; the rarest is {rarest} ({counts[-1]:,})", ())
                )
        listed.append(("all", [*(self.rows[side] for side in self.sides), sum(self.rows.values())]))
        left = max(len(_plain(name)) for name, cells in listed if cells)
        return [
            f"{_plain(name):<{left}}"
            + "".join(f"{cell if isinstance(cell, str) else f'{cell:,}':>9}" for cell in cells)
            for name, cells in listed
        ]


def describe_split(*, given: bool, drawn: Sequence[str] = (), by: str, seed: int) -> str:
    """How rows came to their sides, for the layout of a summary.

    Parameters
    ----------
    given : bool
        Whether the data comes with a split.
    drawn : sequence of str
        Sides that are drawn although others are given.
    """
    how = "by time" if by == "time" else f"at random (data.split_seed={seed})"
    if not given:
        return f"split {how}"
    return f"split as given, {' and '.join(drawn)} drawn {how}" if drawn else "split as given"


def tell_once(summary: DataSummary) -> None:
    """Print a summary on stderr, once a process: the same data is opened several times."""
    _tell("\n".join(summary.lines()))


@lru_cache(maxsize=64)
def _tell(text: str) -> None:
    print(text, file=sys.stdout if in_notebook() else sys.stderr, flush=True)  # the latter is red there


def _line(name: str, text: str) -> str:
    return f"{_plain(name):<{_WIDTH - 1}} {_plain(text)}"


def _plain(text: str) -> str:
    # Names of files and labels are anybody's: a control character could move the cursor.
    return "".join(letter if letter.isprintable() else " " for letter in text)
