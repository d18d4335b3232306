"""Time series as they are cut: order, gaps, borders of the split, and what is named before training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from shared.config.compose import compose
from shared.data.partition.partition import partition
from shared.data.series.lags import LagRows, lag_columns
from shared.data.series.load import Cutting, SeriesData, cut_series
from shared.data.series.steps import step_of, step_text, time_text
from shared.data.tables.load import load_table
from shared.data.tables.prepare import Preparation
from shared.runtime.errors import DataError, PartitionError
from shared.tasks.image_regression.data import read_numbers
from tests.shared.data.tables.table_kit import table_config

SIZE, START = 100, datetime(2024, 1, 1)
CUTTING = Cutting(
    window=6,
    horizon=3,
    stride=1,
    eval_stride=3,
    reach_back=False,
    season=4,
    block=12,
    calendar=("hour", "weekday", "month"),
    known=(),
    gaps="error",
)
Line = tuple[str, str, str, str]  # time, series, target, temperature
Cut = Callable[..., SeriesData]


def lines_of(series: str, *, size: int = SIZE, first: float = 0.0) -> list[Line]:
    """Hours whose target says which step they are."""
    hours = [(START + timedelta(hours=place)).isoformat(" ") for place in range(size)]
    return [(hour, series, f"{first + place}", f"{20 + place % 7}") for place, hour in enumerate(hours)]


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    def make(
        lines: Sequence[Line], cutting: Cutting = CUTTING, *settings: str, scaling: str = "federated"
    ) -> SeriesData:
        path = tmp_path / "series.csv"
        path.write_text("\n".join(["when,home,load,warmth", *map(",".join, lines)]))
        columns = ["data.columns.time=when", "data.columns.series=home", "data.split_by=time"]
        cfg = table_config(path, *columns, *settings, target="load")
        table = load_table(cfg, read_targets=read_numbers)
        return cut_series(table, cutting, time="when", series="home", scaling=scaling)

    return make


@pytest.fixture
def refused(cut: Cut) -> Callable[..., str]:
    def told(*given: object) -> str:
        with pytest.raises(DataError) as caught:
            cut(*given)
        return str(caught.value)

    return told


TWO = [*lines_of("a"), *lines_of("b", first=1000)]


def test_windows_are_steps_in_order_on_one_side_of_the_split(cut: Cut) -> None:
    data = cut(TWO)
    assert data.steps.step == 3_600_000_000
    assert (data.schema.horizon, data.schema.inputs[0].levels) == (3, ("1 h",))
    of_steps = data.values[:, 0]
    side = {0.0: "train", 65.0: "val", 80.0: "test"}
    for row in range(len(data)):
        own = of_steps[data.starts[row] : data.starts[row] + data.length]
        np.testing.assert_array_equal(np.diff(own), 1)  # of one series, without a hole
        ends = {max(first for first in side if first <= value % 1000) for value in own}
        assert {side[end] for end in ends} == {str(data.splits[row])}
    counts = {side: int((data.splits == side).sum()) for side in ("train", "val", "test")}
    assert counts == {
        "train": 2 * (65 - 9 + 1),
        "val": 2 * 3,
        "test": 2 * 4,
    }  # one of 3 for validation and test
    assert not hasattr(data, "inputs")  # nothing holds all windows


def test_targets_hold_the_floors(cut: Cut) -> None:
    data = cut(TWO)
    target = data.targets[data.indices("test")[:1]][0]
    np.testing.assert_array_equal(target[:3], [86, 87, 88])
    np.testing.assert_array_equal(target[3:6], [82, 83, 84])  # four hours before each
    np.testing.assert_array_equal(target[6:], [85, 4, 1])  # the last value, the change over a season, the unit
    season = replace(CUTTING, season=2)
    np.testing.assert_array_equal(cut(TWO, season).targets[:1][0, 3:6], [4, 5, 4])  # the last season, repeated


def test_no_target_of_the_test_is_in_what_is_trained_on(cut: Cut) -> None:
    data = cut(TWO, replace(CUTTING, reach_back=True))
    used = {
        int(step) for row in data.indices("train") for step in range(data.starts[row], data.starts[row] + 9)
    }
    tested = {
        int(step) for row in data.indices("test") for step in range(data.starts[row] + 6, data.starts[row] + 9)
    }
    assert not used & tested
    first = data.starts[data.indices("test")[0]]
    assert data.values[first, 0] == 80 - 6  # it looks back over the border, and forecasts from it


def test_coverage_adds_up_over_clients(cut: Cut) -> None:
    data = cut(TWO)
    rows = data.indices("train")
    parts = [rows[::2], rows[1::2]]
    np.testing.assert_array_equal(sum(map(data.coverage, parts)), data.coverage(rows))
    assert data.coverage(rows).sum() == len(rows) * 9


def test_blocks_are_of_all_series_and_say_their_length(cut: Cut) -> None:
    data = cut(TWO)
    assert data.blocks is not None
    assert (data.blocks.span, data.blocks.noun) == (4, "12-h block")
    test = data.indices("test")
    own = data.blocks.numbers[test].reshape(2, -1)
    np.testing.assert_array_equal(own[0], own[1])
    np.testing.assert_array_equal(np.diff(own[0]), 1)


def test_rows_in_another_order_are_sorted_and_counted(cut: Cut) -> None:
    mixed = [*TWO]
    mixed[3], mixed[4] = mixed[4], mixed[3]
    data = cut(mixed)
    np.testing.assert_array_equal(data.values, cut(TWO).values)
    assert any("not in the order of when: 1 row, which were sorted" in note for note in data.notes)


def test_series_are_cut_at_gaps_on_request(cut: Cut, refused: Callable[..., str]) -> None:
    holed = [line for place, line in enumerate(TWO) if place not in (30, 31)]
    told = refused(holed)
    assert (
        "when goes on by 1 h, but for 1 gap: series 'a' from 2024-01-02 05:00:00 to 2024-01-02 08:00:00" in told
    )
    assert "2 missing steps" in told
    assert "task.gaps=cut" in told
    data = cut(holed, replace(CUTTING, gaps="cut"))
    assert any("for 1 gap (2 missing steps), where the series is cut" in note for note in data.notes)
    for start in data.starts:
        np.testing.assert_array_equal(np.diff(data.values[start : start + 9, 0]), 1)


def test_local_scaling_is_by_the_training_steps_of_a_series(cut: Cut) -> None:
    data = cut(TWO, scaling="local")
    assert data.sites is not None
    scales = data.agreed["sites"]["scales"]
    assert scales["a"]["centers"][0] == pytest.approx(32)
    assert scales["b"]["centers"][0] == pytest.approx(1032)
    assert data.targets[:1][0, -1] == pytest.approx(np.arange(65).std())
    natural = compose(["partition=natural", "partition.column=home"]).shares
    assert [len(own) for own in partition(data, cfg=natural, num_partitions=2)] == [57 + 3] * 2
    with pytest.raises(PartitionError, match=r"data\.scaling=local scales each row by its site"):
        partition(data, cfg=compose(["partition=iid"]).shares, num_partitions=2)


SCALES = {"inputs": {"centers": [66.0, 20.0], "scales": [2.0, 1.0]}}


def test_lags_are_a_table(cut: Cut) -> None:
    data = cut(TWO)
    windows = data.indices("test")[:2]
    columns = lag_columns(data.schema, window=6, season=4, calendar=data.calendar.shape[1])
    names = [column.name for column in columns]
    assert names[:3] == ["steps ahead", "load -6", "load -5"]
    assert names[6:8] == ["load -1", "load 1 season before"]
    assert names[-1] == "warmth"

    def lags(known: tuple[str, ...], scaling: str = "none") -> LagRows:
        cfg = table_config(Path("x.csv"), f"data.scaling={scaling}", target="load")
        scaled = Preparation(data.columns_of_values, cfg=cfg, agreed=SCALES)
        steps = {"values": data.values, "calendar": data.calendar, "starts": data.starts, "sites": None}
        return LagRows(data.schema, window=6, season=4, known=known, preparation=scaled, **steps)

    table = lags(())
    rows = table.of_windows(windows)
    assert (len(table), len(rows)) == (3 * len(data), 6)
    np.testing.assert_array_equal(table.targets(rows), data.targets[windows][:, :3].reshape(-1))
    np.testing.assert_array_equal(table[rows][:3, 0], [1, 2, 3])
    np.testing.assert_array_equal(table[rows][:3, 6], [85, 85, 85])  # the last value
    np.testing.assert_array_equal(table[rows][:3, 7], [82, 83, 84])  # the same step of the last season
    np.testing.assert_array_equal(table[rows][:3, -1], [20 + 85 % 7] * 3)
    np.testing.assert_array_equal(lags(("warmth",))[rows][:3, -1], [20 + step % 7 for step in (86, 87, 88)])
    scaled = lags((), "federated")
    np.testing.assert_array_equal(scaled[rows][:3, 7], [8, 8.5, 9])
    np.testing.assert_array_equal(scaled.targets(rows)[:3], [10, 10.5, 11])
    np.testing.assert_array_equal(scaled.units(windows), [[66, 2]] * 2)


def zoned(lines: list[Line]) -> list[Line]:
    return [(f"{lines[0][0]}+02:00", *lines[0][1:]), *lines[1:]]


REFUSED = {
    "a time twice": ([*TWO, TWO[7]], CUTTING, "series 'a' has the when 2024-01-01 07:00:00 twice"),
    "time zones": (zoned(TWO), CUTTING, "mixes times with a zone"),
    "no time": ([("", *TWO[0][1:]), *TWO[1:]], CUTTING, "expected ISO 8601 or a number"),
    "short": (
        [*lines_of("a"), *lines_of("b", size=30)],
        CUTTING,
        "series 'b' has 4 steps in a row for val, and a window takes 9 (6 to look at, 3 ahead)",
    ),
    "a missing target": ([(*TWO[0][:2], "", "1"), *TWO[1:]], CUTTING, "the target 'load' is empty in 1 row"),
    "an infinite target": ([(*TWO[0][:2], "inf", "1"), *TWO[1:]], CUTTING, "expected a finite number"),
    "an unknown input": (TWO, replace(CUTTING, known=("rain",)), "task.known names 'rain', which is no input"),
    "counts": (
        [(str(place % SIZE), *line[1:]) for place, line in enumerate(TWO)],
        CUTTING,
        "task.calendar needs dates, and 'when' holds counts up to 99",
    ),
    "a constant series": (
        [*lines_of("a"), *((time, "b", "5", warmth) for time, _, _, warmth in lines_of("b"))],
        CUTTING,
        "series 'b' is 5 at every step for training",
    ),
}


@pytest.mark.parametrize(("lines", "cutting", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_named(
    lines: list[Line], cutting: Cutting, told: str, refused: Callable[..., str]
) -> None:
    assert told in refused(lines, cutting)


def test_steps_later_than_the_first_test_are_counted(cut: Cut) -> None:
    early = [line for line in lines_of("a") if line[0] < "2024-01-03"]
    data = cut([*lines_of("b"), *early], replace(CUTTING, window=3, horizon=2))
    (note,) = [note for note in data.notes if "where the first test begins" in note]
    assert "42 steps of 1 series" in note


def test_lengths_of_time_are_exact() -> None:
    for micros, text in ((3_600_000_000, "1 h"), (900_000_000, "15 min"), (86_400_000_000, "1 d"), (5, "5 us")):
        assert step_text(micros) == text
        assert step_of(text) == micros
    assert time_text(7_000_000) == "7"
