"""What is kept of a tested model, the same in both modes: outputs, metrics, panels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.config.config import Config
from shared.data.schema import Schema
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.metrics.point import MetricPoint
from shared.tasks.base import TaskSpec
from shared.tasks.chosen_model import ChosenModel
from shared.tasks.panels import confusion_of
from shared.tasks.selection import Monitor
from shared.tracking.store import Store


def begin_summary(
    cfg: Config, *, spec: TaskSpec, schema: Schema, begun_with: Monitor | None = None
) -> dict[str, Any]:
    """What the summary of a run holds from its beginning: what is learned, and what chooses the best model.

    Parameters
    ----------
    begun_with : Monitor, optional
        Of a run that is resumed: what has chosen its best model so far.

    Raises
    ------
    ConfigError
        Settings of the training do not fit the task.
    """
    spec.check_settings(cfg.trainer)
    monitor = begun_with or Monitor(*cfg.trainer.monitored(spec.monitor, metrics=spec.metrics))
    summary: dict[str, Any] = {
        "schema": json.loads(schema.to_json()),
        "monitor": monitor._asdict(),
    }
    return {**summary, "classes": list(schema.classes)} if schema.classes else summary


def record_test(
    store: Store,
    run_id: int,
    outputs: Outputs,
    *,
    spec: TaskSpec,
    tested: ChosenModel,
    threshold: float,
    folder: Path,
    **more: Any,
) -> None:
    """Record the final test of a run: in its summary, as points without a round, and as a file.

    Parameters
    ----------
    outputs : Outputs
        Of the test split.
    spec : TaskSpec
        What they are judged by, and what is drawn of them.
    tested : ChosenModel
        Which model they are of.
    threshold : float
        Of the probability of class 1; 2 classes only.
    folder : Path
        The run's folder, where ``test_predictions.npz`` is written.
    **more
        Further entries of the summary.
    """
    outputs = outputs.at(threshold)
    values = spec.values(outputs)
    outputs.save(folder / OUTPUTS_FILE)
    store.metrics.sink(run_id).add(
        [
            MetricPoint(stage="test", name=name, value=value, num_examples=len(outputs))
            for name, value in values.items()
        ]
    )
    panels = [panel.as_dict() for panel in spec.panels(outputs)]
    confusion = confusion_of(panels)
    classes = next((panel["data"]["classes"] for panel in panels if panel["kind"] == "confusion"), ())
    summary = {"test": values, "confusion": confusion, "threshold": threshold, "panels": panels}
    store.runs.update(run_id, summary={**summary, **tested.summary(confusion, classes=classes), **more})
