"""`DataTable`: the tables of a report, with the numbers behind each figure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.data.profile import CountTable, SpanTable
from shared.metrics.catalogue import better, label
from shared.metrics.gap import GapRow
from shared.metrics.headline import interval_texts, row_digits
from shared.metrics.outputs import Outputs
from shared.metrics.per_class import ClassScore
from shared.metrics.spec import Better
from shared.runtime.counts import count_of
from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import RunRow
from simulations.gap.clients import per_client_summary
from simulations.report.comparison_figures import X_LABELS, History, mean_history
from simulations.report.figure_style import capitalized, metric_name
from simulations.report.prediction_figures import macro_roc

Cell = str | int | float | None
_BEST = {"min": "lowest", "max": "highest", None: "best"}
_FALSE_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


class Shown(float):
    """A number with the text that readers are shown, and what stands below it, such as its interval."""

    text: str
    ends: str

    def __new__(cls, value: float, text: str, ends: str = "") -> Shown:
        """Keep the text beside the number."""
        made = super().__new__(cls, value)
        made.text, made.ends = text, ends
        return made


@dataclass(frozen=True)
class DataTable:
    """A table of text and numbers.

    Attributes
    ----------
    columns : sequence of str
        Headings; the first column names the rows.
    rows : sequence of sequence of (str, int, float or None)
        None is shown as a dash.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.caption


def curve_table(
    pooled_history: Sequence[History],
    federated_history: Sequence[History],
    *,
    metric: str,
    x: str = "examples",
) -> DataTable:
    """The numbers of `simulations.report.comparison_figures.learning_curves`, as means over the seeds.

    Parameters
    ----------
    pooled_history, federated_history : sequence of sequence of (x, value)
        One per seed.
    x : str
        What the x values count.
    """
    pooled, federated = dict(mean_history(pooled_history)), dict(mean_history(federated_history))
    rows = [[_number(at), pooled.get(at), federated.get(at)] for at in sorted({*pooled, *federated})]
    caption = f"{capitalized(metric_name(metric))} during training, mean over seeds"
    return DataTable(caption, [X_LABELS.get(x, x), "pooled", "federated"], rows)


def gap_data(rows: Sequence[GapRow]) -> DataTable:
    """The numbers of `simulations.report.comparison_figures.gap_figure`, rounded as in the gap table."""
    names = [f"{who}{end}" for who in ("pooled", "federated", "gap") for end in ("", " low", " high")]
    names += ["groups", "seeds"]
    cells: list[list[Cell]] = []
    for row in rows:
        numbers: list[Cell] = []
        for interval, signed in ((row.pooled, False), (row.federated, False), (row.cost, True)):
            texts = interval_texts(interval, signed=signed, digits=row_digits(row))
            ends = (interval.value, interval.low, interval.high)
            numbers += [Shown(end, text) for end, text in zip(ends, texts, strict=True)]
        cells.append([row.title, *numbers, row.groups or None, row.seeds or None])
    return DataTable("Gap of each metric, + is worse", ["metric", *names], cells)


def client_table(metric: str, values: Mapping[str, float]) -> DataTable:
    """The numbers of `simulations.report.comparison_figures.client_bars`.

    Parameters
    ----------
    values : mapping of str to float
        By the client's name.
    """
    rows: list[list[Cell]] = [[name, value] for name, value in values.items()]
    return DataTable(f"{capitalized(metric_name(metric))} per client", ["client", metric_name(metric)], rows)


def client_summary_table(
    values: Mapping[str, Mapping[str, float]], *, directions: Mapping[str, Better | None] | None = None
) -> DataTable:
    """The worst, median and best client of each metric.

    Parameters
    ----------
    values : mapping of str to mapping of str to float
        By metric, then by the client's name.
    directions : mapping of str to Better, optional
        Of the task's metrics; of others, the catalogue's.
    """
    known = directions or {}
    rows: list[list[Cell]] = []
    for metric, clients in values.items():
        name = metric.rpartition("/")[2]
        summary = per_client_summary(clients, better=known[name] if name in known else better(name))
        worst, best = (summary.worst_name or None, summary.worst), (summary.best_name or None, summary.best)
        rows.append([metric_name(metric), *worst, summary.median, *best, summary.spread])
    columns = ["metric", "worst client", "worst", "median", "best client", "best", "spread"]
    return DataTable("Federated model by client; spread: largest minus smallest", columns, rows)


def value_table(table: CountTable) -> DataTable:
    """The numbers of `simulations.report.client_figures.value_distribution`, with sums on two sides."""
    counts, sizes = table.counts, table.sizes
    rows: list[list[Cell]] = [
        [name, *row.tolist(), int(size)] for name, row, size in zip(table.clients, counts, sizes, strict=True)
    ]
    rows.append(["all", *counts.sum(axis=0).tolist(), int(sizes.sum())])
    caption = f"Training examples per client and {table.variable}"
    return DataTable(caption, ["client", *table.values, "all"], rows)


def span_table(table: SpanTable) -> DataTable:
    """The numbers of `simulations.report.client_figures.value_spans`, with those of all clients."""
    rows: list[list[Cell]] = [
        [name, *(map(_number, span) if span else (None, None)), int(size)]
        for name, span, size in zip(table.clients, table.spans, table.sizes, strict=True)
    ]
    rows.append(["all", *map(_number, table.of_all), int(table.sizes.sum())])
    columns = ["client", f"smallest {table.variable}", f"largest {table.variable}", "examples"]
    return DataTable(f"Training examples per client, and their {table.variable}", columns, rows)


def class_table(scores: Mapping[str, Sequence[ClassScore]], *, classes: Sequence[str], seed: int) -> DataTable:
    """Each class against the rest.

    Parameters
    ----------
    scores : mapping of str to sequence of ClassScore
        By the model's title; each is in the order of the classes.
    """
    keys = ("precision", "recall", "f1", "auroc")
    rows: list[list[Cell]] = [
        [name, title, score.support, *(getattr(score, key) for key in keys)]
        for number, name in enumerate(classes)
        for title, score in ((title, own[number]) for title, own in scores.items())
    ]
    columns = ["class", "model", "test rows", *(label(key) for key in keys)]
    return DataTable(f"Each class against the rest, on the test rows, seed {seed}", columns, rows)


def confusion_table(matrices: Mapping[str, ArrayLike], classes: Sequence[str]) -> DataTable:
    """The numbers of `simulations.report.comparison_figures.confusion_matrices`.

    Parameters
    ----------
    matrices : mapping of str to array [classes, classes], int
        By title; a row a true class, a column a predicted class.
    """
    rows: list[list[Cell]] = [
        [title, name, *row]
        for title, matrix in matrices.items()
        for name, row in zip(classes, np.asarray(matrix, dtype=np.int64).tolist(), strict=True)
    ]
    columns = ["model", "true class", *(f"as {name}" for name in classes)]
    return DataTable("Test examples of each true class, by predicted class", columns, rows)


def roc_table(predictions: Mapping[str, Outputs]) -> DataTable:
    """Points on the curves of `simulations.report.comparison_figures.roc_curves`.

    Returns
    -------
    DataTable
        The highest true positive rate at each of a few false positive rates.
    """
    curves = {title: macro_roc(pred) for title, pred in predictions.items()}
    rows: list[list[Cell]] = []
    for at in _FALSE_RATES:
        reached = [float(np.interp(at, *curve)) if len(curve[0]) else math.nan for curve in curves.values()]
        rows.append([f"{at:.2f}", *reached])
    return DataTable("True positive rate at a false positive rate", ["false positive rate", *curves], rows)


def flatten(config: Mapping[str, Any], *, prefix: str = "") -> dict[str, str]:
    """Nested settings as one level: names with dots, values as JSON.

    Parameters
    ----------
    prefix : str
        Put before every name.
    """
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, prefix=f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False, default=str)
    return flat


def twin_table(pooled: RunRow, federated: RunRow, *, examples: tuple[int, int]) -> DataTable:
    """How each twin was trained, by the settings that it really followed.

    Parameters
    ----------
    pooled, federated : RunRow
        Of one seed.
    examples : tuple of int
        Training examples that each has seen.
    """
    trainer, federation = pooled.config["trainer"], federated.config["federation"]
    rounds, local, parts = (federation[key] for key in ("num_rounds", "local_epochs", "rounds_per_epoch"))
    sharing = f", {parts} rounds a pass" if parts > 1 else ""
    tested = [
        f"{unit} {run.summary.get(f'test_{unit}', '?')} ({_chosen_by(run)})"
        for run, unit in ((pooled, "epoch"), (federated, "round"))
    ]
    unit = count_of(rounds, "round") + (f" of {local} local epochs" if local > 1 else "")
    schedule = trainer["scheduler"]["name"]
    thresholds = [_threshold(run) for run in (pooled, federated)]
    epochs = count_of(trainer["max_epochs"], "epoch")
    over = ("", "") if schedule == "none" else (f" over {epochs}", f" over {unit}")
    return DataTable(
        "How each twin was trained",
        ["", "pooled", "federated"],
        [
            ["length", epochs, f"{unit}{sharing}"],
            ["training examples seen", *examples],
            ["learning rate schedule", *(f"{schedule}{text}" for text in over)],
            ["early stopping", "off", "off"],
            ["tested", *tested],
            *([["threshold", *thresholds]] if any(thresholds) else []),
        ],
    )


def _chosen_by(run: RunRow) -> str:
    if run.config["trainer"]["test_model"] == "last":
        return "the last one"
    key, mode = stored_monitor(run)
    return f"{_BEST[mode]} {key}"


def _threshold(run: RunRow) -> float | None:
    has_one = len(run.summary.get("confusion") or ()) == 2
    return float(run.summary["threshold"]) if has_one else None


def _number(value: float) -> Cell:
    return int(value) if float(value).is_integer() else value
