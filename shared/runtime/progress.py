"""`Board`: progress of epochs and rounds, as bars on a terminal and as lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.tracking.store import Store


class Board:
    """Shows the progress of several tasks on standard error."""

    def __init__(self, *, enabled: bool = True) -> None:
        console = Console(stderr=True)
        self.enabled = enabled
        self.bars = console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not (enabled and self.bars),
        )

    def __enter__(self) -> Board:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def task(self, name: str, *, total: int) -> Callable[[int, str], None]:
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
        if not self.enabled:
            return lambda done, note: None
        if self.bars:
            task_id = self.progress.add_task(name, total=total, note="starting")
            return lambda done, note: self.progress.update(task_id, completed=done, note=note)
        shown = -1

        def write(done: int, note: str) -> None:
            nonlocal shown
            if done != shown:
                shown = done
                print(f"{name}  {done}/{total}  {note}", file=sys.stderr, flush=True)

        return write

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
                metrics = last.metrics
                update(last.round, f"test/loss {last.loss:.4f}  test/accuracy {metrics['accuracy']:.4f}")

        return look
