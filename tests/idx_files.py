"""Small sets of images in MNIST's files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

SIZE = 8  # height and width of an image
CODES = {"uint8": 8, "int32": 12, "float64": 14}


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(
    folder: Path, *, packed: bool = True, prefix: str = "", kind: str = "uint8"
) -> dict[str, np.ndarray]:
    """A set of 40 training and 20 test images; the first pixel of each is ten times its label."""
    rng, arrays = np.random.default_rng(0), {}
    folder.mkdir(exist_ok=True)
    for side, rows in (("train", 40), ("t10k", 20)):
        labels = np.arange(rows, dtype="uint8") % 3
        images = rng.integers(0, 256, (rows, SIZE, SIZE)).astype(kind)
        images[:, 0, 0] = 10 * labels
        for name, array in ((f"{side}-images-idx3", images), (f"{side}-labels-idx1", labels)):
            body = idx(array)
            path = folder / f"{prefix}{name}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(body) if packed else body)
            arrays[name] = array
    return arrays
