"""Forecasts behind the commands: networks, new rows of a trained model, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import fedtwin
from centralized.train import train
from shared.config.compose import compose
from shared.config.config import Config
from shared.config.no_effect import reject_unused
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError, DataError
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.tracking.store import Store

WINDOW, HORIZON, SIZE = 8, 4, 120


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    hours = pd.date_range("2024-03-01", periods=SIZE, freq="h")
    parts = []
    for number, home in enumerate(("north", "south")):
        load = (1 + 9 * number) * (3 + np.sin(np.arange(SIZE) * np.pi / 2) + rng.normal(0, 0.2, SIZE))
        warmth = rng.normal(15, 4, SIZE)
        parts.append(pd.DataFrame({"when": hours, "home": home, "load": load, "warmth": warmth}))
    return pd.concat(parts, ignore_index=True)


def configured(path: Path, *overrides: str) -> Config:
    columns = ["data.columns.time=when", "data.columns.series=home"]
    steps = [f"task.window={WINDOW}", f"task.horizon={HORIZON}", "task.season=4", "task.block=24"]
    quick = ["trainer.max_epochs=1", "trainer.progress=false", "trainer.accelerator=cpu", "data.min_count=1"]
    settings = ["task=forecasting", f"data.path={path}", "data.target=load", *columns, *steps, *quick]
    return compose([*settings, *overrides])


def written(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "series.csv", index=False)
    return folder / "series.csv"


NETWORKS = {
    "linear": ["model=linear"],
    "mlp": ["model=mlp", "model.hidden=[8]"],
    "lstm": ["model=lstm", "model.hidden=8", "model.layers=2"],
    "tcn": ["model=tcn", "model.channels=8", "model.blocks=2"],
}


@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS)
def test_networks_see_the_past_and_what_is_known_ahead(
    model: list[str], frame: pd.DataFrame, tmp_path: Path
) -> None:
    cfg = configured(written(frame, tmp_path), *model)
    learner = learner_of(cfg)
    data = learner.dataset(cache=tmp_path)
    fit = FitContext(agreed=learner.spec(data.schema).agree({"all": learner.spec(data.schema).profile(
        data, data.indices("train"))}, trainer=cfg.trainer))  # fmt: skip
    network = learner.network(learner.module(data.schema, fit)).eval()
    windows = torch.from_numpy(learner.datamodule(data, None, fit).inputs[data.indices("val")])
    features = windows.shape[2] - 2
    assert windows.shape[1:] == (WINDOW + HORIZON, 2 + 4 + 2)  # load, warmth; hour and weekday; the scale
    assert not windows[:, WINDOW:, :2].any(), "nobody knows the load and the weather of tomorrow"
    with torch.no_grad():
        forecasts = network(windows)
        assert forecasts.shape == (len(windows), HORIZON)
        for place in range(features):
            other = windows.clone()
            other[:, WINDOW - 1, place] += 1
            assert not torch.equal(network(other), forecasts), f"feature {place} of the past is seen"
        hidden = windows.clone()
        hidden[:, WINDOW:, :2] = 1e6
        assert torch.equal(network(hidden), forecasts)
        moved = windows.clone()
        moved[..., -2:] = torch.tensor([100.0, 2.0])  # another center and scale
        center, scale = windows[0, 0, -2:]
        torch.testing.assert_close((network(moved) - 100) / 2, (forecasts - center) / scale)


ON_LAGS = ["model=trees", "model.max_depth=2", "model.min_samples_leaf=2"]
MODELS = {
    "federated": ("federated", ["model.hidden=[8]"]),
    "local": ("local", ["model.hidden=[8]"]),
    "trees, local": ("local", ON_LAGS),
    "forest, local": ("local", ["model=forest", "model.min_samples_leaf=2"]),
}


@pytest.mark.parametrize(("scaling", "of_model"), MODELS.values(), ids=MODELS)
def test_a_trained_model_forecasts_from_the_last_rows_of_a_file(
    scaling: str, of_model: list[str], frame: pd.DataFrame, tmp_path: Path, home: Home, store: Store
) -> None:
    settings = ["task.known=[warmth]", f"data.scaling={scaling}", *of_model]
    cfg = configured(written(frame, tmp_path), *settings)
    run = train(cfg, store=store, home=home)
    tested = Outputs.load(home.run_dir(run) / OUTPUTS_FILE)
    data = learner_of(cfg).dataset(cache=home.cache)
    last = [int(np.flatnonzero((data.time.series == place) & (data.splits == "test"))[-1]) for place in (0, 1)]
    rows = [int(np.flatnonzero(data.indices("test") == row)[0]) for row in last]
    cut = {home: int((data.starts[row] + WINDOW) % SIZE) for home, row in zip("ns", last, strict=True)}
    new = frame.copy()
    for name, first in zip(("north", "south"), cut.values(), strict=True):
        own = new.index[new.home == name]
        new.loc[own[first:], "load"] = np.nan  # to be forecast; the weather is known
    model = fedtwin.load_model(run, store=home.root)
    done = fedtwin.predict(model, new.sample(frac=1, random_state=0))  # in any order
    np.testing.assert_allclose(done.numbers, tested.predictions[rows].reshape(-1), rtol=1e-4)
    first = frame.when[cut["n"]]
    assert done.names[:2] == (f"north {first}", f"north {first + pd.Timedelta(hours=1)}")
    assert done.noun == "step"

    short = new[~((new.home == "south") & (new.index >= SIZE + cut["s"] + 1))]
    with pytest.raises(
        DataError, match="'south' has 1 rows behind its last target, and the model needs warmth of"
    ):
        fedtwin.predict(model, short)
    with pytest.raises(DataError, match="'north' has 3 steps in a row up to its last target"):
        fedtwin.predict(model, frame[:3])
    holed = frame.copy()
    holed.loc[cut["n"] - 2, "load"] = np.nan
    with pytest.raises(DataError, match="has no target at 2024-03"):
        fedtwin.predict(model, holed[: cut["n"]])
    half = frame[:24].assign(when=pd.date_range("2024-03-01", periods=24, freq="30min"))
    with pytest.raises(DataError, match="goes on by 30 min, and the model was trained on steps of 1 h"):
        fedtwin.predict(model, half)
    stranger = new.assign(home=new.home.replace("south", "west"))
    if scaling == "local":
        with pytest.raises(DataError, match="was not trained on 'west', only on north, south"):
            fedtwin.predict(model, stranger)
    else:
        assert any(name.startswith("west ") for name in fedtwin.predict(model, stranger).names)


def test_series_are_scaled_for_trees_too(frame: pd.DataFrame, tmp_path: Path) -> None:
    cfg = configured(written(frame, tmp_path), "model=trees", "data.scaling=local")
    reject_unused(["data.scaling=local"], cfg, command="fedtwin centralized")
    with pytest.raises(ConfigError, match=r"data\.batch_size=8 has no effect"):
        reject_unused(["data.batch_size=8"], cfg, command="fedtwin centralized")


REFUSED = {
    "no time": (["data.columns.time=null"], "needs data.columns.time"),
    "at random": (["data.split_by=random"], "data.split_by=random would train on what follows the test"),
    "classes": (["data.positive=a"], "data.positive has no effect on task=forecasting"),
    "images": (
        ["model=cnn"],
        "takes model=mlp, lstm, tcn, linear, trees, xgboost, lightgbm or forest, got model.name=cnn",
    ),
    "season": (["task.season=9"], "task.season=9 must not exceed task.window=8"),
    "block": (["task.block=3"], "task.block=3 must not be below task.horizon=4"),
    "twice": (["task.calendar=[hour,hour]"], "names a feature twice"),
    "loss": (["task.loss=huber"], "task.loss: expected one of squared, absolute"),
    "threshold": (["trainer.threshold=0.4"], "has no effect on this task"),
}


@pytest.mark.parametrize(("overrides", "told"), REFUSED.values(), ids=REFUSED)
def test_settings_that_cannot_be_are_named(
    overrides: list[str], told: str, frame: pd.DataFrame, tmp_path: Path
) -> None:
    cfg = configured(written(frame, tmp_path), *overrides)

    def begin() -> None:
        learner = learner_of(cfg)
        learner.module(learner.dataset(cache=tmp_path).schema, FitContext())

    with pytest.raises(ConfigError) as caught:
        begin()
    assert told in str(caught.value)
