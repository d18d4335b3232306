"""Tables of any width are complete on any terminal: as a table where they fit, row by row where not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from shared.runtime.tables import FittingTable

HEADERS = ["metric", "pooled", "federated", "gap", "verdict"]
ROWS = [
    ["average precision", "0.999", "0.986", "+0.013 [+0.005, +0.022]", "worse"],
    ["calibration error", "0.011", "0.042", "-0.031 [-0.053, -0.011]", "better"],
]


def shown(width, *, no_wrap=False, **options):
    table = FittingTable(title="Gap", caption="pooled minus federated", **options)
    for header in HEADERS:
        table.add_column(header, no_wrap=no_wrap, footer="all")
    for row in ROWS:
        table.add_row(*row[:-1], Text(row[-1], style="red"))
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("no_wrap", [True, False])
@pytest.mark.parametrize("width", [30, 40, 60, 79])
def test_nothing_is_cut_off(width, no_wrap):
    text = shown(width, no_wrap=no_wrap)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())  # a long cell may wrap
    assert [cell for row in ROWS for cell in row if cell not in words] == []
    assert "…" not in text


def test_it_is_a_table_where_it_fits():
    lines = shown(120).splitlines()
    assert any(all(header in line for header in HEADERS) for line in lines)
    assert any(all(cell in line for cell in ROWS[0]) for line in lines)


def test_a_row_names_its_values():
    lines = [line.split() for line in shown(40).splitlines()]
    assert ["pooled", "0.999"] in lines
    assert ["verdict", "better"] in lines
    assert ["metric", "average", "precision"] in lines


def test_a_footer_is_a_row():
    assert ["metric", "all"] in [line.split() for line in shown(40, show_footer=True).splitlines()]
