"""`run_page`: a stored run on the terminal: its tables, the gap of a comparison, its panels by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shared.metrics.catalogue import label, naming
from shared.metrics.gap import stored_gap
from shared.metrics.gap_table import gap_table
from shared.metrics.site_table import sites_told
from shared.tasks.panels import Kind
from shared.tracking.rows import RunRow
from shared.tracking.show import number, plain, run_view, table
from shared.tracking.store import Store
from shared.tracking.twins import family, positive_class, stored_report, warnings_of

MOST_CLASSES = 8  # columns of a confusion matrix
BINS = 5  # of the true values
MOST_INPUTS = 4  # that a cluster differs in
MOST_SERIES = 20
MOST_STEPS = 8  # rows of errors by step ahead
_FORECASTS = ("model", "seasonal", "persistence")


def run_page(store: Store, run_id: int) -> Group:
    """One run: its settings, latest values, clients and rounds, the gap of a comparison, and its panels.

    Raises
    ------
    TrackingError
        No such run.
    """
    runs = family(store, run_id)
    with naming(positive_class(runs)):
        return _page(store, runs)


def _page(store: Store, runs: Sequence[RunRow]) -> Group:
    view, summary = run_view(store, runs[0].id), runs[0].summary
    gap = stored_gap(summary)
    doubts = [Text.assemble(("warning: ", "yellow"), plain(text)) for text in warnings_of(runs)]
    panels = panel_tables(summary.get("panels") or ())
    report = stored_report(store, runs[0].id)
    told: list[RenderableType] = [gap_table(gap), plain(report["sentence"])] if report else []
    if runs[0].training_mode == "sweep":
        from simulations.sweeps.cells import cells_of_sweep
        from simulations.sweeps.terminal import cells_table

        told = [cells_table(cells_of_sweep(store, runs[0].id), sweep_id=runs[0].id)]
    told += sites_told(summary)
    return Group(view, *told, *panels, *doubts)


def panel_tables(panels: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Draw the panels of a tested model.

    Parameters
    ----------
    panels : sequence of mapping
        From `shared.tasks.panels.Panel.as_dict`; kinds of a later version are left out.
    """
    for panel in panels:
        if panel["kind"] in DRAW:
            yield DRAW[panel["kind"]](panel["title"], panel["data"])


def _confusion(title: str, data: Mapping[str, Any]) -> Table:
    classes, counts = data["classes"], np.array(data["counts"], dtype=np.int64)
    if len(classes) > MOST_CLASSES:
        return _most_confused(title, classes, counts)
    shown = table("true class", *(f"as {name}" for name in classes), title=f"{title.lower()} (test)")
    for name, row in zip(classes, counts.tolist(), strict=True):
        shown.add_row(plain(name), *(f"{count:,}" for count in row))
    return shown


def _most_confused(title: str, classes: Sequence[str], counts: np.ndarray[Any, Any]) -> Table:
    # A matrix of many classes does not fit into a terminal: of each class, what it is mostly taken for.
    shown = table("true class", "rows", "recall", "mostly taken for", "rows", title=f"{title.lower()} (test)")
    wrong = counts * (1 - np.eye(len(classes), dtype=np.int64))
    for place, name in enumerate(classes):
        rows, other = int(counts[place].sum()), int(wrong[place].argmax())
        recall = number(counts[place, place] / rows if rows else None)
        mistakes = int(wrong[place, other])
        taken = (plain(classes[other]), f"{mistakes:,}") if mistakes else ("", "")
        shown.add_row(plain(name), f"{rows:,}", recall, *taken)
    return shown


def _label_table(title: str, data: Mapping[str, Any]) -> Table:
    shown = table("label", "rows", *map(label, data["values"]), title=f"{title.lower()} (test)")
    for place, (name, count) in enumerate(zip(data["labels"], data["counts"], strict=True)):
        values = (number(column[place], digits=3) for column in data["values"].values())
        shown.add_row(plain(name), f"{count:,}", *values)
    return shown


def _residuals(title: str, data: Mapping[str, Any]) -> Table:
    true, predicted = np.array(data["true"]), np.array(data["predicted"])
    some, count = len(true), data["num_examples"]
    nouns = f"{data.get('noun', 'row')}s"
    of = f"{some:,} of {count:,} test {nouns}" if some < count else "test"
    target = str(data["target"])
    head = (f"true {target}", nouns, "mean predicted", "mean error", "MAE")
    shown = table(*head, title=f"{title.lower()} ({of})")
    ends = np.unique(np.quantile(true, np.linspace(0, 1, BINS + 1)))
    bins = np.searchsorted(ends[1:-1], true, side="right")
    for place in np.unique(bins):
        inside = bins == place
        errors = predicted[inside] - true[inside]
        span = " to ".join(dict.fromkeys(number(end) for end in (true[inside].min(), true[inside].max())))
        values = (predicted[inside].mean(), errors.mean(), np.abs(errors).mean())
        shown.add_row(span, f"{len(errors):,}", *map(number, values))
    return shown


def _cluster_profile(title: str, data: Mapping[str, Any]) -> Table:
    total = sum(data["sizes"]) or 1
    shown = table("cluster", "rows", "share", "differs most in (deviations)", title=f"{title.lower()} (test)")
    for place, size in enumerate(data["sizes"]):
        effects = zip(data["inputs"], data["effects"][place], strict=True)
        known = sorted(((-abs(own), name, own) for name, own in effects if own), key=lambda one: one[0])
        told = ", ".join(f"{name} {own:+.2f}" for _, name, own in known[:MOST_INPUTS])
        shown.add_row(str(place), f"{size:,}", f"{size / total:.1%}", plain(told))
    return shown


def _cluster_map(title: str, data: Mapping[str, Any]) -> Table:
    x, y, cluster = (np.array(data[name]) for name in ("x", "y", "cluster"))
    some, count = len(x), data["num_examples"]
    of = f"{some:,} of {count:,} test rows" if some < count else "test"
    first, second = (f"{share:.0%}" for share in data["explained"])
    head = ("cluster", f"first component ({first})", f"second component ({second})", "distance from its mean")
    shown = table(*head, title=f"{title.lower()} ({of})")
    for place in np.unique(cluster):
        inside = cluster == place
        middle = x[inside].mean(), y[inside].mean()
        distance = np.hypot(x[inside] - middle[0], y[inside] - middle[1]).mean()
        shown.add_row(str(place), *map(number, (*middle, distance)))
    return shown


def _anomaly_scores(title: str, data: Mapping[str, Any]) -> Table:
    ratio, anomaly, alarm = (np.array(data[name]) for name in ("ratio", "anomaly", "alarm"))
    begins = np.searchsorted(data["row"], data["series"])
    head = (
        "series",
        "from row",
        "parts",
        "with anomalies",
        "with alarms",
        "with both",
        "median ratio",
        "largest",
    )
    shown = table(*head, title=f"{title.lower()} (test)")
    parts = list(zip(begins, [*begins[1:], len(ratio)], strict=True))
    for place, (begin, end) in enumerate(parts[:MOST_SERIES]):
        own, events, alarms = (array[begin:end] for array in (ratio, anomaly, alarm))
        counts = (len(own), events.sum(), alarms.sum(), (events & alarms).sum())
        where = f"{data['series'][place]:,}"
        shown.add_row(
            str(place), where, *(f"{count:,}" for count in counts), number(np.median(own)), number(own.max())
        )
    if len(parts) > MOST_SERIES:
        shown.caption = f"{len(parts) - MOST_SERIES} more series"
    return shown


def _forecast(title: str, data: Mapping[str, Any]) -> Table:
    head = ("test window, by the floor's error", "MAE", "MAE, seasonal floor", "true", "predicted", "floor")
    shown = table(*head, title=f"{title.lower()} of {data['target']} (means over a window)")
    for window in data["windows"]:
        means = (float(np.mean(window[name])) for name in ("true", "predicted", "seasonal"))
        place = f"{window['rank']:.0%} of {data['num_examples']:,}"
        shown.add_row(place, *map(number, (window["mae"], window["seasonal_mae"], *means)))
    return shown


def _horizon(title: str, data: Mapping[str, Any]) -> Table:
    mae = data["mae"]
    steps = len(mae["model"])
    head = (f"steps of {data['step']}", "MAE", "MAE, seasonal floor", "MAE, persistence floor")
    shown = table(*head, title=f"{title.lower()} (test)")
    ends = np.unique(np.linspace(0, steps, min(steps, MOST_STEPS) + 1).round().astype(int))
    for start, stop in pairwise(ends.tolist()):
        span = f"{start + 1} to {stop}" if stop - start > 1 else f"{stop}"
        shown.add_row(span, *(number(float(np.mean(mae[name][start:stop]))) for name in _FORECASTS))
    return shown


DRAW: dict[Kind, Callable[[str, Mapping[str, Any]], Table]] = {
    "confusion": _confusion,
    "label_table": _label_table,
    "residuals": _residuals,
    "cluster_profile": _cluster_profile,
    "cluster_map": _cluster_map,
    "anomaly_scores": _anomaly_scores,
    "forecast": _forecast,
    "horizon": _horizon,
}
