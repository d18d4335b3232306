"""What files of more than 8 bits store is what is read, and what they say of its range is believed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shared.data.pixels.decode import decode_image
from shared.data.pixels.levels import choose_levels, to_bytes
from shared.data.pixels.samples import read_picture
from tests.pixels import decode, encode, pixel_rules, png, tiff

RANDOM = np.random.default_rng(0)
WIDE = RANDOM.integers(0, 65536, (4, 6, 4), dtype=np.uint16)
FLAT12 = np.full((4, 4), 4095, np.uint16)
RULES = pixel_rules(size=4, channels=1, max_pixels=99)
STEPS = np.array([[0, 1, 2, 3]] * 4, dtype=np.uint16)


@pytest.mark.parametrize("several", [1, 2, 3, 4])
def test_both_bytes_of_a_png_of_16_bits_are_read(several: int) -> None:
    stored = WIDE[..., :several]
    samples = read_picture(png(stored), rules=RULES)
    assert samples.values is not None
    assert samples.values.tolist() == (stored[..., 0] if several < 3 else stored[..., :3]).tolist()
    assert (samples.opacity is None) == (several in (1, 3))
    if samples.opacity is not None:
        assert samples.opacity.tolist() == np.rint(stored[..., -1] / 257).tolist()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("stored", [WIDE[..., 0], WIDE[..., :3]])
def test_both_bytes_of_a_tiff_of_16_bits_are_read(
    stored: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], order: str, packed: bool
) -> None:
    file = tiff(stored, order=order, packed=packed, photometric=1 if stored.ndim == 2 else 2)
    samples = read_picture(file, rules=RULES)
    assert samples.values is not None
    assert samples.values.tolist() == stored.tolist()
    assert samples.kind == "uint16"


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("int16", (-1024, 3071)),
        ("int32", (-70000, 70000)),
        ("uint32", (0, 2**32 - 1)),
        ("float32", (-0.5, 1.5)),
    ],
)
def test_signed_long_and_floating_point_values_are_read(kind: str, ends: tuple[float, float]) -> None:
    stored = np.array([ends], dtype=kind)
    samples = read_picture(tiff(stored), rules=RULES)
    assert samples.values is not None
    assert (samples.kind, samples.values.tolist()) == (kind, stored.tolist())
    assert decode(tiff(np.tile(stored, (2, 1))), size=2, chosen={kind: ends}).tolist() == [[[0, 255]] * 2]


def test_the_bits_of_a_tiff_are_its_range() -> None:
    twelve = bytes([0xFF, 0xF8, 0x00]) * 2  # 4095 and 2048, in 12 bits each
    samples = read_picture(tiff(np.zeros((2, 2), np.uint16), bits=12, content=twelve), rules=RULES)
    assert samples.values is not None
    assert samples.values.tolist() == [[4095, 2048]] * 2
    assert samples.stated == (0, 4095)
    file = tiff(FLAT12, tags={340: ("H", 0), 341: ("H", 8190)})  # SMinSampleValue, SMaxSampleValue
    assert np.unique(decode(file)).tolist() == [128]
    _, facts = decode_image(file, rules=pixel_rules(size=4, channels=1))
    assert (facts["black"], facts["white"], facts["basis"]) == (0, 8190, b"file")


@pytest.mark.parametrize(
    ("stored", "levels"),
    [
        (np.array([[0, 65535]], np.uint16), None),
        (np.array([[0, 4095]], np.uint16), (0.0, 4095.0)),
        (np.array([[0, 255]], np.uint8), None),
        (np.array([[0.0, 1.0]], np.float32), None),
    ],
)
def test_white_is_zero_at_any_depth(stored: np.ndarray, levels: tuple[float, float] | None) -> None:  # type: ignore[type-arg]
    file = tiff(np.tile(stored, (2, 1)), photometric=0)
    assert decode(file, size=2, levels=levels).tolist() == [[[255, 0]] * 2]
    assert decode(tiff(np.tile(stored, (2, 1))), size=2, levels=levels).tolist() == [[[0, 255]] * 2]


def test_significant_bits_of_a_png_are_its_kind() -> None:
    assert read_picture(png(FLAT12, {"sBIT": b"\x0c"}), rules=RULES).kind == "uint16/12"
    assert read_picture(png(WIDE[..., :3], {"sBIT": b"\x0a\x0c\x0b"}), rules=RULES).kind == "uint16/12"
    assert read_picture(png(FLAT12, {"sBIT": b"\x10"}), rules=RULES).kind == "uint16"
    assert read_picture(png(STEPS.astype(np.uint8), {"sBIT": b"\x02"}), rules=RULES).kind == "uint8/2"
    assert decode(png(STEPS.astype(np.uint8), {"sBIT": b"\x02"}), chosen={"uint8/2": (0, 3)})[
        0, 0
    ].tolist() == [
        0,
        85,
        170,
        255,
    ]


@pytest.mark.parametrize(
    ("kind", "ends", "levels"),
    [
        ("uint16", (7, 255), (0, 255)),
        ("uint16", (0, 256), (0, 1023)),
        ("uint16", (0, 4080), (0, 4095)),
        ("uint16", (0, 4096), (0, 16383)),
        ("uint16", (9, 16384), (0, 65535)),
        ("uint16/12", (0, 900), (0, 4095)),  # as it says
        ("uint16/12", (0, 65520), (0, 65535)),  # spread over the type, as the standard wants it
        ("uint16", (0, 1), (0, 255)),
        ("float32", (0, 1), (0, 1)),
        ("float32", (0, 1.5), (0, 255)),
        ("float32", (-1, 1), (-1, 1)),
        ("int16", (-1024, 1016), (-1024, 1016)),
        ("int16", (0, 3000), (0, 4095)),
        ("int32", (0, 70000), (0, 70000)),
        ("int16", (-5, -5), (-5, -4)),
    ],
)
def test_levels_are_the_smallest_usual_range(
    kind: str, ends: tuple[float, float], levels: tuple[float, float]
) -> None:
    assert choose_levels(kind, low=ends[0], high=ends[1]) == levels


def test_scaling_is_linear_rounded_and_clipped() -> None:
    for kind in (np.int16, np.int32, np.float32):
        values = np.array([-2000, -1000, -500, 0, 999, 1000, 2000], dtype=kind)
        assert to_bytes(values, (-1000.0, 1000.0)).tolist() == [0, 0, 64, 128, 255, 255, 255]
    assert to_bytes(np.array([0, 16, 4095, 9999], np.uint16), (0.0, 4095.0)).tolist() == [0, 1, 255, 255]


def test_stated_levels_are_used_of_every_file_that_can_hold_them() -> None:
    twelve, eight = png(FLAT12), encode(Image.new("L", (4, 4), 51))
    assert np.unique(decode(twelve, levels=(0.0, 4095.0))).tolist() == [255]
    assert np.unique(decode(eight, levels=(0.0, 4095.0))).tolist() == [51]
    assert np.unique(decode(eight, levels=(0.0, 102.0))).tolist() == [128]


def test_a_model_refuses_values_of_unknown_range() -> None:
    with pytest.raises(ValueError, match="does not state the range of its uint16 values"):
        decode(png(FLAT12), only_known=True)
    assert np.unique(decode(png(FLAT12), only_known=True, chosen={"uint16": (0, 4095)})).tolist() == [255]
    assert np.unique(decode(png(FLAT12 * 16), only_known=True)).tolist() == [255], "so many fill the type"
    with pytest.raises(ValueError, match="float32 values"):
        decode(tiff(np.zeros((4, 4), np.float32)), only_known=True)


CLEAR = {
    "RGBA": encode(Image.new("RGBA", (4, 4), (90, 90, 90, 0))),
    "LA": encode(Image.new("LA", (4, 4), (90, 0))),
    "P": encode(
        Image.new("RGB", (4, 4), (90, 90, 90)).convert("P", palette=Image.Palette.ADAPTIVE), transparency=b"\0"
    ),
    "key": encode(Image.new("L", (4, 4), 90), transparency=90),
    "RGB key": encode(Image.new("RGB", (4, 4), (90, 90, 90)), transparency=(90, 90, 90)),
    "16 bit": png(np.stack([np.full((4, 4), 90 * 257), np.zeros((4, 4))], axis=2).astype(np.uint16)),
    "16 bit key": png(np.full((4, 4), 90 * 257, np.uint16), {"tRNS": (90 * 257).to_bytes(2, "big")}),
}


@pytest.mark.parametrize("name", CLEAR)
@pytest.mark.parametrize(("transparent", "grey"), [("black", 0), ("white", 255), ("ignore", 90)])
def test_what_lies_beneath_transparent_pixels_is_the_setting(name: str, transparent: str, grey: int) -> None:
    for channels in (1, 3):
        pixels, facts = decode_image(
            CLEAR[name], rules=pixel_rules(size=4, channels=channels, transparent=transparent)
        )
        assert np.unique(pixels).tolist() == [grey]
        assert facts["transparent"]


def test_half_transparent_is_half_painted_and_opaque_is_not() -> None:
    half = encode(Image.new("RGBA", (4, 4), (100, 100, 100, 127)))
    assert np.unique(decode(half)).tolist() == [50]
    pixels, facts = decode_image(
        encode(Image.new("RGBA", (4, 4), (100, 100, 100, 255))), rules=pixel_rules(size=4, channels=1)
    )
    assert np.unique(pixels).tolist() == [100]
    assert not facts["transparent"]


def test_several_frames_are_refused_and_smaller_copies_are_not() -> None:
    one, two = Image.new("L", (4, 4), 9), Image.new("L", (4, 4), 200)
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        with pytest.raises(ValueError, match="it holds 2 images"):
            decode(encode(one, kind, save_all=True, append_images=[two]))
    copy = Image.new("L", (2, 2), 9)
    copy.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined] # a reduced image
    assert np.unique(decode(encode(one, "TIFF", save_all=True, append_images=[copy]))).tolist() == [9]


def test_equal_pixels_have_equal_digests_whatever_the_file() -> None:
    rules = pixel_rules(size=2, channels=1)
    image = Image.fromarray(RANDOM.integers(0, 256, (8, 8), dtype=np.uint8))
    other = image.copy()
    other.putpixel((7, 7), image.getpixel((7, 7)) ^ 1)  # type: ignore[operator]
    files = [encode(image), encode(image, "TIFF"), encode(image.convert("RGB"), "BMP"), encode(other)]
    digests = [decode_image(file, rules=rules)[1]["digest"].tobytes() for file in files]
    assert digests[0] == digests[1] == digests[2] != digests[3]
