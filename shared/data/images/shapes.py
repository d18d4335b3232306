"""Notes on what images lose when all become one square of some channels: their colours, shapes and sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.dataset import Strata
from shared.runtime.counts import count_of

_SQUEEZED = 2.0  # the largest ratio of width to height beside the smallest: from there on it is told
_FEWEST = 5  # images of a class whose sizes are compared with those of others
_MOST_SIZES = 12  # of a set whose images are of a few sizes


def colour_notes(facts: npt.NDArray[Any], cfg: ImageDataConfig) -> list[str]:
    """Say that images in colour are read as grey."""
    count = int(facts["coloured"].sum())
    if cfg.channels != 1 or not count:
        return []
    return [
        f"{count} of {count_of(len(facts), 'image')} have colours and are read as grey (data.channels=1); "
        f"data.channels=3 keeps the colours"
    ]


def shape_notes(facts: npt.NDArray[Any], cfg: ImageDataConfig) -> list[str]:
    """Say that images of different shapes are squeezed into squares."""
    ratios = facts["width"] / np.maximum(facts["height"], 1)
    if ratios.max(initial=1) < _SQUEEZED * ratios.min(initial=1):
        return []
    low, high = f"{ratios.min():.2g}", f"{ratios.max():.2g}"
    shapes = low if low == high else f"{low} to {high}"
    return [
        f"images are {shapes} times as wide as high, and all are squeezed into {cfg.image_size} x "
        f"{cfg.image_size} pixels; cut or pad them to one shape to keep proportions"
    ]


def size_notes(facts: npt.NDArray[Any], strata: Strata | None) -> list[str]:
    """Say that a class can be told by the size of its images alone, which a model may learn instead."""
    if strata is None or strata.noun != "class":
        return []
    sizes = facts["width"].astype(np.int64) << 32 | facts["height"]
    of_class = {
        number: set(sizes[strata.numbers == number].tolist())
        for number, count in enumerate(np.bincount(strata.numbers, minlength=len(strata.names)))
        if count >= _FEWEST
    }
    every = set().union(*of_class.values())
    if len(of_class) < 2 or len(every) > _MOST_SIZES or sum(map(len, of_class.values())) > len(every):
        return []
    shown = ", ".join(f"{strata.names[number]!r} {_size(min(own))}" for number, own in of_class.items())
    return [
        f"the size of an image tells its class ({shown}): a model may learn how images were saved instead of "
        f"what they show; save all in one size"
    ]


def _size(packed: int) -> str:
    return f"{packed >> 32} x {packed & 0xFFFFFFFF}"
