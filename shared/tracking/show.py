"""Terminal views of runs, as rich renderables and as JSON, for ``fedtwin runs`` and ``fedtwin show``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shared.config.no_effect import has_effect
from shared.metrics.catalogue import in_order, spec_of
from shared.runtime.tables import FittingTable
from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import MODE_NAMES, TRIAL, MetricRow, RunRow, json_ready
from shared.tracking.schema import STAGES
from shared.tracking.store import Store
from shared.tracking.telling_settings import telling_settings
from shared.tracking.twins import headline_record, members_of, positive_class, stored_report

COLOURS = {"pending": "yellow", "running": "cyan", "completed": "green", "failed": "red", "stopped": "magenta"}
HIGHLIGHTS = {
    "all": (
        "data.name",
        "task.name",
        "model.name",
        "trainer.optimizer.name",
        "trainer.optimizer.lr",
        "data.batch_size",
        "seed",
    ),
    "centralized": ("trainer.max_epochs",),
    "federated": (
        "strategy.name",
        "partition.name",
        "federation.num_clients",
        "federation.num_rounds",
        "federation.local_epochs",
    ),
}
# Columns of text; all others hold numbers.
WORDS = (
    "name",
    "mode",
    "status",
    "best",
    "differs in",
    "metric",
    "failed",
    "tags",
    "label",
    "true class",
    "mostly taken for",
    "model",
    "aliases",
    "metrics",
    "why",
    "alias",
    "threshold",
)
MOST_METRICS = 6  # of a client, on a line of the terminal
LONGEST_TEXT = 500


def runs_table(rows: Sequence[RunRow], *, tenants: Mapping[int, str] | None = None) -> Table:
    """A table with one line per run.

    Parameters
    ----------
    tenants : mapping of int to str, optional
        Whose each run is; without it, it is not shown.
    """
    owned = () if tenants is None else ("tenant",)
    tags = ("tags",) if any(row.tags for row in rows) else ()
    telling = telling_settings(rows)
    differs = ("differs in",) if any(telling) else ()
    names = ("id", *owned, "name", "mode", "status", "age", "seconds", "best", *differs, *tags)
    listed = table(*names, title="runs", light=True)
    now = datetime.now(UTC)
    for row, settings in zip(rows, telling, strict=True):
        age = _age((now - row.started).total_seconds())
        best, gap = _headline(row), headline_record(row)
        shown = "-" if best is None else f"{best[0]} {best[1]:.4f}"
        if gap is not None:
            shown = f"gap {gap['label']} {gap['text']['gap']}"
        status = Text(row.status, COLOURS[row.status])
        mode = MODE_NAMES[row.training_mode]
        owner = () if tenants is None else (tenants.get(row.id, "-"),)
        values = (str(row.id), *owner, plain(row.name), mode, status, age, f"{row.seconds:.1f}", shown)
        apart = plain(", ".join(f"{name}={value}" for name, value in settings.items()))
        listed.add_row(*values, *(apart for _ in differs), *(plain(", ".join(row.tags)) for _ in tags))
    return listed


def runs_json(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """The content of `runs_table` in JSON's types.

    Returns
    -------
    list of dict
        The rows without their config, with ``seconds`` and ``best_metric``; ``gap``, the headline of a
        comparison (see `shared.metrics.gap_record.gap_record`; else null); ``differs_in``, the settings that
        tell the listed runs of a mode apart.
    """
    listed = []
    for row, settings in zip(rows, telling_settings(rows), strict=True):
        best = _headline(row)
        named = None if best is None else {"name": best[0], "value": best[1]}
        values = {
            **row.as_dict(),
            "seconds": row.seconds,
            "best_metric": named,
            "gap": headline_record(row),
            "differs_in": settings,
        }
        del values["config"]
        listed.append(values)
    return listed


def run_view(store: Store, run_id: int) -> Group:
    """One run: its settings, latest values, clients and rounds.

    Raises
    ------
    TrackingError
        No such run.
    """
    run, latest = store.runs.get(run_id), store.metrics.latest(run_id)
    parts = [
        _header(store, run),
        _settings(run),
        _data(run),
        _stages(run, latest),
        _clients(store, run_id, latest),
    ]
    return Group(*(part for part in (*parts, _rounds(store, run_id)) if part is not None))


def run_json(store: Store, run_id: int) -> dict[str, Any]:
    """The content of `run_view` in JSON's types.

    Returns
    -------
    dict
        ``run``, ``best`` validation values, ``latest`` points, ``clients``, ``rounds``, ``children`` (ids),
        ``gap`` (of a comparison, see `shared.metrics.gap_record.gap_report`; else null), ``trials`` (of a
        sweep).

    Raises
    ------
    TrackingError
        No such run.
    """
    run = store.runs.get(run_id)
    return {
        "run": {**run.as_dict(), "seconds": run.seconds},
        "best": json_ready(store.metrics.best_values(run_id)),
        "latest": [row.as_dict() for row in store.metrics.latest(run_id)],
        "clients": [row.as_dict() for row in store.clients.of_run(run_id)],
        "rounds": [row.as_dict() for row in store.rounds.of_run(run_id)],
        "children": [row.id for row in members_of(store, run)],
        "gap": stored_report(store, run_id),
        "trials": [trial.as_dict() for trial in store.trials.of_sweep(run_id)],
    }


def _header(store: Store, run: RunRow) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    children = (
        [] if run.training_mode == "sweep" else members_of(store, run)
    )  # there may be thousands of trials
    lines: list[tuple[str, str | Text]] = [
        ("run", Text.assemble(f"{run.id}  ", plain(run.name), f"  ({MODE_NAMES[run.training_mode]})")),
        ("status", Text(run.status, COLOURS[run.status])),
        ("started", f"{run.started:%Y-%m-%d %H:%M:%S} UTC, {run.seconds:.1f} s"),
        ("description", plain(run.description)),
        ("tags", plain(", ".join(run.tags))),
        ("error", Text("\n").join(map(plain, (run.error or "")[:LONGEST_TEXT].splitlines()))),
        ("stop reason", plain(run.stop_reason or "")),
        *_parents(run),
        ("trials", _trials(store, run)),
        ("runs", ", ".join(f"{child.id} ({MODE_NAMES[child.training_mode]})" for child in children)),
    ]
    for label, value in lines:
        if value:
            grid.add_row(Text(label, "dim"), value)
    return grid


def _parents(run: RunRow) -> list[tuple[str, str]]:
    if run.sweep_id is not None:
        number = run.summary[TRIAL]["number"]
        what = "a pooled twin of several trials" if number is None else f"trial {number}"
        return [("sweep", f"{run.sweep_id} ({what})")]
    return [] if run.parent_id is None else [("comparison", str(run.parent_id))]


def _trials(store: Store, run: RunRow) -> str:
    if run.training_mode != "sweep":
        return ""
    counts = store.trials.counts([run.id])[run.id]
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _settings(run: RunRow) -> RenderableType | None:
    names = HIGHLIGHTS["all"] + HIGHLIGHTS.get(run.training_mode, HIGHLIGHTS["centralized"])
    found = [(name, _setting(run.config, name)) for name in names if has_effect(name, run.config)]
    shown = [f"{name}={value}" for name, value in found if value is not None]
    return plain("  ".join(shown)) if shown else None


def _setting(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def _data(run: RunRow) -> RenderableType | None:
    read = run.summary.get("data")  # see `shared.data.summary.DataSummary`
    if not read:
        return None
    sides = [side for side in STAGES if read["rows"].get(side)]
    lines = [f"data {read['origin']} ({read['layout']})" if read["layout"] else f"data {read['origin']}"]
    lines.append("rows " + ", ".join(f"{side} {read['rows'][side]:,}" for side in sides))
    if read["groups"] is not None:
        counts = ", ".join(f"{side} {read['groups'].get(side, 0):,}" for side in sides)
        lines.append(f"{read['group_noun']}s {counts}")
    if read["positive"] is not None:
        lines.append(f"positive class {read['positive']}")
    if read["notes"]:
        lines.append(f"{len(read['notes'])} notes on the data (fedtwin show {run.id} --format json)")
    return Text("\n").join(map(plain, lines))


def _stages(run: RunRow, latest: Sequence[MetricRow]) -> Table | None:
    rows = [row for row in latest if row.client_id is None]
    values = {(row.stage, row.name): row.value for row in rows}
    if not values:
        return None
    stages = ("train", "val", "test")
    # The test is of the chosen model, the others of the last one: each column says whose numbers it has.
    shown = table("metric", *(f"{stage}{_when(run, rows, stage)}" for stage in stages), title="values")
    for name in in_order(name for _, name in values):
        positive = positive_class([run]) if spec_of(name).of_positive else None
        named = name if positive is None else f"{name} ({positive})"
        shown.add_row(plain(named), *(number(values.get((stage, name))) for stage in stages))
    return shown


def _when(run: RunRow, rows: Sequence[MetricRow], stage: str) -> str:
    unit = "round" if run.training_mode == "federated" else "epoch"
    number = run.summary.get(f"test_{unit}")
    if stage != "test":
        numbers = [row.round if unit == "round" else row.epoch for row in rows if row.stage == stage]
        number = max((one for one in numbers if one is not None), default=None)
    return "" if number is None else f", {unit} {number}"


def _clients(store: Store, run_id: int, latest: Sequence[MetricRow]) -> Table | None:
    values = {(row.client_id, row.stage, row.name): row for row in latest if row.client_id is not None}
    clients = {row.client_id: row for row in store.clients.of_run(run_id)}
    ids = sorted({*clients, *(client_id for client_id, _, _ in values if client_id is not None)})
    if not ids:
        return None
    stages = {stage for _, stage, _ in values}
    stage = "val" if "val" in stages else "train"
    measured = in_order(name for _, own, name in values if own == stage and spec_of(name).source == "outputs")
    names = measured[:MOST_METRICS]
    shown = table("client", "name", "examples", "round", *names, title=f"clients, latest values ({stage})")
    for client_id in ids:
        row = clients.get(client_id)
        last = max((point.round or 0 for key, point in values.items() if key[0] == client_id), default=None)
        points = [values.get((client_id, stage, name)) for name in names]
        shown.add_row(
            str(client_id),
            plain(row.name if row else ""),
            str(row.num_examples if row else "-"),
            "-" if last is None else str(last),
            *(number(point.value if point else None) for point in points),
        )
    return shown


def _rounds(store: Store, run_id: int) -> Table | None:
    rounds = store.rounds.of_run(run_id)
    if not rounds:
        return None
    names = {client.client_id: client.name for client in store.clients.of_run(run_id)}
    shown = table("round", "sampled", "replied", "seconds", "MB down", "MB up", "failed", title="rounds")
    for row in rounds:
        reasons = [f"{names.get(client, client)}: {reason}" for client, reason in sorted(row.failed.items())]
        shown.add_row(
            str(row.round),
            str(len(row.sampled)),
            str(len(row.replied)),
            f"{row.seconds:.1f}",
            f"{row.bytes_down / 1e6:.2f}",
            f"{row.bytes_up / 1e6:.2f}",
            Text("\n").join(map(plain, reasons)),
        )
    return shown


def _headline(run: RunRow) -> tuple[str, float] | None:
    best = run.summary.get("best") or {}
    wanted = [stored_monitor(run)[0].removeprefix("val/"), *in_order(best)]
    return next(((f"val/{name}", best[name]) for name in wanted if best.get(name) is not None), None)


# Words of few kinds by which rows are found, and of a light table are never broken.
_WHOLE = {"mode": max(map(len, MODE_NAMES.values())), "status": max(map(len, COLOURS))}
_LIGHT = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "collapse_padding": True}


def table(*columns: str, title: str, light: bool = False) -> Table:
    """An empty table, with its numbers on the right; what is too wide goes on in the next line.

    Parameters
    ----------
    light : bool
        Without lines between columns, which leaves more room for what is in them.
    """
    style: dict[str, Any] = _LIGHT if light else {}
    shown = FittingTable(title=title, title_justify="left", title_style="bold", **style)
    for column in columns:
        shown.add_column(
            plain(column),
            justify="left" if column in WORDS else "right",
            min_width=_WHOLE.get(column) if light else None,
            overflow="fold",
        )
    return shown


def number(value: float | None, *, digits: int = 4) -> str:
    """A value with so many significant digits, at least those before the point; a dash for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if 10**digits <= abs(value) < 10**9 else f"{value:.{digits}g}"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def plain(value: str) -> Text:
    """Text of others: not interpreted as markup, no control characters (they could move the cursor), cut."""
    short = value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "..."
    return Text("".join(letter if letter.isprintable() else " " for letter in short))
