"""Image files that are written byte by byte, since no library writes them all, and short ways to decode."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.config.compose import compose
from shared.data.pixels.decode import decode_image
from shared.data.pixels.levels import PixelRules, rules_of

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of a PNG, by samples a pixel


@cache
def _defaults() -> PixelRules:
    return rules_of(compose(["data=digits"]).images)


def pixel_rules(**changes: Any) -> PixelRules:
    """The rules of ``conf/`` with some of them changed."""
    return replace(_defaults(), **changes)


def decode(data: bytes, *, size: int = 4, channels: int = 1, **rules: Any) -> npt.NDArray[np.uint8]:
    """The pixels [C, size, size] of an image file."""
    return decode_image(data, rules=pixel_rules(size=size, channels=channels, **rules))[0]


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(samples: npt.NDArray[Any], chunks: Mapping[str, bytes] = {}) -> bytes:
    """A PNG of samples [H, W] or [H, W, S], uint8 or uint16, with further chunks before the pixels."""
    rows = samples.reshape(*samples.shape[:2], -1)
    height, width, several = rows.shape
    depth = 8 * samples.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOUR_TYPES[several], 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in rows)
    parts = {"IHDR": header, **chunks, "IDAT": zlib.compress(lines), "IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name.encode(), content) for name, content in parts.items())


def tiff(
    samples: npt.NDArray[Any],
    *,
    order: str = "<",
    photometric: int = 1,
    bits: int | None = None,
    packed: bool = False,
    content: bytes | None = None,
    tags: Mapping[int, tuple[str, int]] = {},
) -> bytes:
    """A TIFF of samples [H, W] or [H, W, S] of any type.

    Parameters
    ----------
    order : {"<", ">"}
        Of the bytes.
    packed : bool
        Deflate.
    content : bytes, optional
        What lies in place of the samples.
    tags : mapping of int to tuple of str and int
        Further ones, by number: format as of `struct`, one of "H", "I" and "h", and value.
    """
    height, width, *several = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes() if content is None else content
    data = zlib.compress(data) if packed else data
    count, form = (several or [1])[0], {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    depth = struct.pack(f"{order}{count}H", *[bits or 8 * samples.dtype.itemsize] * count)
    entries: dict[int, tuple[str, int, bytes]] = {
        number: (kind, 1, struct.pack(f"{order}{kind}", value))
        for number, (kind, value) in {
            256: ("I", width),
            257: ("I", height),
            259: ("H", 8 if packed else 1),
            262: ("H", photometric),
            273: ("I", 8),
            277: ("H", count),
            278: ("I", height),
            279: ("I", len(data)),
            339: ("H", form),
            **tags,
        }.items()
    }
    entries[258] = ("H", count, depth)
    codes = {"H": 3, "I": 4, "h": 8}
    after, place = b"", 8 + len(data)
    lines = b""
    for number, (kind, length, value) in sorted(entries.items()):
        if len(value) > 4:
            after, value, place = after + value, struct.pack(f"{order}I", place), place + len(value)
        lines += struct.pack(f"{order}HHI", number, codes[kind], length) + value.ljust(4, b"\0")
    directory = struct.pack(f"{order}H", len(entries)) + lines + bytes(4)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data) + len(after))
    return start + data + after + directory


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
