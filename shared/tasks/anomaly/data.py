"""Rows that are normal or not: what a column says of them, and a training side of normal rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shared.data.dataset import Strata
from shared.data.schema import Column, Schema
from shared.data.sources.doubts import number_of
from shared.data.sources.targets import TargetColumn, Targets
from shared.data.tables.load import TableData
from shared.runtime.counts import count_of
from shared.runtime.errors import DataError
from shared.tasks.anomaly.windows import WindowedData, with_runs

NAMES = ("normal", "anomaly")
_NORMAL, _ANOMALY = {"false", "no", "f", "n", "normal", "ok"}, {"true", "yes", "t", "y", "anomaly", "anomalous"}


def read_events(column: TargetColumn, problems: list[str]) -> Targets:
    """1 of an anomaly and 0 of a normal row, from 0 and 1, no and yes and the like, or by ``data.positive``.

    Parameters
    ----------
    problems : list of str
        Takes what is wrong.
    """
    known = {text: _is_anomaly(text, column.positive) for text in set(column.texts)}
    if column.wanted is not None:
        problems.append("data.classes has no effect on task=anomaly; name the anomalies by data.positive")
    if strange := sorted(text for text, found in known.items() if found is None):
        shown = ", ".join(map(repr, strange[:5]))
        problems.append(
            f"column {column.name!r} says {shown}, and what tells anomalies is 0 and 1, no and yes, or the "
            "text of an anomaly in data.positive"
        )
    notes = []
    if column.positive is not None and not any(known.values()):
        notes.append(
            f"no row says {column.positive!r} (data.positive) in column {column.name!r}: all are normal"
        )
    numbers = np.array([bool(known[text]) for text in column.texts], dtype=np.int64)
    strata = Strata(numbers, NAMES, noun="row kind", on_every_side=False)
    schema = Schema(targets=(Column(column.name, "boolean"),))
    # As numbers: predictions are no probabilities of them.
    return Targets(numbers.astype(np.float64), schema, strata, tuple(notes))


def _is_anomaly(text: str, positive: str | None) -> bool | None:
    if positive is not None:
        return text == positive or number_of(text) == number_of(positive)
    if (number := number_of(text)) in (0.0, 1.0):
        return number == 1.0
    word = text.casefold()
    return True if word in _ANOMALY else False if word in _NORMAL else None


def with_normal_training(data: TableData, *, windows_by: str | None = None) -> TableData:
    """The same rows without the anomalies of the training side, which no model sees.

    Parameters
    ----------
    windows_by : str, optional
        The column of times, for a model of windows of rows; then `WindowedData`.

    Raises
    ------
    DataError
        No training row is normal; or rows cannot be put into windows.
    """
    train, anomaly = data.splits == "train", data.targets == 1
    left_out = train & anomaly
    if windows_by is not None:
        data = with_runs(data, left_out=left_out, column=windows_by)
    if train.any() and not (train & ~anomaly).any():
        raise DataError(
            f"{data.origin} cannot be used: all {count_of(int(train.sum()), 'training row')} are anomalies, "
            "and models of task=anomaly are trained on normal rows; give it some"
        )
    if not left_out.any():
        return data
    note = (
        f"anomalies among the training rows, which no model sees: {count_of(int(left_out.sum()), 'row')} of "
        f"{int(train.sum())}"
    )
    return replace(_taken(data, np.flatnonzero(~left_out)), notes=(*data.notes, note))


def _taken(data: TableData, rows: Any) -> TableData:
    def of(part: Any, *names: str) -> Any:
        return part and replace(part, **{name: getattr(part, name)[rows] for name in names})

    return replace(
        data,
        inputs=data.inputs[rows],
        targets=data.targets[rows],
        splits=data.splits[rows],
        strata=of(data.strata, "numbers"),
        groups=of(data.groups, "numbers"),
        sites=of(data.sites, "numbers"),
        time=of(data.time, "times", "series"),
        columns={name: values[rows] for name, values in data.columns.items()},
        **({"runs": data.runs[rows]} if isinstance(data, WindowedData) else {}),
    )


def check_sites(data: TableData, *, sides: Sequence[str]) -> None:
    """Reject limits of sites that cannot be known.

    Raises
    ------
    DataError
    """
    if "test" not in sides:  # a site's own table
        return
    sites = data.columns.get("site")
    if sites is None:
        raise DataError(
            "task.limits=site needs the site of each row; name its column by data.columns.site, or set "
            "task.limits=common"
        )
    trained = {*sites[data.splits == "train"].tolist()}
    if lacking := sorted({*sites[data.splits != "train"].tolist()} - trained):
        raise DataError(
            f"{data.origin} cannot be used: no training row of site {', '.join(map(repr, lacking[:10]))} is "
            "normal, and task.limits=site takes the limit from these (a deployment's server has none); give it "
            "some, or set task.limits=common"
        )
