"""What one file declares beyond the limits is refused before it is read, by name, with the setting."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy

from shared.config.data import ImageDataConfig
from shared.data.pixels.files import FolderTree
from shared.runtime.errors import DataError
from tests.images import load_images
from tests.limits import LIMITS
from tests.pixels import png

pytestmark = pytest.mark.attack

Config = Callable[..., ImageDataConfig]
Make = Callable[..., Path]


def declaring(width: int, height: int, bits: int = 8) -> bytes:
    """A PNG whose header declares a size, and that holds nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def npz(path: Path, labels: tuple[int, ...], images: tuple[int, ...], kind: str = "|u1") -> Path:
    """An ``.npz`` that declares shapes, with arrays that pack well."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for side in ("train", "test"):
            for name, shape, of in (("labels", labels, "|u1"), ("images", images, kind)):
                header = io.BytesIO()
                npy.write_array_header_1_0(header, {"descr": of, "fortran_order": False, "shape": shape})
                size = min(int(np.prod(shape)), 10**6)
                archive.writestr(f"{side}_{name}.npy", header.getvalue() + bytes(size))
    return path


@pytest.mark.parametrize(
    ("image", "changes", "found"),
    [
        (declaring(89_000_000, 1), {}, r"89000000 x 1 pixels, data\.max_image_side=250000 are allowed; raise"),
        (declaring(20_000, 20_000), {}, r"= 400000000 pixels, data\.max_image_pixels=89478485"),
        (
            declaring(9_000, 9_000, 16),
            {"max_image_bytes": 10**8},
            r"162000000 bytes decoded, data\.max_image_bytes",
        ),
    ],
)
def test_images(
    make_zip: Make, data_config: Config, tmp_path: Path, image: bytes, changes: dict[str, Any], found: str
) -> None:
    path = make_zip({"a/1.png": image, "b/1.png": png(np.zeros((4, 4), np.uint8))})
    with pytest.raises(DataError, match=found):
        load_images(data_config("classes", path, **changes), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("count", [8, 80])  # in this process, and in others
def test_images_that_decode_to_more_than_is_allowed_together(
    make_zip: Make, data_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("shared.data.pixels.work.FREE_DECODED_BYTES", 10**5)
    flat = png(np.zeros((300, 300), np.uint8))
    path = make_zip({f"{'ab'[number % 2]}/{number}.png": flat for number in range(count)})
    cfg = data_config("classes", path, max_image_ratio=2.0, decode_workers=2)
    with pytest.raises(DataError, match=r"decode to more than .* bytes .*data\.max_image_ratio=2 are allowed"):
        load_images(cfg, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("labels", "images", "changes", "found"),
    [
        ((200,), (200, 2, 2), {"max_rows": 300}, r"declare 400 rows, data\.max_rows=300"),
        ((4, 50), (4, 2, 2), {"max_columns": 40}, r"declares 50 labels an image, data\.max_columns=40"),
        ((4,), (4, 300_000, 1), {}, r"data\.max_image_side=250000"),
        ((300_000,), (300_000, 1, 1), {}, r"2457600000 bytes \(4096 at least .*data\.max_image_ratio=200"),
    ],
)
def test_arrays(
    data_config: Config,
    tmp_path: Path,
    labels: tuple[int, ...],
    images: tuple[int, ...],
    changes: dict[str, Any],
    found: str,
) -> None:
    path = npz(tmp_path / "a.npz", labels, images)
    with pytest.raises(DataError, match=found):
        load_images(data_config("npz", path, **changes), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("table", "changes", "found"),
    [
        ("filename,label" + ",c" * 50, {"max_columns": 40}, r"header has 52 columns, data\.max_columns=40"),
        ("filename,label\n" + "a,b\n" * 30, {"max_rows": 20}, r"more than 20 rows, data\.max_rows=20"),
        ("filename,label\n" + "a,b\n" * 30, {"max_table_bytes": 99}, r"bytes, data\.max_table_bytes=99"),
    ],
)
def test_tables(
    make_folder: Make, data_config: Config, tmp_path: Path, table: str, changes: dict[str, Any], found: str
) -> None:
    path = make_folder({"metadata.csv": table.encode(), "images/a.png": b""})
    with pytest.raises(DataError, match=found):
        load_images(data_config("folder", path, **changes), cache_dir=tmp_path / "cache")


def test_a_table_that_expands(make_zip: Make, data_config: Config, tmp_path: Path) -> None:
    rows = "".join(f"{number % 7},{'xy' * 200}\n" for number in range(170_000))
    path = make_zip({"metadata.csv": f"filename,label\n{rows}".encode(), "images/a.png": b""})
    cfg = data_config("zip", path, max_archive_ratio=2000.0)
    with pytest.raises(DataError, match=r"times what it has packed, data\.max_table_ratio=10 are allowed"):
        load_images(cfg, cache_dir=tmp_path / "cache")


def test_files_are_counted_while_they_are_listed(make_folder: Make) -> None:
    root = make_folder({f"{number}.png": b"" for number in range(12)})
    with pytest.raises(DataError, match=r"more than 5 files, data\.max_rows=5 are allowed"):
        FolderTree(root, limits=LIMITS.__class__(**{**vars(LIMITS), "max_rows": 5})).files()


def test_one_long_text_does_not_widen_its_column(
    make_folder: Make, data_config: Config, tmp_path: Path
) -> None:
    image = png(np.zeros((4, 4), np.uint8))
    rows = [f"{number}.png,{'xy'[number % 2]},{'z' * (100_000 if number == 3 else 1)}" for number in range(60)]
    table = "\n".join(["filename,label,remark", *rows])
    files = {f"images/{number}.png": image for number in range(60)}
    path = make_folder({"metadata.csv": table.encode(), **files})
    data = load_images(data_config("folder", path, duplicates="ignore"), cache_dir=tmp_path / "cache")
    assert data.columns["remark"].nbytes < 10_000  # as an array of texts: 24 MB
