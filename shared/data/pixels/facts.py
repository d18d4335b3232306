"""`FACTS`: what is known of each decoded image beside its pixels, a record a row in a ``.npy`` file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FACTS = np.dtype(
    [
        ("kind", "S16"),  # of values, see `shared.data.pixels.levels.kind_of`; empty: not decoded
        ("low", "f8"),  # smallest and largest value
        ("high", "f8"),
        ("black", "f8"),  # the values that became 0 and 255
        ("white", "f8"),
        ("basis", "S8"),  # what these rest on, see `shared.data.pixels.levels.Basis`
        ("transparent", "?"),  # whether some pixels are, at least in part
        ("coloured", "?"),  # whether it has colours, whatever the channels that are kept
        ("width", "u4"),  # as stored, upright
        ("height", "u4"),
        ("digest", "V16"),  # of the stored pixels, before they are scaled and resized
        (
            "patient",
            "V16",
        ),  # of the DICOM PatientID, salted: 8 bytes of its text_key, 8 of itself; zeros: none
    ]
)
NAME = "facts.npy"


def facts_beside(images: Path) -> Path:
    """Where the facts of a file of images lie."""
    return images.with_name(NAME)
