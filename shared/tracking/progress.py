"""`Board`: progress of epochs and rounds, as bars on a terminal, a table in a notebook, lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from shared.metrics.catalogue import progress_metrics
from shared.runtime.notebook import NotebookTable, in_notebook
from shared.runtime.waiting import duration, is_live
from shared.tracking.store import Store

# Called with the steps done, of which a part may count (2.25: a quarter of the third), and a note.
Update = Callable[[float, str], None]
_NARROW = 80  # columns below which a bar is not drawn: its numbers and its note need them
_QUIET_S = 30.0  # where lines are printed, one within a step at most so often
_WORTH_S = 10.0  # less time left is not worth a word in a line


class Follower:
    """Takes what a federated run does meanwhile; this base class shows nothing but remarks."""

    def poll(self, run_id: int) -> None:
        """Look at the run in the store; called from time to time."""

    def step(self, done: float, note: str) -> None:
        """Show how far it is.

        Parameters
        ----------
        done : float
            Rounds, with the part of the current one that is done.
        """

    def say(self, line: str) -> None:
        """Print a line that stays."""
        print(line, file=sys.stderr, flush=True)


NOBODY = Follower()


class RoundFollower(Follower):
    """Shows the rounds of a run, with the metrics of the last one that was evaluated."""

    def __init__(self, update: Update, say: Callable[[str], None], *, store: Store) -> None:
        self._update, self._say, self._store = update, say, store
        self._round, self._metrics = 0, ""

    def poll(self, run_id: int) -> None:
        """Show a round that has been evaluated since."""
        evaluations = self._store.evaluations.of_run(run_id)
        if not evaluations or (evaluations[-1].round == self._round and self._metrics):
            return
        last = evaluations[-1]
        loss = {} if math.isnan(last.loss) else {"loss": last.loss}  # a task need not have one
        values = {**last.metrics, **loss}
        self._round = last.round
        self._metrics = "  ".join(f"test/{name} {values[name]:.4f}" for name in progress_metrics(values))
        self._update(last.round, self._metrics)

    def step(self, done: float, note: str) -> None:
        """Show how far the round is, beside the metrics of the last one."""
        self._update(done, "  ".join(filter(None, (note, self._metrics))))

    def say(self, line: str) -> None:
        """Print a line that stays, above what is drawn."""
        self._say(line)


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

    def say(self, line: str) -> None:
        """Print a line that stays."""
        print(line, file=sys.stderr, flush=True)

    def follow_rounds(self, store: Store, name: str, *, total: int) -> Follower:
        """Add a task that follows a federated run in the store.

        Parameters
        ----------
        total : int
            Rounds.
        """
        update = self.task(name, total=total)
        update(0, "starting")
        return RoundFollower(update, self.say, store=store)


class Bars(Board):
    """Bars on a terminal, on standard error."""

    def __init__(self, console: Console) -> None:
        short = console.width < _NARROW
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        if not short:
            columns.append(BarColumn(bar_width=20))
        note = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns += [_Steps(), _Times(), TextColumn("{task.fields[note]}", markup=False, table_column=note)]
        self._progress = Progress(*columns, console=console, expand=True)

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

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Steps(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{int(task.completed)}/{int(task.total or 0)}")


class _Times(ProgressColumn):
    def render(self, task: Task) -> Text:
        elapsed = task.finished_time if task.finished else task.elapsed
        text = "" if elapsed is None else duration(elapsed)
        left = None if task.finished else left_s(task.completed, task.total or 0, elapsed or 0.0)
        return Text(text if left is None else f"{text}, {duration(left)} left", no_wrap=True)


class Lines(Board):
    """A line a step, on standard error, and a line now and then within a long one."""

    def task(self, name: str, *, total: int) -> Update:
        """Add a task, whose steps become lines."""
        began = told = time.monotonic()
        shown, noted = -1, ""

        def write(done: float, note: str) -> None:
            nonlocal shown, noted, told
            now = time.monotonic()
            new = int(done) != shown or (not done and note != noted)
            if not new and now - told < _QUIET_S:
                return
            left = left_s(done, total, now - began)
            part = "" if done == int(done) else f"  {done - int(done):.0%} of the next"
            remains = "" if left is None or left < _WORTH_S else f"  about {duration(left)} left"
            shown, noted, told = int(done), note, now
            print(f"{name}  {int(done)}/{total}{part}  {note}{remains}", file=sys.stderr, flush=True)

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

        def update(done: float, note: str) -> None:
            row.done, row.note = int(done), note
            self._table.draw_soon()

        return update

    def say(self, line: str) -> None:
        """Print a line below the table; standard error is red there."""
        print(line)


def left_s(done: float, total: float, elapsed_s: float) -> float | None:
    """Seconds that the steps that are left will take at the pace so far; None where there is none yet."""
    return None if done <= 0 or done >= total else elapsed_s / done * (total - done)


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
    return Bars(Console(stderr=True)) if sys.stderr is not None and is_live(sys.stderr) else Lines()
