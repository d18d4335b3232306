"""Arrays of images and labels: what their headers declare is checked first, then they are read in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from shared.config.data import ImageDataConfig
from shared.data.pixels.levels import rules_of
from shared.data.pixels.limits import FREE_DECODED_BYTES, LEAST_DECODED_BYTES, over
from shared.data.pixels.of_arrays import NUMBERS, type_words

_MOST_LABELS = 20  # an image, if there are as many images as rows are allowed
_BLOCK_BYTES = 2**24  # images are streamed, and never all in memory

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]  # shape, Fortran order, type


def size_problems(headers: Mapping[str, Header], cfg: ImageDataConfig, *, packed: int) -> list[str]:
    """What the headers declare beyond the limits.

    Parameters
    ----------
    headers : mapping of str to Header
        By names that end with ``_images`` and ``_labels``.
    packed : int
        Bytes in which all of them are stored.
    """
    problems, work = [], 0
    rows = sum(shape[0] for key, (shape, _, _) in headers.items() if shape and key.endswith("_labels"))
    if rows > cfg.max_rows:
        problems.append(over(f"its labels declare {rows} rows", "max_rows", cfg.max_rows))
    for key, (shape, _, dtype) in headers.items():
        per_row = math.prod(shape[1:])
        if key.endswith("_labels") and per_row > cfg.max_columns:
            problems.append(over(f"{key} declares {per_row} labels an image", "max_columns", cfg.max_columns))
        elif key.endswith("_labels") and per_row > 1 and math.prod(shape) > cfg.max_rows * _MOST_LABELS:
            problems.append(over(f"{key} declares {math.prod(shape)} labels", "max_rows", cfg.max_rows))
        if key.endswith("_images") and len(shape) > 2:
            try:
                size = rules_of(cfg).check_size(
                    shape[2], shape[1], pixel_bytes=math.prod(shape[3:]) * dtype.itemsize
                )
            except ValueError as error:
                problems.append(f"an image of {key} is too large: {error}")
                continue
            work += shape[0] * max(size, LEAST_DECODED_BYTES)
    if work > max(packed * cfg.max_image_ratio, FREE_DECODED_BYTES):
        found = (
            f"its images declare {work} bytes ({LEAST_DECODED_BYTES} at least for each), {packed} are stored"
        )
        problems.append(over(found, "max_image_ratio", cfg.max_image_ratio))
    return problems


def image_problems(key: str, header: Header) -> list[str]:
    """What an array of images should be, and is not."""
    shape, fortran, dtype = header
    problems = []
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape:
        problems.append(f"{key} must be [N, H, W] or [N, H, W, 3] with N above 0, got {list(shape)}")
    if dtype.name not in NUMBERS:
        problems.append(f"{key} must be of type {', '.join(NUMBERS)}, got {type_words(dtype)}")
    if fortran:
        problems.append(f"{key} must lie in C order (numpy.ascontiguousarray), got Fortran order")
    return problems


def label_problems(key: str, header: Header) -> list[str]:
    """What an array of labels should be, and is not."""
    shape, _, dtype = header
    problems = []
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        problems.append(
            f"{key} must be [N] or [N, 1], one label an image, or [N, labels] of 0 and 1, got {list(shape)}"
        )
    if dtype.kind not in "iu":
        problems.append(f"{key} must be whole numbers, got {type_words(dtype)}")
    return problems


def labels_per_image(header: Header) -> int:
    """How many labels an image has."""
    return math.prod(header[0][1:])


def blocks_of(
    handle: IO[bytes], key: str, *, count: int, shape: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[npt.NDArray[Any]]:
    """Read the rows that come next in a file, block by block, to its end.

    Parameters
    ----------
    key : str
        What the file is called in errors.
    count : int
        Rows.
    shape : sequence of int
        Of one.

    Raises
    ------
    ValueError
        There are fewer rows, or more.
    """
    row_bytes = math.prod(shape) * dtype.itemsize
    block = max(_BLOCK_BYTES // row_bytes, 1)
    for start in range(0, count, block):
        rows = min(block, count - start)
        data = handle.read(rows * row_bytes)
        if len(data) != rows * row_bytes:
            raise ValueError(f"{key} ends before its {count} rows do")
        block_images = np.frombuffer(data, dtype=dtype).reshape(rows, *shape)
        yield block_images.astype(dtype.newbyteorder("="), copy=False)
    if handle.read(1):  # reading to the end checks a CRC, too
        raise ValueError(f"{key} is longer than its {count} rows")
