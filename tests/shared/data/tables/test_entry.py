"""Tables in the cache: what was read once is not read again, and is the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared.config.compose import compose
from shared.data.cache import entries
from shared.data.seal import is_whole
from shared.data.tables import entry
from shared.data.tables.load import TableData
from shared.runtime.errors import DataError
from shared.tasks.task import learner_of


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng, size = np.random.default_rng(0), 30_000
    frame = pd.DataFrame(
        {
            "patient_id": rng.integers(0, 9_000, size).astype(str),
            "site": rng.choice(["north", "south"], size),
            "age": np.where(rng.random(size) < 0.1, np.nan, rng.normal(50, 9, size)),
            "pain": rng.choice(["none", "some"], size),
            "sick": rng.choice(["yes", "no"], size),
        }
    )
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    assert path.stat().st_size > entry._WORTH
    return path


@pytest.fixture
def read(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[TableData, int]]:
    """The data, and how often the file was read for it."""
    from shared.tasks.tables import learner

    loads, load = [0], learner.load_table

    def counted(*args: Any, **more: Any) -> TableData:
        loads[0] += 1
        return load(*args, **more)

    monkeypatch.setattr(learner, "load_table", counted)

    def of(*overrides: str, **more: Any) -> tuple[TableData, int]:
        cfg = compose(
            [
                *("task=tabular_classification", f"data.path={table}", "data.target=sick"),
                *("partition=natural", *overrides),
            ]
        )
        before = loads[0]
        data: Any = learner_of(cfg).dataset(cache=tmp_path / "cache", **more)
        return data, loads[0] - before

    return of


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(
            same(getattr(one, own.name), getattr(other, own.name)) for own in fields(one)
        )
    return bool(one == other)


def whole(data: TableData) -> TableData:
    """With its inputs in memory."""
    return replace(data, inputs=np.array(data.inputs))


@pytest.mark.parametrize("overrides", [[], ["data.scaling=local"]], ids=["plain", "by site"])
def test_what_was_read_once_is_the_same_the_next_time(
    overrides: list[str], read: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(entry, "_WORTH", 2**40)
        first, loads = read(*overrides)  # not through the cache
    read(*overrides)
    again, more = read("data.batch_size=7", *overrides)
    assert (loads, more) == (1, 0)
    assert isinstance(again.inputs, np.memmap)
    assert first.groups is not None
    assert same(whole(first), whole(again))
    assert all(is_whole(path) for path in entries(tmp_path / "cache"))


def test_other_settings_sides_and_contents_are_read_anew(read: Callable[..., Any], table: Path) -> None:
    read()
    assert read("data.split_seed=3")[1] == 1
    assert read("model=trees")[1] == 1  # which keeps gaps, and says so
    assert read(sides=("test",))[1] == 1
    assert read()[1] == 0
    table.write_text(table.read_text().replace("none", "much"))
    assert read()[0].schema.inputs[1].levels == ("much", "some")


@pytest.mark.parametrize("name", ["inputs.npy", "rows.npz", "table.json", "seal.json"])
def test_a_damaged_entry_is_read_anew(name: str, read: Callable[..., Any], tmp_path: Path) -> None:
    expected = whole(read()[0])  # a file that is mapped must not become shorter
    (folder,) = entries(tmp_path / "cache")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    found, loads = read()
    assert loads == 1
    assert same(expected, whole(found))
    assert read()[1] == 0


def test_a_file_that_changes_while_it_is_read_is_an_error_and_leaves_nothing(
    read: Callable[..., Any], table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.tasks.tables import learner

    load = learner.load_table

    def slowly(*args: Any, **more: Any) -> TableData:
        data = load(*args, **more)
        os.utime(table, (1, 1))
        return data

    monkeypatch.setattr(learner, "load_table", slowly)
    with pytest.raises(DataError, match="changed while it was read; run again"):
        read()
    assert entries(tmp_path / "cache") == []


def test_a_small_file_needs_no_cache(read: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2000]))
    assert read()[1] == 1
    assert entries(tmp_path / "cache") == []
    table.unlink()
    with pytest.raises(DataError, match=r"table\.csv"):
        read()


def test_a_folder_is_read_once_until_a_file_of_it_changes(
    table: Path, tmp_path: Path, read: Callable[..., tuple[TableData, int]]
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    whole = pd.read_csv(table, dtype={"patient_id": str})
    for number in range(2):
        whole.iloc[number * 15_000 : (number + 1) * 15_000].to_csv(folder / f"{number}.csv", index=False)
    settings = [f"data.path={folder}", "data.columns.patient_id=null"]
    first, loads = read(*settings)
    again, more = read(*settings)
    assert (loads, more) == (1, 0)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    with (folder / "1.csv").open("a") as file:
        file.write("7,north,50.0,some,yes\n")
    assert len(read(*settings)[0]) == len(first) + 1
