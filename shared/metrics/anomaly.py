"""`AnomalyMetrics`: everything that alarms and the scores behind them are judged by; the one definition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.averages import Bools, Floats, defined, under_weights
from shared.metrics.binned_ranking import BINS, bin_scores, binned_areas
from shared.metrics.catalogue import ANOMALY
from shared.metrics.outputs import Outputs
from shared.metrics.ranking import rank
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics

RATIO, SCORE, TIME, SERIES = range(4)  # columns of the predictions


class AnomalyMetrics:
    """The metrics of alarms.

    Predictions [N, 2 or more]: the ratio of a row's score to its control limit (above 1 it is an alarm), and
    the score that is a loss. Targets [N]: 1 of an anomaly, 0 of a normal row. What needs rows that there are
    none of is NaN in `score`, and absent in `values`.
    """

    monitor = "val/loss"
    client_metric = "false_alarm_rate"
    metrics: tuple[MetricSpec, ...] = ANOMALY

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    def alarms(self, outputs: Outputs) -> Bools:
        """Whether each row is an alarm, [N]."""
        found: Bools = outputs.predictions[:, RATIO] > 1.0
        return found

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once; see `shared.metrics.judge.Judge.score`."""

        def measure(w: Floats) -> dict[str, Floats]:
            anomaly, alarm = self.anomalies(outputs), self.alarms(outputs)
            counts = np.stack([w @ ((anomaly == a) & (alarm == b)) for a in (0, 1) for b in (0, 1)], axis=1)
            # equal ratios, such as those beyond what 64 bits tell apart, are one step of the curves
            area, average = rank(outputs.predictions[:, RATIO], anomaly, np.ascontiguousarray(w.T))
            losses = w @ np.where(anomaly, 0.0, outputs.predictions[:, SCORE].astype(np.float64))
            return _of(counts, losses, area, average)

        return under_weights(outputs, weights, names=self.names, measure=measure)

    def anomalies(self, outputs: Outputs) -> Bools:
        """Whether each row is an anomaly, [N]."""
        found: Bools = outputs.targets.reshape(len(outputs)) == 1
        return found

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        return {
            "counts": Layout((2, 2), counts=True),
            "ranking": Layout((2, BINS), counts=True),
            "loss": Layout((1,), counts=False),
        }

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows; those of several clients add up, and `pooled` reads the sum.

        Returns
        -------
        Statistics
            ``counts``, rows by anomaly and alarm; ``ranking``, see `binned_ranking`, of ratios r as
            r / (1 + r); ``loss``, the sum of the scores of normal rows.
        """
        anomaly, alarm = self.anomalies(outputs), self.alarms(outputs)
        counts = np.bincount(anomaly * 2 + alarm, minlength=4).reshape(2, 2).astype(np.int64)
        ratios = outputs.predictions[:, RATIO].astype(np.float64)
        losses = outputs.predictions[~anomaly, SCORE].astype(np.float64)
        ranking = bin_scores(ratios / (1.0 + ratios), anomaly)
        return Statistics({"counts": counts, "ranking": ranking, "loss": losses.sum(keepdims=True)})

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them, without the rows.

        Exact but for AUROC and average precision, whose error is that of the bins.
        """
        counts = statistics["counts"].reshape(1, 4).astype(np.float64)
        area, average = (np.array([value]) for value in binned_areas(statistics["ranking"]))
        found = _of(counts, statistics["loss"], area, average)
        return defined({name: float(found[name][0]) for name in self.names})

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        counts = statistics["counts"]
        if (total := int(counts.sum())) != rows:
            raise ValueError(f"counts add up to {total}, expected {rows}")
        if not np.array_equal(told := statistics["ranking"].sum(axis=1), counts.sum(axis=1)):
            raise ValueError(f"ranking adds up to {told.tolist()}, which does not fit counts")
        (loss,) = statistics["loss"]
        if not loss >= 0 or (loss > 0 and not counts[0].sum()):
            raise ValueError(f"loss is {loss:.6g}, which {int(counts[0].sum())} normal rows cannot have")

    def best_threshold(self, statistics: Statistics) -> float:
        """Not for this task."""
        raise NotImplementedError


def _of(counts: Floats, losses: Floats, area: Floats, average: Floats) -> dict[str, Floats]:
    quiet, false, missed, hits = counts.T
    return {
        "f1": _share(2 * hits, 2 * hits + false + missed, of=missed + hits),
        "false_alarm_rate": _share(false, quiet + false),
        "missed_alarm_rate": _share(missed, missed + hits),
        "auroc": area,
        "average_precision": average,
        "loss": _share(losses, quiet + false),
    }


def _share(part: Floats, whole: Floats, *, of: NDArray[np.float64] | None = None) -> Floats:
    """A ratio, NaN without rows to divide by."""
    rows = whole if of is None else of
    found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=rows > 0)
    return found
