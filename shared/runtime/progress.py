"""`Board`: progress of epochs and rounds, as bars on a terminal, a table in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.tracking.store import Store

Update = Callable[[int, str], None]  # takes the steps done, and a note
_REDRAWN_S = 0.2  # seconds between two drawings of a notebook's table


class Board:
    """Shows several tasks, one after the other; this one shows nothing."""

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def task(self, name: str, *, total: int) -> Update:
        """Add a task.

        Parameters
        ----------
        total : int
            Steps.

        Returns
        -------
        callable
            Takes the steps done and a note.
        """
        return lambda done, note: None

    def follow_rounds(self, store: Store, name: str, *, total: int) -> Callable[[int], None]:
        """A task that follows a federated run in the store.

        Parameters
        ----------
        total : int
            Rounds.

        Returns
        -------
        callable
            Takes the run's id, and looks.
        """
        update = self.task(name, total=total)
        update(0, "starting")

        def look(run_id: int) -> None:
            evaluations = store.server_evaluations(run_id)
            if evaluations:
                last = evaluations[-1]
                metrics = last.metrics
                update(last.round, f"test/loss {last.loss:.4f}  test/accuracy {metrics['accuracy']:.4f}")

        return look


class Bars(Board):
    """Bars on a terminal, on standard error."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )

    def __enter__(self) -> Board:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def task(self, name: str, *, total: int) -> Update:
        """Add a bar."""
        task_id = self._progress.add_task(name, total=total, note="starting")
        return lambda done, note: self._progress.update(task_id, completed=done, note=note)


class Lines(Board):
    """A line a step, on standard error."""

    def task(self, name: str, *, total: int) -> Update:
        """Add a task, whose steps become lines."""
        shown = -1

        def write(done: int, note: str) -> None:
            nonlocal shown
            if done != shown:
                shown = done
                print(f"{name}  {done}/{total}  {note}", file=sys.stderr, flush=True)

        return write


@dataclass
class _Row:
    name: str
    total: int
    done: int = 0
    note: str = "starting"


class NotebookTable(Board):
    """A table in the output of a notebook's cell, drawn anew in place.

    Parameters
    ----------
    display : callable
        IPython's.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None
        self._rows: list[_Row] = []
        self._drawn = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rows:
            self._draw()

    def task(self, name: str, *, total: int) -> Update:
        """Add a row."""
        row = _Row(name, total)
        self._rows.append(row)

        def update(done: int, note: str) -> None:
            row.done, row.note = done, note
            if time.monotonic() - self._drawn >= _REDRAWN_S:
                self._draw()

        return update

    def _draw(self) -> None:
        lines = [f"{row.name}  {row.done}/{row.total}  {row.note}" for row in self._rows]
        html = "".join(
            f"<tr><td>{escape(row.name)}</td>"
            f"<td><progress max='{row.total}' value='{row.done}'></progress></td>"
            f"<td>{row.done}/{row.total}</td><td>{escape(row.note)}</td></tr>"
            for row in self._rows
        )
        content = {"text/plain": "\n".join(lines), "text/html": f"<table>{html}</table>"}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
        self._drawn = time.monotonic()


def open_board(*, enabled: bool) -> Board:
    """The display that suits where this process runs.

    Parameters
    ----------
    enabled : bool
        Without it nothing is shown.
    """
    if not enabled:
        return Board()
    if in_notebook():
        return NotebookTable(import_module("IPython.display").display)
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose cells can show more than text."""
    ipython: Any = sys.modules.get("IPython")  # never imported for the sake of asking
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
