"""Rows of the tracking database as plain, frozen data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.metrics.gap import as_cost

FINISHED = ("completed", "failed", "stopped")
MODE_NAMES = {
    "centralized": "pooled",
    "federated": "federated",
    "local": "local",
    "compare": "comparison",
    "sweep": "sweep",
}
STORED_MODES = {name: mode for mode, name in MODE_NAMES.items()}
TRIAL = "trial"  # in the summary of a run: of which sweep it is a trial, and its number
INTERRUPTED = "interrupted"  # the stop reason of a failed run that only lost its process, and can go on


class Row:
    """What all rows can do."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """The row in JSON's types.

        Returns
        -------
        dict
            Times are ISO 8601 in UTC; values that are not finite are None, as JSON has no NaN.
        """
        names = (field.name for field in fields(self))  # type: ignore[arg-type]
        return {name: json_ready(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class RunRow(Row):
    """One tracked execution.

    Attributes
    ----------
    training_mode : {"centralized", "federated", "local", "compare", "sweep"}
    status : {"pending", "running", "completed", "failed", "stopped"}
    config : dict
        The resolved snapshot.
    started, ended : datetime
        Aware, UTC; a pending run "starts" when it is asked for, and again when it is claimed.
    error : str or None
        Why it failed.
    stop_reason : str or None
        Why it ended before its configured length, or was stopped.
    summary : dict
        Results of the whole run; ``best`` is written when it ends (see `Metrics.best_values`).
    tags : list of str
        Words that users gave it, in the order in which they did.
    host, boot_id, pid, pid_started
        The process that owns the run; see `shared.tracking.process`.
    """

    id: int
    name: str
    description: str
    training_mode: str
    status: str
    config: dict[str, Any]
    seed: int
    parent_id: int | None
    started: datetime
    ended: datetime | None
    error: str | None
    stop_reason: str | None
    summary: dict[str, Any]
    host: str
    boot_id: str
    pid: int
    pid_started: float
    tags: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The row in JSON's types; the gap of a comparison has the sign that all readers are shown."""
        names = (field.name for field in fields(self))
        return {name: json_ready(getattr(self, name)) for name in names} | {
            "summary": json_ready(as_cost(self.summary))
        }

    @property
    def finished(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in FINISHED

    @property
    def sweep_id(self) -> int | None:
        """The sweep whose trial it is; the twins of a trial have none."""
        trial = self.summary.get(TRIAL)
        return trial["sweep"] if trial else None

    @property
    def comparison_id(self) -> int | None:
        """The comparison that it is, or belongs to."""
        if self.training_mode == "compare":
            return self.id
        return self.parent_id if self.sweep_id is None else None

    @property
    def seconds(self) -> float:
        """Seconds from start to end, or until now while it is not finished."""
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


@dataclass(frozen=True, slots=True)
class MetricRow(Row):
    """One measured value: a stored `MetricPoint`; ``id`` is the cursor of the live stream."""

    id: int
    run_id: int
    client_id: int | None
    round: int | None
    epoch: int | None
    stage: str
    name: str
    value: float
    num_examples: int | None
    time: datetime


@dataclass(frozen=True, slots=True)
class ServerEvaluationRow(Row):
    """The global model on the server's held-out data, after one round.

    Attributes
    ----------
    confusion : list of list of int, or None
        ``confusion[true][predicted]``.
    true_positives, true_negatives, false_positives, false_negatives : int or None
        Of class 1; None unless there are two classes.
    """

    run_id: int
    round: int
    loss: float
    metrics: dict[str, float]
    confusion: list[list[int]] | None
    true_positives: int | None
    true_negatives: int | None
    false_positives: int | None
    false_negatives: int | None
    num_examples: int


@dataclass(frozen=True, slots=True)
class RoundRow(Row):
    """One server round: who was asked, who replied, who failed and why, and what it cost."""

    run_id: int
    round: int
    began: datetime
    ended: datetime
    sampled: list[int]
    replied: list[int]
    failed: dict[int, str]
    bytes_down: int
    bytes_up: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ClientRow(Row):
    """One participant of a run.

    Attributes
    ----------
    node_id : str
        Flower's id, in digits: 64 unsigned bits do not fit SQL's integers.
    profile : dict
        What it says of its training examples, as `shared.data.profile.Profile.as_dict`.
    """

    run_id: int
    client_id: int
    node_id: str
    name: str
    num_examples: int
    profile: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TrialRow(Row):
    """One trial of a sweep.

    Attributes
    ----------
    number : int
        From 1.
    settings : list of str
        The overrides in which it differs from other trials, but for the seed: what is called its cell.
    digest : str
        Of what it computes, see `simulations.sweeps.trials.digest_of`.
    status : {"waiting", "running", "completed", "failed", "pruned"}
        Pruned: a search has stopped it, as its first rounds were worse than those of others.
    tries : int
        How often it was begun.
    run_id : int or None
        Its run, which has begun.
    error : str or None
        Why its last try failed.
    search : dict or None
        Of a trial that a search has asked for, see `simulations.sweeps.search`.
    """

    sweep_id: int
    number: int
    settings: list[str]
    seed: int
    digest: str
    status: str
    tries: int
    run_id: int | None
    error: str | None
    search: dict[str, Any] | None = None


class ClientLike(Protocol):
    """What `Clients.add` takes: a `ClientRow`, or anything with these attributes."""

    @property
    def client_id(self) -> int: ...  # noqa: D102

    @property
    def node_id(self) -> str | int: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def num_examples(self) -> int: ...  # noqa: D102

    @property
    def profile(self) -> Mapping[str, Any]: ...  # noqa: D102


def json_ready(value: Any) -> Any:
    """Turn a value into JSON's types.

    Parameters
    ----------
    value : Any
        Nested mappings, sequences, arrays, times, paths, numbers.

    Returns
    -------
    Any
        NaN and infinite numbers become None, times ISO 8601 in UTC, what is unknown its text.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_ready(item) for item in value]
    if hasattr(value, "tolist"):  # arrays, tensors, and their scalars
        return json_ready(value.tolist())
    return str(value)
