"""`load_images`: what it gives, and what bad images do to it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.data import ImageDataConfig
from shared.data.images.dataset import ImageData
from shared.runtime.errors import DataError, ImageDecodeError, MetadataError, SplitError
from tests.images import load_images

Config = Callable[..., ImageDataConfig]
Make = Callable[..., Path]
Dataset = Callable[..., dict[str, bytes]]


@pytest.fixture
def load(tmp_path: Path, data_config: Config) -> Callable[..., ImageData]:
    def run(path: Path, **changes: Any) -> ImageData:
        return load_images(data_config("zip", path, **changes), cache_dir=tmp_path / "cache")

    return run


@pytest.fixture
def spoiled(make_zip: Make, dataset: Dataset) -> Path:
    """Of 40 images, the first is missing and the second is text."""
    files = dataset(40) | {"images/1.png": b"not an image"}
    del files["images/0.png"]
    return make_zip(files)


def entries(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "images").iterdir())


def test_images_are_mapped_read_only(load: Any, make_zip: Make, dataset: Dataset) -> None:
    data = load(make_zip(dataset()))
    assert isinstance(data.images, np.memmap)
    assert data.images.dtype == np.uint8
    assert data.targets.dtype == np.int64
    assert data.indices("val").dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 1


def test_indices_are_the_sorted_rows_of_a_split(load: Any, make_zip: Make, dataset: Dataset) -> None:
    data = load(make_zip(dataset()))
    rows = {split: data.indices(split).tolist() for split in ("train", "val", "test")}
    assert sorted(rows["train"] + rows["val"] + rows["test"]) == list(range(12))
    assert all(part == sorted(part) and part for part in rows.values())


def test_a_hundred_images_decoded_by_processes_keep_their_rows(
    load: Any,
    make_zip: Make,
    dataset: Dataset,
    capfd: pytest.CaptureFixture[str],
    data_config: Config,
    tmp_path: Path,
) -> None:
    path = make_zip(dataset(100))
    data = load_images(data_config("zip", path, decode_workers=2), cache_dir=tmp_path / "cache", progress=True)
    assert data.images[:, 0, 0, 0].tolist() == list(range(100))
    assert capfd.readouterr().out == ""


def test_every_bad_image_is_named(load: Any, spoiled: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageDecodeError) as caught:
        load(spoiled)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("2 of 40 images of metadata.csv of")
    assert lines[1] == "  - '0.png' there is no file images/0.png"
    assert lines[2].startswith("  - '1.png' cannot be decoded: not an image")
    assert "data.on_bad_image=skip" in lines[3]
    assert len(lines) == 4
    assert entries(tmp_path) == []


def test_a_broken_link_is_a_bad_row(
    make_folder: Make, dataset: Dataset, data_config: Config, tmp_path: Path
) -> None:
    root = make_folder(dataset(12))
    (root / "images" / "3.png").unlink()
    (root / "images" / "3.png").symlink_to("nowhere.png")
    with pytest.raises(ImageDecodeError, match=r"(?s)1 of 12.*'3\.png' cannot be read: .*No such file"):
        load_images(data_config("folder", root), cache_dir=tmp_path / "cache")


def test_skip_drops_and_counts_bad_rows(load: Any, spoiled: Path) -> None:
    for _ in ("cold", "warm"):
        data = load(spoiled, on_bad_image="skip", max_bad_share=0.05)
        assert data.skipped == 2
        assert data.images[:, 0, 0, 0].tolist() == list(range(2, 40))
        assert data.targets.tolist() == [0, 1] * 19
    with pytest.raises(ImageDecodeError, match="2 of 40"):
        load(spoiled)  # although the cache now has the rest


def test_skip_has_a_limit(load: Any, spoiled: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ImageDecodeError, match=r"(?s)2 of 40 .*more than data\.max_bad_share=0\.04.*0\.png.*1\.png"
    ):
        load(spoiled, on_bad_image="skip", max_bad_share=0.04)
    assert entries(tmp_path) == []
    assert load(spoiled, on_bad_image="skip", max_bad_share=0.05).skipped == 2
    with pytest.raises(ImageDecodeError, match="more than"):
        load(spoiled, on_bad_image="skip", max_bad_share=0.04)


def test_a_class_that_loses_all_its_images_is_an_error(load: Any, make_zip: Make, dataset: Dataset) -> None:
    files = dataset(12)
    files["metadata.csv"] += b"\nlost.png,odd"
    with pytest.raises(ImageDecodeError, match="no usable image is left of 'odd'"):
        load(make_zip(files), on_bad_image="skip", max_bad_share=1.0)


def test_a_lying_entry_is_a_bad_row(load: Any, make_zip: Make, dataset: Dataset) -> None:
    path = make_zip(dataset(40))
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("images/3.png")
    content = bytearray(path.read_bytes())
    name = content.rindex(b"images/3.png")  # in the central directory, 46 bytes after the entry begins
    content[name - 22 : name - 18] = (entry.file_size - 20).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ImageDecodeError, match=r"(?s)1 of 40.*'3\.png' cannot be read"):
        load(path)


def test_the_key_is_content_and_preprocessing_but_not_the_split(
    load: Any, make_zip: Make, dataset: Dataset, tmp_path: Path
) -> None:
    path = make_zip(dataset(40))
    first = load(path)
    resplit = load(path, split_seed=7, val_fraction=0.3, classes=("well", "sick"))
    assert resplit.fingerprint == first.fingerprint
    assert resplit.splits.tolist() != first.splits.tolist()
    assert resplit.targets.tolist() == (1 - first.targets).tolist()
    assert len(entries(tmp_path)) == 1
    copy = path.with_name("copy.zip")
    copy.write_bytes(path.read_bytes())
    assert load(copy).fingerprint == first.fingerprint
    others = [load(path, image_size=9), load(path, channels=3), load(make_zip(dataset(41), "other.zip"))]
    assert len({data.fingerprint for data in (first, *others)}) == 4


def test_a_split_by_time_is_that_of_the_column(load: Any, make_zip: Make, dataset: Dataset) -> None:
    files = dataset(40, "filename,label,taken,ward", lambda i: f",2024-01-{1 + i // 2:02},{'AB'[i // 20]}")
    path = make_zip(files)
    data = load(path, split_by="time", columns={"time": "taken", "series": "ward"})
    assert data.splits.tolist() == (["train"] * 14 + ["val"] * 2 + ["test"] * 4) * 2
    assert data.time.names == ("A", "B")
    assert list(data.columns) == ["ward"], "the time of a row makes no partition"
    with pytest.raises(MetadataError, match=r"there is no column 'day'"):
        load(path, columns={"time": "day"})
    with pytest.raises(MetadataError, match=r"'0.png' has filename '0.png', expected ISO 8601"):
        load(path, columns={"time": "filename"})
    with pytest.raises(MetadataError, match=r"data.columns.series has no effect without data.columns.time"):
        load(path, columns={"series": "ward"})
    with pytest.raises(SplitError, match=r"needs the time of each row"):
        load(path, split_by="time")


def test_no_room_for_the_decoded_images(load: Any, make_zip: Make, dataset: Dataset, tmp_path: Path) -> None:
    rows = 100_000  # 100,000 colour images of 4096 x 4096 pixels are 5 TB
    files = {"metadata.csv": ("filename,label\n" + "".join(f"{i},{i % 2}\n" for i in range(rows))).encode()}
    with pytest.raises(DataError, match=r"MB free, the decoded images need 5,033,\d+"):
        load(make_zip(files), image_size=4096, channels=3)
    assert entries(tmp_path) == []


def test_loading_imports_no_torch(make_zip: Make, dataset: Dataset, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from shared.config.compose import compose\n"
        "from shared.data.images.dataset import load_images\n"
        "from shared.tasks.image_classification.data import read_classes\n"
        f"cfg = compose(['data=zip', 'data.path={make_zip(dataset())}', 'data.image_size=8']).data\n"
        f"load_images(cfg, cache_dir=Path('{tmp_path}/cache'), read_targets=read_classes)\n"
        "print({'torch', 'sklearn', 'pandas', 'rich'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_layout_says_which_split_is_given(
    make_folder: Callable[..., Path], dataset: Any, data_config: Any, tmp_path: Path
) -> None:
    sides = ["train"] * 8 + ["test"] * 4
    given = make_folder(dataset(12, "filename,label,split", lambda row: f",{sides[row]}"))
    data = load_images(data_config("folder", given), cache_dir=tmp_path / "cache")
    assert data.origin.endswith(str(given))
    assert "split as given, val drawn at random" in data.layout
    assert "no val rows are given: they are drawn from the training rows" in data.notes
