"""RSNA's layout: a table with a row a box, and DICOM images named by the patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.data.sources.layout import recognise
from shared.runtime.errors import MetadataError
from tests.dicoms import SECRET, dicom
from tests.images import load_images

pytest.importorskip("pydicom")
HEADER = "patientId,x,y,width,height,Target"
RANDOM = np.random.default_rng(0)


def files_of(rows: list[str], patients: int = 20, **header: Any) -> dict[str, bytes]:
    images = {
        f"stage_2_train_images/p{patient}.dcm": dicom(
            RANDOM.integers(0, 255, (8, 8), dtype=np.uint8), **({"PatientID": f"p{patient}"} | header)
        )
        for patient in range(patients)
    }
    other = {"stage_2_test_images/q.dcm": dicom(np.zeros((8, 8), np.uint8))}
    tables = {
        "stage_2_train_labels.csv": "\n".join([HEADER, *rows]).encode(),
        "stage_2_detailed_class_info.csv": b"patientId,class\np0,Normal\n",
    }
    return images | other | tables


def boxes(patients: int = 20) -> list[str]:
    """A patient without a finding has one row, one with a finding has two boxes."""
    rows = []
    for patient in range(patients):
        rows += [f"p{patient},,,,,0"] if patient % 2 else [f"p{patient},{at},1,2,3,1" for at in (5, 9)]
    return rows


@pytest.mark.parametrize("source", ["folder", "zip"])
def test_one_image_one_label_one_patient(
    source: str,
    make_folder: Callable[..., Path],
    make_zip: Callable[..., Path],
    data_config: Any,
    tmp_path: Path,
) -> None:
    files = files_of(boxes())
    path = (
        make_folder(files)
        if source == "folder"
        else make_zip({f"rsna/{name}": file for name, file in files.items()})
    )
    data = load_images(data_config(source, path), cache_dir=tmp_path / "cache")
    assert len(data) == 20
    assert data.targets.tolist() == [int(patient % 2 == 0) for patient in range(20)]
    assert data.schema.classes == ("0", "1")
    assert data.groups is not None
    assert len(data.groups.names) == 20
    assert [note for note in data.notes if note.startswith("30 rows are merged to 20")]
    assert [note for note in data.notes if note.startswith("ignored, not in the table: 1 image")]
    if source == "folder":
        assert recognise(path) == ("folder", path)


def test_targets_that_differ_and_images_that_lack_are_named(
    make_folder: Callable[..., Path], data_config: Any, tmp_path: Path
) -> None:
    root = make_folder(files_of([*boxes(), "p3,1,1,1,1,1"]))
    with pytest.raises(MetadataError, match="patient 'p3' has several values of Target: 0, 1"):
        load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    root = make_folder(files_of([*boxes(), "p99,,,,,0"]), "other")
    with pytest.raises(Exception, match=r"there is no file p99\.dcm"):
        load_images(data_config("folder", root), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("row", ["p{},1,1,1,1,1", "p{},1,1,1,1,0", ",1,1,1,1,0", "p{}"])
def test_wrong_rows_are_counted(
    row: str, make_folder: Callable[..., Path], data_config: Any, tmp_path: Path
) -> None:
    root = make_folder(files_of([*boxes(90), *(row.format(patient) for patient in range(90))], patients=1))
    with pytest.raises(MetadataError) as caught:
        load_images(data_config("folder", root), cache_dir=tmp_path / "cache")
    listed = str(caught.value).splitlines()[1:]
    assert len(listed) <= 12
    assert len({"  - ... and 80 more of this kind", "  - ... and 35 more of this kind"} & {*listed}) == 1


def test_the_patients_of_headers_are_on_one_side_and_never_named(
    make_folder: Callable[..., Path], data_config: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {}
    for patient in range(12):
        for image in range(3):
            file = dicom(RANDOM.integers(0, 255, (8, 8), dtype=np.uint8), PatientID=f"{SECRET}{patient}")
            files[f"{'ab'[patient % 2]}/{patient}-{image}.dcm"] = file
    root = make_folder(files)
    for seed in range(3):
        data = load_images(data_config("classes", root, split_seed=seed), cache_dir=tmp_path / "cache")
        assert data.groups is not None
        sides = {
            (group, side)
            for group, side in zip(data.groups.numbers.tolist(), data.splits.tolist(), strict=True)
        }
        assert len(sides) == 12
    assert [
        note
        for note in data.notes
        if note.startswith("images are told apart by the PatientID") and "12 p" in note
    ]
    alone = load_images(data_config("classes", root, columns={"patient_id": None}), cache_dir=tmp_path / "none")
    assert alone.groups is None
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert SECRET.encode() not in kept
    assert SECRET not in repr(data.notes) + repr(data.facts) + repr(data.groups) + "".join(capfd.readouterr())


def test_patients_on_two_given_sides_are_refused_by_number(
    make_folder: Callable[..., Path], data_config: Any, tmp_path: Path
) -> None:
    files = {}
    for number, place in enumerate(["train/a", "train/b", "test/a", "test/b", "val/a", "val/b"]):
        for image in range(2):
            file = dicom(RANDOM.integers(0, 255, (8, 8), dtype=np.uint8), PatientID=f"{SECRET}{number % 5}")
            files[f"{place}/{image}.dcm"] = file
    with pytest.raises(Exception, match=r"patient '\d' is in train and val") as caught:
        load_images(data_config("classes", make_folder(files)), cache_dir=tmp_path / "cache")
    assert SECRET not in str(caught.value)
