"""`read_new_series`: the last window of each series of a new file, and what is known of the steps after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.config.table_data import TableDataConfig
from shared.data.dataset import Ints, Timeline
from shared.data.schema import Schema
from shared.data.series.calendar import calendar_columns
from shared.data.series.load import Cutting, input_columns
from shared.data.series.steps import Steps, order_steps, step_of, step_text, time_text
from shared.data.sources.columns import missing_column
from shared.data.sources.table import metadata_error, numbered
from shared.data.sources.timestamps import read_times
from shared.data.tables.inputs import read_input
from shared.data.tables.reading import ReadTable, read_table
from shared.runtime.errors import first_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NewSeries:
    """What a forecast of one series is made from.

    Attributes
    ----------
    name : str
        Of the series; empty where there is one.
    times : ndarray [window + horizon], int64
    values : ndarray [window + horizon, 1 + inputs], float64
        As `shared.data.series.load.SeriesData` has them; NaN where nothing is known.
    calendar : ndarray [window + horizon, C], float32
    """

    name: str
    times: Ints
    values: Floats
    calendar: npt.NDArray[np.float32]


def read_new_series(cfg: TableDataConfig, schema: Schema, cutting: Cutting, *, path: str) -> list[NewSeries]:
    """Read a file; of each series, the steps up to its last target are looked at, and those after it forecast.

    Parameters
    ----------
    cfg : TableDataConfig
        Of the run that trained the model.
    path : str
        With the columns of the training. Rows behind the last target may hold inputs that are known ahead.

    Raises
    ------
    DataError
        A column is missing, a series is too short, or a target or an input that is needed is missing.
    """
    assert cfg.columns.time is not None
    inputs, (target,) = input_columns(schema), schema.targets
    own = cfg.model_copy(
        update={
            "path": path,
            "target": target.name,
            "inputs": tuple(column.name for column in inputs),
            "levels": {column.name: column.levels for column in inputs if column.kind == "categorical"},
            "kinds": {column.name: column.kind for column in inputs if column.kind != "categorical"},
            "drop": (),
        }
    )
    series, time = cfg.columns.series, cfg.columns.time
    parts = [name for name in (series, time) if name]
    read = read_table(own, keep=parts)
    wanted = [*parts, target.name, *(column.name for column in inputs)]
    problems = [missing_column(read.file.names, name) for name in wanted if name not in read.cells]
    if problems:
        raise metadata_error(read.file.origin, problems)
    rows = [read.row(place) for place in range(len(read.rows))]
    times = read_times(read.cells[time].texts, rows=rows, column=time, problems=problems)
    numbers = _target(read, target.name, problems)
    found = [numbers]
    for column in inputs:
        one = read_input(
            column.name, read.cells[column.name], cfg=own, row=read.row, problems=problems, notes=[]
        )
        found.append(np.full(len(rows), np.nan) if one is None else one.values)
    if problems:
        raise metadata_error(read.file.origin, problems)
    timeline = Timeline(times, *numbered(read.cells[series].texts if series else [""] * len(rows)))
    steps = order_steps(timeline, gaps=cutting.gaps, column=time, problems=problems, notes=[])
    expected = step_of(schema.inputs[0].levels[0])
    if steps.step not in (0, expected):
        problems.append(
            f"{time} goes on by {step_text(steps.step)}, and the model was trained on steps of "
            f"{schema.inputs[0].levels[0]}"
        )
    values = np.stack(found, axis=1)[steps.order]
    made = []
    for number in range(len(timeline.names)):
        if not problems:
            made += _last_window(steps, number, values, schema, cutting, step=expected, problems=problems)
    if problems:
        raise metadata_error(read.file.origin, problems)
    return made


def _target(read: ReadTable, name: str, problems: list[str]) -> Floats:
    cells = read.cells[name]
    problems += first_of(
        f"{read.row(row)!r} has {name} {text!r}, expected a number, or an empty cell where it is to be forecast"
        for text, row in cells.first.items()
    )
    return cells.numbers


def _last_window(
    steps: Steps,
    number: int,
    values: Floats,
    schema: Schema,
    cutting: Cutting,
    *,
    step: int,
    problems: list[str],
) -> list[NewSeries]:
    own = np.flatnonzero(steps.series == number)
    called, there = steps.called(number), own[~np.isnan(values[own, 0])]
    origin = int(there[-1]) + 1 if len(there) else int(own[0])
    first = origin - cutting.window
    if first < own[0] or steps.stretch[first] != steps.stretch[origin - 1]:
        start = steps.stretch_start(origin - 1) if len(there) else origin
        problems.append(
            f"{called} has {origin - start} steps in a row up to its last target, and the model looks back at "
            f"{cutting.window}"
        )
        return []
    if (gaps := np.isnan(values[first:origin, 0])).any():
        where, last = (time_text(steps.times[place]) for place in (first + int(gaps.argmax()), origin - 1))
        problems.append(
            f"{called} has no target at {where}, and the model looks at the {cutting.window} steps up to its "
            f"last target, at {last}"
        )
        return []
    stop = min(int(own[-1]) + 1, origin + cutting.horizon)
    ahead = (
        values[origin:stop] if stop > origin and steps.stretch[stop - 1] == steps.stretch[first] else values[:0]
    )
    if cutting.known and len(ahead) < cutting.horizon:
        problems.append(
            f"{called} has {len(ahead)} rows behind its last target, and the model needs "
            f"{', '.join(cutting.known)} of the {cutting.horizon} steps that it forecasts"
        )
        return []
    future = np.full((cutting.horizon, values.shape[1]), np.nan)
    future[: len(ahead)] = ahead
    future[:, 0] = 0.0  # nobody knows it; the network is not shown it
    times = steps.times[origin - 1] + step * np.arange(1 - cutting.window, cutting.horizon + 1)
    return [
        NewSeries(
            steps.names[number],
            times,
            np.concatenate([values[first:origin], future]),
            calendar_columns(times, cutting.calendar),
        )
    ]
