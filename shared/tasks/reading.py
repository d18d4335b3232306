"""`read_data`: a learner's data with its `DataSummary`, which is printed before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.config.config import Config
from shared.config.table_data import TableDataConfig
from shared.data.dataset import SIDES, Dataset
from shared.data.profile import count_values
from shared.data.summary import DataSummary, tell_once

if TYPE_CHECKING:
    from shared.tasks.base import Learner, TaskSpec

DATA = "data"  # where the summary of a run holds what was read


def read_data(
    learner: Learner, *, cache: Path, sides: Sequence[str] = SIDES, progress: bool = False, tell: bool = True
) -> tuple[Dataset, DataSummary]:
    """Read the configured data, and say on stderr what was read.

    Parameters
    ----------
    cache, sides, progress
        See `Learner.dataset`.
    tell : bool
        Without it nothing is printed: another process does so.

    Raises
    ------
    DataError
    """
    data = learner.dataset(cache=cache, sides=sides, progress=progress)
    summary = summarize(data, learner.spec(data.schema))
    if tell:
        tell_once(summary)
    return data, summary


def fix_rows(cfg: Config, *, cache: Path) -> Config:
    """The same settings, with the rows of a query fixed: it is run now, and not again by what follows.

    Returns
    -------
    Config
        With ``data.digest``, by which every process of a run and a later resume find the same rows; unchanged
        where there is no query, or its rows are fixed.

    Raises
    ------
    DataError
        The query cannot be run.
    """
    data = cfg.data
    if not isinstance(data, TableDataConfig) or data.source != "sql" or data.digest is not None:
        return cfg
    from shared.data.sql.rows import pin_rows

    return cfg.replace("data", digest=pin_rows(data, cache=cache))


def summarize(data: Dataset, spec: TaskSpec) -> DataSummary:
    """What was read, counted by side."""
    sides = [side for side in SIDES if len(data.indices(side))]
    profiles = {side: spec.profile(data, data.indices(side)) for side in sides}
    counts: dict[str, dict[str, dict[str, int]]] = {}
    spans: dict[str, dict[str, tuple[float, float]]] = {}
    for side, profile in profiles.items():
        for variable, values in profile.counts.items():
            for value, count in values.items():
                counts.setdefault(variable, {}).setdefault(value, {})[side] = count
        for variable, span in profile.spans.items():
            spans.setdefault(variable, {})[side] = span
    if (
        not counts and not spans and data.strata is not None
    ):  # the task tells nothing of its rows, their split does
        for side in sides:
            found = count_values(data.strata.numbers[data.indices(side)], data.strata.names)
            for value, count in found.items():
                counts.setdefault(data.strata.noun, {}).setdefault(value, {})[side] = count
    groups = None
    if data.groups is not None:
        groups = {side: len(np.unique(data.groups.numbers[data.indices(side)])) for side in sides}
    return DataSummary(
        origin=data.origin or "rows of a task of its own",
        layout=data.layout,
        rows={side: len(data.indices(side)) for side in sides},
        counts=counts,
        spans=spans,
        positive=getattr(spec, "positive", None),
        groups=groups,
        group_noun="group" if data.groups is None else data.groups.noun,
        facts=dict(data.facts),
        notes=(*data.notes, *_lacking(counts, data)),
    )


def _lacking(counts: dict[str, dict[str, dict[str, int]]], data: Dataset) -> list[str]:
    # Where a row has several labels, or none, no split puts each label on every side.
    if data.strata is None or data.strata.on_every_side:
        return []  # `shared.data.split.split.absent_strata` says it
    notes = []
    for values in counts.values():
        if tuple(values) != data.schema.classes:
            continue
        for side in SIDES:
            lacking = [value for value, own in values.items() if side in own and not own[side]]
            if lacking:
                names = ", ".join(map(repr, lacking))
                notes.append(f"no {side} row has the label {names}: {side} metrics say nothing about it")
    return notes
