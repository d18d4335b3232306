"""The figures of a sweep's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simulations.report.figure_style import (
    FEDERATED,
    GREY,
    OTHERS,
    POOLED,
    SHADES,
    WIDTH,
    plain,
    set_title,
    style_axes,
)
from simulations.sweeps.cells import Cell
from simulations.sweeps.measured import MeasuredTrial
from simulations.sweeps.ranks import Ranks, front

MOST_CELLS = 40  # lines of a figure; of more cells the best are drawn
MOST_LINES = 500  # of parallel coordinates
_LINE_IN = 0.24


def levels_figure(cells: Sequence[Cell], names: Mapping[tuple[str, ...], str], *, label: str) -> Figure:
    """Mean with interval of each cell: pooled and federated side by side."""
    fig = Figure(figsize=(WIDTH, 1.1 + _LINE_IN * 1.4 * len(cells)), layout="constrained")
    axes = fig.subplots()
    for place, cell in enumerate(cells):
        for offset, name, colour in ((-0.15, "pooled", POOLED), (0.15, "federated", FEDERATED)):
            if (one := cell.numbers.get(name)) is None:
                continue
            y = place + offset
            axes.plot([one.value], [y], "o", color=colour, markersize=4, label=name if place == 0 else None)
            if math.isfinite(one.low) and math.isfinite(one.high):
                axes.plot([one.low, one.high], [y, y], color=colour, linewidth=1.4)
    axes.set_yticks(range(len(cells)), [plain(names[cell.settings], length=46) for cell in cells], fontsize=8)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlabel(f"{label} on the test rows, mean over the seeds, 95 % CI", fontsize=9)
    style_axes(axes, grid="x")
    axes.legend(
        frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, 1.0 + 0.6 / (len(cells) + 1)), ncols=2
    )
    set_title(fig, "What each choice of settings reaches")
    return fig


def ranks_figure(ranks: Ranks, names: Mapping[tuple[str, ...], str]) -> Figure:
    """Average ranks with the critical difference, best first."""
    cells = list(ranks.average)[:MOST_CELLS]
    fig = Figure(figsize=(WIDTH, 1.1 + _LINE_IN * len(cells)), layout="constrained")
    axes = fig.subplots()
    best = ranks.average[cells[0]]
    axes.axvspan(best, best + ranks.critical, color="#DDDDDD", linewidth=0)
    for place, cell in enumerate(cells):
        beyond = ranks.average[cell] - best > ranks.critical
        axes.plot([ranks.average[cell]], [place], "o", color=GREY if beyond else POOLED, markersize=5)
    axes.set_yticks(range(len(cells)), [plain(names[cell], length=46) for cell in cells], fontsize=8)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlabel(f"average rank over {ranks.blocks} seeds; 1 is the best", fontsize=9)
    style_axes(axes, grid="x")
    set_title(fig, f"Ranks; within the band ({ranks.critical:.2f}) nothing is told apart from the best")
    return fig


def front_figure(
    trials: Sequence[MeasuredTrial], costs: Sequence[float], *, cost: str, label: str, higher: bool
) -> Figure:
    """Trials by a metric and a cost, and those that none beats in both."""
    values = [trial.best for trial in trials]
    signed = [(value if higher else -value, spent) for value, spent in zip(values, costs, strict=True)]
    kept = front(signed)
    fig = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = fig.subplots()
    axes.plot(costs, values, "o", color=GREY, markersize=3.5, alpha=0.7, label="trials")
    order = sorted(kept, key=lambda place: costs[place])
    axes.plot(
        [costs[p] for p in order],
        [values[p] for p in order],
        "o-",
        color=FEDERATED,
        markersize=5,
        drawstyle="steps-post",
        label="none is better in both",
    )
    if max(costs) > 20 * min(costs) > 0:
        axes.set_xscale("log")
    axes.set_xlabel(cost, fontsize=9)
    axes.set_ylabel(label, fontsize=9)
    style_axes(axes, grid="both")
    axes.legend(frameon=False, fontsize=8)
    set_title(fig, f"{label} against {cost}")
    return fig


def parallel_figure(
    trials: Sequence[MeasuredTrial], settings: Sequence[Mapping[str, str]], *, label: str, higher: bool
) -> Figure:
    """Parallel coordinates: a line a trial through its settings, to what it reached."""
    from matplotlib.collections import LineCollection

    axes_names = list(dict.fromkeys(name for one in settings for name in one))
    columns = [_scaled([one.get(name, "") for one in settings]) for name in axes_names]
    values = np.array([trial.best for trial in trials])
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    columns.append((share.tolist(), [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")]))
    fig = Figure(figsize=(max(WIDTH, 1.5 * len(columns)), 3.6), layout="constrained")
    axes = fig.subplots()
    xs = np.arange(len(columns))
    good = share if higher else 1 - share
    order = np.argsort(good)[-MOST_LINES:]
    jitter = np.random.default_rng(0).uniform(-0.012, 0.012, size=(len(trials), len(columns)))
    lines = [[(x, column[0][place] + jitter[place, x]) for x, column in enumerate(columns)] for place in order]
    shades = SHADES(0.2 + 0.8 * good[order])
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=1.0, alpha=0.8))
    for x, (_, ticks) in enumerate(columns):
        axes.axvline(x, color="#BBBBBB", linewidth=0.8)
        for y, text in ticks:
            label_of = axes.text(x + 0.02, y, plain(text, length=16), fontsize=7, va="center", color="#444444")
            label_of.set_bbox(
                {"facecolor": "white", "linewidth": 0, "alpha": 0.8, "pad": 1}
            )  # many lines pass it
    axes.set_xlim(-0.1, len(columns) - 0.6)
    axes.set_ylim(-0.06, 1.06)
    axes.set_xticks(xs, [plain(name, length=22) for name in [*axes_names, label]], fontsize=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    set_title(fig, f"Settings of each trial, and {label}: the stronger, the better")
    return fig


def importance_figure(importance: Mapping[str, float], *, label: str) -> Figure:
    """The share of the variation that each setting explains."""
    names = list(importance)
    fig = Figure(figsize=(WIDTH, 1.0 + 0.3 * len(names)), layout="constrained")
    axes = fig.subplots()
    axes.barh(range(len(names)), [importance[name] for name in names], color=POOLED, height=0.6)
    axes.set_yticks(range(len(names)), [plain(name, length=40) for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of what settings explain", fontsize=9)
    style_axes(axes, grid="x")
    set_title(fig, f"How much each setting matters to {label}")
    return fig


def curves_figure(
    trials: Sequence[MeasuredTrial],
    cells: Sequence[tuple[str, ...]],
    names: Mapping[tuple[str, ...], str],
    *,
    label: str,
) -> Figure:
    """Learning curves of some cells: one line a trial, one colour a cell."""
    fig = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = fig.subplots()
    for place, cell in enumerate(cells):
        colour = (POOLED, FEDERATED, *OTHERS)[place % (2 + len(OTHERS))]
        for number, trial in enumerate([one for one in trials if one.settings == cell and one.curve]):
            steps, values = zip(*trial.curve, strict=True)
            named = plain(names[cell], length=46) if number == 0 else None
            axes.plot(steps, values, color=colour, linewidth=1.2, marker="o", markersize=2.5, label=named)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("round (epoch)", fontsize=9)
    axes.set_ylabel(label, fontsize=9)
    style_axes(axes, grid="both")
    axes.legend(frameon=False, fontsize=8)
    set_title(fig, f"{label}, round by round, of the best and the worst cell")
    return fig


def _scaled(texts: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Places between 0 and 1, and the texts beside the axis: numbers by their size, other values in order."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    known = sorted(set(texts), key=lambda text: (numbers[texts.index(text)] if numbers else 0, text))
    if not numbers or len(known) <= 6:
        place = {text: index / max(1, len(known) - 1) for index, text in enumerate(known)}
        return [place[text] for text in texts], [
            (place[text], text) for text in known[:: max(1, len(known) // 12)]
        ]
    log = min(numbers) > 0 and max(numbers) > 20 * min(numbers)
    scaled = np.log(numbers) if log else np.array(numbers)
    low, high = scaled.min(), scaled.max()
    return ((scaled - low) / (high - low)).tolist(), [(0.0, f"{min(numbers):g}"), (1.0, f"{max(numbers):g}")]
