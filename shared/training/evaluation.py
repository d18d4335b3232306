"""What is kept of a tested model, the same in both modes: predictions, metrics, confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.metrics.point import MetricPoint
from shared.model.scores import Scores, confusion, score
from shared.tracking.store import Store

PREDICTIONS = "test_predictions.npz"


def record_test(
    store: Store, run_id: int, scores: Scores, *, threshold: float, folder: Path, **more: Any
) -> None:
    """Record the final test of a run: in its summary, as points without a round, and as a file.

    Parameters
    ----------
    scores : Scores
        Of the test split.
    threshold : float
        Of the probability of class 1; 2 classes only.
    folder : Path
        The run's folder, where ``test_predictions.npz`` is written.
    **more
        Further entries of the summary, such as which checkpoint was tested.
    """
    values = score(scores, threshold=threshold)
    scores.save(folder / PREDICTIONS, threshold=threshold)
    store.metrics.sink(run_id).add(
        [
            MetricPoint(stage="test", name=name, value=value, num_examples=len(scores.labels))
            for name, value in values.items()
        ]
    )
    summary = {
        "test": values,
        "confusion": confusion(scores, threshold=threshold).tolist(),
        "threshold": threshold,
    }
    store.runs.update(run_id, summary={**summary, **more})
