"""`Evaluations`: the global model on the server's data, after each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.tracking.database import Database
from shared.tracking.recorder import Recorders
from shared.tracking.rows import ServerEvaluationRow
from shared.tracking.run_tables import put_rows, rows_of_run
from shared.tracking.schema import server_evaluation


class Evaluations:
    """Stores and reads server evaluations; when `add` returns, its row is on disk."""

    def __init__(self, database: Database, recorders: Recorders) -> None:
        self._database, self._recorders = database, recorders

    def add(
        self,
        run_id: int,
        *,
        round: int,
        loss: float,
        metrics: Mapping[str, float],
        confusion: Sequence[Sequence[int]] | None,
        num_examples: int,
    ) -> None:
        """Store, or replace, the evaluation of the global model after a round.

        Parameters
        ----------
        round : int
            0 is before training.
        metrics : mapping
            Values by name; may be NaN or infinite.
        confusion : sequence of sequence of int, optional
            ``confusion[true][predicted]``; class 1 of two is the positive one.

        Raises
        ------
        TrackingError
            There is no such run.
        """
        matrix = None if confusion is None else [[int(count) for count in row] for row in confusion]
        row: dict[str, Any] = {
            "round": round,
            "loss": loss,
            # JSON has no NaN, and None would not tell it from infinity: `float` reads this text.
            "metrics": {name: repr(float(value)) for name, value in metrics.items()},
            "confusion": matrix,
            "num_examples": num_examples,
        }
        (tn, fp), (fn, tp) = matrix if matrix and len(matrix) == 2 else ((None, None), (None, None))
        row |= {"true_positives": tp, "true_negatives": tn, "false_positives": fp, "false_negatives": fn}
        put_rows(self._recorders, server_evaluation, run_id, [row])

    def of_run(self, run_id: int, *, since: int = 0) -> list[ServerEvaluationRow]:
        """Evaluations, by round.

        Parameters
        ----------
        since : int
            The first round that is wanted.
        """
        rows = []
        for row in rows_of_run(self._database, server_evaluation, run_id, by="round", since=since):
            row["metrics"] = {name: float(value) for name, value in row["metrics"].items()}
            rows.append(ServerEvaluationRow(**row))
        return rows
