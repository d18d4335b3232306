"""Figures of the clients: a metric by client, and the distribution of a variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shared.data.profile import CountTable, SpanTable
from shared.metrics.catalogue import better
from shared.metrics.headline import format_value
from shared.metrics.spec import Better
from simulations.gap.clients import per_client_summary
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
    direction: Better | None = None,
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
    direction : Better, optional
        The metric's better direction; the catalogue's without it.

    Returns
    -------
    Figure
        Its title names the worst client.
    """
    fig = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = fig.subplots()
    style_axes(axes)
    heights = np.array(list(values.values()), dtype=float)
    size = min(1.0, 0.3 + 15 / max(len(heights), 1))
    summary = per_client_summary(values, better=direction or better(metric.rpartition("/")[2]))
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


def value_distribution(table: CountTable) -> Figure:
    """How many training examples of which value each client has.

    Returns
    -------
    Figure
        Above, the clients' sizes; below, one column per client, shaded by the share of each value in it and,
        where there is room, with the counts.
    """
    counts, sizes = table.counts, table.sizes
    num_clients, num_values = counts.shape
    shares = counts / np.maximum(sizes, 1)[:, None]

    fig = Figure(figsize=(WIDTH, 2.6 + 0.34 * num_values), layout="constrained")
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=[1.3, 0.3 + 0.34 * num_values])
    style_axes(above)
    above.bar(range(num_clients), sizes, color="#666666", width=0.8)
    above.set_ylabel("examples")
    above.yaxis.set_major_formatter(thousands())
    above.tick_params(bottom=False, labelbottom=False)
    room, needed = 4.6 / num_clients, 0.08 * len(f"{counts.max():,}")  # inches
    mesh = heat_map(below, shares.T, counts.T if needed < room else None)
    below.set_yticks(range(num_values), [plain(name) for name in table.values])
    _name_clients(below, table.clients)
    below.set_xlabel("client")
    add_colour_bar(fig, mesh, below, name="share of the client")
    largest = shares.max(axis=1)
    sizes_text = f"{sizes.min():,} to {sizes.max():,} examples each"
    values_text = f"largest {plain(table.variable)} {largest.min():.0%} to {largest.max():.0%}"
    set_title(fig, f"{num_clients} clients: {sizes_text}, {values_text}")
    return fig


def value_spans(table: SpanTable) -> Figure:
    """Between which values of a variable each client's training examples are.

    Returns
    -------
    Figure
        Above, the clients' sizes; below, a bar a client from its smallest to its largest value.
    """
    fig = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    above, below = fig.subplots(2, 1, sharex=True, height_ratios=[1.0, 1.6])
    for axes in (above, below):
        style_axes(axes)
    places = range(len(table.clients))
    above.bar(places, table.sizes, color="#666666", width=0.8)
    above.set_ylabel("examples")
    above.yaxis.set_major_formatter(thousands())
    above.tick_params(bottom=False, labelbottom=False)
    for place, span in zip(places, table.spans, strict=True):
        if span is not None:
            below.plot([place, place], span, color=FEDERATED, linewidth=2.2, marker="_", markersize=12)
    below.margins(y=0.12)
    below.set_ylabel(plain(table.variable))
    below.set_xlabel("client")
    _name_clients(below, table.clients)
    low, high = table.of_all
    sizes_text = f"{table.sizes.min():,} to {table.sizes.max():,} examples each"
    set_title(fig, f"{len(table.clients)} clients: {sizes_text}, {plain(table.variable)} {low:g} to {high:g}")
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
