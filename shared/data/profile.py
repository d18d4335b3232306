"""`Profile`: what a client says of its rows before training: counts, spans and moments, never a row."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_ENTRIES = 100_000  # counts that one profile may hold
_MAX_COUNT = 2**31 - 1  # what every database takes


class Moments(NamedTuple):
    """What the mean and the deviation of all values follow from, exactly, when clients are put together.

    Attributes
    ----------
    number : int
        How many values.
    mean : float
    squares : float
        Sum of the squared differences from the mean.
    """

    number: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: npt.NDArray[np.floating]) -> Moments:
        """Those of some values [n], n at least 1, none of them NaN."""
        mean = float(values.mean(dtype=np.float64))
        return cls(len(values), mean, float(np.square(values - mean, dtype=np.float64).sum()))

    def with_(self, other: Moments) -> Moments:
        """Those of both together (Chan, Golub and LeVeque 1979, eq. 2.1)."""
        number = self.number + other.number
        step = other.mean - self.mean
        return Moments(
            number,
            self.mean + step * other.number / number,
            self.squares + other.squares + step * step * self.number * other.number / number,
        )

    @property
    def deviation(self) -> float:
        """Square root of the mean squared difference from the mean."""
        return math.sqrt(self.squares / self.number)


@dataclass(frozen=True)
class Profile:
    """What a client says of its training rows; each part may be empty.

    Attributes
    ----------
    counts : mapping of str to mapping of str to int
        How many rows have each value, by the variable's name: ``{"label": {"sick": 4, "well": 6}}``.
    spans : mapping of str to tuple of float and float
        Smallest and largest value, by the variable's name.
    missing : mapping of str to int
        Rows without a value, by the variable's name.
    moments : mapping of str to Moments
        Number, mean and spread of the values, by the variable's name.
    """

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    moments: Mapping[str, Moments] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The profile in JSON's types."""
        parts = {"spans": self.spans, "moments": self.moments}
        lists = {part: {name: list(own) for name, own in values.items()} for part, values in parts.items()}
        return {**asdict(self), **lists}

    def to_json(self) -> str:
        """The profile as text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Profile:
        """Read `as_dict`, whose values may come from anybody.

        Raises
        ------
        ValueError
            It is no profile: an unknown part, a count that is not a whole number, a span of no numbers.
        """
        if isinstance(values, Mapping):
            values = {"moments": {}, **values}  # which older versions did not have
        if not isinstance(values, Mapping) or values.keys() != {"counts", "spans", "missing", "moments"}:
            raise ValueError(f"expected counts, spans, missing and moments, got {str(values)[:100]!r}")
        counts = {
            name: {level: _count(count) for level, count in _named(levels).items()}
            for name, levels in _named(values["counts"]).items()
        }
        if sum(map(len, counts.values())) > MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_ENTRIES} counts")
        return cls(
            counts=counts,
            spans={name: _span(span) for name, span in _named(values["spans"]).items()},
            missing={name: _count(count) for name, count in _named(values["missing"]).items()},
            moments={name: _moments(own) for name, own in _named(values["moments"]).items()},
        )

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read `to_json`.

        Raises
        ------
        ValueError
        """
        return cls.from_dict(json.loads(text))


@dataclass(frozen=True)
class CountTable:
    """How many training rows of each client have each value of one variable.

    Attributes
    ----------
    variable : str
    values : tuple of str, K
    clients : tuple of str, C
        Names.
    counts : ndarray [C, K], int64
    sizes : ndarray [C], int64
        Training rows; the sum of a row of ``counts`` where each row has one value.
    """

    variable: str
    values: tuple[str, ...]
    clients: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        assert self.counts.shape == (len(self.clients), len(self.values)), self.counts.shape
        assert self.sizes.shape == (len(self.clients),), self.sizes.shape


def count_tables(
    profiles: Sequence[Profile], *, clients: Sequence[str], sizes: Sequence[int]
) -> list[CountTable]:
    """Put the counts of all clients side by side, one table a variable.

    Parameters
    ----------
    profiles : sequence of Profile, C
    clients : sequence of str, C
        Names.
    sizes : sequence of int, C
        Training rows.

    Returns
    -------
    list of CountTable
        A client that says nothing of a variable has zeros.
    """
    tables = []
    for variable in dict.fromkeys(name for profile in profiles for name in profile.counts):
        own = [profile.counts.get(variable, {}) for profile in profiles]
        values = tuple(dict.fromkeys(value for counts in own for value in counts))
        counts = np.array([[counts.get(value, 0) for value in values] for counts in own], dtype=np.int64)
        tables.append(
            CountTable(
                variable=variable,
                values=values,
                clients=tuple(clients),
                counts=counts.reshape(len(profiles), len(values)),
                sizes=np.array(sizes, dtype=np.int64),
            )
        )
    return tables


@dataclass(frozen=True)
class SpanTable:
    """Smallest and largest value of one variable in the training rows of each client.

    Attributes
    ----------
    variable : str
    clients : tuple of str, C
        Names.
    spans : tuple of (float, float) or None, C
        None of a client that says nothing.
    sizes : ndarray [C], int64
        Training rows.
    """

    variable: str
    clients: tuple[str, ...]
    spans: tuple[tuple[float, float] | None, ...]
    sizes: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        assert len(self.spans) == len(self.clients) == len(self.sizes)

    @property
    def of_all(self) -> tuple[float, float]:
        """Smallest and largest value at any client."""
        known = [span for span in self.spans if span is not None]
        return min(low for low, _ in known), max(high for _, high in known)


def span_tables(
    profiles: Sequence[Profile], *, clients: Sequence[str], sizes: Sequence[int]
) -> list[SpanTable]:
    """Put the spans of all clients side by side, one table a variable; see `count_tables`."""
    return [
        SpanTable(
            variable=variable,
            clients=tuple(clients),
            spans=tuple(profile.spans.get(variable) for profile in profiles),
            sizes=np.array(sizes, dtype=np.int64),
        )
        for variable in dict.fromkeys(name for profile in profiles for name in profile.spans)
    ]


def count_values(numbers: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """How many rows have each value.

    Parameters
    ----------
    numbers : ndarray [n], int64
        The value's number, of each row.
    names : sequence of str
        By number.

    Returns
    -------
    dict of str to int
        In the order of the numbers; 0 for a value that does not occur.
    """
    return dict(zip(names, np.bincount(numbers, minlength=len(names)).tolist(), strict=True))


def _named(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"expected values by name, got {str(value)[:100]!r}")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise ValueError(f"expected a whole number in [0, {_MAX_COUNT}], got {repr(value)[:100]}")
    return value


def _span(value: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, list | tuple) else ()
    # The comparison is false for NaN, and takes whole numbers of any length.
    finite = [type(end) in (int, float) and abs(end) <= sys.float_info.max for end in numbers]
    if finite != [True, True] or numbers[0] > numbers[1]:
        raise ValueError(f"expected the smallest and the largest value, got {repr(value)[:100]}")
    return float(numbers[0]), float(numbers[1])


def _moments(value: Any) -> Moments:
    found = list(value) if isinstance(value, list | tuple) else []
    if len(found) != 3 or _count(found[0]) < 1:
        raise ValueError(f"expected the number, mean and spread of values, got {repr(value)[:100]}")
    numbers = [type(number) in (int, float) and abs(number) <= sys.float_info.max for number in found[1:]]
    if numbers != [True, True] or found[2] < 0:
        raise ValueError(f"expected a finite mean and a spread of 0 or more, got {repr(value)[:100]}")
    return Moments(found[0], float(found[1]), float(found[2]))
