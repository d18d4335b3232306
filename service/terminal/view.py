"""`WatchView`: renders the state of a run as one terminal page."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.terminal.state import Progress, RunState, Trend
from service.terminal.stream_client import Connection
from service.terminal.text import ASCII_BLOCKS, BLOCKS, duration, line, number, plain, sparkline, steady_scale
from shared.metrics.catalogue import in_order, spec_of
from shared.tracking.rows import MODE_NAMES

COLOURS = {"pending": "yellow", "running": "cyan", "completed": "green", "failed": "red", "stopped": "magenta"}
STAGES = ("train", "val", "test")
EVENTS_SHOWN = 5
FEWEST_ROWS = 3  # per table, however low the terminal is
ABOVE = 3  # lines above the rows of a table: blank, title, header
UNLIMITED = 10_000
NARROW = 64
READABLE = 16  # characters of a sparkline


class WatchView:
    """A run in a terminal: header, latest values, clients and events.

    Parameters
    ----------
    connection : Connection, optional
        State of the connection; None once no more updates are expected.
    height : int, optional
        Height of the terminal in lines; None: show everything.
    """

    def __init__(
        self, state: RunState, connection: Connection | None = None, *, height: int | None = None
    ) -> None:
        self.state, self.connection, self.height = state, connection, height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One frame."""
        state, width = self.state, options.max_width
        blocks = ASCII_BLOCKS if options.ascii_only else BLOCKS
        header = list(self._header(width))
        names = in_order(name for _, name in state.aggregates)
        events = state.events(EVENTS_SHOWN)
        clients = state.worst_first()
        ids, table = (clients, self._clients) if clients else (sorted(state.children), self._children)
        room = UNLIMITED if self.height is None else self.height - len(header) - len(events) - 2 * bool(events)
        for_ids = min(len(ids), max(FEWEST_ROWS, room // 2 - ABOVE)) + ABOVE if ids else 0
        names = names[: max(FEWEST_ROWS, room - for_ids - ABOVE)]
        yield from header
        if names:
            yield from ("", self._metrics(names, width=width, blocks=blocks))
            room -= len(names) + ABOVE
        if ids:
            fits = room - ABOVE
            shown = ids if len(ids) <= fits else ids[: max(FEWEST_ROWS, fits - 1)]
            yield from ("", table(shown, width=width, blocks=blocks))
            if len(shown) < len(ids):
                yield Text(f"... and {len(ids) - len(shown)} more", "dim")
        if events:
            yield from ("", Text("events", "bold"))
        for event in events:
            moment = Text(f"{datetime.fromtimestamp(event.time):%H:%M:%S}  ", "dim")
            yield self._cut(Text.assemble(moment, plain(event.text, "red" if event.bad else "")))

    def _cut(self, text: Text) -> Text:
        return text if self.height is None else line(text)

    def _header(self, width: int) -> Iterable[RenderableType]:
        state, run = self.state, self.state.run
        if run is None:
            yield line(f"run {state.run_id}   ", self._badge())
            return
        status = Text(state.status, f"bold {COLOURS[state.status]}")
        mode = MODE_NAMES.get(run["training_mode"], run["training_mode"])
        head = Text(f"run {run['id']}  ", "bold")
        yield line(head, status, "  ", self._badge(), f"  {mode}  ", plain(run["name"]))
        yield from self._progress(width)
        stage, name, _ = state.monitor
        best = "" if state.best is None else f"best {stage}/{name} {number(state.best, name)}   "
        about = [run["data"], run["model"], run["strategy"], f"seed {run['seed']}"]
        yield line(plain(best), plain(" · ".join(str(part) for part in about if part), "dim"))
        for text, style in ((run["stop_reason"], "yellow"), (run["error"], "red")):
            if text:
                yield self._cut(plain(text, style))

    def _progress(self, width: int) -> Iterable[RenderableType]:
        progress, left = self.state.progress(), self.state.seconds_left()
        took = duration(self.state.seconds())
        if progress is None:
            yield Text(took)
            return
        text = f"{_steps(progress)}, {took}"
        if left:
            text += f", {duration(left, exact=False)} remaining"
        if progress.total is None:
            yield line(text)
            return
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(
            total=max(1, progress.total), completed=progress.done, width=max(5, min(30, width - 45))
        )
        grid.add_row(bar, line(text))
        yield grid

    def _badge(self) -> Text:
        state, connection = self.state, self.connection
        age = state.age()
        if connection is None or state.ended:
            return Text()
        if connection.state == "waiting":
            wait = max(0.0, (connection.retry_at or 0.0) - time.monotonic())
            return plain(f"disconnected: {connection.reason}; retrying in {math.ceil(wait)} s", "yellow")
        if connection.state == "connecting":
            return Text("connecting", "yellow")
        if not state.reachable:
            return Text("the server cannot reach its database", "yellow")
        ago = "" if age is None else f", updated {duration(age, exact=False)} ago"
        return Text(f"stale{ago}", "yellow") if state.stale() else Text(f"live{ago}", "green")

    def _metrics(self, names: Sequence[str], *, width: int, blocks: str) -> Table:
        values = self.state.aggregates
        stages = [stage for stage in STAGES if any((stage, name) in values for name in names)]
        stages = stages[-max(1, (width - 10) // 14) :]
        room = width - 20 - 13 * len(stages)
        # One long sparkline, of the stage that selects the model, says more than three short ones.
        chosen = [stage for stage in stages if stage == self.state.monitor[0]] or stages[-1:]
        drawn = stages if room >= READABLE * len(stages) else chosen
        spark = _spark_width(room, parts=len(drawn))
        head = [part for stage in stages for part in ((stage, "") if stage in drawn else (stage,))]
        table = _table("latest values", "metric", *head)
        for name in names:
            cells: list[RenderableType] = []
            for stage in stages:
                trend = values.get((stage, name), ())
                cells.append(_last(trend, name))
                if stage in drawn:
                    scale = steady_scale(trend, name)
                    cells.append(sparkline(trend, width=spark, blocks=blocks, scale=scale))
            table.add_row(plain(name), *cells)
        return table

    def _clients(self, ids: Sequence[int], *, width: int, blocks: str) -> Table:
        state = self.state
        stage, monitored, _ = state.compared_by()
        values = [state.client_values.get(client_id, {}) for client_id in ids]
        measured = in_order(name for each in values for own, name in each if own == stage and name != monitored)
        others = [name for name in measured if spec_of(name).source == "outputs"]
        others = others[: max(0, (width - 70) // 12)]
        dropped = Counter(str(client_id) for record in state.rounds.values() for client_id in record["failed"])
        trends = [each.get((stage, monitored), ()) for each in values]
        scale = steady_scale((value for trend in trends for value in trend), monitored)
        about = ["client", "name", "examples", "round"] if width >= NARROW else ["client"]
        room = width - (58 if len(about) > 1 else 24) - 12 * len(others) - (10 if dropped else 0)
        spark = _spark_width(room, parts=1)
        head = [*about, f"{stage}/{monitored}", "", *others, *(["dropped"] if dropped else [])]
        table = _table("clients, worst first", *head)
        for client_id, each, trend in zip(ids, values, trends, strict=True):
            client = state.clients.get(client_id, {})
            name = plain(client.get("name", ""))
            name.truncate(16, overflow="ellipsis")
            last_round = str(state.client_rounds.get(client_id, "-"))
            about_client = (str(client_id), name, str(client.get("num_examples", "-")), last_round)
            cells: list[RenderableType] = [*about_client[: len(about)], _last(trend, monitored)]
            cells.append(sparkline(trend, width=spark, blocks=blocks, scale=scale))
            cells += [_last(each.get((stage, name), ()), name) for name in others]
            cells += [Text(str(dropped[str(client_id)] or ""), "red")] if dropped else []
            table.add_row(*cells)
        return table

    def _children(self, ids: Sequence[int], *, width: int, blocks: str) -> Table:
        over = sum(run["ended"] is not None for run in self.state.children.values())
        all_runs = max(len(self.state.children), (self.state.run or {}).get("planned_runs") or 0)
        what = MODE_NAMES[(self.state.run or {}).get("training_mode", "compare")]
        table = _table(
            f"runs of this {what}, {over} of {all_runs} finished",
            "run",
            "mode",
            "seed",
            "status",
            "done",
            "best",
            "",
        )
        spark = _spark_width(width - 70, parts=1)
        for run in (self.state.children[run_id] for run_id in ids):
            best, steps = run["best"], run["progress"]
            done = _steps(Progress(**steps)) if steps else "-"
            values = [math.nan if value is None else value for value in run["sparkline"]]
            table.add_row(
                str(run["id"]),
                MODE_NAMES.get(run["training_mode"], run["training_mode"]),
                str(run["seed"]),
                Text(run["status"], COLOURS[run["status"]]),
                done,
                plain(f"{best['key']} {number(best['value'])}" if best else "-"),
                sparkline(values, width=spark, blocks=blocks, scale=steady_scale(values, _name(run))),
            )
        return table


def status_line(state: RunState) -> Text:
    """The run in one line, for output that is not a terminal.

    Returns
    -------
    Text
        Such as ``run 3 running, round 4 of 10, val/accuracy 0.93 (best 0.94)``.
    """
    parts = [f"run {state.run_id} {state.status}"]
    progress = state.progress()
    if progress is not None:
        parts.append(_steps(progress))
    stage, name, _ = state.monitor
    trend = state.aggregates.get((stage, name))
    if trend and state.best is not None:
        parts.append(f"{stage}/{name} {number(trend[-1], name)} (best {number(state.best, name)})")
    return plain(", ".join(parts))


def _steps(progress: Progress) -> str:
    return f"{progress.unit} {progress.done}" + (f" of {progress.total}" if progress.total is not None else "")


def _name(run: dict[str, Any]) -> str:
    return str(run["monitor"]["key"]).partition("/")[2]


def _last(trend: Sequence[float] | Trend, name: str) -> Text:
    return Text(number(trend[-1], name) if trend else "-")


def _spark_width(room: int, *, parts: int) -> int:
    width = min(40, room // max(1, parts))
    return width if width >= 4 else 0


def _table(title: str, *head: str) -> Table:
    table = Table(
        box=None, title=title, title_justify="left", title_style="bold", header_style="dim", pad_edge=False
    )
    for column in head:
        words = column in ("", "metric", "name", "mode", "status", "best")
        table.add_column(plain(column), justify="left" if words else "right", no_wrap=True, overflow="ellipsis")
    return table
