"""Image files of every kind become 8-bit pixels; damaged ones are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.pixels import decode, encode, pixel_rules


def flat(mode: str, colour: Any, size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("data", "grey"),
    [
        (encode(flat("L", 100)), 100),
        (encode(flat("1", 1)), 255),
        (encode(flat("RGB", (50, 50, 50))), 50),
        (encode(flat("RGBA", (50, 50, 50, 255))), 50),
        (encode(flat("RGB", (9, 9, 9)).convert("P", palette=Image.Palette.ADAPTIVE)), 9),
        (encode(Image.fromarray(np.full((4, 4), 65535, np.uint16))), 255),
        (encode(Image.fromarray(np.full((4, 4), 257 * 7, np.uint16))), 7),
        (encode(Image.fromarray(np.full((4, 4), 257 * 7 + 129, np.uint16))), 8),  # rounded, not cut
        (encode(flat("L", 100), "JPEG"), 100),
        (encode(flat("RGB", (90, 90, 90)), "JPEG"), 90),
        (encode(flat("CMYK", (0, 0, 0, 0)), "JPEG"), 255),
    ],
)
def test_modes(data: bytes, grey: int) -> None:
    one = decode(data, size=4, channels=1)
    assert one.dtype == np.uint8
    assert one.tolist() == [[[grey] * 4] * 4]
    assert decode(data, size=4, channels=3).tolist() == [[[grey] * 4] * 4] * 3


def test_colours_come_first_and_grey_is_their_luma() -> None:
    red = encode(flat("RGB", (255, 0, 0)))
    assert decode(red, size=4, channels=3)[:, 0, 0].tolist() == [255, 0, 0]
    assert decode(red, size=4, channels=1)[0, 0, 0] == 76  # 0.299 * 255, ITU-R 601


@pytest.mark.parametrize("shape", [(8, 8), (3, 20), (64, 17), (1, 1)])
def test_any_size_is_resized(shape: tuple[int, int]) -> None:
    data = encode(flat("L", 33, shape))
    assert decode(data, size=8, channels=1).tolist() == [[[33] * 8] * 8]


def test_resizing_averages_instead_of_skipping_pixels() -> None:
    stripes = np.tile(np.array([0, 200], dtype=np.uint8), (64, 32))
    small = decode(encode(Image.fromarray(stripes)), size=8, channels=1)
    assert np.abs(small[:, :, 1:-1].astype(int) - 100).max() <= 15


def test_exif_orientation_is_respected() -> None:
    top_white = np.zeros((4, 4), dtype=np.uint8)
    top_white[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = decode(encode(Image.fromarray(top_white), exif=exif), size=4, channels=1)
    assert turned[0, :, 0].tolist() == [0, 0, 0, 255]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
GOOD = encode(Image.fromarray(np.arange(4096, dtype=np.uint16).astype(np.uint8).reshape(64, 64)))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"filename,label\na.png,sick\n", "not an image"),
        (GOOD[: len(GOOD) // 2], "truncated"),
        (encode(flat("RGB", (1, 2, 3), (64, 64)), "JPEG")[:-100], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "not an image"),
        (encode(NOISE, "JPEG")[:2000], "truncated"),
        (encode(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "not finite"),
    ],
)
def test_damaged_files_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){reason}"):
        decode(data, size=8, channels=1)


@pytest.mark.attack
@pytest.mark.parametrize("limit", [4095, 1500])  # Pillow warns of the one, and raises of the other
def test_larger_images_name_the_setting(limit: int) -> None:
    with pytest.raises(ValueError, match=rf"64 x 64 = 4096 pixels, data\.max_image_pixels={limit} "):
        decode(GOOD, size=8, max_pixels=limit)
    assert decode(GOOD, size=8, max_pixels=4096).shape == (1, 8, 8)
    before = Image.MAX_IMAGE_PIXELS
    assert before != limit, "the limit of other users of Pillow stays"


def test_rules_are_the_same_after_json() -> None:
    rules = pixel_rules(size=8, channels=3, chosen={"int16": (-1024.0, 3071.0)})
    for one in (rules, pixel_rules(size=8, channels=1, levels=(0.0, 4095.0), only_known=True)):
        assert type(one).from_json(one.to_json()) == one
