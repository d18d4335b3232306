"""A hospital's ZIP of X-rays for tests: PNGs of two classes that differ in brightness, with patients."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image

CLASSES = ("NORMAL", "PNEUMONIA")


def png(label: int, seed: int, *, side: int = 16) -> bytes:
    """One image."""
    rng, content = np.random.default_rng(seed), io.BytesIO()
    low = 20 + 120 * label
    Image.fromarray(rng.integers(low, low + 60, (side, side), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


def xrays(number: int, *, first: str = "0.png", more: Mapping[str, bytes] | None = None) -> bytes:
    """A ZIP with ``images/`` and ``metadata.csv``, two images of each patient.

    Parameters
    ----------
    first : str
        What the first image is called.
    more : mapping, optional
        Further entries by name.
    """
    packed, lines = io.BytesIO(), ["filename,label,patient_id"]
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in range(number):
            name, label = (first if row == 0 else f"{row}.png"), row // 2 % 2
            archive.writestr(f"images/{name}", png(label, row))
            lines.append(f"{name},{CLASSES[label]},p{row // 2}")
        archive.writestr("metadata.csv", "\n".join(lines))
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return packed.getvalue()
