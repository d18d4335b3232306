"""A progress bar on stderr for what takes long, or nothing at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.runtime.waiting import duration, is_live

_SOON_S, _AGAIN_S = 3.0, 30.0  # without a terminal: when a line is printed, and when the next one


@contextmanager
def progress_bar(description: str, *, total: int | None, show: bool) -> Iterator[Callable[[int], None]]:
    """Show how far a task is: a bar on a terminal, elsewhere a line now and then if it takes long.

    Parameters
    ----------
    total : int or None
        Steps; None if they are not known.
    show : bool
        Without it nothing is drawn.

    Yields
    ------
    callable
        Takes the number of steps just done.
    """
    if not show:
        yield lambda steps: None
        return
    from shared.runtime.notebook import NotebookTable, in_notebook

    if in_notebook():
        table = NotebookTable()
        row = table.add(description, total=total)

        def advance(steps: int) -> None:
            row.done += steps
            table.draw_soon()

        yield advance
        if row.done:  # else it took no time to speak of
            table.draw()
        return
    if sys.stderr is None or not is_live(sys.stderr):
        yield _lines(description, total=total)
        return
    from rich.console import Console  # not at the top: decode workers and warm loads never draw
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)


def _lines(description: str, *, total: int | None) -> Callable[[int], None]:
    began = time.monotonic()
    done, due = 0, began + _SOON_S

    def advance(steps: int) -> None:
        nonlocal done, due
        done += steps
        now = time.monotonic()
        if now >= due:
            due = now + _AGAIN_S
            left = f", about {duration((now - began) / done * (total - done))} left" if total and done else ""
            of = f" of {total:,}" if total else ""
            print(f"{description}: {done:,}{of}{left}", file=sys.stderr, flush=True)

    return advance
