"""Reads curves, client values, costs and predictions of the twins, for tables and figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

from shared.metrics.outputs import OUTPUTS_FILE, Outputs, UnreadableOutputs
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.store import Store

History = list[tuple[float, float]]


@dataclass(frozen=True)
class Cost:
    """Cost of a run.

    Attributes
    ----------
    seconds : float
        Wall time, from its start to its end.
    examples : int
        Training examples that went through the model, repeats counted.
    bytes_down, bytes_up : int
        From and to the server.
    """

    run_id: int
    seconds: float
    examples: int
    bytes_down: int
    bytes_up: int


def read_outputs(home: Home, run_id: int) -> Outputs:
    """A run's outputs on the test set.

    Raises
    ------
    TrackingError
    """
    path = home.run_dir(run_id) / OUTPUTS_FILE
    try:
        return Outputs.load(path)
    except (OSError, UnreadableOutputs) as error:
        raise TrackingError(f"the predictions of run {run_id} cannot be read from {path}: {error}") from None


def history(store: Store, run_id: int, *, stage: str, metric: str) -> History:
    """A metric over the training examples seen: each epoch of a pooled run, each round of a federated one.

    Parameters
    ----------
    stage : {"train", "val", "test"}

    Returns
    -------
    list of (examples, value)
        Of a long run the extremes of each stretch, see `shared.tracking.series.Series.curve`.
    """
    federated = store.runs.get(run_id).training_mode == "federated"
    seen = _examples_seen(store, run_id)
    points = []
    curve, _ = store.series.curve(run_id, stage=stage, name=metric)
    for round_, epoch, value, _ in curve:
        step = round_ if federated else epoch
        if step is not None:
            points.append((step, float(seen.get(step, 0)), math.nan if value is None else value))
    return [(examples, value) for _, examples, value in sorted(points, key=itemgetter(0))]


def client_values(store: Store, run_id: int, *, metric: str) -> dict[str, float]:
    """A validation metric of the last round in which each client was evaluated.

    Parameters
    ----------
    run_id : int
        Of a federated run.

    Returns
    -------
    dict of str to float
        By the client's name, in the order of the clients.
    """
    names = {client.client_id: client.name for client in store.clients.of_run(run_id)}
    values = {
        row.client_id: row.value
        for row in store.metrics.latest(run_id)
        if row.client_id is not None and row.stage == "val" and row.name == metric
    }
    return {names[client_id]: values[client_id] for client_id in sorted(values)}


def cost(store: Store, run_id: int) -> Cost:
    """Cost of a run."""
    run, rounds = store.runs.get(run_id), store.rounds.of_run(run_id)
    seen = _examples_seen(store, run_id)
    return Cost(
        run_id=run_id,
        seconds=run.seconds,
        examples=max(seen.values(), default=0),
        bytes_down=sum(row.bytes_down for row in rounds),
        bytes_up=sum(row.bytes_up for row in rounds),
    )


def _examples_seen(store: Store, run_id: int) -> dict[int, int]:
    steps = store.series.steps(run_id)
    return dict(zip(steps, accumulate(step.examples for step in steps.values()), strict=True))
