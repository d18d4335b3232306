"""`write_arrays`: images that are arrays already, scaled and resized as image files are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.data.pixels.decode import Facts, Pixels, digest_of, render
from shared.data.pixels.facts import facts_beside
from shared.data.pixels.levels import PixelRules, kind_of
from shared.data.pixels.samples import Samples
from shared.data.progress import progress_bar

NUMBERS = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")  # types of images

_WORDS = {"U": "text", "S": "text", "O": "Python objects", "V": "records", "M": "dates", "m": "durations"}


def type_words(dtype: np.dtype[Any]) -> str:
    """What an array holds, in words for people: ``float64``, ``text``."""
    return _WORDS.get(dtype.kind, dtype.name)


def write_arrays(blocks: Iterator[npt.NDArray[Any]], *, out: Path, rules: PixelRules, progress: bool) -> None:
    """Fill a file of images, and that of their facts, see `shared.data.pixels.decode.decode_rows`.

    Parameters
    ----------
    blocks : iterator of ndarray [n, H, W], [n, H, W, 1] or [n, H, W, 3]
        Of any real type; as many rows as the files have.

    Raises
    ------
    ValueError
        See `render_array`; the row is named.
    """
    images, facts = np.load(out, mmap_mode="r+"), np.load(facts_beside(out), mmap_mode="r+")
    row = 0
    with progress_bar("reading images", total=len(images), show=progress) as advance:
        for block in blocks:
            block = block[..., 0] if block.ndim == 4 and block.shape[3] == 1 else block
            if _is_ready(block, rules):
                images[row : row + len(block), 0] = block
                _describe(block, facts[row : row + len(block)])
                row += len(block)
            else:
                for image in block:
                    try:
                        images[row], facts[row] = render_array(image, rules=rules)
                    except ValueError as error:
                        raise ValueError(f"image {row} (from 0) {error}") from None
                    row += 1
            advance(len(block))
    assert row == len(images)


def render_array(image: npt.NDArray[Any], *, rules: PixelRules) -> tuple[Pixels, Facts]:
    """Scale and resize one image that is an array.

    Parameters
    ----------
    image : ndarray [H, W], [H, W, 1] or [H, W, 3]

    Raises
    ------
    ValueError
        Some values are not finite, or see `shared.data.pixels.decode.render`.
    """
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    kind = kind_of(image.dtype)
    if image.dtype == np.uint8:
        return render(Samples(picture=Image.fromarray(image), kind=kind), rules=rules)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError("holds values that are not finite (NaN or infinite)")
    return render(Samples(values=image, kind=kind), rules=rules)


def _is_ready(block: npt.NDArray[Any], rules: PixelRules) -> bool:
    # Whether rendering would change nothing, so that all rows can be written at once.
    ready = block.dtype == np.uint8 and rules.channels == 1 and block.shape[1:] == (rules.size, rules.size)
    return ready and rules.levels is None


def _describe(block: npt.NDArray[np.uint8], facts: npt.NDArray[Any]) -> None:
    facts["kind"], facts["basis"], facts["white"] = kind_of(np.uint8), "type", 255
    facts["height"], facts["width"] = block.shape[1:]
    facts["low"], facts["high"] = block.min(axis=(1, 2)), block.max(axis=(1, 2))
    facts["digest"] = [np.void(digest_of(image)) for image in np.ascontiguousarray(block)]
