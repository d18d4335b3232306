"""`SeriesData`: windows of the series that a table holds, and `cut_series`, which makes them of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.data.dataset import SIDES, Blocks, Dataset, Ints, Strata, Texts, Timeline
from shared.data.schema import Column, Schema
from shared.data.series.calendar import Feature, calendar_columns
from shared.data.series.steps import (
    Gaps,
    Steps,
    calendar_problem,
    check_future,
    order_steps,
    step_text,
    time_text,
)
from shared.data.series.windows import cut_windows
from shared.data.sources.table import metadata_error
from shared.data.tables.load import TableData
from shared.data.tables.sites import Sites
from shared.runtime.counts import count_of


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How series are cut into windows.

    Attributes
    ----------
    window, horizon : int
        Steps that are looked at, and steps after these that are forecast.
    stride, eval_stride : int
        Steps between two forecasts, in training, and in validation and test.
    reach_back : bool
        Whether a window may look at steps of the side before its own.
    season : int
        Steps after which a series repeats itself; the floor repeats the last season.
    block : int
        Steps that are left out together for intervals.
    calendar : sequence of str
        See `calendar_columns`.
    known : sequence of str
        Inputs that are known ahead of time.
    gaps : {"error", "cut"}
        See `order_steps`.
    """

    window: int
    horizon: int
    stride: int
    eval_stride: int
    reach_back: bool
    season: int
    block: int
    calendar: Sequence[Feature]
    known: Sequence[str]
    gaps: Gaps


@dataclass(frozen=True)
class ForecastTargets:
    """What each window is to be judged by, [N, 2 * horizon + 3], made as it is taken.

    Of a window: the true values; the same steps of the last season; its last value; the mean change over a
    season, and the deviation, of its series in training. `shared.metrics.forecasting` has them by name.
    """

    target: npt.NDArray[np.float32]  # [T]
    origins: Ints  # [N], the first step that is forecast
    horizon: int
    season: int
    scales: npt.NDArray[np.float32]  # [N, 2]

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, rows: Ints | slice) -> npt.NDArray[np.float32]:
        """Those of some windows."""
        first, ahead = self.origins[rows], np.arange(self.horizon)
        true = self.target[first[:, None] + ahead]
        seasonal = self.target[first[:, None] - self.season + ahead % self.season]
        last = self.target[first - 1][:, None]
        return np.concatenate([true, seasonal, last, self.scales[rows]], axis=1)


@dataclass(frozen=True, kw_only=True)
class SeriesData(Dataset):
    """Windows of time series; a row is a window, and its targets are `ForecastTargets`.

    Attributes
    ----------
    steps : Steps
    values : ndarray [T, 1 + inputs], float64
        At each step the target, and the inputs as `shared.data.tables.load.TableData` has them.
    calendar : ndarray [T, C], float32
    starts : ndarray [N], int64
        The first step of each window.
    length : int
        Steps of a window, with those that are forecast.
    min_count : int
        Fewest values of a column of which a mean is told.
    sites : Sites, optional
        With ``data.scaling=local``: the series of each step.
    """

    steps: Steps
    values: npt.NDArray[np.float64]
    calendar: npt.NDArray[np.float32]
    starts: Ints
    length: int
    min_count: int = 1
    sites: Sites | None = None

    @property
    def columns_of_values(self) -> tuple[Column, ...]:
        """What the columns of ``values`` are."""
        return scaled_columns(self.schema)

    def coverage(self, rows: Ints) -> Ints:
        """In how many of some windows each step is, [T]: what is told of them adds up over any division."""
        change = np.zeros(len(self.values) + 1, dtype=np.int64)
        np.add.at(change, self.starts[rows], 1)
        np.add.at(change, self.starts[rows] + self.length, -1)
        return np.cumsum(change)[:-1]


def scaled_columns(schema: Schema) -> tuple[Column, ...]:
    """The target and the inputs: what is scaled, in the order of ``SeriesData.values``."""
    return (*schema.targets, *input_columns(schema))


def input_columns(schema: Schema) -> tuple[Column, ...]:
    """The inputs beside the target itself and the time."""
    return tuple(column for column in schema.inputs if column.kind != "timestamp")


def cut_series(
    table: TableData,
    cutting: Cutting,
    *,
    time: str,
    series: str | None,
    scaling: str,
    sides: Sequence[str] = SIDES,
) -> SeriesData:
    """Make windows of the rows of a table, which is split by time.

    Parameters
    ----------
    table : TableData
        Its target is one number a row.
    time, series : str
        Columns of the times, and of the series.
    scaling : str
        ``data.scaling``.
    sides : sequence of str
        What the rows are for, see `shared.data.split.split.make_splits`.

    Raises
    ------
    DataError
        Names all that is wrong with the times, and every series that is too short.
    """
    assert table.time is not None
    problems: list[str] = []
    notes = [note for note in table.notes if not note.startswith(_NOT_OF_SERIES)]
    steps = order_steps(table.time, gaps=cutting.gaps, column=time, problems=problems, notes=notes)
    split, columns = table.splits[steps.order], (*table.schema.targets, *table.schema.inputs)
    problems += [f"task.known names {name!r}, which is no input" for name in _strangers(cutting, table.schema)]
    if cutting.calendar and (wrong := calendar_problem(steps, column=time)):
        problems.append(wrong)
    if problems:
        raise metadata_error(table.origin, problems)
    check_future(steps, split, problems=problems, notes=notes)
    cut = cut_windows(
        steps,
        split,
        back=cutting.window,
        ahead=cutting.horizon,
        stride=cutting.stride,
        eval_stride=cutting.eval_stride,
        reach_back=cutting.reach_back,
        needed=[side for side in SIDES if side in sides and side in split],
        problems=problems,
    )
    target = table.targets[steps.order, 0].astype(np.float32)
    values = np.concatenate([target[:, None].astype(np.float64), table.inputs[steps.order]], axis=1)
    problems += _constant(steps, target, split)
    own = (
        _own_scales(steps, columns, values, split, column=series, problems=problems)
        if scaling == "local"
        else None
    )
    if problems:
        raise metadata_error(table.origin, problems)
    origins, trained = cut.starts + cutting.window, split == "train"
    if not trained.any():
        notes.append("no row is for training: MASE is scaled by the changes of the test rows themselves")
    of_window = steps.series[cut.starts]
    changes = seasonal_changes(steps, target, trained if trained.any() else ~trained, season=cutting.season)
    units = np.ones(len(steps.names)) if own is None else own[1]
    schema = Schema(
        inputs=(Column(time, "timestamp", (step_text(steps.step),)), *table.schema.inputs),
        targets=table.schema.targets,
        horizon=cutting.horizon,
    )
    names = tuple(name or "all" for name in steps.names)
    taken = steps.order[origins]
    of_site = {} if own is None else {"site": np.array(steps.names)[of_window]}  # what is scaled by itself
    return SeriesData(
        schema=schema,
        targets=ForecastTargets(
            target,
            origins,
            cutting.horizon,
            cutting.season,
            np.stack([changes[of_window], units[of_window]], axis=1).astype(np.float32),
        ),  # type: ignore[arg-type]  # taken as an array is
        splits=cut.sides,
        strata=Strata(of_window, names, noun="series", on_every_side=False),
        time=Timeline(steps.times[origins], of_window, names),
        blocks=blocks_of(steps, origins, cutting),
        columns={name: values[taken] for name, values in table.columns.items()} | of_site,
        fingerprint=table.fingerprint,
        origin=table.origin,
        layout=f"{table.layout}; {_layout(steps, cut.sides, cutting)}",
        facts={**table.facts, "step": step_text(steps.step), "series": _told(steps)},
        notes=tuple(notes),
        agreed={} if own is None else own[0].agreed(columns, values, trained),
        steps=steps,
        values=values,
        calendar=calendar_columns(steps.times, cutting.calendar),
        starts=cut.starts,
        length=cutting.window + cutting.horizon,
        min_count=table.min_count,
        sites=None if own is None else own[0],
    )


def seasonal_changes(
    steps: Steps, target: npt.NDArray[np.float32], used: npt.NDArray[np.bool_], *, season: int
) -> npt.NDArray[np.float64]:
    """The mean absolute change of each series over a season, [series]; NaN where there is none, or it is 0.

    Parameters
    ----------
    used : ndarray [T], bool
        Steps that count, such as those for training.

    References
    ----------
    Hyndman and Koehler (2006), Another Look at Measures of Forecast Accuracy: the scale of MASE.
    """
    later = np.arange(season, len(target))
    pairs = (steps.stretch[later] == steps.stretch[later - season]) & used[later] & used[later - season]
    later = later[pairs]
    change = np.abs(target[later].astype(np.float64) - target[later - season])
    count = np.bincount(steps.series[later], minlength=len(steps.names))
    total = np.bincount(steps.series[later], weights=change, minlength=len(steps.names))
    found = np.full(len(steps.names), np.nan)
    np.divide(total, count, out=found, where=(count > 0) & (total > 0))
    return found


def blocks_of(steps: Steps, origins: Ints, cutting: Cutting) -> Blocks:
    """Stretches of time that are left out together, of all series: they have weather and days in common."""
    unit = max(cutting.eval_stride, 1)
    span = max(1, round(max(cutting.block, cutting.horizon) / unit))
    when = (steps.times[origins] - (steps.times[origins].min() if len(origins) else 0)) // (
        unit * max(steps.step, 1)
    )
    length = step_text(span * unit * steps.step)
    return Blocks(when.astype(np.int64), span, noun=f"{length.replace(' ', '-')} block")


# Inputs such as the weather are those of many series; the split is by time, and no patient is looked for.
_NOT_OF_SERIES = ("the same in all inputs as a training row", "no column ")


def _strangers(cutting: Cutting, schema: Schema) -> list[str]:
    return sorted({*cutting.known} - {column.name for column in schema.inputs})


def _constant(steps: Steps, target: npt.NDArray[np.float32], split: Texts) -> list[str]:
    trained = split == "train"
    found = []
    for number in range(len(steps.names)):
        own = target[trained & (steps.series == number)]
        if len(own) > 1 and np.ptp(own) == 0:
            found.append(f"{steps.called(number)} is {own[0]:g} at every step for training; leave it out")
    return found


def _own_scales(
    steps: Steps,
    columns: Sequence[Column],
    values: npt.NDArray[np.float64],
    split: Texts,
    *,
    column: str | None,
    problems: list[str],
) -> tuple[Sites, npt.NDArray[np.float64]] | None:
    """What scales each series by itself, and the deviation of each target, [series]."""
    trained = split == "train"
    counts = np.bincount(steps.series, weights=trained, minlength=len(steps.names))
    if few := [steps.called(number) for number in np.flatnonzero(counts < 2).tolist()]:
        problems.append(
            f"data.scaling=local needs two training rows of each series or more, and there are fewer of "
            f"{', '.join(few[:10])} (a deployment's server has test rows alone); set data.scaling=federated"
        )
        return None
    sites = Sites(column or "", steps.names, steps.series)
    units = [float(values[trained & (steps.series == number), 0].std()) for number in range(len(steps.names))]
    return sites, np.array(units)


def _layout(steps: Steps, sides: Texts, cutting: Cutting) -> str:
    counts = ", ".join(f"{int((sides == side).sum()):,} {side}" for side in SIDES)
    return (
        f"{len(steps.names):,} series, cut into windows of {cutting.window} steps and {cutting.horizon} ahead: "
        f"{counts}"
    )


def _told(steps: Steps) -> str:
    if not len(steps):
        return "none"
    first, last = time_text(steps.times.min()), time_text(steps.times.max())
    return f"{len(steps.names):,}, {count_of(len(steps), 'step')}, {first} to {last}"
