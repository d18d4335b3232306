"""`find_masks`: files below a class that are masks, or lie beside ``images/``, and are no images of it."""

from __future__ import annotations

import re

from shared.data.sources.listing import Listing, last_of, parent_of
from shared.data.sources.spelling import name_key

IMAGES = {"images", "image", "imgs", "img"}
_MASKS = {"masks", "mask", "segmentations", "segmentation", "annotations", "groundtruth", "gt"}
NO_CLASSES = IMAGES | _MASKS
_MASK_FILE = re.compile(r"(.+?)[ _-](mask|seg|segmentation)([ _-]?\d+)?$", re.IGNORECASE)


def find_masks(listing: Listing, folder: str) -> list[str]:
    """Find files that must not be read as images of a class.

    These are files in folders such as ``masks/``; what lies beside a folder ``images/``; and ``1_mask.png``
    beside ``1.png``.

    Parameters
    ----------
    folder : str
        Of the class.

    Returns
    -------
    list of str
        Files, sorted.
    """
    stems = {_stem(file) for file in listing.all_in(folder)}
    return [
        file for file in listing.all_in(folder) if _is_beside(listing, folder, file) or _is_mask(file, stems)
    ]


def _is_beside(listing: Listing, folder: str, file: str) -> bool:
    *parents, name = file.removeprefix(f"{folder}/").split("/")
    for part in [*parents, name]:
        pictures = [other for other in listing.below(folder) if name_key(other) in IMAGES]
        if pictures:
            return part not in pictures
        if part is not name and name_key(part) in _MASKS:
            return True
        folder = f"{folder}/{part}"
    return False


def _is_mask(file: str, stems: set[str]) -> bool:
    found = _MASK_FILE.match(last_of(_stem(file)))
    return found is not None and f"{parent_of(file)}/{found[1]}" in stems


def _stem(file: str) -> str:
    return f"{parent_of(file)}/{last_of(file).rpartition('.')[0]}"
