"""`NotebookTable`: progress in the output of a notebook's cell, drawn anew in place; needs no widgets."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import Any

_REDRAW_AFTER_S = 0.2


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose cells can show more than text."""
    ipython: Any = sys.modules.get("IPython")  # never imported for the sake of asking
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@dataclass
class Row:
    """One task.

    Attributes
    ----------
    total : int or None
        Steps; None if they are not known.
    """

    name: str
    total: int | None
    done: int = 0
    note: str = ""


class NotebookTable:
    """One row a task; only where `in_notebook`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._display = import_module("IPython.display").display
        self._handle: Any = None
        self._drawn = 0.0

    def add(self, name: str, *, total: int | None) -> Row:
        """Add a row, whose attributes the caller changes before drawing."""
        row = Row(name, total)
        self.rows.append(row)
        return row

    def draw_soon(self) -> None:
        """Draw, unless that was done a moment ago."""
        if time.monotonic() - self._drawn >= _REDRAW_AFTER_S:
            self.draw()

    def draw(self) -> None:
        """Draw, at the same place as before."""
        if not self.rows:
            return
        content = {
            "text/plain": "\n".join(f"{row.name}  {_steps(row)}  {row.note}".rstrip() for row in self.rows),
            "text/html": f"<table>{''.join(map(_html, self.rows))}</table>",
        }
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
        self._drawn = time.monotonic()


def _steps(row: Row) -> str:
    return str(row.done) if row.total is None else f"{row.done}/{row.total}"


def _html(row: Row) -> str:
    bar = "" if row.total is None else f"<progress max='{row.total}' value='{row.done}'></progress>"
    cells = (escape(row.name), bar, _steps(row), escape(row.note))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
