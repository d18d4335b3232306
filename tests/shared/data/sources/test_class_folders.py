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


BESIDE = "ignored, as they lie beside images/ or are masks of images"


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
        "ignored, as they lie in no class folder: 1 file at the top, 'README.txt'",
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
        (files("a/train", "a/test", "b/train", "b"), "above the classes, not below: 'a/test', 'a/train'"),
        (files("a/train/x", "a/test/x", "b/train/x"), "above the classes, not below: 'a/test', 'a/train'"),
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
        (files("a", "b") | {"x.png": b"", "y.jpg": b""}, "in no class folder: 2 images at the top, 'x.png'"),
        (splits("train") | files("test"), "in no class folder: 2 images in 'test', 'test/1.png'"),
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
    assert table.notes[1].startswith(f"{BESIDE}: 6 files, 'a/masks/1.png'")
    beside = files("a", "b", "b/masks") | {"a/1_mask.png": b"", "a/1_mask_1.png": b"", "b/face_mask.png": b""}
    table = read(make_folder(beside, "beside"))
    assert counts(table) == {"a": 2, "b": 3}  # face_mask.png has no face.png
    assert table.notes[0].startswith(f"{BESIDE}: 4 files")
    nested = files("a/p1/images", "a/p1/masks", "b/p2/images", "b/p3")
    assert counts(read(make_folder(nested, "nested"))) == {"a": 2, "b": 4}


@pytest.mark.parametrize(
    "name", ["GT", "label", "overlay", "annotated", "masks", "seg_2", "(mask)", "[gt]", "heatmap", "thumbnail"]
)
def test_files_called_as_masks_of_images_are_left_out(make_folder: Make, name: str) -> None:
    content = files("a", "b") | {f"{label}/{row} {name}.png": b"" for label in "ab" for row in (1, 2)}
    content |= {"a/mask_1.png": b"", "a/cat (mask).png": b"", "a/thumbnails/1.png": b""}
    assert counts(read(make_folder(content))) == {"a": 3, "b": 2}  # there is no cat.png


def companions(*names: str, count: int = 5) -> dict[str, bytes]:
    """Classes ``a`` and ``b`` with ``count`` images of each name, in which * stands for a number."""
    return {f"{label}/{n.replace('*', str(row))}": b"" for label in "ab" for row in range(count) for n in names}


@pytest.mark.parametrize(
    "names",
    [
        ("*.png", "*_flip.png"),
        ("*.png", "*_flip.png", "*-rot90.png"),
        ("*.jpg", "*.png"),
        ("s*.png", "s*b.png"),
    ],
)
def test_companions_of_nearly_all_images_are_refused(make_folder: Make, names: tuple[str, ...]) -> None:
    root = make_folder(companions(*names))
    found = read(root).problems
    assert len(found) == 2 * (len(names) - 1)
    assert all("5 images" in problem for problem in found)
    given = {f"{side}/{file}": b"" for side in ("train", "test") for file in companions(*names)}
    table = read(make_folder(given, "given"))  # a split that is given keeps them where they are
    assert table.problems == ()
    assert len(table.notes) == 4 * (len(names) - 1)


@pytest.mark.parametrize(
    "content",
    [
        companions("*.png") | {f"a/{row}_flip.png": b"" for row in range(3)},
        {f"a/{row}{more}.png": b"" for row in range(6) for more in ("", f"_aug{row % 3}")} | files("b"),
        {f"a/{row}_png.rf.{row:02}{copy:030x}.png": b"" for row in range(4) for copy in range(3)} | files("b"),
        {f"a/clip{row}_frame{frame:04}.png": b"" for row in range(2) for frame in range(5)} | files("b"),
    ],
)
def test_images_that_may_be_made_from_others_are_said(make_folder: Make, content: dict[str, bytes]) -> None:
    table = read(make_folder(content))
    assert table.problems == ()
    assert any("may be" in note and "on two sides" in note for note in table.notes)


@pytest.mark.parametrize("form", ["{}.png", "{}_mask.png"])
@pytest.mark.parametrize("extra", ["masks", "ground truth", "a_masks", "mask_b"])
def test_folders_of_masks_beside_the_classes_are_left_out(make_folder: Make, extra: str, form: str) -> None:
    masks = {f"{extra}/{form.format(row)}": b"" for row in (1, 2)}
    table = read(make_folder(files("a", "b") | masks))
    assert counts(table) == {"a": 2, "b": 2}
    said = f"folder {extra!r} is ignored: it holds masks of the other folders' images (2 files)"
    assert table.notes[0] == said


@pytest.mark.parametrize(
    "names", [("mask", "no_mask"), ("mask", "no_mask", "mask_below_nose"), ("a", "b", "labels")]
)
def test_classes_called_as_masks_are_classes(make_folder: Make, names: tuple[str, ...]) -> None:
    content = {f"{name}/{name}-{row}.png": b"" for name in names for row in range(3)}
    assert counts(read(make_folder(content))) == dict.fromkeys(names, 3)


def test_a_case_of_image_and_mask(make_folder: Make) -> None:
    cases = {f"{name}/{row}/{file}.png": b"" for name in "ab" for row in range(3) for file in ("image", "mask")}
    table = read(make_folder(cases))
    assert counts(table) == {"a": 3, "b": 3}
    assert all(name.endswith("/image.png") for name in table.columns["filename"])


def test_prefixes_of_nearly_all_images_are_said(make_folder: Make) -> None:
    table = read(make_folder(companions("*.png", "flip_*.png")))
    assert table.problems == ()
    assert table.notes[0].startswith(
        "in 'a', 5 images are called 'flip_' and as another: 'a/0.png', 'a/flip_0.png'"
    )


@pytest.mark.parametrize(
    "content",
    [
        companions("*.png", count=120),  # 1, 10 and 100
        companions("*.png", "*_1.png", count=2),
        companions("p*_1.png", "p*_2.png"),
        companions("*.png", count=9) | {f"a/{row}.jpg": b"" for row in range(5)},
    ],
)
def test_names_that_are_alike_by_chance_are_read(make_folder: Make, content: dict[str, bytes]) -> None:
    table = read(make_folder(content))
    assert (table.problems, table.notes) == ((), ())
    assert len(table) == len(content)


@pytest.mark.parametrize("form", ["{0}_{1}", "{1}-{0}", "{0} {1}", "{1}{0}", "{0}_{1}_2024", "{1}_{0}_2024"])
def test_a_split_in_the_names_of_classes_is_refused(make_folder: Make, form: str) -> None:
    names = [form.format(side, label) for side in ("Train", "Test") for label in ("Sick", "Well")]
    (problem,) = read(make_folder(files(*names))).problems
    assert all(repr(name) in problem for name in names)
    assert "make 'test/" in problem
    for classes in (
        ["test positive", "test negative"],
        ["train_car", "test_tube", "b"],
        ["stress test", "x"],
    ):
        assert read(make_folder(files(*classes), "-".join(classes))).problems == ()


def test_a_split_in_the_names_of_folders_of_classes_is_refused(make_folder: Make) -> None:
    found = problems(
        make_folder(files(*(f"{side}_2024/{label}" for side in ("train", "test") for label in "ab")))
    )
    assert "make 'test' of 'test_2024'" in found


def test_a_third_folder_does_not_hide_a_split_in_the_names(make_folder: Make) -> None:
    sets = ("seg_train/seg_train", "seg_test/seg_test")
    root = make_folder(files(*(f"{top}/{label}" for top in sets for label in "ab"), "seg_pred/seg_pred"))
    assert "'seg_test', 'seg_train' hold sides of a split" in problems(root)
    plain = make_folder(files("train_station", "blood_test", "stress_test", "office"), "plain")
    assert len(counts(read(plain))) == 4


def test_texts_beside_the_images_are_ignored_and_counted(make_folder: Make) -> None:
    labels = {name.replace(".png", ".txt"): b"0 0.5 0.5 1 1" for name in files("cat", "dog")}
    table = read(make_folder({**files("cat", "dog"), **labels}))
    assert counts(table) == {"cat": 2, "dog": 2}
    assert any(note.startswith("ignored, as they are no images: 4 files") for note in table.notes)
    assert len(read(make_folder({**files("cat", "dog"), "cat/x.heic": b""}, "b"))) == 5, (
        "what may be one is told"
    )


def test_split_folders_below_the_classes_are_the_split(make_folder: Make) -> None:
    table = read(make_folder(files("a/train", "a/test", "b/Training", "b/test", "b/val")))
    assert counts(table) == {"train/a": 2, "test/a": 2, "train/b": 2, "test/b": 2, "val/b": 2}
    assert table.problems == ()
    assert len(table.notes) == 1


def test_copies_of_classes_are_refused_and_leftovers_said(make_folder: Make) -> None:
    for name in ("sick - Copy", "sick (2)", "Sick_copy", "sick - Kopie (3)", "sick copy 2"):
        (problem,) = read(make_folder(files("sick", "well", name), name)).problems
        assert repr(name) in problem
    table = read(make_folder(files("sick", "well", "New folder", "Papierkorb", "photocopy", "stage (2)")))
    assert table.problems == ()
    assert [note.split("'")[1] for note in table.notes] == ["New folder", "Papierkorb"]


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


def test_folders_below_the_classes_may_be_patients(make_folder: Make) -> None:
    table = read(make_folder(files("benign/p1", "benign/p2", "malignant/p3")))
    (note,) = table.notes
    assert note.startswith("3 folders lie below the classes")
    assert "'benign/p1'" in note


@pytest.mark.parametrize("name", ["trainA", "test_b", "Val X"])
def test_sets_of_a_translation_are_no_classes(name: str, make_folder: Make) -> None:
    with pytest.raises(MetadataError, match="is no class"):
        raise MetadataError("; ".join(read(make_folder(files(name, "cat"))).problems))
    assert read(make_folder(files("trains", "valley"), "other")).problems == ()
