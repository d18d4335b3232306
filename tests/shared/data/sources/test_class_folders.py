"""Class folders: which folders are classes or splits, what is ignored and said, and what is refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from shared.data.pixels.files import FolderTree
from shared.data.sources.class_folders import ClassFoldersSource
from shared.data.sources.spelling import side_of
from shared.data.sources.table import Naming, Table
from shared.runtime.errors import DataError, MetadataError

Make = Callable[..., Path]


def read(root: Path) -> Table:
    return ClassFoldersSource(FolderTree(root), Naming(str(root))).table()


def counts(table: Table) -> dict[str, int]:
    """How many rows there are of ``side/label``, or of ``label`` where there are no sides."""
    sides = table.columns.get("split") or [""] * len(table)
    return dict(
        Counter("/".join(filter(None, pair)) for pair in zip(sides, table.columns["label"], strict=True))
    )


def files(*folders: str, suffix: str = ".png") -> dict[str, bytes]:
    """Two files in each folder."""
    return {f"{folder}/{number}{suffix}": b"" for folder in folders for number in (1, 2)}


def splits(*names: str, top: str = "") -> dict[str, bytes]:
    return files(*(f"{top}{name}/{label}" for name in names for label in ("a", "b")))


def problems(root: Path) -> str:
    """All that is wrong, whether nothing can be read or something."""
    try:
        return "\n".join(read(root).problems)
    except MetadataError as error:
        return str(error)


@pytest.mark.parametrize(
    ("word", "side"),
    [
        *((word, "train") for word in ("train", "Training", "TRAIN", "train_set", "Training Data")),
        *((word, "val") for word in ("val", "valid", "Validation", "dev")),
        *((word, "test") for word in ("test", "Testing", "test_images")),
        *((word, None) for word in ("set", "data", "trainer", "tested", "normal", "")),
    ],
)
def test_words_for_a_side(word: str, side: str | None) -> None:
    assert side_of(word) == side


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "dev", "TESTING")])
def test_split_folders_are_no_classes(make_folder: Make, names: Iterable[str]) -> None:
    table = read(make_folder(splits(*names)))
    assert counts(table) == {f"{side}/{label}": 2 for side in ("train", "val", "test") for label in "ab"}
    assert (table.problems, table.notes) == ((), ())


def test_a_second_copy_within_is_ignored_and_said(make_folder: Make) -> None:
    content = splits("train", "test") | splits("train", "test", top="chest/")
    junk = {"__MACOSX/chest/train/a/._1.png": b"", ".DS_Store": b"", "train/a/.DS_Store": b""}
    table = read(make_folder(content | junk))
    assert counts(table) == {"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2}
    assert table.problems == ()
    (note,) = table.notes
    assert note.startswith("folder 'chest' beside the split folders 'test', 'train' is a second copy")


def test_a_second_data_set_within_is_refused(make_folder: Make) -> None:
    root = make_folder(splits("train", "test") | splits("train", top="more/"))
    assert "'more' beside the split folders 'test', 'train' has split folders of its own" in problems(root)
    assert f"data.path={root}/more" in problems(root)


def test_what_lies_beside_split_folders(make_folder: Make) -> None:
    extra = files("predictions") | {"docs/a.pdf": b"", "README.txt": b""}
    table = read(make_folder(splits("train", "test") | extra))
    assert counts(table) == {"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2}
    assert table.problems == ()
    assert [note.split(" beside ")[0] for note in table.notes] == [
        "1 files at the top lie in no class folder and are ignored: 'README.txt'",
        "folder 'docs'",
        "folder 'predictions'",
    ]
    assert table.notes[2].endswith("is ignored (2 images)")
    assert "'holdout' beside" in problems(make_folder(splits("train", "test", "holdout"), "holdout"))
    assert "'a' beside the split folders 'test'" in problems(
        make_folder(splits("test") | files("a", "b"), "mixed")
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (splits("val", "valid", "train"), "folders 'val', 'valid' both mean val"),
        (files("a/train", "a/test", "b/train", "b/test"), "above the classes, not below: 'a/test', 'a/train'"),
        (splits("train") | files("train/a/Test"), "above the classes, not below: 'train/a/Test'"),
        (files("a", "b", "a/b"), "folders below 'a' are named like classes: 'a/b'"),
        (
            files("a", "b", "copy/a", "copy/b"),
            "folders below 'copy' are named like classes: 'copy/a'",
        ),
        (files("images", "b"), "folder 'images' is no class"),
        (files("fold1/a", "fold1/b", "fold2/a", "fold2/b"), "folder 'fold1' is no class"),
        (files("train_1/a", "test_1/a"), "folder 'test_1' is no class"),
        (splits("train") | files("train/Unlabelled"), "folder 'train/Unlabelled' is no class"),
        (files("a", "b") | {"x.png": b"", "y.jpg": b""}, "2 images at the top lie in no class folder: 'x.png'"),
        (splits("train") | files("test"), "2 images in 'test' lie in no class folder: 'test/1.png'"),
        (files("a", "b") | files("code", suffix=".py"), "folder 'code' holds no images, only 'code/1.py'"),
    ],
)
def test_folders_that_only_a_guess_could_make_sense_of(
    make_folder: Make, content: dict[str, bytes], problem: str
) -> None:
    assert problem in problems(make_folder(content))


def test_an_empty_class_or_split_is_refused(make_folder: Make) -> None:
    root = make_folder(splits("train", "test"))
    (root / "val" / "b").mkdir(parents=True)
    assert "folder 'val/b' holds no images" in problems(root)
    (root / "val" / "b").rmdir()
    assert "folder 'val' is empty" in problems(root)


def test_masks_are_no_images(make_folder: Make) -> None:
    content = files("a/images", "a/masks", "a/overlays", "b/images", "b/masks")
    table = read(make_folder(content | {"a.metadata.xlsx": b""}))
    assert counts(table) == {"a": 2, "b": 2}
    assert all("/images/" in name for name in table.columns["filename"])
    assert table.notes[1].startswith("6 files beside images/, or masks of images, are ignored: 'a/masks/1.png'")
    beside = files("a", "b", "b/masks") | {"a/1_mask.png": b"", "a/1_mask_1.png": b"", "b/face_mask.png": b""}
    table = read(make_folder(beside, "beside"))
    assert counts(table) == {"a": 2, "b": 3}  # face_mask.png has no face.png
    assert table.notes[0].startswith("4 files beside images/")
    nested = files("a/p1/images", "a/p1/masks", "b/p2/images", "b/p3")
    assert counts(read(make_folder(nested, "nested"))) == {"a": 2, "b": 4}


def test_folders_that_are_alike_below_each_class_are_said(make_folder: Make) -> None:
    table = read(make_folder(files("left/sick", "left/well", "right/sick", "right/well")))
    assert counts(table) == {"left": 4, "right": 4}
    assert table.notes == (
        "the folders 'sick', 'well' lie below each of 'left', 'right', which are read as the classes",
    )


def test_links_are_followed_and_loops_refused(make_folder: Make) -> None:
    root, away = make_folder(splits("train")), make_folder(splits("test"), "away")
    (root / "test").symlink_to(away / "test")
    assert counts(read(root)) == {"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2}
    (root / "train" / "a" / "up").symlink_to(root)
    with pytest.raises(DataError, match=r"train/a/up and .* are the same folder, through a link"):
        read(root)
    (root / "train" / "a" / "up").unlink()
    (root / "valid").symlink_to(root / "train")
    with pytest.raises(DataError, match=r"(train and .*valid|valid and .*train) are the same folder"):
        read(root)
    (root / "valid").unlink()
    (root / "val").symlink_to(root / "gone")
    assert "links lead nowhere: 'val'" in problems(root)


def test_another_layout_is_answered_with_the_right_one(make_folder: Make) -> None:
    root = make_folder(splits("train", top="chest/"))
    assert f"set data.path={root}/chest" in problems(root)
    assert not read(root / "chest").problems
    root = make_folder(files("x/y/a", "x/y/b"), "deep")
    assert f"set data.path={root}/x/y" in problems(root)
    root = make_folder(files("x/a/images", "x/a/masks", "x/b/images"), "masks")
    assert problems(root).endswith(f"set data.path={root}/x")
    root = make_folder(files("images") | {"metadata.csv": b""}, "csv")
    assert f"set data=folder data.path={root}" in problems(root)
