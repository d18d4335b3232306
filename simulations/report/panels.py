"""Figures of what a task's spec shows of the tested models, by the kind of its panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from shared.metrics.catalogue import label
from shared.metrics.outputs import Outputs
from shared.tasks.panels import Kind, Panel
from simulations.report.figure_style import colour_of, plain, set_title, style_axes
from simulations.report.page import ReportFigure
from simulations.report.prediction_figures import confusion_matrices, roc_curves
from simulations.report.tables import Cell, DataTable, confusion_table, roc_table

Figures = dict[str, ReportFigure]
MARKERS = "os^D"  # models are told apart without colour too


def panel_figures(panels: Mapping[str, list[Panel]], outputs: Mapping[str, Outputs], *, seed: int) -> Figures:
    """Draw the panels of several models, those of one kind in one figure.

    Parameters
    ----------
    panels, outputs : mapping
        By the model's title, such as ``pooled``; each model has the same kinds.

    Returns
    -------
    dict of str to ReportFigure
        By the name of their file.
    """
    drawn: Figures = {}
    first = next(iter(panels.values()))
    for place, panel in enumerate(first):
        together = {title: own[place] for title, own in panels.items()}
        drawn |= DRAW[panel.kind](together, outputs, f"On the test rows, seed {seed}")
    return drawn


def _confusion(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    classes = next(iter(panels.values())).data["classes"]
    matrices = {title: np.array(panel.data["counts"]) for title, panel in panels.items()}
    many = "" if len(classes) == 2 else " The mean over the classes, each against the rest."
    return {
        "confusion": ReportFigure(
            title="Confusion matrices",
            caption=f"{where}; a row is a true class.",
            figure=confusion_matrices(matrices, classes),
            table=confusion_table(matrices, classes),
        ),
        "roc": ReportFigure(
            title="ROC curves",
            caption=f"{where}.{many}",
            figure=roc_curves(outputs, classes),
            table=roc_table(outputs),
        ),
    }


def _label_table(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    first = next(iter(panels.values())).data
    labels, names = first["labels"], list(first["values"])
    headline = names[0]
    fig = Figure(figsize=(7.2, 1.4 + 0.3 * len(labels)), layout="constrained")
    axes = fig.subplots()
    style_axes(axes, grid="x")
    for position, (title, panel) in enumerate(panels.items()):
        values = [np.nan if value is None else value for value in panel.data["values"][headline]]
        mark = MARKERS[position % len(MARKERS)]
        axes.plot(values, range(len(labels)), mark, color=colour_of(title, position), label=plain(title))
    axes.set_yticks(range(len(labels)), [plain(name) for name in labels])
    axes.invert_yaxis()
    axes.set_xlabel(label(headline))
    fig.legend(loc="outside lower center", ncols=len(panels), frameon=False, fontsize=9)
    set_title(fig, f"{label(headline)} of each of {len(labels)} labels")
    rows: list[list[Cell]] = [
        [title, name, count, *(panel.data["values"][metric][place] for metric in names)]
        for title, panel in panels.items()
        for place, (name, count) in enumerate(zip(labels, panel.data["counts"], strict=True))
    ]
    table = DataTable("Each label", ["model", "label", "rows", *map(label, names)], rows)
    return {"by_label": ReportFigure("Each label", f"{where}.", fig, table)}


def _residuals(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    first = next(iter(panels.values())).data
    target = first["target"]
    fig = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = fig.subplots()
    style_axes(axes, grid="both")
    ends = [end for panel in panels.values() for end in (min(panel.data["true"]), max(panel.data["true"]))]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="black", linewidth=1.0, zorder=3)
    for position, (title, panel) in enumerate(panels.items()):
        colour = colour_of(title, position)
        axes.plot(
            panel.data["true"],
            panel.data["predicted"],
            MARKERS[position % len(MARKERS)],
            color=colour,
            markersize=3,
            alpha=0.5,
            label=plain(title),
        )
    axes.set_xlabel(f"true {plain(target)}")
    axes.set_ylabel(f"predicted {plain(target)}")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    shown, count = len(first["true"]), first["num_examples"]
    part = f"{shown:,} of " if shown < count else ""
    set_title(fig, f"Predicted against true {plain(target)}: {part}{count:,} test rows")
    rows: list[list[Cell]] = [
        [title, true, predicted, predicted - true]
        for title, panel in panels.items()
        for true, predicted in zip(panel.data["true"], panel.data["predicted"], strict=True)
    ]
    table = DataTable("Predicted and true values", ["model", "true", "predicted", "error"], rows)
    return {
        "residuals": ReportFigure("Predicted against true", f"{where}; on the diagonal: no error.", fig, table)
    }


DRAW: dict[Kind, Callable[[Mapping[str, Panel], Mapping[str, Outputs], str], Figures]] = {
    "confusion": _confusion,
    "label_table": _label_table,
    "residuals": _residuals,
}
