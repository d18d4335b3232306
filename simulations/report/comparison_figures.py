"""Figures of a comparison: learning curves and the gap of each metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from shared.metrics.catalogue import spec_of
from shared.metrics.gap import GapRow
from shared.metrics.gap_table import named
from shared.metrics.headline import format_gap, format_value
from simulations.report.client_figures import client_bars, value_distribution
from simulations.report.figure_style import (
    FEDERATED,
    GREY,
    LINES,
    POOLED,
    VERDICTS,
    WIDTH,
    capitalized,
    metric_name,
    save,
    set_title,
    style_axes,
    thousands,
    to_svg,
)
from simulations.report.prediction_figures import confusion_matrices, roc_curves

__all__ = [
    "X_LABELS",
    "History",
    "client_bars",
    "confusion_matrices",
    "gap_figure",
    "value_distribution",
    "learning_curves",
    "mean_history",
    "roc_curves",
    "save",
    "to_svg",
]

History = Sequence[tuple[float, float]]
X_LABELS = {
    "examples": "training examples seen",
    "round": "server round",
    "epoch": "epoch",
    "seconds": "seconds",
}
_STAGES = {"train": "training", "val": "validation", "test": "test"}


def mean_history(histories: Sequence[History]) -> list[tuple[float, float]]:
    """The mean of several curves, where all of them have values.

    Parameters
    ----------
    histories : sequence of sequence of (x, value)
        One a seed; straight lines connect the points of each.

    Returns
    -------
    list of (x, value)
        At every x that occurs in the range that all share; NaN and empty curves are left out.
    """
    curves = [np.array(sorted((x, v) for x, v in history if not np.isnan(v)), float) for history in histories]
    curves = [curve for curve in curves if len(curve)]
    if not curves:
        return []
    first, last = max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves)
    xs = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    xs = xs[(xs >= first) & (xs <= last)]
    mean = np.mean([np.interp(xs, curve[:, 0], curve[:, 1]) for curve in curves], axis=0)
    return list(zip(xs.tolist(), np.atleast_1d(mean).tolist(), strict=True))


def learning_curves(
    pooled_history: Sequence[History],
    federated_history: Sequence[History],
    *,
    metric: str,
    x: str = "examples",
    clients: Sequence[History] = (),
) -> Figure:
    """A metric during training: thin lines are seeds, thick lines their mean.

    Parameters
    ----------
    pooled_history, federated_history : sequence of sequence of (x, value)
        One a seed.
    metric : str
        With or without its stage, such as ``val/auroc``.
    x : {"examples", "round", "epoch", "seconds"}
        What the x values count.
    clients : sequence of sequence of (x, value)
        Drawn in grey behind the others.
    """
    fig = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = fig.subplots()
    style_axes(axes, grid="both")
    for number, history in enumerate(clients):
        axes.plot(*_columns(history), color=GREY, alpha=0.6, linewidth=0.8, label="" if number else "clients")
    ends = []
    for name, colour, histories in (
        ("pooled", POOLED, pooled_history),
        ("federated", FEDERATED, federated_history),
    ):
        mean = mean_history(histories)
        if not mean:
            continue
        for history in histories if len(histories) > 1 else ():
            axes.plot(*_columns(history), color=colour, alpha=0.45, linewidth=0.8)
        seeds = f", mean of {len(histories)} seeds" if len(histories) > 1 else ""
        axes.plot(
            *_columns(mean),
            color=colour,
            linestyle=LINES[colour],
            linewidth=2.2,
            marker="o" if len(mean) == 1 else None,
            label=f"{name}{seeds}",
        )
        ends.append(f"{name} ends at {format_value(mean[-1][1])}")
    axes.set_xlabel(X_LABELS.get(x, x))
    axes.set_ylabel(metric_name(metric))
    axes.xaxis.set_major_formatter(thousands())
    if axes.lines:
        axes.legend(frameon=False, fontsize=9, handlelength=3.2)
    set_title(fig, f"{capitalized(metric_name(metric))}: {', '.join(ends) or 'no values'}")
    return fig


def gap_figure(rows: Sequence[GapRow]) -> Figure:
    """The gap of each metric with its interval: a forest plot.

    Parameters
    ----------
    rows : sequence of GapRow
        Not empty.

    Returns
    -------
    Figure
        To the right of zero federation is worse, whichever direction a metric has. Metrics without bounds, such
        as the loss, have a scale of their own.
    """
    bounded = [row for row in rows if spec_of(row.metric).is_bounded]
    # Metrics without bounds have scales of their own: a squared error would hide an absolute one.
    scales = [*([row] for row in rows if row not in bounded), *([bounded] if bounded else [])]
    heights = [len(part) + 1.2 for part in scales]
    fig = Figure(figsize=(WIDTH, 0.8 + 0.36 * sum(heights)), layout="constrained")
    parts = fig.subplots(len(scales), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, part in zip(parts, scales, strict=True):
        _forest(axes, part)
    parts[-1].set_xlabel("← federated better      gap      federated worse →", fontsize=10)
    parts[0].annotate(
        "+ is worse",
        (1.02, 1.0),
        xycoords="axes fraction",
        fontsize=9,
        color="#555555",
        va="bottom",
    )
    set_title(fig, _gap_title(rows))
    return fig


def _forest(axes: Axes, rows: Sequence[GapRow]) -> None:
    style_axes(axes, grid="x")
    axes.axvline(0.0, color="black", linewidth=1.0)
    for position, row in enumerate(rows):
        cost, colour = row.cost, VERDICTS.get(row.verdict, GREY)
        filling = "white" if row.verdict == "unclear" else colour  # seen without colour too
        axes.plot([cost.low, cost.high], [position] * 2, color=colour, linewidth=2.2)
        axes.plot(cost.value, position, "o", color=colour, markersize=8, markerfacecolor=filling)
        axes.annotate(
            format_gap(row),
            (1.02, position),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(rows)), [named(row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.1)


def _gap_title(rows: Sequence[GapRow]) -> str:
    worse, better = (sum(row.verdict == verdict for row in rows) for verdict in ("worse", "better"))
    if worse + better == 0:
        return f"No clear gap in any of {len(rows)} metrics"
    clear = [f"{word} in {count}" for word, count in (("worse", worse), ("better", better)) if count]
    return f"Federated training is clearly {' and '.join(clear)} of {len(rows)} metrics"


def _columns(history: History) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = np.array(sorted(history), dtype=float).reshape(-1, 2)
    return points[:, 0], points[:, 1]
