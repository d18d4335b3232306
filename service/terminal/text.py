"""Text formatting for a terminal: numbers, durations, sparklines and untrusted names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from rich.text import Text

from shared.metrics.catalogue import spec_of

LONGEST_TEXT = 500
LEAST_SPAN = 0.1  # of a sparkline's scale
BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*%#"


def sparkline(
    values: Iterable[float],
    *,
    width: int,
    blocks: str = BLOCKS,
    scale: tuple[float, float] | None = None,
) -> Text:
    """Draw values as a row of bars.

    Parameters
    ----------
    values : iterable of float
        Oldest first; non-finite values leave a gap.
    width : int, characters
        With more values, each bar is the mean of several.
    blocks : str
        Bars, the lowest first.
    scale : (float, float), optional
        Values of the lowest and the highest bar; by default the extremes of the values shown.
    """
    shown = _condensed(list(values), width=width)
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return Text()
    low, high = scale or (min(finite), max(finite))
    size = (high - low) or 1.0
    top = len(blocks) - 1
    bars = (blocks[round((value - low) / size * top)] if math.isfinite(value) else " " for value in shown)
    return Text("".join(bars), "cyan")


def steady_scale(values: Iterable[float], name: str) -> tuple[float, float] | None:
    """A scale for `sparkline` that does not magnify the noise of a converged value.

    Parameters
    ----------
    name : str
        Name of the metric.

    Returns
    -------
    (float, float) or None
        The extremes of the values, at least 0.1 apart for bounded metrics, else a tenth of the largest
        magnitude. None without a finite value.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    least = LEAST_SPAN * (1.0 if spec_of(name).is_bounded else max(abs(low), abs(high)))
    missing = max(0.0, least - (high - low))
    return low - missing / 2, high + missing / 2


def _condensed(values: Sequence[float], *, width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    ends = [len(values) * place // width for place in range(width + 1)] if width > 0 else []
    parts = (values[start:end] for start, end in pairwise(ends))
    finite = ([value for value in part if math.isfinite(value)] for part in parts)
    return [fmean(part) if part else math.nan for part in finite]


def number(value: float, name: str = "") -> str:
    """Format a value with four significant digits; bytes in MB.

    Parameters
    ----------
    name : str
        Name of the metric.
    """
    return f"{value / 1e6:.4g} MB" if spec_of(name).unit == "B" and math.isfinite(value) else f"{value:.4g}"


def duration(seconds: float, *, exact: bool = True) -> str:
    """Format a duration, such as ``8.4 s``, ``3 min 5 s`` or ``2 h 10 min``.

    Parameters
    ----------
    exact : bool
        With tenths of seconds.
    """
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if exact else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plain(text: str, style: str = "") -> Text:
    """Untrusted text: not interpreted as markup, control characters removed, shortened."""
    short = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
    return Text("".join(letter if letter.isprintable() else " " for letter in short), style)


def line(*parts: str | Text) -> Text:
    """Join parts on one line, cut with an ellipsis if too long."""
    joined = Text.assemble(*parts)
    joined.no_wrap, joined.overflow = True, "ellipsis"
    return joined
