"""`MetadataSource`: ``metadata.csv``, whose rows name files under ``images/``, in a ZIP or a folder."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from shared.config.data import ColumnsConfig
from shared.data.pixels.decode_pool import decode_files
from shared.data.pixels.files import FileTree, read_table
from shared.data.pixels.levels import PixelRules
from shared.data.pixels.limits import ReadLimits
from shared.data.pixels.zip_archive import normal_name, unsafe_reason
from shared.data.sources.columns import find_columns
from shared.data.sources.layout import advise
from shared.data.sources.listing import is_image, shown_names
from shared.data.sources.missing import tell_missing
from shared.data.sources.records import line_without_utf8, read_records
from shared.data.sources.rsna import read_rsna
from shared.data.sources.rsna_table import find_table
from shared.data.sources.table import Naming, Table, metadata_error
from shared.runtime.counts import count_of
from shared.runtime.errors import Alike, DataError

NAME = "metadata.csv"
IMAGES = "images"
_TABLES = (".csv", ".tsv", ".xls", ".xlsx", ".parquet")


@dataclass(frozen=True)
class MetadataSource:
    """``metadata.csv`` and ``images/``, in a ZIP or a folder."""

    content: FileTree
    naming: Naming
    limits: ReadLimits

    def table(self) -> Table:
        """The rows of ``metadata.csv``.

        Raises
        ------
        ArchiveError, MetadataError
        """
        files = self.content.files()
        if not has_metadata(files) and (other := find_table(self.content.root, files)):
            return read_rsna(self.content, files, table=other, columns=self.naming.columns, limits=self.limits)
        top = self._top(files)
        name = top + NAME
        try:
            content = read_table(self.content, files[name], limits=self.limits)
        except DataError:
            raise
        except Exception as error:  # a damaged entry raises nearly anything
            raise metadata_error(f"{name} of {self.content.root}", [f"it cannot be read: {error}"]) from None
        naming = self.naming
        table = parse_metadata(content, columns=naming.columns, origin=naming.origin, limits=self.limits)
        named = {top + image_name(row) for row in table.columns[self.naming.columns.filename]}
        below = f"{top}{IMAGES}/"
        unnamed = [file for file in sorted(files.keys() - named) if is_image(file) and file.startswith(below)]
        notes = list(table.notes)
        if unnamed:
            notes.append(
                f"ignored, not in the table: {count_of(len(unnamed), 'image')}, {shown_names(unnamed)}"
            )
        if others := self._tables_beside(files, top):
            notes.append(f"beside {NAME} lie other tables, which are not read: {shown_names(others)}")
        return replace(table, notes=tuple(notes))

    def write(
        self, table: Table, *, out: Path, rules: PixelRules, workers: int | None, progress: bool
    ) -> dict[int, str]:
        """Decode the files that the rows name."""
        files = self.content.files()
        names_of_rows = table.columns[self.naming.columns.filename]
        top = self._top(files) if has_metadata(files) else None
        wanted = names_of_rows if top is None else [top + image_name(name) for name in names_of_rows]
        missing = {row: name for row, name in enumerate(wanted) if name not in files}
        bad = tell_missing(missing, files, self.content.root)
        names = {row: files[name] for row, name in enumerate(wanted) if row not in bad}
        bad.update(
            decode_files(
                self.content.root, names=names, out=out, rules=rules, workers=workers, progress=progress
            )
        )
        return bad

    def _tables_beside(self, files: dict[str, str], top: str) -> list[str]:
        root = self.content.root  # of a folder, only the table and images/ are among the files
        names = [path.name for path in root.iterdir()] if root.is_dir() else [*files]
        beside = [name.removeprefix(top) for name in names if name.startswith(top)]
        return sorted(
            name for name in beside if name.lower().endswith(_TABLES) and "/" not in name and name != NAME
        )

    def _top(self, files: dict[str, str]) -> str:
        if NAME in files:
            return ""
        tops = [name.removesuffix(NAME) for name in files if name.split("/")[1:] == [NAME]]
        if len(tops) == 1:
            return tops[0]
        top_level = sorted({name.split("/")[0] for name in files})
        found = f"{NAME} is in {len(tops)} folders" if tops else f"there is no {NAME}"
        hint = [] if tops else advise(self.content.root)
        raise metadata_error(
            str(self.content.root), [f"{found}; at the top lie {shown_names(top_level, most=20)}", *hint]
        )


def has_metadata(files: Iterable[str]) -> bool:
    """Whether there is a ``metadata.csv``; without one, files may lie as in `shared.data.sources.rsna`."""
    return any(name.rpartition("/")[2] == NAME for name in files)


def parse_metadata(content: bytes, *, columns: ColumnsConfig, origin: str, limits: ReadLimits) -> Table:
    """Parse ``metadata.csv``.

    Parameters
    ----------
    content : bytes
        UTF-8, comma-separated, with a header.
    columns : ColumnsConfig
        The filename and the label column must be there.
    origin : str
        What messages call the file.

    Returns
    -------
    Table
        All columns; its problems are rows that are too short or too long, and filenames that are empty, lead
        out of the folder or appear twice.

    Raises
    ------
    MetadataError
        Not UTF-8, not CSV, empty, or without a column that is needed.
    """
    try:
        return _parse(read_records(content, origin, limits=limits), columns=columns, origin=origin)
    except UnicodeDecodeError:
        line = line_without_utf8(content)
        raise metadata_error(origin, [f"line {line} is not UTF-8 (save the file as CSV UTF-8)"]) from None


def image_name(filename: str) -> str:
    """Where the image of a row lies.

    Parameters
    ----------
    filename : str
        As the column has it: below ``images/``, which may be written or not.

    Returns
    -------
    str
        Normal name that begins with ``images/``.
    """
    name = normal_name(filename)
    return name if name.startswith(f"{IMAGES}/") else f"{IMAGES}/{name}"


def _parse(lines: Iterator[tuple[int, list[str]]], *, columns: ColumnsConfig, origin: str) -> Table:
    header = [name.strip() for name in next(lines, (0, []))[1]]
    if not any(header):
        raise metadata_error(origin, ["it is empty"])
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])):
        found = (
            f"its columns are separated by {other[0]!r}, and commas are expected (save the file as CSV UTF-8)"
        )
        raise metadata_error(origin, [found])
    twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
    problems = [f"column {name!r} appears twice" for name in twice]
    values: dict[str, list[str]] = {name: [] for name in header if name}
    own = [values.get(name) for name in header]
    if twice:  # refused below: their values would mix
        own = [None] * len(header)
    numbers: list[int] = []
    uneven = Alike()
    for number, record in lines:
        if len(record) != len(header):
            uneven.add(f"line {number} has {len(record)} values, the header has {len(header)}")
            continue
        numbers.append(number)
        for column, value in zip(own, record, strict=True):
            if column is not None:
                column.append(value.strip())
    problems += uneven
    if twice:
        raise metadata_error(origin, problems)
    wrong: list[str] = []
    roles = find_columns(values, columns, notes=[], problems=wrong)
    if not {roles.filename, roles.label} <= values.keys():
        raise metadata_error(origin, [*wrong, *problems])
    notes: tuple[str, ...] = ()
    if roles.filename != columns.filename:
        values[columns.filename] = values.pop(roles.filename)
        notes = (f"column {roles.filename!r} is read as {columns.filename}",)
    if not numbers:
        raise metadata_error(origin, [*problems, "it has a header but no rows"])
    problems += _filename_problems(values[columns.filename], values[roles.label or ""], numbers)
    return Table(values, tuple(problems), notes)


def _filename_problems(filenames: list[str], labels: list[str], numbers: list[int]) -> list[str]:
    nameless, repeats, contradictions = Alike(), Alike(), Alike()
    refused: defaultdict[str, Alike] = defaultdict(Alike)  # by reason
    first: dict[str, int] = {}  # row by name
    for row, filename in enumerate(filenames):
        number = numbers[row]
        if not filename:
            nameless.add(f"line {number} has no filename")
        elif unsafe := unsafe_reason(filename):
            refused[unsafe].add(f"line {number}: {filename!r} {unsafe}")
        elif (before := first.setdefault(image_name(filename), row)) == row:
            continue
        elif labels[before] == labels[row]:
            repeats.add(f"line {number}: {filename!r} appears already in line {numbers[before]}; remove one")
        else:
            contradictions.add(
                f"line {number}: {filename!r} has the label {labels[row]!r}, and {labels[before]!r} in line "
                f"{numbers[before]}; remove the wrong one"
            )
    return [*nameless, *chain.from_iterable(refused.values()), *repeats, *contradictions]
