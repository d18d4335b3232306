"""Patients of DICOM headers: ids in several spellings, and a table that says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.runtime.errors import DataError
from tests.dicoms import SECRET, dicom
from tests.images import load_images

RANDOM = np.random.default_rng(1)


def image(identifier: str) -> bytes:
    return dicom(RANDOM.integers(0, 255, (8, 8), dtype=np.uint8), PatientID=SECRET + identifier)


@pytest.mark.parametrize("spelled", [("-007", "-7"), ("a", "A"), ("-1", "_1")])
def test_ids_that_differ_in_spelling_are_counted_and_not_named(
    spelled: Sequence[str], make_folder: Callable[..., Path], data_config: Any, tmp_path: Path
) -> None:
    ids = [*spelled, "x", "y", "z", "w"] * 2
    root = make_folder({f"{'ab'[row % 2]}/{row}.dcm": image(own) for row, own in enumerate(ids)})
    with pytest.raises(DataError, match="6 PatientIDs of DICOM headers are 5") as caught:
        load_images(data_config("classes", root), cache_dir=tmp_path / "cache")
    assert SECRET not in str(caught.value)
    config = data_config("classes", root, columns={"patient_id": None})
    assert load_images(config, cache_dir=tmp_path / "cache").groups is None


@pytest.mark.parametrize(
    ("known", "said"), [("112233445566", None), ("112237445566", (1, 0)), ("111133445566", (0, 1))]
)
def test_a_table_that_contradicts_the_headers(
    known: str, said: tuple[int, int] | None, make_folder: Callable[..., Path], data_config: Any, tmp_path: Path
) -> None:
    # The patients of the headers are x, x, y, y, z, z ..., twice.
    rows, files = ["filename,label,patient_id"], {}
    for row in range(24):
        own = row % 12
        rows.append(f"{row}.dcm,{'ab'[row // 12]},{known[own]}")
        files[f"images/{row}.dcm"] = image("xxyyzzuuvvww"[own])
    root = make_folder({"metadata.csv": "\n".join(rows).encode(), **files})
    notes = load_images(data_config("folder", root), cache_dir=tmp_path / "cache").notes
    found = [note for note in notes if "not those of the DICOM headers" in note]
    assert bool(found) == (said is not None)
    if said:
        assert f"{said[0]} PatientIDs" in found[0]
        assert f"{said[1]} ids" in found[0]
