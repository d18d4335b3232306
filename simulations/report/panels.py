"""Figures of what a task's spec shows of the tested models, by the kind of its panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from shared.metrics.catalogue import label
from shared.metrics.outputs import Outputs
from shared.tasks.panels import Kind, Panel
from simulations.report.figure_style import colour_of, plain, set_title, style_axes
from simulations.report.forecast_figures import by_horizon, forecasts
from simulations.report.page import ReportFigure
from simulations.report.prediction_figures import confusion_matrices, roc_curves
from simulations.report.tables import Cell, DataTable, confusion_table, roc_table

Figures = dict[str, ReportFigure]
MARKERS = "os^D"  # models are told apart without colour too
CLUSTER_MARKERS = "os^Dv<>Px*"  # and clusters
MOST_NAMED = 16  # clusters in a legend


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
    set_title(fig, f"Predicted against true {plain(target)}: {part}{count:,} test {first.get('noun', 'row')}s")
    rows: list[list[Cell]] = [
        [title, true, predicted, predicted - true]
        for title, panel in panels.items()
        for true, predicted in zip(panel.data["true"], panel.data["predicted"], strict=True)
    ]
    table = DataTable("Predicted and true values", ["model", "true", "predicted", "error"], rows)
    return {
        "residuals": ReportFigure("Predicted against true", f"{where}; on the diagonal: no error.", fig, table)
    }


def _cluster_profile(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel.data["inputs"]))
    effects = {
        title: [
            [dict(zip(panel.data["inputs"], own, strict=True)).get(name) for name in names]
            for own in panel.data["effects"]
        ]
        for title, panel in panels.items()
    }
    values = {title: np.array(own, dtype=np.float64) for title, own in effects.items()}
    most = max((float(np.nanmax(np.abs(own), initial=0.0)) for own in values.values()), default=0.0) or 1.0
    clusters = len(next(iter(values.values())))
    height = 1.3 + len(panels) * (0.5 + 0.3 * clusters) + 1.2
    fig = Figure(figsize=(2.2 + 0.45 * max(len(names), 8), height), layout="constrained")
    grid = fig.subplots(len(panels), 1, squeeze=False, sharex=True).ravel()
    mesh = None
    for axes, (title, own) in zip(grid, values.items(), strict=True):
        mesh = axes.pcolormesh(own, cmap="RdBu_r", vmin=-most, vmax=most, edgecolors="white", linewidth=1)
        axes.invert_yaxis()
        sizes = panels[title].data["sizes"]
        axes.set_yticks(
            np.arange(clusters) + 0.5, [f"{place} ({size:,} rows)" for place, size in enumerate(sizes)]
        )
        axes.set_xticks(np.arange(len(names)) + 0.5, [plain(name) for name in names], rotation=60, ha="right")
        axes.set_title(plain(title), fontsize=10, color=colour_of(title), fontweight="bold")
    fig.supylabel("cluster", fontsize=10)
    if mesh is not None:
        fig.colorbar(mesh, ax=list(grid), label="difference in deviations", shrink=0.8)
    set_title(fig, "What distinguishes each cluster from the other rows")
    rows: list[list[Cell]] = [
        [title, str(place), panel.data["sizes"][place], name, effect]
        for title, panel in panels.items()
        for place in range(clusters)
        for name, effect in zip(panel.data["inputs"], panel.data["effects"][place], strict=True)
    ]
    table = DataTable("Cluster profiles", ["model", "cluster", "rows", "input", "difference"], rows)
    caption = (
        f"{where}; mean of a cluster's rows less that of all others, in deviations within both (Cohen's d). "
        "White: no difference, or none can be told."
    )
    return {"cluster_profiles": ReportFigure("Cluster profiles", caption, fig, table)}


def _cluster_map(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    fig = Figure(figsize=(4.4 * len(panels), 4.4), layout="constrained")
    grid = fig.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        data = panel.data
        x, y, cluster = (np.array(data[name]) for name in ("x", "y", "cluster"))
        style_axes(axes, grid="both")
        for place in range(data["clusters"]):
            inside, mark = cluster == place, CLUSTER_MARKERS[place % len(CLUSTER_MARKERS)]
            colour = f"C{place % 10}"
            axes.plot(x[inside], y[inside], mark, color=colour, markersize=4, alpha=0.6, label=str(place))
        first, second = data["explained"]
        axes.set_xlabel(f"first component ({first:.0%} of the variance)")
        axes.set_ylabel(f"second component ({second:.0%})")
        axes.set_title(plain(title), fontsize=10, color=colour_of(title), fontweight="bold")
    if next(iter(panels.values())).data["clusters"] <= MOST_NAMED:
        handles, names = grid[0].get_legend_handles_labels()
        fig.legend(
            handles, names, title="cluster", loc="outside lower center", ncols=8, frameon=False, fontsize=9
        )
    first_data = next(iter(panels.values())).data
    shown, count = len(first_data["x"]), first_data["num_examples"]
    part = f"{shown:,} of " if shown < count else ""
    set_title(fig, f"{part}{count:,} test rows by cluster")
    rows: list[list[Cell]] = [
        [title, str(cluster), x, y]
        for title, panel in panels.items()
        for cluster, x, y in zip(panel.data["cluster"], panel.data["x"], panel.data["y"], strict=True)
    ]
    table = DataTable("Rows on the plane", ["model", "cluster", "first component", "second component"], rows)
    caption = f"{where}, on the plane of their two main components; clusters are numbered as the models do."
    return {"cluster_map": ReportFigure("Cluster map", caption, fig, table)}


def _anomaly_scores(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    fig = Figure(figsize=(8.6, 1.1 + 2.0 * len(panels)), layout="constrained")
    grid = fig.subplots(len(panels), 1, squeeze=False, sharex=True).ravel()
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        data = panel.data
        row, ratio, anomaly = (np.array(data[name]) for name in ("row", "ratio", "anomaly"))
        ends = np.append(row[1:], data["num_examples"])
        style_axes(axes, grid="y")
        for begin, end in spans_of(anomaly == 1):
            axes.axvspan(row[begin], ends[end - 1], color="C1", alpha=0.25, linewidth=0)
        for begin in data["series"][1:]:
            axes.axvline(begin, color="grey", linewidth=0.5, linestyle=":")
        axes.plot(row, ratio, color=colour_of(title), linewidth=0.8)
        axes.plot(row[ratio > 1], ratio[ratio > 1], ".", color="C3", markersize=2)
        axes.axhline(1.0, color="black", linewidth=0.8)
        axes.set_yscale("log")
        axes.set_ylabel("score / limit")
        axes.set_title(plain(title), fontsize=10, color=colour_of(title), fontweight="bold")
        axes.margins(x=0)
    data = next(iter(panels.values())).data
    grid[-1].set_xlabel("test row, in order of time" if data["timed"] else "test row")
    set_title(fig, f"Score over time: {data['num_examples']:,} test rows")
    rows: list[list[Cell]] = [
        [title, *cells]
        for title, panel in panels.items()
        for cells in zip(*(panel.data[name] for name in ("row", "ratio", "anomaly", "alarm")), strict=True)
    ]
    table = DataTable("Score over time", ["model", "from row", "score / limit", "anomaly", "alarm"], rows)
    behind = ", one series behind the other (dotted lines)" if len(data["series"]) > 1 else ""
    caption = (
        f"{where}{behind}: the largest ratio of score to control limit among consecutive rows. Shaded: "
        "anomalies; dots above 1: alarms."
    )
    return {"anomaly_scores": ReportFigure("Score over time", caption, fig, table)}


def spans_of(inside: np.ndarray) -> list[tuple[int, int]]:
    """Runs of true values, each from its first place to the place behind its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


DRAW: dict[Kind, Callable[[Mapping[str, Panel], Mapping[str, Outputs], str], Figures]] = {
    "confusion": _confusion,
    "label_table": _label_table,
    "residuals": _residuals,
    "cluster_profile": _cluster_profile,
    "cluster_map": _cluster_map,
    "anomaly_scores": _anomaly_scores,
    "forecast": forecasts,
    "horizon": by_horizon,
}
