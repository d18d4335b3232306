"""The table of how the rows are shared out, as the terminal shows it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console

from shared.data.profile import SpanTable
from simulations.report.count_text import count_text, span_text
from tests.profiles import counted


def printed(counts: Any, values: list[str], names: list[str] | None = None, width: int = 80) -> list[str]:
    console = Console(width=width, file=StringIO())
    console.print(count_text(counted(counts, values, names)))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_it_shows_counts_sums_and_shares() -> None:
    lines = printed([[900, 0], [100, 200]], ["normal", "[pneumonia]"], ["North", "[south]"])
    cells = [line.split() for line in lines if line.strip()]
    assert cells[1] == ["client", "normal", "[pneumonia]", "total", "share"]
    assert cells[3] == ["North", "900", "0", "900", "75.0%", "█" * 12]
    assert cells[4] == ["[south]", "100", "200", "300", "25.0%", "█" * 4]
    assert cells[-1] == ["all", "1,000", "200", "1,200"]


def test_it_shows_spans() -> None:
    spans = SpanTable("age", ("North", "[south]"), ((4.0, 80.5), None), np.array([900, 300]))
    console = Console(width=80, file=StringIO())
    console.print(span_text(spans))
    cells = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert cells[1] == ["client", "smallest", "age", "largest", "age", "total", "share"]
    assert cells[3] == ["North", "4", "80.5", "900", "75.0%", "█" * 12]
    assert cells[4] == ["[south]", "-", "-", "300", "25.0%", "█" * 4]
    assert cells[-1] == ["all", "4", "80.5", "1,200"]


def test_it_fits_ten_classes_and_never_cuts_a_number() -> None:
    counts = np.full((2, 10), 1234)
    wide = printed(counts, [str(k) for k in range(10)])
    assert max(map(len, wide)) <= 80
    narrow = printed(counts, [f"a rather long name {k}" for k in range(10)])
    for lines in (wide, narrow):
        row = next(line for line in lines if "50.0%" in line)
        assert row.split()[:13] == ["0", *["1,234"] * 10, "12,340", "50.0%"]


def test_it_of_nothing() -> None:
    assert any("0.0%" in line for line in printed([[0, 0]], ["a", "b"]))
