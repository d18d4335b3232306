"""The board of a sweep under way, and the tables of its plan and its results, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shared.metrics.headline import format_value
from shared.runtime.counts import count_of
from shared.runtime.notebook import NotebookTable, Row, in_notebook
from shared.runtime.waiting import duration, is_live
from shared.sweeps.axis import value_text
from shared.sweeps.plan import Plan
from shared.tracking.rows import MODE_NAMES
from shared.tracking.show import plain, table
from shared.tracking.store import Store
from simulations.sweeps.cells import CONFIDENCE, NUMBERS, Cell, text_of
from simulations.sweeps.progress import Progress, named

_FEW = 12  # cells of a plan, or trials under way, that are listed
_BAR = 30
_WIDE = 34  # columns of the settings of a cell, however narrow the terminal is


class SweepBoard:
    """Shows how far a sweep is: a board on a terminal, a table in a notebook, a line a trial elsewhere."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._notebook: tuple[NotebookTable, Row] | None = None

    def __enter__(self) -> SweepBoard:
        if in_notebook():
            shown = NotebookTable()
            self._notebook = shown, shown.add("sweep", total=None)
        elif sys.stderr is not None and is_live(sys.stderr):
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show it as it is now."""
        if progress.error is not None:
            first = progress.error.partition("\n")[0]
            self._say(f"trial {progress.finished} failed: {first}")
        if self._notebook is not None:
            shown, row = self._notebook
            row.total, row.done, row.note = progress.total, progress.done, _counted(progress)
            shown.draw()
        elif self._live is not None:
            self._live.update(self._board(progress), refresh=True)
        elif progress.finished is not None and progress.error is None:
            how = "pruned" if progress.finished_pruned else "completed"
            self._say(f"trial {progress.finished} {how}  {_counted(progress)}")

    def _say(self, line: str) -> None:
        if self._notebook is not None:
            print(line)  # standard error is red there
        else:
            self._console.print(plain(line), soft_wrap=True)

    def _board(self, progress: Progress) -> Group:
        over = progress.done + progress.failed + progress.pruned
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=progress.total, completed=over, width=_BAR)
        head.add_row(Text(f"sweep {progress.sweep_id}", "bold"), bar, Text(f"{over}/{progress.total}"))
        lines: list[RenderableType] = [head, Text(_counted(progress))]
        if progress.best is not None:
            best = progress.best
            name = (
                f"best so far  {best.key} {format_value(best.value)}  trial {best.number}, run {best.run_id}: "
            )
            lines.append(Text.assemble((name, "green"), plain(named(best.settings, best.seed))))
        running = [one for one in self._store.trials.of_sweep(progress.sweep_id) if one.status == "running"]
        for one in running[:_FEW]:
            lines.append(
                Text.assemble(
                    (f"running  trial {one.number}, run {one.run_id}: ", "cyan"),
                    plain(named(one.settings, one.seed)),
                )
            )
        return Group(*lines)


def print_search(plan: Plan) -> None:
    """Print what a search will try, on standard error."""
    search = plan.search
    assert search is not None
    seeds = len(plan.seeds or (0,))
    say = Console(stderr=not in_notebook()).print
    pruned = "" if search.pruner == "none" else f", pruned by {search.pruner}"
    of_seeds = f" x {count_of(seeds, 'seed')}" if seeds > 1 else ""
    say(
        plain(
            f"a search of {count_of(search.trials, 'choice')} of settings{of_seeds} ({MODE_NAMES[plan.mode]}), "
            f"proposed by {search.sampler}{pruned}, for {', '.join(search.objectives)} on validation rows; the "
            "winner is trained once more, and tested"
        ),
        soft_wrap=True,
    )
    if plan.settings:
        say(
            plain("all have  " + " ".join(f"{key}={value}" for key, value in plan.settings.items())),
            soft_wrap=True,
        )
    for key, values in plan.grid.items():
        say(plain(f"      {key}={value_text(values)}"), soft_wrap=True)


def print_plan(plan: Plan, cells: Sequence[Sequence[str]], *, trials: int) -> None:
    """Print what a sweep will train, on standard error."""
    seeds = len(plan.seeds or (0,))
    listed = "" if plan.seeds is None else f" ({', '.join(map(str, plan.seeds))})"
    say = Console(stderr=not in_notebook()).print
    say(
        plain(
            f"{count_of(trials, 'trial')} ({MODE_NAMES[plan.mode]}): {count_of(len(cells), 'cell')} x "
            f"{count_of(seeds, 'seed')}{listed}"
        ),
        soft_wrap=True,
    )
    if plan.settings:
        say(
            plain("all have  " + " ".join(f"{key}={value}" for key, value in plan.settings.items())),
            soft_wrap=True,
        )
    for place, cell in enumerate(cells[:_FEW], start=1):
        say(plain(f"{place:4}  {' '.join(cell) or '(the settings as they are)'}"), soft_wrap=True)
    if len(cells) > _FEW:
        say(f"      ... and {len(cells) - _FEW} more")


def cells_table(cells: Sequence[Cell], *, sweep_id: int) -> Table:
    """The results of a sweep: one line a cell."""
    names = [name for name in NUMBERS if any(name in cell.numbers for cell in cells)]
    titles = list(dict.fromkeys(cell.label for cell in cells if cell.label))
    several = len(titles) > 1
    seeds = any(len(cell.seeds) > 1 for cell in cells)
    what = f"{titles[0]} on the test rows" if len(titles) == 1 else "test rows"
    over = f", mean over the seeds, {100 * CONFIDENCE:g} % CI" if seeds else ""
    failed = any(cell.failed for cell in cells)
    sought = list(next((cell.sought for cell in cells if cell.sought), ()))
    pruned = any(cell.pruned for cell in cells)
    head = ["settings", *(["metric"] if several else []), "seeds", *sought, *names]
    head += [*(["failed"] if failed else []), *(["pruned"] if pruned else [])]
    title = f"sweep {sweep_id}: {what}{over}"
    if sought:
        title = f"sweep {sweep_id}: a search on validation rows; the last line, its winner: {what}{over}"
    shown = table(*head, title=title, light=True)
    first = shown.columns[0]
    first.justify = "left"
    first.min_width = min(_WIDE, max((len(" ".join(cell.settings)) for cell in cells), default=0))
    for cell in cells:
        metric = [plain(cell.label)] if several else []
        counts = [str(cell.failed or "")] if failed else []
        counts += [str(cell.pruned or "")] if pruned else []
        done, all_ = len(cell.seeds), cell.trials
        shown.add_row(
            plain(("winner: " if cell.is_winner else "") + (" ".join(cell.settings) or "(as they are)")),
            *metric,
            str(all_) if done == all_ else f"{done} of {all_}",
            *(format_value(cell.sought[name]) if name in cell.sought else "" for name in sought),
            *(text_of(cell, name) for name in names),
            *counts,
        )
    return shown


def _counted(progress: Progress) -> str:
    left = progress.seconds_left
    remains = "" if not left else f", about {duration(left)} left"
    words = ("done", "running", "failed", "waiting", *(("pruned",) if progress.pruned else ()))
    counts = ", ".join(f"{getattr(progress, word)} {word}" for word in words)
    return f"{counts}   {duration(progress.seconds)}{remains}"
