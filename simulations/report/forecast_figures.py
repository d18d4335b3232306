"""Figures of forecasts: some of them with a band and the floor beside, and the error by step ahead."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from shared.metrics.outputs import Outputs
from shared.tasks.panels import Panel
from simulations.report.figure_style import GREY, colour_of, plain, set_title, style_axes
from simulations.report.page import ReportFigure
from simulations.report.tables import Cell, DataTable

Figures = dict[str, ReportFigure]

FLOORS = {"seasonal": ("seasonal floor", (0, (4, 2))), "persistence": ("persistence floor", (0, (1, 1.5)))}


def forecasts(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    """Some windows: a row of axes a model, with its band, what came, and the seasonal floor."""
    first = next(iter(panels.values())).data
    count = len(first["windows"])
    fig = Figure(figsize=(3.2 * count, 0.9 + 2.3 * len(panels)), layout="constrained")
    grid = fig.subplots(len(panels), count, squeeze=False, sharex=True, sharey="col")
    ahead = np.arange(1, len(first["windows"][0]["true"]) + 1)
    for row, (title, panel) in zip(grid, panels.items(), strict=True):
        for place, (axes, window) in enumerate(zip(row, panel.data["windows"], strict=True)):
            style_axes(axes)
            colour = colour_of(title)
            axes.fill_between(ahead, window["low"], window["high"], color=colour, alpha=0.18, linewidth=0)
            axes.plot(ahead, window["seasonal"], color=GREY, linestyle=(0, (4, 2)), label="seasonal floor")
            axes.plot(ahead, window["true"], color="black", linewidth=1.4, label="true")
            axes.plot(
                ahead, window["predicted"], color=colour, linewidth=1.6, label="forecast, with 80 % of errors"
            )
            axes.set_title(
                f"{plain(title)}: MAE {window['mae']:.3g}, floor {window['seasonal_mae']:.3g}",
                fontsize=9,
                color=colour,
            )
            if not place:
                axes.set_ylabel(plain(first["target"]))
    for axes in grid[-1]:
        axes.set_xlabel(f"steps of {plain(first['step'])} ahead")
    handles, names = grid[0][0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    set_title(fig, f"Forecasts of {plain(first['target'])}: an easy, a usual and a hard test window")
    rows: list[list[Cell]] = [
        [title, window["rank"], step, *(window[name][step - 1] for name in _COLUMNS)]
        for title, panel in panels.items()
        for window in panel.data["windows"]
        for step in range(1, len(ahead) + 1)
    ]
    table = DataTable("Forecasts", ["model", "rank", "step ahead", *_COLUMNS], rows)
    caption = (
        f"{where}; the windows at 10, 50 and 90 % of {first['num_examples']:,}, by the error of the seasonal "
        "floor. Band: 80 % of all test errors at that step."
    )
    return {"forecasts": ReportFigure("Forecasts", caption, fig, table)}


def by_horizon(panels: Mapping[str, Panel], outputs: Mapping[str, Outputs], where: str) -> Figures:
    """The mean absolute error of each step ahead, of each model and of the floors."""
    first = next(iter(panels.values())).data
    fig = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = fig.subplots()
    style_axes(axes)
    lines = {title: panel.data["mae"]["model"] for title, panel in panels.items()}
    ahead = range(1, len(first["mae"]["model"]) + 1)
    for name, (called, dash) in FLOORS.items():
        axes.plot(ahead, first["mae"][name], color=GREY, linestyle=dash, label=called)
    for position, (title, values) in enumerate(lines.items()):
        axes.plot(ahead, values, color=colour_of(title, position), linewidth=1.8, label=plain(title))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"steps of {plain(first['step'])} ahead")
    axes.set_ylabel(f"MAE of {plain(first['target'])}")
    fig.legend(loc="outside lower center", ncols=2 + len(panels), frameon=False, fontsize=9)
    set_title(fig, "Error by step ahead, beside the floors")
    lines |= {called: first["mae"][name] for name, (called, _) in FLOORS.items()}
    rows: list[list[Cell]] = [
        [title, step, value]
        for title, values in lines.items()
        for step, value in zip(ahead, values, strict=True)
    ]
    table = DataTable("Error by step ahead", ["model", "step ahead", "MAE"], rows)
    caption = f"{where}; seasonal floor: the same step of the last season; persistence floor: the last value."
    return {"by_horizon": ReportFigure("Error by step ahead", caption, fig, table)}


_COLUMNS = ("true", "predicted", "low", "high", "seasonal")
