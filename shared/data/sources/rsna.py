"""`read_rsna`: a table with ``patientId`` and ``Target``, one row a box, and images named by the patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from shared.config.data import ColumnsConfig
from shared.data.pixels.files import FileTree, read_table
from shared.data.pixels.limits import ReadLimits
from shared.data.sources.listing import is_image, last_of, shown_names
from shared.data.sources.records import read_records
from shared.data.sources.rsna_table import PATIENT, TARGET
from shared.data.sources.table import Table
from shared.runtime.counts import count_of
from shared.runtime.errors import Alike, first_of


def read_rsna(
    tree: FileTree, files: Mapping[str, str], *, table: str, columns: ColumnsConfig, limits: ReadLimits
) -> Table:
    """Read the layout of the RSNA Pneumonia Detection Challenge: one row a patient, boxes are merged.

    Parameters
    ----------
    tree : FileTree
        Of a ZIP or a folder.
    files : mapping of str to str
        Real names by normal name.
    table : str
        Normal name of the table, see `shared.data.sources.rsna_table.find_table`.
    columns : ColumnsConfig
        What the columns of the result are called.

    Returns
    -------
    Table
        Its problems are patients with two targets or two images, and rows without a patient.

    Raises
    ------
    MetadataError
        The table is no CSV.
    """
    content = read_table(tree, files[table], limits=limits)
    lines = read_records(content, f"{table} of {tree.root}", limits=limits, errors="replace")
    header = [column.strip() for column in next(lines)[1]]
    patient, target = header.index(PATIENT), header.index(TARGET)
    targets: dict[str, set[str]] = defaultdict(set)
    uneven = Alike()
    count = 0
    for number, record in lines:
        if len(record) != len(header) or not record[patient].strip():
            uneven.add(f"line {number} has no {PATIENT}, or not {len(header)} values as the header")
            continue
        targets[record[patient].strip()].add(record[target].strip())
        count += 1
    images = defaultdict(list)
    for file in sorted(filter(is_image, files)):
        images[last_of(file).rpartition(".")[0]].append(file)
    several = first_of(
        f"patient {known!r} has several values of {TARGET}: {', '.join(sorted(own))}; keep one"
        for known, own in targets.items()
        if len(own) > 1
    )
    unclear = first_of(
        f"patient {known!r} has {len(images[known])} images, expected one: {shown_names(images[known])}"
        for known in targets
        if len(images[known]) > 1
    )
    notes = [f"the table is {table}: {PATIENT} names the image, {TARGET} is the label"]
    if count > len(targets):
        notes.append(f"{count} rows are merged to {len(targets)}, one an image: the others are further boxes")
    if unnamed := sorted(images.keys() - targets.keys()):
        notes.append(f"ignored, not in the table: {count_of(len(unnamed), 'image')}, {shown_names(unnamed)}")
    found = {
        columns.filename: [images[known][0] if images[known] else f"{known}.dcm" for known in targets],
        columns.label: [min(own) for own in targets.values()],
    }
    if columns.patient_id is not None:
        found[columns.patient_id] = list(targets)
    return Table(found, (*uneven, *several, *unclear), tuple(notes))
