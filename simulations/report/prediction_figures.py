"""Figures of test predictions: confusion matrices and ROC curves of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from shared.metrics.averages import Floats
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.headline import format_value
from shared.metrics.outputs import Outputs
from simulations.report.figure_style import (
    LINES,
    add_colour_bar,
    colour_of,
    heat_map,
    plain,
    set_title,
    style_axes,
)

_COUNTED = 12  # more classes than this: shades without numbers


def confusion_matrices(matrices: Mapping[str, ArrayLike], classes: Sequence[str]) -> Figure:
    """Confusion matrices side by side, with counts, heat_map by the share of each row.

    Parameters
    ----------
    matrices : mapping of str to array [classes, classes], int
        By title; a row a true class, a column a predicted class.
    """
    tables = {title: np.asarray(matrix, dtype=np.int64) for title, matrix in matrices.items()}
    for table in tables.values():
        assert table.shape == (len(classes), len(classes)), (table.shape, len(classes))
    columns = min(len(tables), 2 if len(classes) > 5 else 3)
    rows = -(-len(tables) // columns)
    side = 1.7 + 0.36 * min(len(classes), 14)
    fig = Figure(figsize=(max(columns * (side + 0.5), 4.5), rows * side + 0.9), layout="constrained")
    grid = fig.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    names = [plain(name, length=16) for name in classes]
    mesh = None
    for axes, (title, table) in zip(grid, tables.items(), strict=False):
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        mesh = heat_map(axes, shares, table if len(classes) <= _COUNTED else None)
        axes.set_aspect("equal")
        crowded = len(classes) > 3
        axes.set_xticks(range(len(classes)), names, rotation=90 if crowded else 0)
        axes.set_yticks(range(len(classes)), names)
        axes.set_title(plain(title), fontsize=10, color=colour_of(title), fontweight="bold")
    for axes in grid[len(tables) :]:
        axes.set_visible(False)
    fig.supxlabel("predicted class", fontsize=10)
    fig.supylabel("true class", fontsize=10)
    if mesh is not None:
        add_colour_bar(fig, mesh, list(grid), name="share of the true class")
    right = [f"{plain(t)} {np.trace(m) / max(m.sum(), 1):.1%}" for t, m in tables.items()]
    set_title(fig, f"Accuracy: {', '.join(right)}")
    return fig


def macro_roc(outputs: Outputs) -> tuple[Floats, Floats]:
    """The ROC curve; of more than two classes, the mean over the one-vs-rest curves.

    Returns
    -------
    tuple of ndarray [K], float64
        False and true positive rate, from (0, 0) to (1, 1). The mean is that of the true positive rates at
        the same false positive rate, and the area below it is the macro AUROC. Classes without an example,
        or without any other, are left out. Empty if nothing is defined.
    """
    from sklearn.metrics import roc_curve  # a second to import, which most figures do without

    curves = []
    for k in ClassificationMetrics(outputs.num_classes).measured_classes:
        positive = outputs.targets == k
        if positive.any() and not positive.all() and outputs.is_finite:
            false_rate, true_rate, _ = roc_curve(positive, outputs.predictions[:, k])
            curves.append((np.asarray(false_rate, float), np.asarray(true_rate, float)))
    if len(curves) < 2:
        return curves[0] if curves else (np.zeros(0), np.zeros(0))
    rates = np.unique(np.concatenate([false_rate for false_rate, _ in curves]))
    # the curves rise at once, so that each rate has a lower and an upper end; np.interp gives the later one
    lower = np.mean([np.interp(-rates, -f[::-1], t[::-1]) for f, t in curves], axis=0)
    upper = np.mean([np.interp(rates, f, t) for f, t in curves], axis=0)
    return np.repeat(rates, 2), np.stack([lower, upper], axis=1).ravel()


def roc_curves(predictions: Mapping[str, Outputs], classes: Sequence[str]) -> Figure:
    """ROC curves with their areas.

    Parameters
    ----------
    predictions : mapping of str to Outputs
        By title, such as ``pooled``.
    classes : sequence of str
        Two: the curve of class 1, with a dot at the threshold. More: the macro average, see `macro_roc`.
    """
    fig = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = fig.subplots()
    style_axes(axes, grid="both")
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1.0)
    areas = []
    for position, (title, outputs) in enumerate(predictions.items()):
        judge = ClassificationMetrics(len(classes))
        colour = colour_of(title, position)
        area = f"{plain(title)} {format_value(judge.values(outputs).get('auroc', np.nan))}"
        areas.append(area)
        style = LINES.get(colour, "-")
        axes.plot(*macro_roc(outputs), color=colour, linestyle=style, linewidth=2.0, label=area)
        if len(classes) == 2 and outputs.is_finite:
            false_rate, true_rate = _at_threshold(outputs)
            axes.plot(false_rate, true_rate, "o", color=colour, markersize=7, markeredgecolor="white")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("false positive rate" + ("" if len(classes) == 2 else " (one class against the rest)"))
    of = f" of {plain(classes[1])}" if len(classes) == 2 else f", mean of {len(classes)} classes"
    axes.set_ylabel(f"true positive rate{of}")
    if areas:
        note = "AUROC (dot: at the threshold)" if len(classes) == 2 else "AUROC"
        axes.legend(
            loc="lower right", frameon=False, fontsize=9, title=note, title_fontsize=9, handlelength=3.2
        )
    set_title(fig, f"ROC: {', '.join(areas) or 'no models'}")
    return fig


def _at_threshold(outputs: Outputs) -> tuple[float, float]:
    (tn, fp), (fn, tp) = ClassificationMetrics(2).confusion(outputs)
    rates = [part / whole if whole else np.nan for part, whole in ((fp, tn + fp), (tp, fn + tp))]
    return float(rates[0]), float(rates[1])
