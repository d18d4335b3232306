"""`Tracker`: what a follower needs of an external experiment tracker, and the errors by which it declines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shared.runtime.errors import FedtwinError
from shared.tracking.model_rows import VersionRow
from shared.tracking.rows import MetricRow, RunRow

State = Mapping[str, Any]  # in JSON's types


class TrackerAway(FedtwinError):
    """The tracker cannot be reached: later the same may succeed."""


class TrackerRefused(FedtwinError):
    """The tracker does not take what it was sent of one run; other runs are not affected."""


@dataclass(frozen=True, kw_only=True)
class Details:
    """What there is to be told of a run beside its rows.

    Attributes
    ----------
    settings : dict of str to str
        By dotted name, without passwords.
    results : dict of str to float
        What is known at the end alone, such as the gap of a comparison; finite.
    files : list of (Path, str)
        Files to keep, each with the folder that it belongs to; of a run that has ended.
    version : VersionRow, optional
        Of the registered model that the run is.
    """

    run: RunRow
    settings: dict[str, str]
    results: dict[str, float]
    files: list[tuple[Path, str]]
    version: VersionRow | None

    def files_digest(self) -> str:
        """Changes whenever a file does."""
        facts = [(str(path), folder, *_facts(path)) for path, folder in self.files]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


class Tracker(Protocol):
    """An external tracker; the same call twice, after a crash in between, has the effect of one.

    All methods raise `TrackerAway` or `TrackerRefused`. The state that one returns is the next one's.
    """

    @property
    def target(self) -> str:
        """Where to, in words: whom progress belongs to."""
        ...

    def begin(self, details: Details, *, key: str, parent: State | None) -> State:
        """Find the run by its key, or make it, below the run that it belongs to."""
        ...

    def add(self, rows: Sequence[MetricRow], *, run: RunRow, state: State) -> State:
        """Send rows, in their order."""
        ...

    def update(self, details: Details, *, state: State) -> State:
        """Send what has changed beside the rows."""
        ...


def metric_key(row: MetricRow) -> str:
    """What a metric is called: ``val/accuracy``, of a client ``client-3/val/accuracy``."""
    name = f"{row.stage}/{row.name}"
    return name if row.client_id is None else f"client-{row.client_id}/{name}"


def metric_step(row: MetricRow) -> int:
    """The round, or the epoch where there are no rounds; 0 where neither is known."""
    return next((number for number in (row.round, row.epoch) if number is not None), 0)


def _facts(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
