"""`row_keys`: a key of the rows of each side, by which a later training finds out whether it has the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.data.dataset import SIDES, Dataset, Ints

SHOWN = 8  # digits of a key that people are shown


def row_keys(data: Dataset, own: Ints | None = None) -> dict[str, dict[str, Any]]:
    """Number and key of the rows of each side: equal where content, preprocessing, labels and split are.

    Parameters
    ----------
    own : ndarray [n], int64, or None
        The rows of one client; None: all.

    Returns
    -------
    dict of str to dict
        In JSON's types: ``{"test": {"rows": 40, "key": "9f..."}, ...}``, 32 hexadecimal digits each.
    """
    keys = {}
    for side in SIDES:
        rows = data.rows(side, own)
        content = hashlib.sha256(f"{data.fingerprint} {side} {len(rows)}".encode())
        content.update(np.ascontiguousarray(rows, dtype="<i8").tobytes())
        content.update(np.ascontiguousarray(data.targets[rows]).tobytes())
        keys[side] = {"rows": len(rows), "key": content.hexdigest()[:32]}
    return keys


def other_rows(then: Mapping[str, Any], now: Mapping[str, Any], *, when: str, at_present: str) -> list[str]:
    """Say of which sides the rows are others.

    Parameters
    ----------
    then, now : mapping
        From `row_keys`; a side that one of them lacks is not compared.
    when, at_present : str
        What the two are, such as ``in the checkpoint`` and ``now``.
    """
    return [
        f"the {side} rows: {_told(then[side])} {when}, {_told(now[side])} {at_present}"
        for side in SIDES
        if side in then and side in now and then[side]["key"] != now[side]["key"]
    ]


def _told(rows: Mapping[str, Any]) -> str:
    return f"{rows['rows']:,} (key {rows['key'][:SHOWN]})"
