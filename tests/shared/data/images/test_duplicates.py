"""Images that occur more than once are counted, stay on one side, and must have one label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from shared.data.dataset import Groups
from shared.data.images.dataset import ImageData
from shared.data.images.duplicates import alike, count_duplicates, join, sets_of, together
from shared.runtime.errors import DataError
from tests.images import load_images
from tests.pixels import encode

Load = Callable[..., ImageData]

RANDOM = np.random.default_rng(0)
PICTURES = [Image.fromarray(RANDOM.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(40)]


@pytest.fixture
def load(tmp_path: Path, data_config: Any, make_folder: Callable[..., Path]) -> Load:
    """Reads rows of picture, label, and further columns."""

    def run(
        rows: Sequence[Sequence[Any]], *more: str, kind: Callable[[int], str] = lambda row: "PNG", **set: Any
    ) -> Any:
        table = [",".join(["filename", "label", *more])]
        files = {}
        for row, (picture, *rest) in enumerate(rows):
            files[f"images/{row}.img"] = encode(PICTURES[picture], kind(row))
            table.append(",".join([f"{row}.img", *map(str, rest)]))
        root = make_folder({"metadata.csv": "\n".join(table).encode(), **files})
        return load_images(data_config("folder", root, **set), cache_dir=tmp_path / "cache")

    return run


def test_given_sides_that_share_images_are_counted(load: Load) -> None:
    sides = ["train"] * 24 + ["val"] * 8 + ["test"] * 8
    rows: list[Any] = [(row, "ab"[row % 2], side) for row, side in enumerate(sides)]
    rows += [(row, "ab"[row % 2], "train") for row in range(34, 40)]  # 6 of the 8 test images
    rows += [(24, "a", "train")]
    data = load(rows, "split", kind=lambda row: "PNG" if row % 3 else "BMP")
    assert data.duplicates is not None
    assert data.duplicates.images == 14
    assert data.duplicates.across == {"test in train": 6, "val in train": 1}
    assert [note for note in data.notes if note.startswith("6 of 8 test images: identical to training images")]
    assert data.facts["identical"].startswith("14 images more than once")
    assert data.splits.tolist() == [row[2] for row in rows], "what is given stays"


def test_a_drawn_split_keeps_copies_on_one_side(load: Load) -> None:
    rows = [(row % 20, "ab"[row % 2]) for row in range(40)]
    for seed in range(3):
        data = load(rows, split_seed=seed)
        assert data.splits[:20].tolist() == data.splits[20:].tolist()
        assert set(data.splits) == {"train", "val", "test"}
        assert data.duplicates is not None
        assert (data.duplicates.images, data.duplicates.across) == (40, {})
    apart = load(rows, duplicates="ignore")
    assert apart.splits[:20].tolist() != apart.splits[20:].tolist()
    assert apart.duplicates is None


def test_patients_that_share_an_image_stay_together(load: Load) -> None:
    rows = [(row if row != 39 else 0, "ab"[row // 2 % 2], f"p{row // 2}") for row in range(40)]
    rows[39] = (0, "a", "p19")
    rows[38] = (38, "a", "p19")
    for seed in range(4):
        data = load(rows, "patient_id", split_seed=seed)
        assert len({*data.splits[[0, 1, 38, 39]].tolist()}) == 1
        assert len(data.groups.names) == 20, "they are two patients nevertheless"
    assert [note for note in data.notes if note.startswith("2 images identical to one of another patient")]


def test_identical_images_of_different_labels_are_refused(load: Load) -> None:
    rows = [(row % 20, "ab"[row % 2]) for row in range(40)]
    rows[25] = (5, "a")
    with pytest.raises(DataError, match=r"(?s)'5.img' \(b\) and '25.img' \(a\).*data.duplicates=warn"):
        load(rows)
    data = load(rows, duplicates="warn")
    assert [note for note in data.notes if note.startswith("identical with different labels: 1 image, such as")]


def test_data_without_duplicates_is_split_as_before(load: Load) -> None:
    rows = [(row, "ab"[row % 2]) for row in range(40)]
    looked, not_looked = load(rows), load(rows, duplicates="ignore")
    assert looked.splits.tolist() == not_looked.splits.tolist()
    assert looked.facts["identical"] == "none"
    assert [note for note in looked.notes if "identical" in note] == []


def picture(seed: int, size: int = 64) -> npt.NDArray[np.float64]:
    """A smooth picture: waves of random direction, and a patch."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = sum(np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in random.normal(0, 2, (6, 3)))
    return np.clip(128 + 30 * np.asarray(waves), 0, 255)


def test_images_that_are_alike_are_found() -> None:
    pictures = [picture(seed) for seed in range(30)]
    brighter = np.clip(pictures[3] * 0.8 + 30, 0, 255)
    noisy = np.clip(pictures[7] + RANDOM.normal(0, 5, (64, 64)), 0, 255)
    flat = [np.full((64, 64), grey) for grey in (9, 200)]
    images = np.array([*pictures, brighter, noisy, *flat]).astype(np.uint8)[:, None]
    assert alike(images, 0.99) == [(3, 30), (7, 31)]
    assert alike(images[:, :, :7, :7], 0.9999) == [(3, 30)], (
        "also where images are smaller than the small copies"
    )


def test_near_duplicates_stay_together(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = [Image.fromarray(picture(seed).astype(np.uint8)) for seed in range(20)]
    near = [image.point(lambda value: value * 0.9) for image in smooth]
    monkeypatch.setitem(globals(), "PICTURES", smooth + near)
    rows = [(row, "ab"[row % 2]) for row in range(40)]
    data = load(rows, near_duplicates=0.99, image_size=32)
    assert data.splits[:20].tolist() == data.splits[20:].tolist()
    assert [note for note in data.notes if "images that are alike has 2" in note]
    assert load(rows, image_size=32).splits[:20].tolist() != data.splits[:20].tolist()


def test_joining_is_transitive() -> None:
    numbers = np.array([0, 0, 1, 2, 3, 3, 4])
    joined = join(numbers, [(1, 2), (3, 2), (6, 6)])
    assert joined.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert sets_of(joined) == [[0, 1, 2, 3], [4, 5]]
    groups = Groups(np.arange(3), ("x", "y", "z"))
    assert together(groups, np.arange(3)) is groups
    assert together(None, np.arange(3)) is None
    assert count_duplicates(np.array([0, 0, 0]), np.array(["train", "val", "test"])).across == {
        "val in train": 1,
        "test in train": 1,
        "test in val": 1,
    }
