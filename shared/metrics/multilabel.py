"""`MultiLabelMetrics`: what rows with any number of labels are judged by; the one definition.

Every metric but the loss and the accuracy is a mean over the labels. A label that no row has, or (of the AUROC)
that every row has, is left out; a metric that is not defined is NaN in `score` and absent in `values`.
"""

from __future__ import annotations

import numpy as np

from shared.metrics.averages import (
    Bools,
    Floats,
    defined,
    mean_over_classes,
    rates,
    rates_of_each,
    under_weights,
)
from shared.metrics.binned_ranking import BINS, bin_scores, binned_areas
from shared.metrics.catalogue import MULTI_LABEL
from shared.metrics.outputs import Outputs
from shared.metrics.ranking import rank
from shared.metrics.spec import MetricSpec
from shared.metrics.statistics import Layout, Statistics

LEAST_PROBABILITY = 1e-12  # of what is true, in the loss: a certain mistake has a finite one
THRESHOLD = np.float32(0.5)


class MultiLabelMetrics:
    """The metrics of so many labels, each of which a row may have or not."""

    metrics: tuple[MetricSpec, ...] = MULTI_LABEL
    monitor = "val/auroc"
    client_metric = "label_accuracy"

    def __init__(self, num_labels: int) -> None:
        assert num_labels >= 1, num_labels
        self.num_labels = num_labels

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in order."""
        return tuple(spec.name for spec in self.metrics)

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
        """

        def measure(w: Floats) -> dict[str, Floats]:
            by_label = self.by_label(outputs, w)
            present = by_label.pop("positives") > 0
            decisions = w.sum(axis=1) * self.num_labels
            means = {name: mean_over_classes(values, present) for name, values in by_label.items()}
            means["label_accuracy"] = (w @ self._hits(outputs).sum(axis=1)) / decisions
            means["loss"] = (w @ self.losses(outputs)) / w.sum(axis=1)
            return means

        return under_weights(outputs, weights, names=self.names, measure=measure)

    def values(self, outputs: Outputs) -> dict[str, float]:
        """All metrics that are defined, each row counted once."""
        return defined({name: float(value[0]) for name, value in self.score(outputs).items()})

    def by_label(self, outputs: Outputs, weights: Floats) -> dict[str, Floats]:
        """AUROC, average precision, F1, precision and recall of each label, and how many rows have it.

        Returns
        -------
        dict of str to ndarray [R, labels], float64
        """
        has, claimed = outputs.targets > 0, self._claimed(outputs)
        columns = np.ascontiguousarray(weights.T)
        ranked = [rank(outputs.predictions[:, k], has[:, k], columns) for k in range(self.num_labels)]
        positives = weights @ has.astype(np.float64)
        parts = {
            "correct": weights @ (has & claimed).astype(np.float64),
            "claimed": weights @ claimed.astype(np.float64),
        }
        return {
            "positives": positives,
            "auroc": np.stack([area for area, _ in ranked], axis=1),
            "average_precision": np.stack([precision for _, precision in ranked], axis=1),
            **rates_of_each(positives=positives, **parts),
        }

    @property
    def layout(self) -> dict[str, Layout]:
        """The arrays of `statistics`."""
        return {
            "rows": Layout((1,), counts=True),
            "ranking": Layout((self.num_labels, 2, BINS), counts=True),
            "claimed": Layout((self.num_labels, 2), counts=True),
            "loss": Layout((1,), counts=False),
        }

    def statistics(self, outputs: Outputs) -> Statistics:
        """What a client tells of its rows; those of several clients add up, and `pooled` reads the sum.

        Returns
        -------
        Statistics
            ``rows``; of each label ``ranking`` (see `shared.metrics.binned_ranking`) and how many rows without
            and with it were predicted to have it; the sum of the losses.
        """
        has, claimed = outputs.targets > 0, self._claimed(outputs)
        ranking = [bin_scores(outputs.predictions[:, k], has[:, k]) for k in range(self.num_labels)]
        counts = np.stack([(claimed & ~has).sum(axis=0), (claimed & has).sum(axis=0)], axis=1)
        return Statistics(
            {
                "rows": np.array([len(outputs)], dtype=np.int64),
                "ranking": np.stack(ranking),
                "claimed": counts.astype(np.int64),
                "loss": self.losses(outputs).sum(keepdims=True),
            }
        )

    def pooled(self, statistics: Statistics) -> dict[str, float]:
        """The metrics of all rows that were added up, as `values` has them, without the rows.

        Returns
        -------
        dict of str to float
            Exact but for AUROC and average precision, whose error is that of the bins.
        """
        rows = float(statistics["rows"][0])
        told, ranking = statistics["claimed"].astype(np.float64), statistics["ranking"]
        positives = ranking.sum(axis=2)[None, :, 1].astype(np.float64)
        areas, precisions = np.array([binned_areas(counts) for counts in ranking]).T[:, None, :]
        present = positives > 0
        hits = (rows - positives[0] - told[:, 0]) + told[:, 1]
        values = {
            "auroc": mean_over_classes(areas, present),
            "average_precision": mean_over_classes(precisions, present),
            **rates(correct=told[None, :, 1], claimed=told.sum(axis=1)[None], positives=positives),
            "label_accuracy": np.array([hits.sum() / (rows * self.num_labels)]),
            "loss": statistics["loss"] / rows,
        }
        return defined({name: float(values[name][0]) for name in self.names})

    def best_threshold(self, statistics: Statistics) -> float:
        """Not for this task."""
        raise NotImplementedError

    def check(self, statistics: Statistics, *, rows: int) -> None:
        """Make sure that statistics are of so many rows, and that they do not contradict themselves.

        Raises
        ------
        ValueError
            Says which array is wrong.
        """
        statistics.check_rows(rows)
        of_label = statistics["ranking"].sum(axis=2)
        if not (of_label.sum(axis=1) == rows).all():
            raise ValueError(
                f"ranking adds up to {of_label.sum(axis=1).tolist()}, expected {rows} of each label"
            )
        if not (statistics["claimed"] <= of_label).all():
            raise ValueError("claimed has more rows than there are")
        (loss,) = statistics["loss"]
        if not 0 <= loss <= rows * -np.log(LEAST_PROBABILITY) * (1 + 1e-9):
            raise ValueError(f"loss is {loss:.6g}, which {rows} rows cannot have")

    def losses(self, outputs: Outputs) -> Floats:
        """The mean binary cross entropy over the labels, of each row, ndarray [N], float64."""
        has, probabilities = outputs.targets > 0, outputs.predictions.astype(np.float64)
        of_truth = np.where(has, probabilities, 1 - probabilities)
        return np.asarray(-np.log(np.clip(of_truth, LEAST_PROBABILITY, 1.0)).mean(axis=1))

    def _claimed(self, outputs: Outputs) -> Bools:
        return np.asarray(outputs.predictions.astype(np.float32) > THRESHOLD)

    def _hits(self, outputs: Outputs) -> Floats:
        return np.asarray((self._claimed(outputs) == (outputs.targets > 0)).astype(np.float64))
