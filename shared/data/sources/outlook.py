"""`classes_in`: the classes that a folder would give, told by names alone, for a choice between readings."""

from __future__ import annotations

import csv
from pathlib import Path

from shared.data.pixels.files import open_head
from shared.data.sources.listing import Listing, is_image, shown_names
from shared.data.sources.masks import NO_CLASSES
from shared.data.sources.spelling import name_key, side_of

TABLE = "metadata.csv"
_HEAD = 2**16  # bytes of a table that are looked at


def classes_in(root: Path, listing: Listing, folder: str, *, table: bool) -> str:
    """What would be the classes.

    Parameters
    ----------
    root : Path
        The ZIP or folder that is listed.
    folder : str
        In it; ``""`` is the top.
    table : bool
        Read by its ``metadata.csv``; else by folders, also below those of splits.

    Returns
    -------
    str
        Such as ``classes 'cat', 'dog'``.
    """
    if table:
        labels = _labels(root, f"{folder}/{TABLE}".removeprefix("/"))
        return f"classes {shown_names(labels)}" if labels else f"classes by {TABLE}"
    tops = [name for name in listing.below(folder) if side_of(name)]
    below = [f"{folder}/{top}".removeprefix("/") for top in tops] or [folder]
    names = {
        name
        for place in below
        for name in listing.below(place)
        if name_key(name) not in NO_CLASSES
        and any(map(is_image, listing.all_in(f"{place}/{name}".removeprefix("/"))))
    }
    return f"classes {shown_names(sorted(names))}"


def _labels(root: Path, name: str) -> list[str]:
    # The labels at the beginning of a table; none where it has no such column, or cannot be read.
    try:
        with open_head(root) as read:
            text = read(name, _HEAD).decode("utf-8-sig", "ignore")
        lines = text.splitlines()
        rows = list(csv.reader(lines if len(text) < _HEAD // 4 else lines[:-1]))
    except Exception:  # whatever is wrong with it is told where it is read
        return []
    columns = [name_key(column) for column in rows[0]] if rows else []
    if "label" not in columns:
        return []
    at = columns.index("label")
    return sorted({row[at].strip() for row in rows[1:] if len(row) == len(columns)} - {""})
