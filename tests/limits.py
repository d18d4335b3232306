"""`LIMITS`: how much a source may hold, of tests that read small ones."""

from __future__ import annotations

from shared.data.pixels.limits import ReadLimits

LIMITS = ReadLimits(
    max_files=100,
    max_bytes=10**6,
    max_ratio=200.0,
    max_rows=10**6,
    max_columns=100,
    max_table_bytes=10**6,
    max_table_ratio=10.0,
)
