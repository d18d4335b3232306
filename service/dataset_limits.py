"""`DatasetLimits`: how large a dataset may be that is uploaded, and what its check may take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from shared.runtime.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DatasetLimits:
    """Limits of each dataset, but for the first.

    Attributes
    ----------
    tenant_bytes : int
        Of all datasets of a tenant that has no limit of its own.
    bytes : int
        Of the file.
    entries, expanded_bytes, ratio : int
        Of a ZIP: how many, all of them unpacked, unpacked to packed bytes of one.
    pixels : int
        Of one image.
    rows, columns : int
        Of a table; images count as rows.
    labelled : int
        Fewest images or rows with a label that a training may have.
    check_s : int, seconds
        For the whole check.
    check_bytes : int
        Address space of the process that checks.
    idle_s : int, seconds
        An upload from which nothing comes for so long is ended.
    """

    tenant_bytes: int = 20 * 2**30
    bytes: int = 4 * 2**30
    entries: int = 200_000
    expanded_bytes: int = 20 * 2**30
    ratio: int = 200
    pixels: int = 89_478_485
    rows: int = 3_000_000
    columns: int = 20_000
    labelled: int = 50
    check_s: int = 1800
    check_bytes: int = 16 * 2**30
    idle_s: int = 60

    @classmethod
    def of(cls, given: Iterable[str]) -> DatasetLimits:
        """Those of the command line, such as ``labelled=20``.

        Raises
        ------
        ConfigError
        """
        known = [field.name for field in fields(cls)]
        values = {}
        for text in given:
            name, _, number = text.partition("=")
            if name not in known or not (number.isascii() and number.isdecimal()) or not 0 < len(number) < 16:
                raise ConfigError(
                    f"--dataset-limit {text!r}: expected NAME=NUMBER with one of the names {', '.join(known)}"
                )
            values[name] = int(number)
        return cls(**values)

    @property
    def read(self) -> dict[str, int]:
        """What limits reading, by the setting of ``data`` that does it."""
        return {
            "max_archive_files": self.entries,
            "max_archive_bytes": self.expanded_bytes,
            "max_archive_ratio": self.ratio,
            "max_image_pixels": self.pixels,
            "max_rows": self.rows,
            "max_columns": self.columns,
        }
