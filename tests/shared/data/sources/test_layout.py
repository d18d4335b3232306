"""What lies at a path: recognised, or refused with all that it could be."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.data.sources.layout import recognise
from shared.runtime.errors import DataError
from tests.images import load_images
from tests.shared.data.sources.test_class_folders import files, splits

Make = Callable[..., Path]


def ways(error: DataError) -> list[str]:
    return [line.strip(" -") for line in str(error).splitlines()[1:]]


@pytest.mark.parametrize("top", ["", "outer/", "outer/inner/"])
def test_layouts_are_recognised_at_any_depth(top: str, make_folder: Make, make_zip: Make, dataset: Any) -> None:
    table = {top + name: content for name, content in dataset().items()}
    for number, (content, folder, archive) in enumerate(
        (
            (table, "folder", "zip"),
            (files(f"{top}cat", f"{top}dog"), "classes", "classes"),
            (splits("Train", "test", top=top), "classes", "classes"),
        )
    ):
        root = make_folder(content, f"d{number}")
        assert recognise(root) == (folder, root / top)
        packed = make_zip({**content, "__MACOSX/x/._1.png": b""}, f"d{number}.zip")
        assert recognise(packed) == (archive, packed)


def test_arrays_are_recognised_whatever_their_name(make_zip: Make, two_classes: Path) -> None:
    assert recognise(two_classes) == ("npz", two_classes)
    renamed = make_zip({"train_images.npy": b"", "train_labels.npy": b""}, "arrays.zip")
    assert recognise(renamed) == ("npz", renamed)


def test_what_could_be_several_things_is_refused_with_all_of_them(
    make_folder: Make, make_zip: Make, dataset: Any
) -> None:
    two_tables = {f"{site}/{name}": content for site in "ab" for name, content in dataset().items()}
    mixed = {**dataset(), **files("cat", "dog")}
    sites = files("a/cat", "a/dog", "b/cat", "b/dog")
    splits_of_sites = splits("a/train", "a/test", "b/train", "b/test")
    for number, (content, expected) in enumerate(
        (
            (two_tables, {"folder /a": "sick well", "folder /b": "sick well", "classes ": "a b"}),
            (mixed, {"folder ": "sick well", "classes ": "cat dog"}),
            (sites, {"classes ": "a b", "classes /a": "cat dog", "classes /b": "cat dog"}),
            (splits_of_sites, {"classes /a": "a b", "classes /b": "a b"}),  # above them is no split
        )
    ):
        root = make_folder(content, f"d{number}")
        with pytest.raises(DataError, match="in several ways") as caught:
            recognise(root)
        assert set(ways(caught.value)) == {
            f"data={source.split()[0]} data.path={root}{source.partition(' ')[2]}: classes "
            + ", ".join(map(repr, classes.split()))
            for source, classes in expected.items()
        }
    inside = make_zip({f"top/{name}": content for name, content in sites.items()}, "sites.zip")
    with pytest.raises(DataError, match="in several ways") as caught:
        recognise(inside)
    assert set(ways(caught.value)) == {
        f"data=classes data.path={inside}: classes 'a', 'b'",
        f"unpack it, and data=classes data.path={inside.with_suffix('')}/top/a: classes 'cat', 'dog'",
        f"unpack it, and data=classes data.path={inside.with_suffix('')}/top/b: classes 'cat', 'dog'",
    }
    archive = make_zip(mixed)
    with pytest.raises(DataError, match="in several ways") as caught:
        recognise(archive)
    assert set(ways(caught.value)) == {
        f"data=zip data.path={archive}: classes 'sick', 'well'",
        f"data=classes data.path={archive}: classes 'cat', 'dog'",
    }


@pytest.mark.parametrize("top", ["", "outer/"])
def test_splits_below_classes_and_in_their_names_are_left_to_the_source(make_folder: Make, top: str) -> None:
    below = files(*(f"{top}{label}/{side}" for label in "ab" for side in ("train", "test")))
    years = files(*(f"{top}{side}_2024/{label}" for side in ("train", "test") for label in "ab"))
    for number, content in enumerate((below, years)):
        root = make_folder(content, f"d{number}")
        assert recognise(root) == ("classes", root / top)


def test_dicom_files_without_a_suffix_are_recognised(make_folder: Make) -> None:
    content = b"\0" * 128 + b"DICM"
    root = make_folder({f"{label}/IM000{row}": content for label in "ab" for row in (1, 2)})
    assert recognise(root) == ("classes", root)
    other = make_folder({f"{label}/IM0001": b"text" for label in "ab"}, "other")
    with pytest.raises(DataError, match="0 images"):
        recognise(other)
    siemens = make_folder(files("a", "b", suffix=".IMA"), "siemens")
    assert recognise(siemens) == ("classes", siemens)


def test_what_is_wrong_with_a_zip_is_said(make_zip: Make) -> None:
    windows = make_zip({"top\\a\\1.png": b"", "top\\b\\1.png": b""}, "windows.zip")
    with pytest.raises(DataError, match="backslash"):
        recognise(windows)
    nested = make_zip({"images.zip": b""}, "nested.zip")
    with pytest.raises(DataError, match="unpack it") as caught:
        recognise(nested)
    assert "may name one" not in str(caught.value)


def test_what_is_nothing_known_is_named(make_folder: Make, tmp_path: Path) -> None:
    loose = make_folder({"labels.csv": b"", "images/1.png": b""}, "loose")
    with pytest.raises(DataError, match=r"1 image in 1 folder, 'labels\.csv'"):
        recognise(loose)
    packed = make_folder({"images.tar.gz": b""}, "packed")
    with pytest.raises(DataError, match=r"'images\.tar\.gz' \(unpack what is packed\)"):
        recognise(packed)
    with pytest.raises(DataError, match="there is no file or folder"):
        recognise(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.zip").write_bytes(b"PK\5\6" + b"\1" * 18)
    for name in ("notes.txt", "broken.zip"):
        with pytest.raises(DataError, match=name):
            recognise(tmp_path / name)


def test_a_zip_of_class_folders_is_read_from_where_they_lie(
    make_zip: Make, png: Any, data_config: Any, tmp_path: Path
) -> None:
    names = [f"top/{side}/{label}" for side in ("train", "val", "test") for label in ("cat", "dog")]
    content = {
        f"{name}/{row}.png": png(10 * number + row) for number, name in enumerate(names) for row in (1, 2)
    }
    packed = make_zip({**content, "__MACOSX/top/train/cat/._1.png": b"junk", "top/readme.txt": b""})
    data = load_images(data_config("classes", packed), cache_dir=tmp_path / "cache")
    assert data.schema.classes == ("cat", "dog")
    rows = zip(data.splits.tolist(), data.targets.tolist(), data.images[:, 0, 0, 0].tolist(), strict=True)
    sides = ("train", "val", "test")
    assert sorted(rows) == sorted(
        (side, label, 10 * (2 * place + label) + row)
        for place, side in enumerate(sides)
        for label in (0, 1)
        for row in (1, 2)
    )
    stray = make_zip({**content, "cover.png": png(1)}, "stray.zip")
    with pytest.raises(DataError, match=r"outside the folder of the classes: 1 image.*cover\.png"):
        load_images(data_config("classes", stray), cache_dir=tmp_path / "cache")
    empty = make_zip(content, "empty.zip")
    with zipfile.ZipFile(empty, "a") as archive:
        archive.writestr("top/val/bird/", b"")
    with pytest.raises(DataError, match="'val/bird' holds no images"):
        load_images(data_config("classes", empty), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8", "Müller Ä"), ("utf-8", "日本"), ("cp437", "Müller Ä")]
)
def test_names_in_a_zip_without_the_mark_of_utf8(
    encoding: str, name: str, png: Any, data_config: Any, tmp_path: Path
) -> None:
    path = tmp_path / "unmarked.zip"
    rows = [(f"{name}/{row}.png", "ab"[row % 2]) for row in range(12)]
    table = "\n".join(["filename,label", *(",".join(row) for row in rows)])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.csv", table.encode())
        for number, (filename, _) in enumerate(rows):
            archive.writestr(blank(number, f"images/{filename}".encode(encoding)), png(number))
    raw = path.read_bytes()
    for number, (filename, _) in enumerate(rows):  # in the entry itself, and in the directory at the end
        written = f"images/{filename}".encode(encoding)
        assert raw.count(blank(number, written).encode()) == 2
        raw = raw.replace(blank(number, written).encode(), written)
    path.write_bytes(raw)
    data = load_images(data_config("zip", path), cache_dir=tmp_path / "cache")
    assert data.images[:, 0, 0, 0].tolist() == list(range(12))


def blank(number: int, written: bytes) -> str:
    """A name of the same length, without letters that `zipfile` would mark as UTF-8."""
    return f"{number:02d}".rjust(len(written), "x")
