"""`Statistics`: what sites tell of their training rows, by site and together, from sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from shared.data.profile import Moments, Profile

TOGETHER = "together"


@dataclass(frozen=True)
class ColumnRow:
    """One numeric column at one site, or at all that tell of it; None where it is not told.

    Attributes
    ----------
    values, missing : int or None
        Training rows with a value, and without one.
    """

    column: str
    site: str
    values: int | None
    missing: int | None
    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class CountRow:
    """How many training rows of one site, or of all, have each value of a variable; None: it is not told."""

    variable: str
    site: str
    counts: Mapping[str, int | None]


@dataclass(frozen=True)
class Statistics:
    """Federated statistics of training rows.

    Attributes
    ----------
    min_count : int
        What fewer rows have is not told.
    sizes : mapping of str to int or None
        Training rows by site.
    columns, counts
        By column or variable, then by site, with the row `TOGETHER` last.
    """

    min_count: int
    sizes: Mapping[str, int | None]
    columns: tuple[ColumnRow, ...]
    counts: tuple[CountRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The statistics in JSON's types."""
        return {
            "min_count": self.min_count,
            "sizes": dict(self.sizes),
            "columns": [asdict(row) for row in self.columns],
            "counts": [{**asdict(row), "counts": dict(row.counts)} for row in self.counts],
        }


def federated_statistics(
    profiles: Mapping[str, Profile], *, sizes: Mapping[str, int], min_count: int
) -> Statistics:
    """Put together what sites tell, exactly, from their sums.

    A site with fewer training rows than ``min_count`` tells nothing; of others, a column with fewer values is
    left out, and so is a count from 1 that is smaller, with the next larger one, which would tell it by
    subtraction. The row of all together is of the sites that tell, so that no site's number is the difference
    of others.

    Parameters
    ----------
    profiles : mapping of str to Profile
        By site.
    sizes : mapping of str to int
        Training rows by site.
    """
    telling = {site: own for site, own in profiles.items() if sizes[site] >= min_count}
    names = dict.fromkeys(name for own in telling.values() for name in own.moments)
    variables = dict.fromkeys(name for own in telling.values() for name in own.counts)
    columns = [row for name in names for row in _column(name, profiles, telling, min_count=min_count)]
    counts = [row for name in variables for row in _counts(name, profiles, telling, min_count=min_count)]
    shown = {site: sizes[site] if site in telling else None for site in profiles}
    return Statistics(min_count, shown, tuple(columns), tuple(counts))


def _column(
    name: str, sites: Mapping[str, Profile], telling: Mapping[str, Profile], *, min_count: int
) -> list[ColumnRow]:
    rows, moments, missing = [], [], 0
    for site in sites:
        own = telling[site].moments.get(name) if site in telling else None
        if own is None or own.number < min_count:
            rows.append(ColumnRow(name, site, None, None, None, None))
            continue
        gaps = telling[site].missing.get(name, 0)
        moments.append(own)
        missing += gaps
        rows.append(ColumnRow(name, site, own.number, gaps, own.mean, own.deviation))
    if not moments:
        return rows
    every = reduce(Moments.with_, moments)
    return [*rows, ColumnRow(name, TOGETHER, every.number, missing, every.mean, every.deviation)]


def _counts(
    name: str, sites: Mapping[str, Profile], telling: Mapping[str, Profile], *, min_count: int
) -> list[CountRow]:
    told = {site: own.counts[name] for site, own in telling.items() if name in own.counts}
    values = dict.fromkeys(value for own in told.values() for value in own)
    shown = {
        site: _shown({value: own.get(value, 0) for value in values}, min_count=min_count)
        for site, own in told.items()
    }

    def together(value: str) -> int | None:
        known = [count for own in shown.values() if (count := own[value]) is not None]
        return sum(known) if len(known) == len(shown) else None

    rows = [CountRow(name, site, shown.get(site) or dict.fromkeys(values)) for site in sites]
    return [*rows, CountRow(name, TOGETHER, {value: together(value) for value in values})]


def _shown(counts: Mapping[str, int], *, min_count: int) -> dict[str, int | None]:
    hidden = {value for value, count in counts.items() if 0 < count < min_count}
    if len(hidden) == 1:  # which the number of rows would tell
        others = sorted((count == 0, count, value) for value, count in counts.items() if value not in hidden)
        hidden |= {value for _, _, value in others[:1]}
    return {value: None if value in hidden else count for value, count in counts.items()}
