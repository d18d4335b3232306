"""`Board`: progress of epochs and rounds, as bars on a terminal, a table in a notebook, lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.metrics.catalogue import progress_metrics
from shared.runtime.notebook import NotebookTable, in_notebook
from shared.tracking.store import Store

Update = Callable[[int, str], None]  # called with the steps done and a note


class Board:
    """Shows the progress of several tasks; this base class shows nothing."""

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
            Called with the steps done and a note.
        """
        return lambda done, note: None

    def follow_rounds(self, store: Store, name: str, *, total: int) -> Callable[[int], None]:
        """Add a task that follows a federated run in the store.

        Parameters
        ----------
        total : int
            Rounds.

        Returns
        -------
        callable
            Called with the run's id; reads its progress.
        """
        update = self.task(name, total=total)
        update(0, "starting")

        def look(run_id: int) -> None:
            evaluations = store.evaluations.of_run(run_id)
            if evaluations:
                last = evaluations[-1]
                loss = {} if math.isnan(last.loss) else {"loss": last.loss}  # a task need not have one
                values = {**last.metrics, **loss}
                shown = [f"test/{name} {values[name]:.4f}" for name in progress_metrics(values)]
                update(last.round, "  ".join(shown))

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


class InNotebook(Board):
    """A table in the output of a notebook's cell."""

    def __init__(self) -> None:
        self._table = NotebookTable()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.draw()

    def task(self, name: str, *, total: int) -> Update:
        """Add a row."""
        row = self._table.add(name, total=total)

        def update(done: int, note: str) -> None:
            row.done, row.note = done, note
            self._table.draw_soon()

        return update


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
        return InNotebook()
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()
