"""What images lose on their way to one square of grey levels, and what their sizes give away, is said."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images import load_images

RANDOM = np.random.default_rng(0)


def image(width: int, height: int, mode: str = "L", kind: str = "PNG", grey: bool = False) -> bytes:
    """Noise; ``grey``: of no colour, whatever the mode."""
    values = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(np.repeat(values[..., :1], 3, axis=2) if grey else values)
    buffer = io.BytesIO()
    (picture.quantize(16) if mode == "P" else picture.convert(mode)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def notes(make_folder: Callable[..., Path], data_config: Any, tmp_path: Path) -> Callable[..., list[str]]:
    def read(of_class: Callable[[str, int], bytes], **settings: Any) -> list[str]:
        files = {f"{name}/{row}.png": of_class(name, row) for name in ("cat", "dog") for row in range(10)}
        cfg = data_config("classes", make_folder(files), **settings)
        return list(load_images(cfg, cache_dir=tmp_path / "cache").notes)

    return read


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG")])
def test_colours_that_are_dropped_are_said(notes: Any, mode: str, kind: str) -> None:
    assert [
        note for note in notes(lambda *_: image(8, 8, mode, kind)) if note.startswith("20 of 20 images have")
    ]
    kept = notes(lambda *_: image(9, 9, mode, kind), channels=3)
    assert not [note for note in kept if "colours" in note]


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("1", "PNG"), ("RGB", "PNG"), ("RGB", "JPEG"), ("P", "PNG")]
)
def test_grey_images_have_no_colours_whatever_their_mode(notes: Any, mode: str, kind: str) -> None:
    assert not [note for note in notes(lambda *_: image(40, 40, mode, kind, grey=True)) if "colours" in note]


def test_arrays_in_colour(data_config: Any, tmp_path: Path) -> None:
    for number, depth in enumerate((np.uint8, np.uint16)):
        values = RANDOM.integers(0, np.iinfo(depth).max, (60, 28, 28, 3), dtype=depth)
        sides = {"train": values[:40], "test": values[40:]}
        path = tmp_path / f"{number}.npz"
        np.savez(
            path,
            **{f"{side}_images": rows for side, rows in sides.items()},
            **{f"{side}_labels": np.arange(len(rows)) % 2 for side, rows in sides.items()},
        )
        data = load_images(data_config("npz", path), cache_dir=tmp_path / "cache")
        assert [note for note in data.notes if note.startswith("60 of 60 images have colours")]


def test_shapes_that_are_squeezed_are_said(notes: Any) -> None:
    said = notes(lambda _, row: image(8, 8 if row % 2 else 32))
    assert [note for note in said if note.startswith("images are 0.25 to 1 times as wide as high")]
    assert not notes_of_shape(notes(lambda _, row: image(8, 8 if row % 2 else 12)))


def notes_of_shape(said: list[str]) -> list[str]:
    return [note for note in said if "wide as high" in note or "tells its class" in note]


def test_sizes_that_tell_the_class_are_said(notes: Any) -> None:
    said = notes_of_shape(notes(lambda name, _: image(8, 8) if name == "cat" else image(12, 12)))
    assert [note.partition(":")[0] for note in said] == [
        "the size of an image tells its class ('cat' 8 x 8, 'dog' 12 x 12)"
    ]
    for sizes in (
        lambda name, row: (8, 8),
        lambda name, row: (8 + row % 2, 8),
        lambda name, row: (99 + row, 99),
    ):
        assert not notes_of_shape(notes(lambda name, row, sizes=sizes: image(*sizes(name, row))))
