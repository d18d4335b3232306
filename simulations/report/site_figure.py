"""`site_figure`: the models that each site could have, on its test rows, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from shared.metrics.headline import format_interval
from shared.metrics.site_table import digits_of, gain_of, interval_of, models_of, site_sentence
from simulations.report.figure_style import (
    FEDERATED,
    GREY,
    LOCAL,
    OTHERS,
    POOLED,
    WIDTH,
    capitalized,
    metric_name,
    plain,
    set_title,
    style_axes,
)

_DRAWN = {"pooled": (POOLED, "s"), "federated": (FEDERATED, "o"), "alone": (LOCAL, "D")}
_TUNED = (OTHERS[0], "^")


def site_figure(gains: Mapping[str, Any]) -> Figure:
    """A group of lines a site, one a model; at the right, what joining brings the site.

    Parameters
    ----------
    gains : mapping
        From `simulations.report.site_gains`.
    """
    models, rows, digits = models_of(gains), gains["rows"], digits_of(gains)
    step = 0.8 / len(models)
    fig = Figure(figsize=(WIDTH, 1.4 + len(rows) * 0.22 * (len(models) + 1)), layout="constrained")
    axes = fig.subplots()
    style_axes(axes, grid="x")
    for place, row in enumerate(rows):
        for number, key in enumerate(models):
            own, (colour, marker) = interval_of(row, key), _DRAWN.get(key, _TUNED)
            if math.isnan(own.value):
                continue
            at = place - 0.4 + (number + 0.5) * step
            if not math.isnan(own.low):
                axes.plot([own.low, own.high], [at, at], color=colour, linewidth=1.8, alpha=0.7)
            axes.plot(own.value, at, marker, color=colour, markersize=6)
        gain = gain_of(row)
        text = format_interval(gain, signed=True, digits=digits)
        axes.annotate(
            "no number" if row.get("note") else text,
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
        if place:
            axes.axhline(place - 0.5, color=GREY, linewidth=0.6)
    axes.annotate(
        "gain by joining",
        (1.02, -0.5),
        xycoords=("axes fraction", "data"),
        fontsize=9,
        color="#555555",
        va="bottom",
    )
    for key, name in models.items():
        colour, marker = _DRAWN.get(key, _TUNED)
        axes.plot([], [], marker, color=colour, markersize=6, label=name)
    counts = (row.get("num_test") for row in rows)
    axes.set_yticks(
        range(len(rows)),
        [
            plain(row["name"]) + ("" if count is None else f"\n{count:,} test rows")
            for row, count in zip(rows, counts, strict=True)
        ],
    )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(capitalized(metric_name(gains["metric"])))
    axes.margins(x=0.08)
    fig.legend(loc="outside lower center", ncols=len(models), frameon=False, fontsize=9)
    set_title(fig, site_sentence(gains).rstrip("."))
    return fig
