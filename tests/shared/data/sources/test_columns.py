"""Columns under other names, ids that may be one patient's, labels that may be one class."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.config.data import ColumnsConfig
from shared.data.sources.metadata_csv import parse_metadata
from shared.data.sources.spelling import find_alike, is_missing
from shared.data.sources.table import Annotations, Naming, annotate
from shared.data.text_key import SPELLING
from shared.runtime.errors import MetadataError
from shared.tasks.image_classification.data import read_classes
from shared.tasks.image_multilabel.data import read_labels
from tests.images import load_images
from tests.limits import LIMITS

DEFAULTS = {name: name for name in ("filename", "label", "patient_id", "split", "site")}
SIDES = ("train", "train", "val", "test")
PEOPLE = ("p1", "p2", "p3", "p4")


def read(header: str, *rows: str, classes: tuple[str, ...] | None = None, **columns: Any) -> Annotations:
    named = ColumnsConfig(**(DEFAULTS | {"time": None, "series": None} | columns))
    table = parse_metadata(
        "\n".join([header, *rows]).encode(), columns=named, origin="metadata.csv", limits=LIMITS
    )
    return annotate(table, naming=Naming("metadata.csv", named), classes=classes, read_targets=read_classes)


def four(*more: tuple[str, ...]) -> list[str]:
    """Rows of two classes, with further values."""
    return [
        ",".join((f"{row}.png", "ab"[row % 2], *values)) for row, values in enumerate(zip(*more, strict=True))
    ]


@pytest.mark.parametrize("patient", ["Patient_ID", "PatientID", "patient id", "PATIENT-ID", "Subject_ID"])
@pytest.mark.parametrize("split", ["Split", " SPLIT ", "Fold", "subset"])
def test_patients_and_splits_under_other_names_are_honoured(patient: str, split: str) -> None:
    found = read(f"filename,label,{patient},{split}", *four(PEOPLE, SIDES))
    assert found.groups is not None
    assert found.given is not None
    assert found.groups.numbers.tolist() == [0, 1, 2, 3]
    assert tuple(found.given) == SIDES
    assert f"column {patient!r} is read as patient_id" in found.notes
    assert f"column {split.strip()!r} is read as split" in found.notes
    assert not [note for note in found.notes if note.startswith("no column")]


def test_a_name_of_its_own_is_read_without_a_word() -> None:
    found = read("filename,label,patient_id,split", *four(("p1", "p1", "p2", "p3"), SIDES))
    assert found.notes == ()


def test_filename_label_and_site_under_other_names(
    make_folder: Callable[..., Path], dataset: Any, data_config: Any, tmp_path: Path
) -> None:
    root = make_folder(dataset(12, "File Name,LABEL,Site", lambda row: f",{'xy'[row % 2]}"))
    data = load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    assert data.images[:, 0, 0, 0].tolist() == list(range(12))
    assert data.columns["site"].tolist() == data.columns["Site"].tolist() == ["x", "y"] * 6
    read = [note for note in data.notes if note.startswith("column")]
    assert read == [
        f"column {name!r} is read as {role}"
        for name, role in (("File Name", "filename"), ("LABEL", "label"), ("Site", "site"))
    ]


def test_what_is_not_there_is_said(
    make_folder: Callable[..., Path], dataset: Any, data_config: Any, tmp_path: Path
) -> None:
    config = data_config("folder", make_folder(dataset(12, "filename,label,age", lambda row: f",{row}")))
    for _ in range(2):  # decoded, and from the cache
        said, _ = load_images(config, cache_dir=tmp_path / "cache").notes  # the other: these images are dark
        assert said.startswith("no column patient_id and no column split")
        assert "the columns are 'filename', 'label', 'age'" in said
    assert (
        read("filename,label,patient_id", *four(["", "", "", ""])).notes[-1] == "column 'patient_id' is empty"
    )


@pytest.mark.parametrize("role", ["patient_id", "split", "site", "label", "filename", "time"])
def test_a_column_that_the_user_names_must_be_there(role: str) -> None:
    with pytest.raises(MetadataError, match=rf"no column 'PatientID', only .*'Patient ID'\?.*columns\.{role}"):
        read("filename,label,Patient ID", *four(PEOPLE), **{role: "PatientID"})


def test_columns_of_which_each_may_be_the_one() -> None:
    with pytest.raises(MetadataError, match="columns 'Patient_ID', 'PatientID' may each be the patient_id"):
        read("filename,label,Patient_ID,PatientID", *four(PEOPLE, PEOPLE))
    with pytest.raises(
        MetadataError, match=r"'fold', 'subset' may each be the split; set data\.columns\.split"
    ):
        read("filename,label,fold,subset", *four(SIDES, SIDES))
    assert read("filename,label,fold,subset", *four(SIDES, SIDES), split="fold").given is not None
    assert read("filename,label,fold,subset", *four(SIDES, SIDES), split=None).given is None


def test_numbered_folds_are_no_split() -> None:
    found = read("filename,label,patient_id,fold", *four(PEOPLE, ("0", "1", "2", "3")))
    assert found.given is None
    assert "the split is drawn; the columns are 'filename', 'label', 'patient_id', 'fold'" in found.notes[0]


@pytest.mark.parametrize(
    ("first", "second"), [("007", "7"), ("7.0", "7"), ("P07", "p7"), ("a_1", "A 1"), ("s01_x", "s1_x")]
)
def test_ids_that_may_be_one_patients_are_named(first: str, second: str) -> None:
    with pytest.raises(MetadataError, match=f"differ only in {re.escape(SPELLING)}") as caught:
        read("filename,label,patient_id", *four((first, second, "x", "y")))
    assert f"'.0': {' and '.join(map(repr, sorted((first, second))))}; write" in str(caught.value)


def test_texts_that_are_alike() -> None:
    found = find_alike(["1", "1.0", "01", "2", "a", "A", "b"])
    assert found.endswith("'.0': '01' and '1' and '1.0', 'A' and 'a'")
    apart = ["-1", "1", "1.5", "1.05", "10", "100", "p1", "1p", "1-2", "12", "0"]
    assert not find_alike(apart)
    assert find_alike([*apart, "00"]).endswith(": '0' and '00'")
    assert all(map(is_missing, ("", " ", "nan", "NaN", "NA", "n/a", "<NA>", "NULL")))
    assert not any(map(is_missing, ("none", "0", "normal", "nana")))


@pytest.mark.parametrize("missing", ["nan", "NA", ""])
def test_a_patient_that_is_missing(missing: str) -> None:
    with pytest.raises(MetadataError, match=r"'1\.png' has no patient_id"):
        read("filename,label,patient_id", *four(("p", missing, "q", "r")))


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (
            ("1", "1.0", "0"),
            r"labels differ only in .*: '1' and '1\.0'; write .* or set data\.classes",
        ),
        (("normal", "Normal", "NORMAL"), "labels differ only in .*: 'NORMAL' and 'Normal' and 'normal'; write"),
        (("a", "b", "nan"), r"label 'nan' stands for a missing value; .*set data\.classes to keep it"),
        (("a", "b", "NA"), "label 'NA' stands for a missing value"),
        (("a", "b", ""), "has no label"),
    ],
)
def test_labels_that_may_be_one_class_or_none(labels: tuple[str, ...], problem: str) -> None:
    rows = [f"{row}.png,{label}" for row, label in enumerate(labels)]
    with pytest.raises(MetadataError, match=problem):
        read("filename,label", *rows)
    if all(labels):
        assert read("filename,label", *rows, classes=labels).targets.schema.classes == labels


def test_labels_of_which_a_row_has_several_are_checked_too() -> None:
    named = ColumnsConfig(**DEFAULTS, time=None, series=None)
    content = b"filename,label\na.png,Mass|Edema\nb.png,mass\nc.png,No finding"
    table = parse_metadata(content, columns=named, origin="metadata.csv", limits=LIMITS)
    with pytest.raises(MetadataError, match=r"'Mass' and 'mass', 'No Finding' and 'No finding'"):
        annotate(
            table,
            naming=Naming("metadata.csv", named),
            classes=None,
            read_targets=lambda column, wrong: read_labels(column, wrong, separator="|", none="No Finding"),
        )


def test_a_side_without_a_class_is_said(
    make_folder: Callable[..., Path], png: Callable[..., bytes], data_config: Any, tmp_path: Path
) -> None:
    places = ("train/sick", "train/well", "val/well", "test/sick")
    names = [f"{place}/{number}.png" for place in places for number in range(3)]
    root = make_folder({name: png(level * 20) for level, name in enumerate(names)})
    data = load_images(data_config("classes", root), cache_dir=tmp_path / "cache")
    assert data.notes == (
        "the validation rows hold no row of class 'sick': validation metrics say nothing about it",
        "the test rows hold no row of class 'well': test metrics say nothing about it",
    )
