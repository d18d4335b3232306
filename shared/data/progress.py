"""A progress bar on stderr for what takes long, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(description: str, *, total: int | None, show: bool) -> Iterator[Callable[[int], None]]:
    """Show how far a task is.

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
