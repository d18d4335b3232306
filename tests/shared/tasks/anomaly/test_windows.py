"""The convolutional autoencoder: its windows, what single rows cannot tell, new rows, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import fedtwin
from centralized.train import train
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.dataset import Timeline
from shared.data.series.trailing import TrailingWindows, number_runs
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.model.autoencoder import ConvAutoencoder
from shared.runtime.errors import ConfigError, DataError, ExportError
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.tracking.store import Store

SIZE, WINDOW = 160, 16
CONV = ("model=conv_autoencoder", f"model.window={WINDOW}", "model.channels=[8,2]", "model.kernel=3")
DENSE = ("model=autoencoder", "model.hidden=[8]", "model.code=1")
TRAINED = [
    *("trainer.optimizer.name=adamw", "trainer.optimizer.lr=0.01", "trainer.optimizer.weight_decay=0"),
    *("trainer.test_model=last", "data.batch_size=16"),
]


def waves() -> pd.DataFrame:
    """Two pumps with a wave each; in an anomaly, the same values come in another order."""
    rng, place = np.random.default_rng(0), np.arange(SIZE)
    parts = []
    for number, pump in enumerate(("east", "west")):
        flow = np.sin(place * np.pi / 4 + number) + rng.normal(0, 0.05, SIZE)
        event = place >= 120
        flow[event] = rng.permutation(flow[event])
        parts.append(
            pd.DataFrame(
                {
                    "time": pd.Timestamp("2024-01-01") + pd.to_timedelta(place, unit="s"),
                    "pump": pump,
                    "flow": 5 + 2 * flow,
                    "load": 1 - flow,
                    "fault": np.where(event, "yes", "no"),
                    "split": np.where(place < 80, "train", np.where(place < 100, "val", "test")),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    waves().to_csv(tmp_path / "pumps.csv", index=False)
    return tmp_path / "pumps.csv"


def configured(table: Path, *overrides: str, model: Sequence[str] = CONV) -> Config:
    return compose(
        [
            *("task=anomaly", f"data.path={table}", "data.target=fault", "trainer.progress=false", *model),
            *("data.columns={site: pump, time: time, series: pump}", "data.min_count=1"),
            *("trainer.max_epochs=3", "trainer.accelerator=cpu", *TRAINED, *overrides),
        ]
    )


def test_a_window_holds_the_rows_before_its_own_in_the_order_of_time() -> None:
    time = Timeline(np.array([3, 1, 2, 9, 7, 4]), np.array([0, 0, 0, 1, 1, 0]), ("a", "b"))
    sides = np.array(["train", "train", "train", "test", "test", "test"])
    runs = number_runs(time, sides)
    assert runs.tolist() == [0, 0, 0, 2, 2, 1]
    windows = TrailingWindows.of(time.times, runs, length=3)
    assert windows[:].tolist() == [[1, 2, 0], [1, 1, 1], [1, 1, 2], [4, 4, 3], [4, 4, 4], [5, 5, 5]]
    assert windows[np.array([3, 0])].tolist() == [[4, 4, 3], [1, 2, 0]]
    assert windows[:0].shape == (0, 3)


@pytest.mark.parametrize("steps", range(2, 10))
@pytest.mark.parametrize("channels", [(4,), (4, 2), (5, 4, 2)])
def test_a_window_of_any_length_is_rebuilt_whole(steps: int, channels: tuple[int, ...]) -> None:
    network = ConvAutoencoder(width=3, steps=steps, channels=channels, kernel=5, dropout=0.1).eval()
    rows = torch.randn(7, steps, 3)
    rebuilt = network.rebuilt(rows)
    assert rebuilt.shape == rows.shape
    torch.testing.assert_close(network(rows)[:, 0], ((rebuilt - rows) ** 2).mean(dim=(1, 2)))


def test_the_order_of_readings_tells_what_single_rows_cannot(table: Path, home: Home, store: Store) -> None:
    def auroc(model: Sequence[str]) -> float:
        run_id = train(configured(table, "trainer.max_epochs=15", model=model), store=store, home=home)
        return float(store.runs.get(run_id).summary["test"]["auroc"])

    assert auroc(CONV) > 0.9
    assert auroc(DENSE) < 0.7


@pytest.mark.parametrize("more", [[], ["task.limits=site", "data.scaling=local"]], ids=["common", "site"])
def test_a_stored_model_judges_the_rows_of_a_file_as_it_was_tested(
    more: list[str], table: Path, home: Home, store: Store, tmp_path: Path
) -> None:
    run_id = train(configured(table, *more), store=store, home=home)
    tested = Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE).predictions
    frame = pd.read_csv(table)
    new = frame[frame["split"] == "test"]
    model = fedtwin.load_model(run_id, store=home.root)
    mixed = new.sample(frac=1, random_state=0)
    for rows in (new, mixed):  # in any order: their times tell
        told = fedtwin.predict(model, rows).frame().set_index(rows.index).loc[new.index]
        np.testing.assert_allclose(told[["ratio", "score"]], tested[:, :2], rtol=1e-4)
    new.to_csv(tmp_path / "new.csv", index=False)
    assert len(fedtwin.predict(model, str(tmp_path / "new.csv")).names) == len(new)
    assert len(fedtwin.predict(model, np.stack([row for _, row in model.read(new[:3])])).names) == 3
    with pytest.raises(DataError, match="time"):
        fedtwin.predict(model, new.drop(columns="time"))
    with pytest.raises(DataError, match="twice; keep one row of each"):
        fedtwin.predict(model, pd.concat([new, new[:1]]))
    with pytest.raises(DataError, match=rf"expected rows \[N, {WINDOW}, {len(model.columns)}\], got an array"):
        fedtwin.predict(model, np.zeros((4, 2)))
    done = fedtwin.export_model(run_id, tmp_path / "m.safetensors", format="safetensors", store=home.root)
    assert done.difference == 0
    with pytest.raises(ExportError, match="cannot be exported as onnx; expected safetensors"):
        fedtwin.export_model(run_id, tmp_path / "m.onnx", format="onnx", store=home.root)


def test_windows_cross_neither_sides_nor_anomalies_that_are_left_out(table: Path, home: Home) -> None:
    frame = pd.read_csv(table)
    frame.loc[40:49, "fault"] = "yes"
    frame.to_csv(table, index=False)
    learner: Any = learner_of(configured(table, "data.scaling=none"))
    data = learner.dataset(cache=home.cache)
    assert len(data) == 2 * SIZE - 10
    windows = learner.datamodule(data, None, FitContext()).inputs
    for first in (0, 40, 70):  # of east: the first row, that behind the anomalies, the first of validation
        beginning = windows[np.array([first, first + 1])]
        assert (beginning[0] == beginning[0, :1]).all()
        assert (beginning[1, :-1] == beginning[0, :1]).all()
        np.testing.assert_array_equal(beginning[1, -1], data.inputs[first + 1].astype(np.float32))


def alternating(own: pd.DataFrame) -> pd.DataFrame:
    return own.assign(split=np.where(np.arange(len(own)) % 9 == 0, "test", "train"))


def stopped(own: pd.DataFrame) -> pd.DataFrame:
    return own.assign(time=own["time"].where(own.index != 5, own["time"][4]))


@pytest.mark.parametrize(
    ("change", "overrides", "error", "message"),
    [
        (None, ["data.columns={time: null, series: null}"], ConfigError, r"the column by data\.columns\.time"),
        (alternating, [], DataError, r"test rows of series 'east' are in 18 stretches.*data\.split_by=time"),
        (stopped, [], DataError, "twice; keep one row of each"),
        (None, ["model.kernel=4"], ConfigError, r"model\.kernel"),
        (None, ["trainer.ema_decay=0.9"], ConfigError, "no effect on model=conv_autoencoder"),
    ],
    ids=["no times", "sides alternate", "a time twice", "an even kernel", "averaged weights"],
)
def test_what_windows_cannot_be_of_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame] | None, overrides: list[str], error: type[Exception],
    message: str, table: Path, home: Home, store: Store,
) -> None:  # fmt: skip
    if change is not None:
        change(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(error, match=message):
        train(configured(table, *overrides), store=store, home=home)


def test_a_client_with_a_part_of_a_series_is_refused(table: Path, home: Home) -> None:
    learner: Any = learner_of(configured(table))
    data = learner.dataset(cache=home.cache)
    with pytest.raises(DataError, match=r"40 of 80 consecutive train rows of series 'east'.*partition=natural"):
        learner.datamodule(data, np.arange(0, len(data), 2), FitContext())
    east = learner.datamodule(data, np.flatnonzero(data.time.series == 0), FitContext())
    assert len(east.rows["train"]) == 80
