"""Whose the images are, by the PatientID of DICOM headers; no identifier is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.data.dataset import Groups
from shared.data.text_key import SPELLING
from shared.runtime.errors import DataError


def dicom_patients(facts: npt.NDArray[Any], origin: str) -> tuple[Groups | None, list[str]]:
    """Group images by their salted hash of the PatientID.

    Parameters
    ----------
    facts : ndarray [N] of `shared.data.pixels.facts.FACTS`
    origin : str
        What messages call the source.

    Returns
    -------
    groups : Groups or None
        Called by numbers; an image without a PatientID is alone. None where no image has one.
    notes : list of str

    Raises
    ------
    DataError
        PatientIDs that differ in spelling only; they are counted and not named.
    """
    hashes = _hashes(facts)
    known = hashes != b""
    if not known.any():
        return None, []
    keys = np.where(known, hashes, np.arange(len(hashes)).astype("S16"))
    unique, numbers = np.unique(keys, return_inverse=True)
    people = len(set(hashes[known].tolist()))
    spelled = len({own[:8] for own in set(hashes[known].tolist())})
    if spelled < people:
        raise DataError(
            f"{origin}: {people} PatientIDs of DICOM headers are {spelled} but for {SPELLING}; write each "
            f"patient's id in one way (in the headers, or in a column patient_id of a metadata.csv), or set "
            f"data.columns.patient_id=null to take no patients from headers"
        )
    alone = int((~known).sum())
    rest = f"; {alone} images have none and are each taken for one of a patient of their own" if alone else ""
    notes = [f"images are told apart by the PatientID of their DICOM headers: {people} patients{rest}"]
    return Groups(numbers.astype(np.int64), tuple(map(str, range(len(unique))))), notes


def contradictions(facts: npt.NDArray[Any], groups: Groups) -> list[str]:
    """Say where the patients of a table are not those of the DICOM headers.

    Parameters
    ----------
    facts : ndarray [N] of `shared.data.pixels.facts.FACTS`
    groups : Groups
        Of the table.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    pairs = {
        (own, number)
        for own, number in zip(_hashes(facts).tolist(), groups.numbers.tolist(), strict=True)
        if own
    }
    of_header, of_table = Counter(own for own, _ in pairs), Counter(number for _, number in pairs)
    split = sum(count > 1 for count in of_header.values())
    merged = sum(count > 1 for count in of_table.values())
    if not split and not merged:
        return []
    return [
        f"the table's patients are not those of the DICOM headers, and are kept: {split} PatientIDs have "
        f"several ids in the table, {merged} ids of the table have several PatientIDs"
    ]


def _hashes(facts: npt.NDArray[Any]) -> npt.NDArray[np.bytes_]:
    return np.ascontiguousarray(facts["patient"]).view("S16")
