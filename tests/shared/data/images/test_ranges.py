"""Images of every depth are as bright as they were meant, in training and for the model that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.data.images.dataset import ImageData
from shared.data.images.reading import from_array
from shared.data.pixels.levels import rules_of
from shared.data.schema import Schema
from shared.runtime.errors import DataError
from tests.images import load_images
from tests.pixels import decode, png, tiff

Load = Callable[..., ImageData]

GREYS = np.linspace(0, 255, 20).astype(int)  # of 20 images: the first is black, the last is white


@pytest.fixture
def load(tmp_path: Path, data_config: Any, make_folder: Callable[..., Path]) -> Load:
    """Reads one image file a row, whose labels alternate; the first and the last are to train on."""

    def run(files: list[bytes], split: str = "", **changes: Any) -> ImageData:
        sides = split or "e" + "tev" * 6 + "e"
        names = {"e": "train", "t": "test", "v": "val"}
        rows = [f"{row}.png,{'ab'[row % 2]},{names[sides[row]]}" for row in range(len(files))]
        table = "\n".join(["filename,label,split", *rows]).encode()
        images = {f"images/{row}.png": file for row, file in enumerate(files)}
        root = make_folder({"metadata.csv": table, **images})
        sides_read = changes.pop("sides", ("train", "val", "test"))
        cfg = data_config("folder", root, image_size=4, **changes)
        return load_images(cfg, cache_dir=tmp_path / "cache", sides=sides_read)

    return run


def levels_of(data: ImageData) -> list[int]:
    assert np.all(data.images == data.images[:, :1, :1, :1])
    return [int(level) for level in data.images[:, 0, 0, 0]]


def file_of(level: int, kind: str) -> bytes:
    flat = np.full((4, 4), level)
    return {
        "8 bit": lambda: png(flat.astype(np.uint8)),
        "12 in 16 bit": lambda: png((flat * 4095 // 255).astype(np.uint16)),
        "10 in 16 bit": lambda: png((flat * 1023 // 255).astype(np.uint16)),
        "16 bit": lambda: png((flat * 257).astype(np.uint16)),
        "16 bit, white is zero": lambda: tiff(((255 - flat) * 257).astype(np.uint16), photometric=0),
        "12 bit, white is zero": lambda: tiff(((255 - flat) * 4095 // 255).astype(np.uint16), photometric=0),
        "8 in 16 bit": lambda: png(flat.astype(np.uint16)),
        "12 in sBIT": lambda: png((flat * 4095 // 255).astype(np.uint16), {"sBIT": b"\x0c"}),
        "12 shifted in sBIT": lambda: png((flat * 257).astype(np.uint16), {"sBIT": b"\x0c"}),
        "signed": lambda: tiff((flat * 10 - 1024).astype(np.int16)),
        "32 bit": lambda: tiff((flat * 16).astype(np.int32)),
        "unit": lambda: tiff((flat / 255).astype(np.float32)),
        "colour": lambda: png(np.repeat((flat * 4095 // 255).astype(np.uint16)[..., None], 3, axis=2)),
    }[kind]()


KINDS = [
    "8 bit", "12 in 16 bit", "10 in 16 bit", "16 bit", "16 bit, white is zero", "12 bit, white is zero",
    "8 in 16 bit", "12 in sBIT", "12 shifted in sBIT", "signed", "32 bit", "unit", "colour",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_black_is_black_and_white_is_white_at_any_depth(load: Load, kind: str) -> None:
    data = load([file_of(level, kind) for level in GREYS])
    assert np.abs(np.array(levels_of(data)) - GREYS).max() <= 1  # the files themselves are rounded


def test_mixed_depths_do_not_tell_the_class(load: Load) -> None:
    data = load([file_of(200, ("8 bit", "12 in 16 bit")[row % 2]) for row in range(18)] + [
        file_of(255, "8 bit"), file_of(255, "12 in 16 bit")])  # fmt: skip
    assert set(levels_of(data)[:18]) <= {199, 200}
    assert any("10 uint16, 10 uint8" in note for note in data.notes)
    assert {(one.kind, one.images, one.high, one.white) for one in data.ranges} == {
        ("uint8", 10, 255, 255),
        ("uint16", 10, 4095, 4095),
    }
    assert "10 uint16, " in data.facts["values"]
    assert "4095 white" in data.facts["values"]


def test_the_training_images_alone_choose_the_levels(load: Load) -> None:
    files = [file_of(level, "12 in 16 bit") for level in GREYS]
    files[4] = file_of(255, "16 bit")  # a test image
    data = load(files, split="eeee" + "t" + "e" * 14 + "v")
    assert data.schema.levels == (("uint16", (0, 4095)),)
    assert levels_of(data)[4] == 255
    assert [note for note in data.notes if note.startswith("values beyond black or white are clipped in 1 ")]
    data = load(files, split="e" * 18 + "vt")
    assert data.schema.levels == (("uint16", (0, 65535)),)


def test_a_setting_is_used_or_refused(load: Load) -> None:
    files = [file_of(level, "12 in 16 bit") for level in GREYS]
    assert max(levels_of(load(files, levels=(0, 8190)))) == 128
    assert load(files, levels=(0, 8190)).schema.levels == ()
    eight = [file_of(level, "8 bit") for level in GREYS]
    with pytest.raises(DataError, match=r"data\.levels=\[0,4095\] has no effect"):
        load(eight, levels=(0, 4095))
    data = load(
        eight, levels=(0, 4095), sides=("train", "val")
    )  # at a site, whose files may differ from others'
    assert [note for note in data.notes if note.startswith("data.levels=[0,4095] has no effect")]
    assert max(levels_of(load(eight, levels=(0, 510 / 2)))) == 255
    assert levels_of(load(eight, levels=(0, 51)))[4:] == [255] * 16


def test_images_that_look_wrong_are_said(load: Load) -> None:
    dark = load([png(np.full((4, 4), row, np.uint8)) for row in range(20)])
    assert [note for note in dark.notes if "as grey levels 0 to 19 of 0 to 255" in note]
    assert not [
        note for note in load([file_of(level, "8 bit") for level in GREYS]).notes if "grey levels" in note
    ]


def test_a_model_reads_images_by_the_levels_it_was_trained_with(load: Load, data_config: Any) -> None:
    data = load([file_of(level, "12 in 16 bit") for level in GREYS])
    schema = Schema.from_json(data.schema.to_json())
    rules = rules_of(data_config("digits", image_size=4), chosen=dict(schema.levels))
    dark = png(np.full((4, 4), 819, np.uint16))  # by itself it would be 10 bit
    assert np.unique(decode(dark, chosen=rules.chosen, only_known=True)).tolist() == [51]
    array = np.full((2, 1, 4, 4), 819, np.uint16)
    assert np.unique(from_array(array, rules=rules)).tolist() == [51]
    with pytest.raises(DataError, match="does not state the range of its float32 values"):
        from_array(array.astype(np.float32), rules=rules)


def test_sites_that_scale_otherwise_are_told(load: Load) -> None:
    server = Schema(levels=(("uint16", (0.0, 4095.0)),))
    assert server.differences(Schema()) == []
    assert server.differences(Schema(levels=(("uint16", (0.0, 4095.0)),))) == []
    (said,) = server.differences(Schema(levels=(("uint16", (0.0, 65535.0)),)))
    assert "0 to 65535" in said
    assert "0 to 4095" in said
    assert "data.levels" in said
    (said,) = server.differences(Schema(levels=(("int16", (-1024.0, 3071.0)),)))
    assert "the server has none of this kind" in said
    old = '{"classes": [], "inputs": [], "targets": [], "horizon": 0}'
    assert Schema.from_json(old).levels == ()
    for wrong in ("[1]", "[1, 0]", '["a", 1]', "[0, Infinity]"):
        with pytest.raises(ValueError, match="lower first"):
            Schema.from_json(old[:-1] + f', "levels": [["uint16", {wrong}]]}}')


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "<f8", ">u2"])
def test_arrays_of_any_type_are_scaled(data_config: Any, tmp_path: Path, dtype: str) -> None:
    whole = np.broadcast_to(np.linspace(0, 4095, 20)[:, None, None], (20, 4, 4)).astype(dtype)
    labels = np.arange(20)[:, None] % 2
    parts = {"train": slice(20), "val": slice(5, 10), "test": slice(10, 15)}
    arrays = {f"{side}_images": whole[part] for side, part in parts.items()}
    arrays |= {f"{side}_labels": labels[part] for side, part in parts.items()}
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    data = load_images(data_config("npz", path, image_size=4), cache_dir=tmp_path / "cache")
    assert np.abs(np.array(levels_of(data)[:20]) - np.linspace(0, 255, 20)).max() <= 1
    assert [ends for _, ends in data.schema.levels] == [(0, 4095)]


def test_numbers_below_0_that_lost_their_sign_are_said(load: Load) -> None:
    random = np.random.default_rng(0)
    half = np.where(np.arange(4) < 2, -500, 500)  # air beside tissue
    signed = [(half + random.integers(-99, 99, (4, 4))).astype(np.int16) for _ in range(20)]
    wrapped = load([png(values.view(np.uint16)) for values in signed], split="e" * 16 + "ttvv").notes
    assert [note for note in wrapped if "stored without a sign" in note]
    whole = [random.integers(0, 65536, (4, 4)).astype(np.uint16) for _ in range(20)]
    assert not [note for note in load([*map(png, whole)], split="e" * 16 + "ttvv").notes if "sign" in note]


@pytest.mark.parametrize("few", [1, 3, 7])
def test_training_images_of_fewer_bits_than_others_are_counted(load: Load, few: int) -> None:
    ramp = np.arange(16).reshape(4, 4)
    files = [
        png((ramp * 4000 // 15 + row if row < few else ramp * 4000 + row).astype(np.uint16))
        for row in range(20)
    ]
    notes = load(files, split="e" * 16 + "ttvv").notes
    assert [note for note in notes if note.startswith(f"{few} of 16 training images of uint16 ")]
    deep = load(files, split="t" * 8 + "e" * 10 + "vv").notes  # what is not trained on is not counted
    assert not [note for note in deep if "training images of uint16" in note]
