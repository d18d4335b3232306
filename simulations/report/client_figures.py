"""Figures of the clients: a metric by client, and the label distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from simulations.gap.bootstrap import Better, per_client_summary
from simulations.gap.wording import format_value
from simulations.report.figure_style import (
    FEDERATED,
    LINES,
    POOLED,
    WIDTH,
    add_colour_bar,
    capitalized,
    heat_map,
    metric_name,
    plain,
    set_title,
    style_axes,
    thousands,
)

_MOST_NAMES = 25


def client_bars(
    metric: str,
    values: Mapping[str, float],
    aggregate: float | None = None,
    pooled: float | None = None,
    *,
    better: Better = "higher",
) -> Figure:
    """A metric of each client, as its distance from the aggregate.

    Parameters
    ----------
    values : mapping of str to float
        By the client's name, drawn in this order; NaN is left out.
    aggregate : float, optional
        Over all clients; their median if not given.
    pooled : float, optional
        Of the pooled model.
    better : {"higher", "lower"}
        The worst client is named in the title.
    """
    fig = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = fig.subplots()
    style_axes(axes)
    heights = np.array(list(values.values()), dtype=float)
    size = min(1.0, 0.3 + 15 / max(len(heights), 1))
    summary = per_client_summary(values, better=better)
    base = summary.median if aggregate is None else aggregate
    axes.vlines(range(len(heights)), base, heights, color=FEDERATED, linewidth=5 * size, alpha=0.5)
    axes.plot(heights, "o", color=FEDERATED, markersize=8 * size, label="one client, federated model")
    line = f"{'median' if aggregate is None else 'aggregate'} {format_value(base)}"
    axes.axhline(base, color=FEDERATED, linestyle=LINES[FEDERATED], linewidth=1.6, label=line)
    if pooled is not None:
        axes.axhline(pooled, color=POOLED, linewidth=1.6, label=f"pooled {format_value(pooled)}")
    axes.set_xlim(-0.6, max(len(heights), 1) - 0.4)
    axes.margins(y=0.12)
    _name_clients(axes, list(values))
    axes.set_ylabel(metric_name(metric))
    fig.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9, handlelength=3.2)
    worst = f"worst {plain(summary.worst_name)} at {format_value(summary.worst)}"
    text = f"{worst}, spread {format_value(summary.spread)}" if summary.worst_name else "no client has a value"
    set_title(fig, f"{capitalized(metric_name(metric))} by client: {text}")
    return fig


def label_distribution(counts: ArrayLike, classes: Sequence[str], names: Sequence[str] | None = None) -> Figure:
    """How many examples of which class each client has.

    Parameters
    ----------
    counts : array [clients, classes], int
    names : sequence of str, optional
        Of the clients; their numbers from 0 unless given.

    Returns
    -------
    Figure
        Above, the clients' sizes; below, a column a client, heat_map by the share of each class in it and,
        where there is room, with the counts.
    """
    table = np.asarray(counts, dtype=np.int64)
    num_clients, num_classes = table.shape
    names = [str(number) for number in range(num_clients)] if names is None else names
    assert table.shape == (len(names), len(classes)), (table.shape, len(names), len(classes))
    sizes = table.sum(axis=1)
    shares = table / np.maximum(sizes, 1)[:, None]

    fig = Figure(figsize=(WIDTH, 2.6 + 0.34 * num_classes), layout="constrained")
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=[1.3, 0.3 + 0.34 * num_classes])
    style_axes(above)
    above.bar(range(num_clients), sizes, color="#666666", width=0.8)
    above.set_ylabel("examples")
    above.yaxis.set_major_formatter(thousands())
    above.tick_params(bottom=False, labelbottom=False)
    room, needed = 4.6 / num_clients, 0.08 * len(f"{table.max():,}")  # inches
    mesh = heat_map(below, shares.T, table.T if needed < room else None)
    below.set_yticks(range(num_classes), [plain(name) for name in classes])
    _name_clients(below, names)
    below.set_xlabel("client")
    add_colour_bar(fig, mesh, below, name="share of the client")
    largest = shares.max(axis=1)
    sizes_text = f"{sizes.min():,} to {sizes.max():,} examples each"
    classes_text = f"largest class {largest.min():.0%} to {largest.max():.0%}"
    set_title(fig, f"{num_clients} clients: {sizes_text}, {classes_text}")
    return fig


def _name_clients(axes: Axes, names: Sequence[str]) -> None:
    shown = range(0, len(names), -(-len(names) // _MOST_NAMES) or 1)
    labels = [plain(names[position], length=18) for position in shown]
    axes.set_xticks(list(shown), labels)
    if sum(len(text) + 2 for text in labels) > 80:
        axes.tick_params(axis="x", labelrotation=90 if len(labels) > 12 else 35)
        for tick in axes.get_xticklabels():
            tick.set_horizontalalignment("center" if len(labels) > 12 else "right")
            tick.set_rotation_mode("default" if len(labels) > 12 else "anchor")
