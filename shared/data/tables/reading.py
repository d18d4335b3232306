"""`read_table`: the columns of the configured file, read but not judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.config.data import ColumnsConfig
from shared.config.table_data import TableDataConfig
from shared.data.sources.columns import may_play_a_part
from shared.data.sources.hints import names_people
from shared.data.sources.table import metadata_error
from shared.data.tables.cells import Cells, Reading, lower_case
from shared.data.tables.files import TableFile, open_table

NO_TARGET = "data.target is not set"  # what stands for the column where a task needs none


@dataclass(frozen=True)
class ReadTable:
    """A table, read but not judged.

    Attributes
    ----------
    cells : dict of str to Cells
        Of those that are read.
    rows : ndarray [N], int64
        The line of each row, or its number.
    """

    file: TableFile
    cells: dict[str, Cells]
    rows: npt.NDArray[np.int64]

    def row(self, place: int) -> str:
        """Which row a place is, for people."""
        return f"{self.file.noun} {self.rows[place]}"


def read_table(
    cfg: TableDataConfig, *, keep: Sequence[str], alone: bool = False, origin: str | None = None
) -> ReadTable:
    """Read the columns of the file that is configured.

    Parameters
    ----------
    keep : sequence of str
        Further columns whose texts are kept.
    alone : bool
        Read the inputs alone, and keep no texts.
    origin : str, optional
        What messages call the table; its path by default.

    Raises
    ------
    DataError
    """
    as_text = {*cfg.levels, *(name for name, kind in cfg.kinds.items() if kind == "categorical")}
    file = open_table(
        cfg, texts=lambda name: name in as_text or _keeps_text(name, cfg, keep=keep), origin=origin
    )
    as_text |= {file.file_column} if file.file_column else set()
    wanted = {name for name in file.names if name not in cfg.drop} if not alone else {*(cfg.inputs or ())}
    cells = {
        name: Cells(
            Reading(
                as_text=name in as_text,
                keep_text=not alone and (name == file.file_column or _keeps_text(name, cfg, keep=keep)),
                missing=lower_case([*cfg.missing_values, *cfg.missing_in.get(name, ())]),
                decimal=cfg.decimal,
            )
        )
        for name in file.names
        if name in wanted
    }
    rows = []
    for block in file.blocks:
        rows.append(block.rows)
        for name, values in zip(file.names, block.columns, strict=True):
            if name in cells:
                cells[name].add(values)
    if not rows:
        raise metadata_error(file.origin, ["it has a header but no rows"])
    return ReadTable(file, cells, np.concatenate(rows))


def _keeps_text(name: str, cfg: TableDataConfig, *, keep: Sequence[str]) -> bool:
    # A number may tell patients apart, so that it is no input.
    return name in (cfg.target, *keep) or may_play_a_part(name, columns_config(cfg)) or names_people(name)


def columns_config(cfg: TableDataConfig) -> ColumnsConfig:
    """The parts that columns play, in the words of images."""
    return ColumnsConfig(
        filename="filename", label=cfg.target or NO_TARGET, **cfg.columns.model_dump(exclude={"file"})
    )


def texts_of(read: ReadTable) -> dict[str, list[str]]:
    """The columns that are text, with those that play a part."""
    return {name: cells.texts for name, cells in read.cells.items() if cells.levels or cells.reading.keep_text}
