"""`patients_in_names`: what may be patients in the names of files, where nothing else tells them apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from shared.data.sources.listing import last_of
from shared.runtime.counts import count_of

_PATIENT = re.compile(
    r"(?:^|[\W_])((?:patienten?|patient|person|subject|subj|sub|participant|case|pat|pt|mrn|pid)[\W_]?[a-z]?\d+)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_MOST = 0.5  # the part of the images whose names must hold one


def patients_in_names(names: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Say how many names hold what may be a patient: ``person88_virus_161.jpeg``, ``sub-01_T1.png``.

    Parameters
    ----------
    names : sequence of str, N
        Of files.
    splits : sequence of str, N
        Their sides.

    Returns
    -------
    list of str
        One sentence, or none: where few names do, or no two the same.
    """
    found: dict[str, set[str]] = defaultdict(set)
    count, example = 0, ""
    for name, side in zip(names, splits, strict=True):
        if match := _PATIENT.search(last_of(name).rpartition(".")[0]):
            patient = match[1].casefold()
            example = example or (name if patient in found else "")
            found[patient].add(side)
            count += 1
    if len(found) < 2 or len(found) == count or count < _MOST * len(names):
        return []
    apart = sum(len(sides) > 1 for sides in found.values())
    return [
        f"the names of {count_of(count, 'image')} hold what may be patients, such as {example!r}: "
        f"{count_of(len(found), 'patient')}, {apart} of them on two sides of the split; data=folder and a "
        f"column patient_id keep each on one side"
    ]
