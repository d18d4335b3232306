"""The figure of the speed benchmark: one row per workload with CPU time, wall time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.speed.goals import spread
from benchmarks.speed.sample import Sample
from benchmarks.speed.systems import SYSTEMS
from benchmarks.speed.workloads import Workload

# Okabe and Ito (2008): told apart with every kind of colour vision.
OURS, OTHERS = ("#0072B2", "#7FB8D8"), ("#5A5A5A", "#BDBDBD")  # rounds; start-up and end
OUR_SYSTEMS = ("local", "flwr", "centralized")
PANELS = (
    ("processor seconds", "cpu", "rest_cpu"),
    ("wall seconds", "wall", "rest_wall"),
    ("peak memory, GB", "memory", None),
)
_WIDTH, _BAR, _HEAD, _DPI = 12.0, 0.36, 0.95, 150  # inches, and dots an inch


def draw(samples: Sequence[Sample], path: Path, *, workloads: Mapping[str, Workload]) -> None:
    """Write the figure.

    Parameters
    ----------
    samples : sequence of Sample
        At least one of them counted.
    path : Path
        Of a PNG file.
    """
    rows: dict[str, set[str]] = {}
    for sample in samples:
        if sample.counted:
            rows.setdefault(sample.workload, set()).add(sample.system)
    names = {workload: [name for name in SYSTEMS if name in found] for workload, found in rows.items()}
    heights = [_BAR * len(found) + _HEAD for found in names.values()]
    fig = Figure(figsize=(_WIDTH, sum(heights) + 0.5), facecolor="white", layout="constrained")
    FigureCanvasAgg(fig)
    grid = fig.subplots(len(names), len(PANELS), squeeze=False, height_ratios=heights)
    for row, (workload, systems) in zip(grid, names.items(), strict=True):
        for axes, panel in zip(row, PANELS, strict=True):
            _panel(axes, samples, workload=workload, systems=systems, panel=panel)
        row[0].set_yticks(range(len(systems)), [SYSTEMS[name].title for name in systems])
        title = f"{workload}: {workloads[workload].describe()}"
        row[0].set_title(title, loc="left", fontweight="bold", fontsize=10)
    fig.suptitle(
        "Dark: all rounds. Light: start-up and end. Blue: fedtwin. Lines: least to most of the runs.",
        x=0.01,
        ha="left",
        fontsize=9,
    )
    fig.savefig(path, dpi=_DPI)


def _panel(
    axes: Axes,
    samples: Sequence[Sample],
    *,
    workload: str,
    systems: Sequence[str],
    panel: tuple[str, str, str | None],
) -> None:
    title, whole, rest = panel
    unit = 1e-3 if whole == "memory" else 1.0
    longest = 0.0
    for place, name in enumerate(systems):
        found = spread(samples, workload=workload, system=name, figure=whole)
        if found is None:
            continue
        dark, light = OURS if name in OUR_SYSTEMS else OTHERS
        total = found.median * unit
        start = spread(samples, workload=workload, system=name, figure=rest) if rest else None
        rounds = max(0.0, total - start.median) if start else total
        axes.barh(place, rounds, height=0.7, color=dark)
        axes.barh(place, total - rounds, left=rounds, height=0.7, color=light)
        axes.plot([found.least * unit, found.most * unit], [place, place], color="black", linewidth=1)
        longest = max(longest, found.most * unit)
        axes.annotate(
            f"{total:.1f}" if total >= 1 else f"{total:.2f}",
            (max(total, found.most * unit), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlim(0, longest * 1.15 or 1)
    axes.set_ylim(len(systems) - 0.4, -0.6)
    axes.set_yticks([])
    axes.tick_params(labelsize=8, length=0)
    axes.set_xlabel(title, fontsize=9)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
