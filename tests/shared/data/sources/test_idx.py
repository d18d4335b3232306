"""Sets in MNIST's files: what is read, and every way in which they can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from shared.config.compose import compose
from shared.data.sources.layout import recognise
from shared.runtime.errors import DataError
from tests.idx_files import SIZE, write_idx
from tests.images import load_images


def read(folder: Path, cache_dir: Path, *more: str):
    cfg = compose(["data=idx", f"data.path={folder}", f"data.image_size={SIZE}", *more])
    return load_images(cfg.data, cache_dir=cache_dir)


@pytest.mark.parametrize("packed", [True, False])
def test_images_keep_their_labels_and_sides(packed: bool, tmp_path: Path, cache_dir: Path) -> None:
    arrays = write_idx(tmp_path / "set", packed=packed)
    data = read(tmp_path / "set", cache_dir, "data.val_fraction=0.25")
    assert recognise(tmp_path / "set") == ("idx", tmp_path / "set")
    assert [(data.splits == side).sum() for side in ("train", "val", "test")] == [25, 15, 20]
    pixels = np.asarray(data.images[data.splits == "test"]).reshape(20, SIZE, SIZE)
    assert np.array_equal(pixels, arrays["t10k-images-idx3"])
    every = np.asarray(data.images[:]).reshape(60, SIZE, SIZE)
    assert np.array_equal(every[:, 0, 0], 10 * np.asarray(data.targets))


def test_other_names_and_types_are_read(tmp_path: Path, cache_dir: Path) -> None:
    write_idx(tmp_path / "set", prefix="emnist-letters-", kind="float64")
    assert len(read(tmp_path / "set", cache_dir).targets) == 60


def test_of_a_file_that_is_there_twice_the_unpacked_one_is_read(tmp_path: Path, cache_dir: Path) -> None:
    write_idx(tmp_path / "set")
    write_idx(tmp_path / "set", packed=False)
    (tmp_path / "set" / "t10k-images-idx3-ubyte.gz").write_bytes(b"not this one")
    assert len(read(tmp_path / "set", cache_dir).targets) == 60


def damage(folder: Path, name: str, change) -> None:
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


def declare(axes: int, place: int, size: int):
    def change(body: bytes) -> bytes:
        return body[: 4 + 4 * place] + struct.pack(">I", size) + body[8 + 4 * place :]

    return change


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("t10k-labels-idx1-ubyte", None, "there is no file test-labels-idx1-ubyte, packed .* or not"),
        ("train-images-idx3-ubyte", lambda body: b"PK" + body[2:], "00 00 and its type, this one with 50 4b"),
        ("train-images-idx3-ubyte", lambda body: body[:9], "ends within its header of 3 axes"),
        ("train-images-idx3-ubyte", lambda body: body[:-1], "ends before its 40 rows do"),
        ("train-labels-idx1-ubyte", lambda body: body + b"\0", "longer than its 40 rows"),
        ("train-labels-idx1-ubyte", lambda body: b"", "this one with nothing"),
        ("train-labels-idx1-ubyte", declare(1, 0, 39), "train has images .* but labels .39."),
        ("train-images-idx3-ubyte", declare(3, 0, 2**32 - 1), "max_image_ratio"),
        ("train-images-idx3-ubyte", declare(3, 1, 2**32 - 1), "too large"),
        ("train-labels-idx1-ubyte", declare(1, 0, 2**32 - 1), "max_rows"),
        ("train-images-idx3-ubyte", declare(3, 1, 0), "must be .N, H, W."),
        ("train-images-idx3-ubyte", lambda body: gzip.compress(body)[:-9], "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name, change, error, tmp_path: Path, cache_dir: Path) -> None:
    write_idx(tmp_path / "set", packed=False)
    if change is None:
        (tmp_path / "set" / name).unlink()
    else:
        damage(tmp_path / "set", name, change)
    with pytest.raises(DataError, match=error):
        read(tmp_path / "set", cache_dir)


def test_several_sets_are_not_chosen_from(tmp_path: Path, cache_dir: Path) -> None:
    write_idx(tmp_path / "set", prefix="emnist-letters-")
    write_idx(tmp_path / "set", prefix="emnist-digits-")
    with pytest.raises(DataError, match=r"several sets .'emnist-digits', 'emnist-letters'."):
        read(tmp_path / "set", cache_dir)
