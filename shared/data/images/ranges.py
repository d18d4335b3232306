"""`ValueRange`: which values image files hold, and how they are scaled; `choose` decides where none says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.pixels.levels import ALL_OF_16_BIT, Levels, choose_levels, is_full
from shared.runtime.counts import count_of

_NARROW = 64  # of 256 grey levels: fewer say that the range is another than assumed
_SHALLOW = 8  # the part of the levels below which an image may be of fewer bits than the others
_MOST_CLIPPED = 0.75  # share of pixels that a window clips, as of a lung window in the air around
_NEARLY_ALL_OF_16_BIT = 60_000
_END = 8  # grey levels at an end of the 256
_SOME, _MOST = 0.05, 0.7  # shares of pixels at each end and at both; edges lie between
_LOOKED_AT = 512  # training images

_BASES = {
    "type": "all that the type can hold",
    "file": "as the files say",
    "window": "windows of the files",
    "chosen": "chosen from the training images",
    "setting": "data.levels",
}


@dataclass(frozen=True)
class ValueRange:
    """Files that hold values of one kind and are scaled alike.

    Attributes
    ----------
    kind : str
        See `shared.data.pixels.levels.kind_of`.
    images : int
    low, high : float
        The smallest and the largest value.
    black, white : float
        The values that become 0 and 255; the outermost where files say their own.
    basis : str
        What these rest on: all that the type can hold, the files, the training images, or ``data.levels``.
    """

    kind: str
    images: int
    low: float
    high: float
    black: float
    white: float
    basis: str


def choose(facts: npt.NDArray[Any], train: npt.NDArray[np.bool_]) -> dict[str, Levels]:
    """Levels of the kinds of values whose files do not state a range, from the training images.

    Parameters
    ----------
    facts : ndarray [N] of `shared.data.pixels.facts.FACTS`
    train : ndarray [N], bool
        The training images. A kind that none of them has, as all have at a server, is judged by all images.
    """
    chosen = {}
    open_rows = np.isin(facts["basis"], [b"type", b"chosen"])
    for kind in sorted(set(facts["kind"][open_rows].tolist())):
        rows = open_rows & (facts["kind"] == kind)
        rows = rows & train if (rows & train).any() else rows
        name = kind.decode()
        if not is_full(name):
            low, high = float(facts["low"][rows].min()), float(facts["high"][rows].max())
            chosen[name] = choose_levels(name, low=low, high=high)
    return chosen


def needs_scaling(facts: npt.NDArray[Any], chosen: Mapping[str, Levels]) -> bool:
    """Whether images were scaled by other levels than those that were chosen for their kind."""
    return any(
        set(np.unique(facts[["black", "white"]][facts["kind"] == kind.encode()]).tolist()) != {levels}
        for kind, levels in chosen.items()
    )


def value_ranges(facts: npt.NDArray[Any]) -> tuple[ValueRange, ...]:
    """What the images hold, one entry for each kind of values and what its levels rest on."""
    found = []
    for kind, basis in sorted(set(facts[["kind", "basis"]].tolist())):
        own = facts[(facts["kind"] == kind) & (facts["basis"] == basis)]
        found.append(
            ValueRange(
                kind=kind.decode(),
                images=len(own),
                low=float(own["low"].min()),
                high=float(own["high"].max()),
                black=float(own["black"].min()),
                white=float(own["white"].max()),
                basis=_BASES[basis.decode()],
            )
        )
    return tuple(found)


def describe_ranges(ranges: Sequence[ValueRange]) -> str:
    """The ranges in words, for a summary."""
    return "; ".join(
        f"{one.images} {one.kind}, {one.low:g} to {one.high:g} ({one.black:g} black, {one.white:g} white: "
        f"{one.basis})"
        for one in ranges
    )


def range_notes(
    facts: npt.NDArray[Any], images: npt.NDArray[np.uint8], train: npt.NDArray[np.bool_], *, transparent: str
) -> list[str]:
    """What was assumed, clipped, mixed or painted, and whether the training images look as if it were wrong.

    Parameters
    ----------
    images : ndarray [N, C, H, W], uint8
    transparent : str
        ``data.transparent``.
    """
    ranges = value_ranges(facts)
    notes = []
    for one in ranges:
        if one.basis == _BASES["chosen"] and (one.black, one.white) != ALL_OF_16_BIT:
            notes.append(
                f"the range of {one.kind} values is not stated in {count_of(one.images, 'image')}, which hold "
                f"{one.low:g} to {one.high:g}: {one.black:g} is read as black and {one.white:g} as white, by "
                f"the training images; data.levels=[LOW,HIGH] sets it"
            )
    kinds = {
        kind: sum(one.images for one in ranges if one.kind == kind) for kind in {one.kind for one in ranges}
    }
    if len(kinds) > 1:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        notes.append(
            f"images of different kinds of values are mixed ({counts}); each kind is scaled by its own levels"
        )
    own = facts[facts["basis"] == b"file"]
    if len(set(own[["kind", "black", "white"]].tolist())) > len(set(own["kind"].tolist())):
        notes.append(f"the ranges that {len(own)} images state differ; each is scaled by its own")
    beyond = ((facts["low"] < facts["black"]) | (facts["high"] > facts["white"])) & (
        facts["basis"] != b"window"
    )
    if beyond.any():
        notes.append(f"values beyond black or white are clipped in {count_of(int(beyond.sum()), 'image')}")
    if facts["transparent"].any():
        what = (
            "their colours beneath are read" if transparent == "ignore" else f"{transparent} is painted beneath"
        )
        notes.append(
            f"transparent in places: {count_of(int(facts['transparent'].sum()), 'image')}; {what} "
            f"(data.transparent={transparent})"
        )
    windowed = np.flatnonzero(train & (facts["basis"] == b"window"))
    return [
        *notes,
        *_windows(images, windowed),
        *_shallow(facts[train]),
        *_wrapped(facts, images, train),
        *_looks(images, np.flatnonzero(train)),
    ]


def unused_levels(facts: npt.NDArray[Any], levels: Levels | None) -> list[str]:
    """Say that ``data.levels`` is used of no image; not of what would be the levels of 16 bits without it."""
    if levels in (None, ALL_OF_16_BIT) or (facts["basis"] == b"setting").any():
        return []
    assert levels is not None
    return [
        f"data.levels=[{levels[0]:g},{levels[1]:g}] has no effect: all images are of 8 bit, whose values "
        "are below 256"
    ]


def _shallow(facts: npt.NDArray[Any]) -> list[str]:
    # Images of fewer bits beside others of more, in one type: the former are nearly black.
    notes = []
    own = facts[np.isin(facts["basis"], [b"type", b"chosen"])]
    for kind, black, white in sorted(set(own[["kind", "black", "white"]].tolist())):
        alike = own[(own["kind"] == kind) & (own["black"] == black) & (own["white"] == white)]
        span = alike["high"] - black
        few = (span < (white - black) / _SHALLOW) & (alike["high"] > alike["low"])
        if is_full(kind.decode()) or few.all() or not few.any():
            continue
        notes.append(
            f"{few.sum()} of {len(alike)} training images of {kind.decode()} hold values only up to "
            f"{alike['high'][few].max():g}, less than 1/{_SHALLOW} of the {black:g} to {white:g} that are read "
            f"as black to white, the others more: if files of 12 and 16 bits are mixed, rescale one kind, or "
            f"set data.levels=[LOW,HIGH]"
        )
    return notes


def _wrapped(facts: npt.NDArray[Any], images: npt.NDArray[np.uint8], train: npt.NDArray[np.bool_]) -> list[str]:
    # Numbers below 0 that were stored without a sign: nearly all pixels are very dark or very bright.
    rows = np.flatnonzero(train & (facts["kind"] == b"uint16") & (facts["high"] > _NEARLY_ALL_OF_16_BIT))
    if not len(rows):
        return []
    some = images[rows[:: max(len(rows) // _LOOKED_AT, 1)]]
    ends = [float(np.mean(some < _END)), float(np.mean(some >= 256 - _END))]
    if min(ends) < _SOME or sum(ends) < _MOST:
        return []
    return [
        "most pixels of 16-bit training images are at one of the two ends of the range, as numbers below "
        "0 are when they are stored without a sign; if so, store them signed, or from 0 on"
    ]


def _windows(images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> list[str]:
    # A window is there to clip, but hardly ever most of what is in an image.
    if not len(rows):
        return []
    some = images[rows[:: max(len(rows) // _LOOKED_AT, 1)]]
    share = float(np.mean((some == 0) | (some == 255)))
    if share <= _MOST_CLIPPED:
        return []
    return [
        f"{share:.0%} of the pixels of training images lie beyond the first window of their DICOM file, and "
        f"are read as black or white; data.levels=[LOW,HIGH] reads other values"
    ]


def _looks(images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> list[str]:
    if not len(rows):
        return []
    some = rows[:: max(len(rows) // _LOOKED_AT, 1)]
    counts = np.bincount(images[some].reshape(-1), minlength=256).cumsum() / images[some].size
    low, high = int(np.searchsorted(counts, 0.001)), int(np.searchsorted(counts, 0.999))
    if high - low >= _NARROW:
        return []
    return [
        f"nearly all pixels of the training images are read as grey levels {low} to {high} of 0 to 255: if "
        f"they hold more than that, data.levels=[LOW,HIGH] says which values are black and white"
    ]
