"""Image files of every kind become 8-bit pixels; damaged ones are named."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.data.pixels.decode import decode_image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flat(mode: str, colour: Any, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("data", "grey"),
    [
        (encode(flat("L", 100)), 100),
        (encode(flat("1", 1)), 255),
        (encode(flat("RGB", (50, 50, 50))), 50),
        (encode(flat("RGBA", (50, 50, 50, 0))), 50),  # transparency is dropped, not painted
        (encode(flat("LA", (70, 9))), 70),
        (encode(flat("RGB", (9, 9, 9)).convert("P", palette=Image.Palette.ADAPTIVE)), 9),
        (encode(flat("RGB", (9, 9, 9)).convert("P", palette=Image.Palette.ADAPTIVE), transparency=b"\0"), 9),
        (encode(Image.fromarray(np.full((4, 4), 65535, np.uint16))), 255),
        (encode(Image.fromarray(np.full((4, 4), 257 * 7, np.uint16))), 7),
        (encode(Image.fromarray(np.full((4, 4), 257 * 7 + 129, np.uint16))), 8),  # rounded, not cut
        (encode(flat("L", 100), "JPEG"), 100),
        (encode(flat("RGB", (90, 90, 90)), "JPEG"), 90),
        (encode(flat("CMYK", (0, 0, 0, 0)), "JPEG"), 255),
        (encode(Image.fromarray(np.full((4, 4), 257 * 7, np.int32)), "TIFF"), 7),
    ],
)
def test_modes(data: bytes, grey: int) -> None:
    one = decode_image(data, size=4, channels=1)
    assert one.dtype == np.uint8
    assert one.tolist() == [[[grey] * 4] * 4]
    assert decode_image(data, size=4, channels=3).tolist() == [[[grey] * 4] * 4] * 3


def test_colours_come_first_and_grey_is_their_luma() -> None:
    red = encode(flat("RGB", (255, 0, 0)))
    assert decode_image(red, size=4, channels=3)[:, 0, 0].tolist() == [255, 0, 0]
    assert decode_image(red, size=4, channels=1)[0, 0, 0] == 76  # 0.299 * 255, ITU-R 601


@pytest.mark.parametrize("shape", [(8, 8), (3, 20), (64, 17), (1, 1)])
def test_any_size_is_resized(shape: tuple[int, int]) -> None:
    data = encode(flat("L", 33, shape))
    assert decode_image(data, size=8, channels=1).tolist() == [[[33] * 8] * 8]


def test_resizing_averages_instead_of_skipping_pixels() -> None:
    stripes = np.tile(np.array([0, 200], dtype=np.uint8), (64, 32))
    small = decode_image(encode(Image.fromarray(stripes)), size=8, channels=1)
    assert np.abs(small[:, :, 1:-1].astype(int) - 100).max() <= 15


def test_exif_orientation_is_respected() -> None:
    top_white = np.zeros((4, 4), dtype=np.uint8)
    top_white[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = decode_image(encode(Image.fromarray(top_white), exif=exif), size=4, channels=1)
    assert turned[0, :, 0].tolist() == [0, 0, 0, 255]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
GOOD = encode(Image.fromarray(np.arange(4096, dtype=np.uint16).astype(np.uint8).reshape(64, 64)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"filename,label\na.png,sick\n", "not an image"),
        (GOOD[: len(GOOD) // 2], "truncated"),
        (encode(flat("RGB", (1, 2, 3), (64, 64)), "JPEG")[:-100], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not an image"),
        (encode(NOISE, "JPEG")[:2000], "truncated"),
        (encode(flat("F", 0.5), "TIFF"), "floating-point"),
    ],
)
def test_damaged_files_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){reason}"):
        decode_image(data, size=8, channels=1)


@pytest.mark.parametrize("limit", [1500, 3000])  # Pillow raises above twice its limit, else it warns
def test_decompression_bombs_are_refused(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match="decompression bomb"):
        decode_image(GOOD, size=8, channels=1)
