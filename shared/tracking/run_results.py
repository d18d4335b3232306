"""`run_results`: all results of a run but its points, as one plain dictionary, for export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.tracking.rows import RunRow, ServerEvaluationRow, json_ready
from shared.tracking.store import Store
from shared.tracking.twins import family, stored_report, warnings_of


def run_results(store: Store, run_id: int) -> dict[str, Any]:
    """Everything that a run stored and what follows from it.

    Returns
    -------
    dict
        In JSON's types: ``run`` (with its config), ``metrics`` (``best_accuracy`` ... over validation, last
        test values under ``test``), ``confusion_matrix`` (counts by name if there are two classes),
        ``training_time`` (seconds), ``total_epochs_run`` or ``total_rounds_run``, ``early_stopped`` (completed,
        but before its configured length), ``stop_reason``, ``clients``, ``rounds``, ``server_evaluations``,
        ``gap`` (of a comparison: the headline, its sentence and all metrics, see
        `shared.metrics.gap_record.gap_report`; else null) and ``warnings`` (of a comparison, of its runs too).

    Raises
    ------
    TrackingError
        There is no such run.
    """
    run = store.runs.get(run_id)
    evaluations = store.evaluations.of_run(run_id)
    best = {f"best_{name}": value for name, value in store.metrics.best_values(run_id).items()}
    latest = store.metrics.latest(run_id)
    test = {row.name: row.value for row in latest if row.stage == "test" and row.client_id is None}
    return {
        "run": run.as_dict(),
        "metrics": json_ready({**best, "test": test}),
        "confusion_matrix": _confusion(run, evaluations),
        "training_time": run.seconds,
        **_length(store, run),
        "early_stopped": run.status == "completed" and run.stop_reason is not None,
        "stop_reason": run.stop_reason,
        "clients": [row.as_dict() for row in store.clients.of_run(run_id)],
        "rounds": [row.as_dict() for row in store.rounds.of_run(run_id)],
        "server_evaluations": [row.as_dict() for row in evaluations],
        "gap": stored_report(store, run_id),
        "warnings": warnings_of(family(store, run_id)),
    }


def _confusion(run: RunRow, evaluations: Sequence[ServerEvaluationRow]) -> dict[str, Any] | None:
    # The summary's is of the chosen model; without one, the global model's after the last round.
    last = next((row.confusion for row in reversed(evaluations) if row.confusion), None)
    matrix = run.summary.get("confusion") or last
    if not matrix:
        return None
    named: dict[str, Any] = {"matrix": matrix}
    if len(matrix) == 2:
        (tn, fp), (fn, tp) = matrix
        named |= {"true_positives": tp, "true_negatives": tn, "false_positives": fp, "false_negatives": fn}
    return named


def _length(store: Store, run: RunRow) -> dict[str, int]:
    progress = store.runs.progress([run.id])[run.id]
    if run.training_mode == "federated":
        return {"total_rounds_run": progress.last_round or 0}
    return {"total_epochs_run": progress.last_epoch or 0}
