"""Every source, from files on disk to `ImageData`."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from shared.config.data import ImageDataConfig
from shared.data.images import dataset
from shared.data.images.dataset import ImageData
from shared.data.sources.medmnist import fetch
from shared.data.sources.targets import TargetReader
from shared.runtime.errors import ArchiveError, DataError, MetadataError, SplitError
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_multilabel.data import read_labels
from shared.tasks.image_regression.data import read_numbers
from tests.images import load_images

Config = Callable[..., ImageDataConfig]
Make = Callable[..., Path]
Dataset = Callable[..., dict[str, bytes]]

READ_LABELS = partial(read_labels, separator="|", none="No Finding")
needs_medmnist = pytest.mark.skipif(
    find_spec("medmnist") is None, reason="the optional package is not installed"
)


@pytest.fixture
def load(tmp_path: Path, data_config: Config) -> Callable[..., ImageData]:
    def run(source: str, path: Path | None = None, **changes: Any) -> ImageData:
        return load_images(data_config(source, path, **changes), cache_dir=tmp_path / "cache")

    return run


def levels(data: ImageData) -> list[int]:
    """The grey level of each image, after checking that it has only one."""
    assert (data.images.min(axis=(1, 2, 3)) == data.images.max(axis=(1, 2, 3))).all()
    return [int(level) for level in data.images[:, 0, 0, 0]]


@pytest.mark.parametrize("top", ["", "study/"])
def test_zip(load: Any, make_zip: Make, dataset: Dataset, top: str) -> None:
    files = {top + name: content for name, content in dataset(12).items()} | {
        "__MACOSX/x": b"",
        ".DS_Store": b"",
    }
    data = load("zip", make_zip(files))
    assert data.images.shape == (12, 1, 8, 8)
    assert levels(data) == list(range(12))
    assert data.schema.classes == ("sick", "well")
    assert data.targets.tolist() == [0, 1] * 6
    assert set(data.splits) == {"train", "val", "test"}
    assert (data.groups, data.columns, data.skipped) == (None, {}, 0)


def test_folder_with_patients_and_sites(load: Any, make_folder: Make, dataset: Dataset) -> None:
    files = dataset(40, "filename,label,patient_id,site,age", lambda i: f",p{i // 2 % 10},{'AB'[i % 2]},{i}")
    data = load("folder", make_folder(files), image_size=16, channels=3)
    assert data.images.shape == (40, 3, 16, 16)
    assert data.groups.numbers.tolist() == [i // 2 % 10 for i in range(40)]
    assert {name: values.tolist() for name, values in data.columns.items()} == {
        "site": ["A", "B"] * 20,
        "age": [str(i) for i in range(40)],
    }
    for patient in range(10):
        assert len(set(data.splits[data.groups.numbers == patient])) == 1


def test_a_given_split_is_used(load: Any, make_zip: Make, dataset: Dataset) -> None:
    sides = ["train"] * 8 + ["valid"] * 2 + ["test"] * 2
    data = load("zip", make_zip(dataset(12, "filename,label,split", lambda i: f",{sides[i]}")))
    assert data.indices("train").tolist() == list(range(8))
    assert data.indices("val").tolist() == [8, 9]
    assert data.indices("test").tolist() == [10, 11]


def test_a_patient_on_two_given_sides_is_named(load: Any, make_zip: Make, dataset: Dataset) -> None:
    def more(i: int) -> str:
        return f",{('train', 'val', 'test')[i % 3]},p{i // 6}-{i % 3 if i < 6 else 0}"

    with pytest.raises(SplitError, match="patient 'p1-0' is in train and val and test"):
        load("zip", make_zip(dataset(12, "filename,label,split,patient_id", more)))


def test_names_that_macos_decomposed_are_found(load: Any, make_zip: Make, dataset: Dataset) -> None:
    files = dataset(12)
    files["images/u\u0308.png"] = files.pop("images/0.png")
    files["metadata.csv"] = files["metadata.csv"].replace(b"0.png,sick", "\u00fc.png,sick".encode(), 1)
    assert levels(load("zip", make_zip(files))) == list(range(12))


def test_class_folders(load: Any, make_folder: Make, png: Callable[..., bytes]) -> None:
    files = {f"{label}/{i}.png": png(10 * k + i) for k, label in enumerate(("cat", "dog")) for i in range(5)}
    data = load("classes", make_folder(files | {"README.txt": b"about", "cat/.DS_Store": b""}))
    assert data.schema.classes == ("cat", "dog")
    assert data.targets.tolist() == [0] * 5 + [1] * 5
    assert levels(data) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_class_folders_below_split_folders(load: Any, make_folder: Make, png: Callable[..., bytes]) -> None:
    rows = [
        ("train", "a"),
        ("train", "b"),
        ("validation", "a"),
        ("validation", "b"),
        ("test", "a"),
        ("test", "b"),
    ]
    data = load(
        "classes",
        make_folder({f"{side}/{label}/x/1.png": png(9 * row) for row, (side, label) in enumerate(rows)}),
    )
    assert data.splits.tolist() == ["test", "test", "train", "train", "val", "val"]
    assert data.targets.tolist() == [0, 1, 0, 1, 0, 1]


def test_class_folders_that_are_empty_or_missing(
    load: Any, make_folder: Make, png: Callable[..., bytes]
) -> None:
    root = make_folder({"a/1.png": png(), "b/1.png": png()})
    (root / "c").mkdir()
    with pytest.raises(MetadataError, match="folder 'c' holds no images"):
        load("classes", root)
    with pytest.raises(MetadataError, match="no folders with images"):
        load("classes", make_folder({"1.png": png()}, "loose"))


def npz(path: Path, size: tuple[int, ...] = (8, 8), **changes: Any) -> Path:
    """A file in MedMNIST's layout: image ``i`` of 12 has level ``i``, the labels alternate."""
    arrays: dict[str, Any] = {}
    for side, start, end in (("train", 0, 6), ("val", 6, 8), ("test", 8, 12)):
        rows = np.arange(start, end, dtype=np.uint8)
        arrays[f"{side}_images"] = np.broadcast_to(rows.reshape(-1, *[1] * len(size)), (end - start, *size))
        arrays[f"{side}_labels"] = (rows % 2)[:, None]
    arrays |= changes
    np.savez_compressed(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("size", "image_size", "channels"), [((8, 8), 8, 1), ((8, 8), 8, 3), ((9, 5, 3), 8, 1), ((4, 4, 3), 8, 3)]
)
def test_npz(load: Any, tmp_path: Path, size: tuple[int, ...], image_size: int, channels: int) -> None:
    data = load("npz", npz(tmp_path / "a.npz", size), image_size=image_size, channels=channels)
    assert data.images.shape == (12, channels, image_size, image_size)
    assert levels(data) == list(range(12))
    assert data.splits.tolist() == ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    assert data.targets.tolist() == [0, 1] * 6
    assert data.schema.classes == ("0", "1")


def test_npz_takes_flat_labels_and_names(load: Any, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", train_labels=np.array([0, 1, 0, 1, 0, 1]))
    assert load("npz", path, classes=("well", "sick")).schema.classes == ("well", "sick")


@needs_medmnist
def test_npz_takes_names_from_the_package(load: Any, tmp_path: Path) -> None:
    data = load("medmnist", npz(tmp_path / "a.npz"), dataset="pneumoniamnist")
    assert data.schema.classes == ("normal", "pneumonia")
    data = load("medmnist", npz(tmp_path / "breastmnist_64.npz"), dataset="pneumoniamnist")
    assert data.schema.classes == ("malignant", "normal, benign")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"val_labels": None, "test_images": None},
            "there is no val_labels, test_images; what is there: test_labels",
        ),
        (
            {"train_images": np.zeros((6, 8), bool)},
            r"(?s)train_images must be \[N, H, W\].*got \[6, 8\].*of type uint8, .*, got bool",
        ),
        (
            {"train_images": np.zeros((6, 8, 8, 2), np.uint8)},
            r"\[N, H, W, 3\] with N above 0, got \[6, 8, 8, 2\]",
        ),
        ({"train_images": np.zeros((8, 8, 6), np.uint8).T}, "Fortran order"),
        ({"val_images": np.zeros((0, 8, 8), np.uint8), "val_labels": np.zeros((0, 1), int)}, "N above 0"),
        ({"train_labels": np.zeros((6, 2, 2), int)}, r"train_labels must be \[N\] or .*got \[6, 2, 2\]"),
        ({"val_labels": np.zeros((2, 14), int)}, r"val_labels are \[2, 14\], train_labels \[6, 1\]"),
        ({"train_labels": np.zeros(6)}, "train_labels must be whole numbers, got float64"),
        ({"train_labels": np.zeros(5, int)}, r"train has images \[6, 8, 8\] but labels \[5\]"),
        ({"train_labels": np.array([0, 1, 0, 1, 0, -1])}, "label '-1' is none of the numbers 0 to 2"),
        ({"train_labels": np.array([0, 1, 0, 1, 0, 3])}, "label '3' is none of the numbers 0 to 2"),
        (
            {"train_labels": np.array([{}] * 6, dtype=object)},
            "train_labels must be whole numbers, got Python objects",
        ),
    ],
)
def test_npz_in_another_layout(load: Any, tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        load("npz", npz(tmp_path / "a.npz", **changes))


def test_one_hot_labels_are_no_findings(load: Any, data_config: Config, tmp_path: Path) -> None:
    sides = {"train_labels": 6, "val_labels": 2, "test_labels": 4}
    labels = {name: np.eye(3, dtype=np.uint8)[np.arange(count) % 3] for name, count in sides.items()}
    path = npz(tmp_path / "a.npz", **labels)
    with pytest.raises(DataError, match=r"each row has a single 1: .*argmax.*, else set task=image_multilabel"):
        load("npz", path)
    cfg = data_config("npz", path)
    found = dataset.load_images(cfg, cache_dir=tmp_path / "cache", read_targets=READ_LABELS)
    assert any("task=image_classification learns them" in note for note in found.notes)


def test_an_npz_without_validation_arrays_draws_them(load: Any, tmp_path: Path) -> None:
    small = {"train_images": np.zeros((60, 8, 8), np.uint8), "train_labels": np.arange(60) % 3}
    path = npz(tmp_path / "a.npz", **small, val_images=None, val_labels=None)
    data = load("npz", path, duplicates="ignore")
    counts = {side: int((data.splits == side).sum()) for side in ("train", "val", "test")}
    assert counts["test"] == 4
    assert counts["val"] > 0
    assert counts["train"] + counts["val"] == 60
    assert any("no val rows are given" in note for note in data.notes)
    with pytest.raises(DataError, match="no test_images") as caught:
        load("npz", npz(tmp_path / "b.npz", test_images=None))
    assert "data=npz" not in str(caught.value)  # that is what was tried


def several(path: Path, **changes: Any) -> Path:
    """Three labels an image, where ChestMNIST has 14: 0 of every other one, 1 of image 3, 2 of none."""
    labels = np.zeros((12, 3), dtype=np.uint8)
    labels[1::2, 0] = labels[3, 1] = 1
    sides = {"train_labels": labels[:6], "val_labels": labels[6:8], "test_labels": labels[8:]}
    return npz(path, **(sides | changes))


@pytest.mark.parametrize("names", [None, ("Mass", "Nodule", "Hernia")])
def test_npz_of_several_labels(data_config: Config, tmp_path: Path, names: tuple[str, ...] | None) -> None:
    cfg = data_config("npz", several(tmp_path / "a.npz"), classes=names)
    data = dataset.load_images(cfg, cache_dir=tmp_path / "cache", read_targets=READ_LABELS)
    assert data.schema.classes == (names or ("0", "1", "2"))
    assert data.targets.tolist()[:4] == [[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert data.targets.dtype == np.float32
    assert data.splits.tolist() == ["train"] * 6 + ["val"] * 2 + ["test"] * 4


@needs_medmnist
def test_npz_of_several_labels_takes_names_from_the_package(data_config: Config, tmp_path: Path) -> None:
    rows = {"train_labels": 6, "val_labels": 2, "test_labels": 4}
    labels = {name: np.eye(14, dtype=np.uint8)[:count] for name, count in rows.items()}
    cfg = data_config("medmnist", several(tmp_path / "chestmnist.npz", **labels), dataset="pneumoniamnist")
    data = dataset.load_images(cfg, cache_dir=tmp_path / "cache", read_targets=READ_LABELS)
    assert data.schema.classes[:2] == ("atelectasis", "cardiomegaly")
    assert len(data.schema.classes) == 14


@pytest.mark.parametrize(
    ("names", "labels", "problem"),
    [
        (("Mass", "Nodule"), {}, r"there are 3 labels an image, and 2 names: .*set data\.classes"),
        (("Mass", "Mass", "Hernia"), {}, "names a label twice"),
        (None, {"val_labels": np.full((2, 3), 2)}, "'row 6' has the labels 2 2 2, expected 0 and 1"),
        (None, {"train_labels": np.full((6, 3), "a")}, "train_labels must be whole numbers, got text"),
    ],
)
def test_npz_of_several_labels_that_are_wrong(
    data_config: Config, tmp_path: Path, names: Any, labels: dict[str, Any], problem: str
) -> None:
    cfg = data_config("npz", several(tmp_path / "a.npz", **labels), classes=names)
    with pytest.raises(DataError, match=problem):
        dataset.load_images(cfg, cache_dir=tmp_path / "cache", read_targets=READ_LABELS)


@pytest.mark.parametrize("read", [read_classes, read_numbers])
def test_several_labels_are_for_one_task(data_config: Config, tmp_path: Path, read: TargetReader) -> None:
    cfg = data_config("npz", several(tmp_path / "a.npz"))
    with pytest.raises(DataError, match=r"there are 3 labels an image.*set task=image_multilabel"):
        dataset.load_images(cfg, cache_dir=tmp_path / "cache", read_targets=read)


@pytest.mark.attack
def test_a_zip_of_many_files_that_is_no_npz_is_answered_briefly(load: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(500):
            archive.writestr(f"images/{number:03}.png", b"")
    with pytest.raises(
        DataError, match=r"there is no train_images, train_labels, .*; what is there: .*"
    ) as caught:
        load("npz", tmp_path / "a.zip")
    assert "images/007.png and 492 more" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_npz_labels_that_do_not_begin_at_0(load: Any, tmp_path: Path) -> None:
    sizes = {"train": 6, "val": 2, "test": 4}
    changed = {f"{side}_labels": np.array([5, 7] * (size // 2)) for side, size in sizes.items()}
    path = npz(tmp_path / "a.npz", **changed)
    with pytest.raises(DataError, match=r"data\.classes=\[5,7\] would read these numbers as the classes"):
        load("npz", path)
    assert load("npz", path, classes=("5", "7")).schema.classes == ("5", "7")


def test_npz_labels_beyond_the_classes(load: Any, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", test_labels=np.array([0, 1, 2, 2]))
    with pytest.raises(
        DataError, match=r"label '2' is none of the numbers 0 to 1 \(2 rows, the first is 'row 10'"
    ):
        load("npz", path, classes=("a", "b"))


@pytest.mark.attack
def test_npz_that_is_damaged(load: Any, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"is not an \.npz file that can be read"):
        load("npz", tmp_path / "a.npz")
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64), dtype=np.uint8)
    path = npz(tmp_path / "b.npz", (64, 64), train_images=noise)
    content = bytearray(path.read_bytes())
    content[content.index(noise.tobytes()[20_000:20_010])] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"the images of .* cannot be read: Bad CRC-32"):
        load("npz", path)
    with pytest.raises(DataError, match=r"bytes expanded, data\.max_archive_bytes=500"):
        load("npz", npz(tmp_path / "c.npz"), max_archive_bytes=500)


@pytest.mark.attack
def test_npz_that_declares_more_than_it_holds(load: Any, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 1000, 1000)}
    )
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()} | {"train_images.npy": header.getvalue()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)
    with pytest.raises(DataError, match="which is more than it holds"):
        load("npz", path)


def test_digits(load: Any) -> None:
    data = load("digits")
    digits = load_digits()
    assert data.images.shape == (1797, 1, 8, 8)
    assert np.array_equal(data.images[:, 0], np.rint(digits.images * 255 / 16))
    assert data.images.max() == 255
    assert np.array_equal(data.targets, digits.target)
    assert data.schema.classes == tuple("0123456789")
    assert load("digits", image_size=12, channels=3).images.shape == (1797, 3, 12, 12)


def test_paths_that_are_not_there_are_named_absolutely(
    load: Any, tmp_path: Path, make_folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"there is no file {tmp_path}/no.zip"):
        load("zip", Path("no.zip"))
    with pytest.raises(DataError, match=f"there is no folder {tmp_path}/no"):
        load("classes", Path("no"))
    folder = make_folder({"a": b""})
    with pytest.raises(DataError, match="is a folder, a file is expected"):
        load("zip", folder)
    with pytest.raises(DataError, match="is a file, a folder is expected"):
        load("folder", folder / "a")
    assert not (tmp_path / "cache").exists()


def test_archives_without_metadata(load: Any, make_zip: Make, make_folder: Make) -> None:
    with pytest.raises(MetadataError, match=r"no metadata\.csv; at the top lie 'a', 'b\.txt'"):
        load("zip", make_zip({"a/images/x.png": b"", "b.txt": b""}))
    with pytest.raises(MetadataError, match=r"metadata\.csv is in 2 folders"):
        load("zip", make_zip({"a/metadata.csv": b"", "b/metadata.csv": b""}))
    with pytest.raises(MetadataError, match=r"no metadata\.csv"):
        load("folder", make_folder({"images/x.png": b""}))
    with pytest.raises(ArchiveError, match="is not a ZIP"):
        load("zip", make_folder({"a.zip": b"text"}, "other") / "a.zip")


@pytest.mark.parametrize("source", ["zip", "folder", "classes", "npz"])
def test_data_for_another_source_is_answered_with_the_right_one(
    load: Any, source: str, tmp_path: Path, make_zip: Make, make_folder: Make, dataset: Dataset, png: Any
) -> None:
    folders = {f"x/{label}/{number}.png": png(number) for label in "ab" for number in range(3)}
    places = {
        "zip": (make_zip(dataset(12)), "data=zip data.path={}"),
        "folder": (make_folder(dataset(12), "table"), "data=folder data.path={}"),
        "classes": (make_folder(folders, "classes"), r"data(=classes data)?\.path={}/x"),
        "npz": (npz(tmp_path / "a.npz"), "data=npz data.path={}"),
        "zipped classes": (make_zip(folders, "b.zip"), "data=classes data.path=.*b.zip reads"),
    }
    for holds, (path, answer) in places.items():
        if holds != source and (source, holds) != ("classes", "zipped classes"):
            with pytest.raises(DataError, match=answer.format(path)):
                load(source, path)


@pytest.mark.parametrize("source", ["classes", "npz", "digits"])
def test_a_column_of_a_source_without_columns_is_refused(load: Any, source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"columns\.patient_id=who: data={source} has no such columns"):
        load(source, tmp_path, columns={"patient_id": "who"})


def test_medmnist_without_the_package(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist", None)
    with pytest.raises(DataError, match=r'pip install "fedtwin\[medmnist\]", or give .* data\.path=FILE'):
        load("medmnist", dataset="pneumoniamnist")


@needs_medmnist
def test_medmnist_of_an_unknown_name(load: Any) -> None:
    with pytest.raises(DataError, match=r"data\.dataset=nomnist is none of bloodmnist, breastmnist"):
        load("medmnist", dataset="nomnist")


@needs_medmnist
def test_medmnist_that_cannot_be_downloaded(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(DataError, match=r"pneumoniamnist\.npz.* could not be downloaded: .*data\.path=FILE"):
        load("medmnist", dataset="pneumoniamnist")
    assert list((tmp_path / "cache" / "medmnist").iterdir()) == []


def test_downloads_are_checked(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "medmnist" / "a.npz"
    source.write_bytes(b"content")
    (target.parent / "download-of-the-dead").mkdir(parents=True)
    with pytest.raises(DataError, match="has not the MD5 abc"):
        fetch(source.as_uri(), md5="abc", target=target)
    assert list(target.parent.iterdir()) == []
    fetch(source.as_uri(), md5="9a0364b9e99bb480dd25e1f0284c8555", target=target)
    assert target.read_bytes() == b"content"
    assert list(target.parent.iterdir()) == [target]


@needs_medmnist
def test_medmnist_that_was_downloaded_before(load: Any, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "medmnist"
    folder.mkdir(parents=True)
    npz(folder / "breastmnist_64.npz", (64, 64))
    data = load("medmnist", dataset="breastmnist", image_size=60)
    assert data.images.shape == (12, 1, 60, 60)
    assert data.schema.classes == ("malignant", "normal, benign")
