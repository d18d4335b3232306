"""`ReadLimits`: how much one source may hold; `over` says what it declares, the limit and its setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.config.data import ImageDataConfig

FREE_TABLE_BYTES = 64 * 2**20  # up to which a table in a ZIP may expand at any ratio
FREE_DECODED_BYTES = 2**30  # the same of all images together
LEAST_DECODED_BYTES = 4096  # what an image counts as, however small: so much work is in each


class TableLimits(Protocol):
    """Most rows and columns of a table."""

    @property
    def max_rows(self) -> int:
        """``data.max_rows``."""
        ...

    @property
    def max_columns(self) -> int:
        """``data.max_columns``."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """Limits of the group ``data``, checked before what they limit is read.

    Attributes
    ----------
    max_files, max_bytes, max_ratio
        ``data.max_archive_files``, ``data.max_archive_bytes``, ``data.max_archive_ratio``: of a ZIP.
    max_rows, max_columns, max_table_bytes, max_table_ratio
        Of a table, see ``conf/data/base.yaml``.
    """

    max_files: int
    max_bytes: int
    max_ratio: float
    max_rows: int
    max_columns: int
    max_table_bytes: int
    max_table_ratio: float

    @classmethod
    def of(cls, cfg: ImageDataConfig) -> ReadLimits:
        """Those that are configured."""
        return cls(
            max_files=cfg.max_archive_files,
            max_bytes=cfg.max_archive_bytes,
            max_ratio=cfg.max_archive_ratio,
            max_rows=cfg.max_rows,
            max_columns=cfg.max_columns,
            max_table_bytes=cfg.max_table_bytes,
            max_table_ratio=cfg.max_table_ratio,
        )


def over(found: str, setting: str, limit: float) -> str:
    """Say that something is beyond a limit.

    Parameters
    ----------
    found : str
        What the file declares, such as ``300000000 rows``.
    """
    number = limit if isinstance(limit, int) else f"{limit:g}"
    return f"{found}, data.{setting}={number} are allowed; raise the setting if the file is what it should be"
