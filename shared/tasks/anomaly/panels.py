"""What is drawn of scores: how far each row is from its control limit over time, with events and alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shared.metrics.anomaly import RATIO, SERIES, TIME
from shared.tasks.panels import Panel

if TYPE_CHECKING:
    from shared.metrics.outputs import Outputs

MOST_BINS = 1_000  # each of consecutive rows of one series
FLOOR = 1e-3  # smaller ratios are drawn there


def scores_panel(outputs: Outputs) -> Panel:
    """The largest ratio of score to limit among consecutive rows, one series behind the other.

    Parameters
    ----------
    outputs : Outputs
        Predictions [N, 2 or 4]: ratio, score, and where they are known time and series.
    """
    predictions, size = outputs.predictions.astype(np.float64), len(outputs)
    timed = predictions.shape[1] > SERIES
    series = predictions[:, SERIES] if timed else np.zeros(size)
    time = predictions[:, TIME] if timed else np.zeros(size)
    order = np.lexsort((np.arange(size), time, series))
    first = _first_of_bins(series[order])
    anomaly = (outputs.targets.reshape(size) == 1)[order]
    ratio = predictions[order, RATIO]
    begins = np.flatnonzero(np.diff(series[order], prepend=np.nan) != 0)
    return Panel(
        "anomaly_scores",
        "Score over time",
        {
            "row": first.tolist(),
            "ratio": np.maximum(np.maximum.reduceat(ratio, first), FLOOR).tolist(),
            "anomaly": np.maximum.reduceat(anomaly, first).astype(int).tolist(),
            "alarm": np.maximum.reduceat(ratio > 1.0, first).astype(int).tolist(),
            "series": begins.tolist(),
            "timed": bool(timed and len(np.unique(time)) > 1),
            "num_examples": size,
        },
    )


def _first_of_bins(series: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where each bin begins, among rows in the order in which they are drawn."""
    width = -(-len(series) // MOST_BINS)
    begins = np.flatnonzero(np.diff(series, prepend=np.nan) != 0)
    ends = [*begins[1:], len(series)]
    return np.concatenate([np.arange(begin, end, width) for begin, end in zip(begins, ends, strict=True)])
