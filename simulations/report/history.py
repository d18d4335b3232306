"""Reads curves, client values, costs and predictions of the twins, for tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.metrics.outputs import OUTPUTS_FILE, Outputs, UnreadableOutputs
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.rows import MetricRow
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
    """
    federated = store.runs.get(run_id).training_mode == "federated"
    rows = store.metrics.of_run(run_id)
    seen = _examples_seen(rows, federated=federated)
    points = []
    for row in rows:
        step = row.round if federated else row.epoch
        if row.client_id is None and row.stage == stage and row.name == metric and step is not None:
            points.append((float(seen.get(step, 0)), row.value))
    return points


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
        for row in store.metrics.of_run(run_id)
        if row.client_id is not None and row.stage == "val" and row.name == metric
    }
    return {names[client_id]: values[client_id] for client_id in sorted(values)}


def cost(store: Store, run_id: int) -> Cost:
    """Cost of a run."""
    run, rounds = store.runs.get(run_id), store.rounds.of_run(run_id)
    seen = _examples_seen(store.metrics.of_run(run_id), federated=run.training_mode == "federated")
    return Cost(
        run_id=run_id,
        seconds=run.seconds,
        examples=max(seen.values(), default=0),
        bytes_down=sum(row.bytes_down for row in rounds),
        bytes_up=sum(row.bytes_up for row in rounds),
    )


def _examples_seen(rows: Sequence[MetricRow], *, federated: bool) -> dict[int, int]:
    # Whatever metrics an epoch has, its rows count once.
    epochs: dict[tuple[int, int | None, int | None], int] = {}
    for row in rows:
        step = row.round if federated else row.epoch
        if row.stage != "train" or step is None or (federated and row.client_id is None):
            continue
        epoch = (step, row.client_id, row.epoch)
        epochs[epoch] = max(epochs.get(epoch, 0), row.num_examples or 0)
    at: dict[int, int] = {0: 0} if federated else {}
    for (step, _, _), count in epochs.items():
        at[step] = at.get(step, 0) + count
    total, seen = 0, {}
    for step in sorted(at):
        total += at[step]
        seen[step] = total
    return seen
