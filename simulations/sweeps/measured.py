"""`measure_trials`: what each completed trial of a sweep reached and cost, for its report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from shared.metrics.catalogue import spec_of
from shared.metrics.spec import Mode
from shared.tracking.monitor import stored_monitor
from shared.tracking.rows import RunRow
from shared.tracking.store import Store
from shared.tracking.twins import members_of
from simulations.report.history import client_values, cost
from simulations.sweeps.cells import measured_of

Curve = list[tuple[float, float]]  # the number of a round or epoch, and the value


@dataclass(frozen=True)
class MeasuredTrial:
    """A completed trial.

    Attributes
    ----------
    values : dict of str to float
        ``pooled``, ``federated`` and ``gap`` on the test rows, of a comparison; else one of the first two.
        Empty of the trials of a search.
    key : str
        The metric that chose the model, such as ``val/accuracy``.
    mode : {"min", "max"} or None
        Its better direction.
    best : float
        Its best value on validation rows; NaN where there is none.
    curve : list of (float, float)
        The same by round or epoch; of the federated twin in a comparison.
    seconds, bytes_sent : float
        Of that run; bytes both ways, NaN where nothing is sent.
    worst_client : float
        The lowest (highest, where lower is better) value of the metric among the clients' validation rows, at
        the end; NaN where there are none.
    reached : dict of int to (seconds, bytes)
        By round, cumulated; epochs have no bytes.
    """

    number: int
    settings: tuple[str, ...]
    seed: int
    run_id: int
    values: dict[str, float]
    sought: list[float]
    key: str
    mode: Mode | None
    best: float
    curve: Curve
    seconds: float
    bytes_sent: float
    worst_client: float
    reached: dict[int, tuple[float, float]]
    metric: str | None
    is_winner: bool

    def to_target(self, target: float) -> tuple[float, float] | None:
        """Seconds and bytes until the metric reached a value; None where it never did."""
        for step, value in self.curve:
            if value >= target if self.mode == "max" else value <= target:
                return self.reached.get(int(step))
        return None


def measure_trials(store: Store, sweep_id: int) -> list[MeasuredTrial]:
    """The completed trials of a sweep, by number."""
    found = []
    for trial in store.trials.of_sweep(sweep_id):
        run = store.runs.find(trial.run_id) if trial.run_id is not None else None
        if trial.status != "completed" or run is None:
            continue
        own = _own(store, run)
        key, mode = stored_monitor(own)
        name = key.partition("/")[2]
        spent, reached = cost(store, own.id), _reached(store, own)
        clients = client_values(store, own.id, metric=name) if own.training_mode == "federated" else {}
        known = [value for value in clients.values() if value is not None and math.isfinite(value)]
        metric, _, values = measured_of(run)
        best = (own.summary.get("best") or {}).get(name)
        found.append(
            MeasuredTrial(
                number=trial.number,
                settings=tuple(trial.settings),
                seed=trial.seed,
                run_id=run.id,
                values=values,
                sought=list((trial.search or {}).get("values") or ()),
                key=key,
                mode=mode or spec_of(name).mode,
                best=math.nan if best is None else float(best),
                curve=_curve(store, own, name=name),
                seconds=spent.seconds,
                bytes_sent=float(spent.bytes_down + spent.bytes_up) or math.nan,
                worst_client=(min if mode == "max" else max)(known) if known else math.nan,
                reached=reached,
                metric=metric,
                is_winner=bool((trial.search or {}).get("tested")),
            )
        )
    return found


def target_of(trials: Sequence[MeasuredTrial]) -> float:
    """The value that costs are compared at: the median of what the trials reached; NaN where none did."""
    known = sorted(trial.best for trial in trials if math.isfinite(trial.best))
    return known[(len(known) - 1) // 2] if known else math.nan


def _own(store: Store, run: RunRow) -> RunRow:
    """The run that a trial is about: of a comparison, its federated twin."""
    if run.training_mode != "compare":
        return run
    federated = [one for one in members_of(store, run) if one.training_mode == "federated"]
    return federated[0] if federated else run


def _curve(store: Store, run: RunRow, *, name: str) -> Curve:
    points, _ = store.series.curve(run.id, stage="val", name=name)
    by_round = run.training_mode == "federated"
    steps = [(round_ if by_round else epoch, value) for round_, epoch, value, _ in points]
    return sorted(
        (float(step), float(value)) for step, value in steps if step is not None and value is not None
    )


def _reached(store: Store, run: RunRow) -> dict[int, tuple[float, float]]:
    rounds = store.rounds.of_run(run.id)
    if rounds:
        seconds = accumulate(row.seconds for row in rounds)
        sent = accumulate(float(row.bytes_down + row.bytes_up) for row in rounds)
        return {row.round: both for row, *both in zip(rounds, seconds, sent, strict=True)}  # type: ignore[misc]
    steps = sorted(store.series.steps(run.id))
    return {step: (run.seconds * place / len(steps), math.nan) for place, step in enumerate(steps, start=1)}
