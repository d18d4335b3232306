"""Common style of all figures: colours, axes, safe labels, and output as PNG or inline SVG."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from shared.metrics.catalogue import label
from shared.runtime.files import replacing

# Okabe and Ito (2008), Color Universal Design: distinguishable with every kind of colour vision
POOLED, FEDERATED, LOCAL = "#0072B2", "#D55E00", "#009E73"
OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#8A8A8A"
VERDICTS = {"worse": "#A8380A", "better": "#00664B"}  # as in report.css
LINES = {POOLED: "-", FEDERATED: (0, (6, 1.5)), LOCAL: (0, (1, 1))}
# from white to dark, so that its order survives grey printing; more than 50 steps would be drawn as pixels
SHADES = matplotlib.colormaps["Blues"].resampled(41)
WIDTH = 7.2  # inches
DPI = 200
_STAGES = {"train": "training", "val": "validation", "test": "test"}


def colour_of(title: str, position: int = 0) -> str:
    """The colour that a model has in all figures.

    Parameters
    ----------
    title : str
        Such as ``pooled``, ``federated`` or ``local``.
    position : int
        Chooses among the other colours for any other title.
    """
    words = title.casefold()
    for start, colour in (("pooled", POOLED), ("federated", FEDERATED), ("local", LOCAL)):
        if words.startswith(start):
            return colour
    return OTHERS[position % len(OTHERS)]


def plain(text: str, *, length: int = 24) -> str:
    """A name that users chose, as a label: one line, not too long, and never read as a formula.

    Parameters
    ----------
    length : int
        Longer names are cut in the middle.
    """
    line = " ".join(text.split())
    if len(line) > length:
        line = f"{line[: length - length // 3 - 1]}…{line[-(length // 3) :]}"
    line = f" {line}" if line.startswith("_") else line  # matplotlib hides labels that begin with an underscore
    return line.replace("$", r"\$")


def set_title(fig: Figure, title: str) -> None:
    """Set the figure's title, which states its main finding."""
    lines = textwrap.fill(title, width=int(fig.get_figwidth() * 11))
    fig.suptitle(lines, x=0.01, ha="left", fontsize=11, fontweight="bold")


def style_axes(axes: Axes, *, grid: str | None = "y") -> None:
    """Apply the common axis style: no top and right spines, a light grid.

    Parameters
    ----------
    grid : {"x", "y", "both"}, optional
        Lines to read values by.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, length=3)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color="#DDDDDD", linewidth=0.8)  # type: ignore[arg-type]


def heat_map(axes: Axes, shares: NDArray[np.float64], counts: NDArray[np.int64] | None = None) -> QuadMesh:
    """A heat map with the first row on top and, optionally, counts in its cells.

    Parameters
    ----------
    shares : ndarray [rows, columns], float64 in [0, 1]
    counts : ndarray [rows, columns], int64, optional
    """
    rows, columns = shares.shape
    mesh = axes.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        shares,
        cmap=SHADES,
        vmin=0.0,
        vmax=1.0,
        edgecolors="#DDDDDD",
        linewidth=0.5 if columns <= 30 else 0.1,
    )
    axes.set_ylim(rows - 0.5, -0.5)
    axes.tick_params(labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(shares.shape) if counts is not None else ():
        assert counts is not None
        # Not quite white: in a dark report, the paper's white and that of these numbers differ.
        colour = "#FEFEFE" if shares[row, column] > 0.55 else "#444444" if counts[row, column] else "#BBBBBB"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8, color=colour)
    return mesh


def add_colour_bar(fig: Figure, mesh: QuadMesh, axes: Axes | Sequence[Axes], *, name: str) -> None:
    """Add the colour bar of heat maps."""
    bar = fig.colorbar(mesh, ax=axes, format=PercentFormatter(1.0), fraction=0.04)
    bar.set_label(name, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    assert bar.solids is not None
    bar.solids.set_edgecolor("face")  # no seams between the steps


def thousands() -> FuncFormatter:
    """Ticks such as 12,500."""
    return FuncFormatter(lambda value, _: f"{value:,.10g}")


def metric_name(metric: str) -> str:
    """A metric's name in a sentence.

    Parameters
    ----------
    metric : str
        With or without its stage: ``val/auroc`` is "validation AUROC".
    """
    stage, slash, name = metric.rpartition("/")
    return f"{_STAGES.get(stage, stage)} {label(name)}" if slash else label(metric)


def capitalized(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def save(fig: Figure, path: Path) -> None:
    """Write a figure as PNG, all of it or nothing.

    Parameters
    ----------
    path : Path
        Its folder exists; a file that is there is replaced.
    """
    with replacing(path) as file, _quiet_about_glyphs():
        fig.savefig(file, format="png", dpi=DPI)


def to_svg(fig: Figure, *, prefix: str = "") -> str:
    """A figure as an ``<svg>`` element that can stand in an HTML page beside others.

    Letters are paths, so that it needs no font; the same figure gives the same text.

    Parameters
    ----------
    prefix : str
        Put before every id, which must be unique in a page: letters, digits and hyphens.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with _quiet_about_glyphs(), matplotlib.rc_context({"svg.hashsalt": "fedtwin", "svg.fonttype": "path"}):
        fig.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # its style sheet would apply to the whole page; attributes on the root element are inherited
    text = re.sub(r"<style[^>]*>\*\{[^<]*</style>", "", text)
    text = text.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" aria-hidden="true" ', 1)
    text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{prefix}", text)
    return re.sub(r"\n\s*\n+", "\n", text)


@contextmanager
def _quiet_about_glyphs() -> Iterator[None]:
    # a letter that the font lacks is drawn as a box; the data table beside the figure has it
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield
