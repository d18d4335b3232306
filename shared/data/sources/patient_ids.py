"""Patients' ids that may not be one a patient: `shortened_ids` of spreadsheets, `visits_in_ids`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from shared.runtime.counts import count_of

_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d{2}")  # as a spreadsheet shows a number of 12 digits and more
_VISIT = re.compile(r"(.*\d)[\W_]+(\w{1,6})")
_MOST_ENDS = 12  # of visits or views; of more, what stands before is rather a site
_PART = 0.3  # of the ids without their ends: so many must have several


def shortened_ids(ids: Iterable[str], column: str) -> list[str]:
    """Say that ids are numbers as spreadsheets shorten them, which makes one patient of several."""
    found = sorted({name for name in ids if _SHORTENED.fullmatch(name)})
    if not found:
        return []
    return [
        f"{count_of(len(found), 'value')} of {column} such as {found[0]!r} are numbers as a spreadsheet "
        f"shortens them, and several patients may have become one; export the column as text"
    ]


def visits_in_ids(ids: Collection[str], column: str) -> list[str]:
    """Say that ids differ in their ends alone, as visits of one patient do: ``p001_v1`` and ``p001_v2``."""
    ends: dict[str, set[str]] = defaultdict(set)
    for name in set(ids):
        if match := _VISIT.fullmatch(name):
            ends[match[1]].add(match[2])
    kinds = {end for own in ends.values() for end in own}
    several = [name for name, own in ends.items() if len(own) > 1]
    if len(kinds) > min(_MOST_ENDS, len(ends)) or len(several) < max(2, _PART * len(ends)):
        return []
    known = sum(map(len, ends.values()))
    if known < len(set(ids)) / 2:
        return []
    first = min(several)
    shown = " and ".join(repr(name) for name in sorted(name for name in ids if name.startswith(first))[:2])
    return [
        f"ids of {column} such as {shown} differ in their ends alone, as visits or views of one patient do, "
        f"and are read as {known} patients; write one id for each of the {len(ends)} patients if they are"
    ]
