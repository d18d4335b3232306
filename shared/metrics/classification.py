"""`ClassificationMetrics`: everything that a classifier's outputs are judged by; the one definition.

The rule for a class that does not occur among the targets: it is left out of the means over the classes,
whatever is predicted. Of two classes, what is measured of class 1 is not defined without a row of class 1 (the
AUROC also not without a row of class 0). A metric that is not defined is NaN in `score` and absent in `values`,
never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from shared.metrics.averages import Floats, defined, mean_over_classes, rates, under_weights
from shared.metrics.binned_ranking import BINS, bin_scores, binned_areas, in_thousandths
from shared.metrics.catalogue import CLASSIFICATION, default_monitor
from shared.metrics.class_rows import CALIBRATION_BINS, LEAST_PROBABILITY, ClassRows
from shared.metrics.outputs import Outputs
from shared.metrics.ranking import rank
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics
from shared.metrics.thresholds import best_threshold


class ClassificationMetrics(ClassRows):
    """The metrics of a classifier with so many classes."""

    metrics: tuple[MetricSpec, ...] = CLASSIFICATION

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

    @property
    def monitor(self) -> str:
        """What chooses the best model, by default."""
        return default_monitor(self.num_classes)

    def score(self, outputs: Outputs, weights: Floats | None = None) -> dict[str, Floats]:
        """All metrics, under many weightings of the rows at once.

        Parameters
        ----------
        weights : ndarray [R, N], float64, optional
            How often each row is counted, R times; by default once, R = 1.

        Returns
        -------
        dict of str to ndarray [R], float64
            In the order of `metrics`; all NaN if a probability is not finite.

        References
        ----------
        Naeini et al. (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning.
        """
        probabilities, targets = self.checked(outputs)

        def measure(w: Floats) -> dict[str, Floats]:
            predicted, classes = self.predicted(outputs), self.measured_classes
            is_target = targets[:, None] == classes
            is_predicted = predicted[:, None] == classes
            positives = w @ is_target.astype(np.float64)
            present = positives > 0
            columns = np.ascontiguousarray(w.T)
            ranked = [rank(probabilities[:, k], is_target[:, i], columns) for i, k in enumerate(classes)]
            return {
                "auroc": mean_over_classes(np.stack([area for area, _ in ranked], axis=1), present),
                "accuracy": (w @ (predicted == targets).astype(np.float64)) / w.sum(axis=1),
                "loss": (w @ self.losses(outputs)) / w.sum(axis=1),
                **rates(
                    correct=w @ (is_target & is_predicted).astype(np.float64),
                    claimed=w @ is_predicted.astype(np.float64),
                    positives=positives,
                ),
                "average_precision": mean_over_classes(np.stack([ap for _, ap in ranked], axis=1), present),
                "calibration_error": np.abs(w @ self.surpluses(outputs)).sum(axis=1) / w.sum(axis=1),
            }

        return under_weights(outputs, weights, names=self.names, measure=measure)

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once.

        Returns
        -------
        dict of str to float
            In the order of `metrics`.
        """
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    def defined_for(self, label_counts: Sequence[int]) -> frozenset[str]:
        """The names of the metrics that are defined on rows of these classes.

        Parameters
        ----------
        label_counts : sequence of int
            Rows of each class; at least one row in all.
        """
        present = np.flatnonzero(np.asarray(label_counts))
        uniform = np.full((len(present), self.num_classes), 1 / self.num_classes)
        return frozenset(self.values(Outputs(uniform, present)))

    @cached_property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        classes = self.num_classes
        return {
            "confusion": Layout((classes, classes), counts=True),
            "ranking": Layout((len(self.measured_classes), 2, BINS), counts=True),
            "loss": Layout((1,), counts=False),
            "calibration": Layout((CALIBRATION_BINS + 1,), counts=False),
        }

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows; those of several clients add up, and `pooled` reads the sum.

        Returns
        -------
        Statistics
            ``confusion`` (at the threshold of the outputs), ``ranking`` (see `binned_ranking`), the sum
            of the losses, and of each calibration bin the sum of outcome minus confidence.
        """
        probabilities, targets = self.checked(outputs)
        ranking = [bin_scores(probabilities[:, k], targets == k) for k in self.measured_classes]
        return Statistics(
            {
                "confusion": self.confusion(outputs),
                "ranking": np.stack(ranking),
                "loss": self.losses(outputs).sum(keepdims=True),
                "calibration": self.surpluses(outputs).sum(axis=0),
            }
        )

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them, without the rows.

        Returns
        -------
        dict of str to float
            Exact but for AUROC and average precision, whose error is that of the bins.
        """
        confusion = statistics["confusion"].astype(np.float64)
        rows, classes = confusion.sum(), self.measured_classes
        positives = confusion.sum(axis=1)[None, classes]
        ranked = np.array([binned_areas(counts) for counts in statistics["ranking"]])
        areas, average_precisions = ranked.T[:, None, :]
        values = {
            "auroc": mean_over_classes(areas, positives > 0),
            "accuracy": np.trace(confusion)[None] / rows,
            "loss": statistics["loss"] / rows,
            **rates(
                correct=confusion.diagonal()[None, classes],
                claimed=confusion.sum(axis=0)[None, classes],
                positives=positives,
            ),
            "average_precision": mean_over_classes(average_precisions, positives > 0),
            "calibration_error": np.abs(statistics["calibration"]).sum(keepdims=True) / rows,
        }
        return defined({name: float(values[name][0]) for name in self.names})

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        confusion, ranking = statistics["confusion"], statistics["ranking"]
        if (total := int(confusion.sum())) != rows:
            raise ValueError(f"confusion adds up to {total}, expected {rows}")
        positives = confusion.sum(axis=1)[self.measured_classes]
        told = ranking.sum(axis=2)
        if not np.array_equal(told, np.stack([rows - positives, positives], axis=1)):
            raise ValueError(f"ranking adds up to {told.tolist()}, which does not fit confusion")
        (loss,) = statistics["loss"]
        if not 0 <= loss <= rows * -np.log(LEAST_PROBABILITY) * (1 + 1e-9):
            raise ValueError(f"loss is {loss:.6g}, which {rows} rows cannot have")
        if not (np.abs(statistics["calibration"]) <= rows).all():
            raise ValueError(f"calibration has a bin beyond {rows}, which so many rows cannot have")

    def best_threshold(self, statistics: Statistics) -> float:
        """The threshold of two classes that decides best on the rows, see `shared.metrics.thresholds`."""
        assert self.num_classes == 2
        return best_threshold(in_thousandths(statistics["ranking"][0]))
