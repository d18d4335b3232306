"""What is kept of a tested model, the same in both modes: outputs, metrics, confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.metrics.classification import ClassificationMetrics
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.metrics.point import MetricPoint
from shared.tracking.store import Store


def record_test(
    store: Store, run_id: int, outputs: Outputs, *, threshold: float, folder: Path, **more: Any
) -> None:
    """Record the final test of a run: in its summary, as points without a round, and as a file.

    Parameters
    ----------
    outputs : Outputs
        Of the test split.
    threshold : float
        Of the probability of class 1; 2 classes only.
    folder : Path
        The run's folder, where ``test_predictions.npz`` is written.
    **more
        Further entries of the summary, such as which checkpoint was tested.
    """
    judge, outputs = ClassificationMetrics(outputs.num_classes), outputs.at(threshold)
    values = judge.values(outputs)
    outputs.save(folder / OUTPUTS_FILE)
    store.metrics.sink(run_id).add(
        [
            MetricPoint(stage="test", name=name, value=value, num_examples=len(outputs))
            for name, value in values.items()
        ]
    )
    summary = {
        "test": values,
        "confusion": judge.confusion(outputs).tolist(),
        "threshold": threshold,
    }
    store.runs.update(run_id, summary={**summary, **more})
