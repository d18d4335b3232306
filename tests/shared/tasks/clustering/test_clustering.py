"""Clusters behind the pooled command: an epoch is an iteration, resumed or not; what it takes and refuses."""

from __future__ import annotations

from collections.abc import Sequence
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
from shared.config.no_effect import reject_unused
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ClustersError, ConfigError, DataError
from shared.runtime.home import Home
from shared.tasks.clustering.panels import MOST_INPUTS, cluster_map_panel, cluster_profile_panel, effect_sizes
from shared.tasks.task import learner_of, spec_of_run
from shared.tracking.store import Store


@pytest.fixture
def frame() -> pd.DataFrame:
    rng, size = np.random.default_rng(0), 150
    kind = rng.integers(0, 2, size)
    return pd.DataFrame(
        {
            "age": np.where(rng.random(size) < 0.1, np.nan, rng.normal(50, 6, size) + 40 * kind),
            "pain": rng.choice(["low", "much"], size),
            "ward": rng.normal(0, 1, size),
            "kind": np.array(["young", "old"])[kind],
        }
    )


@pytest.fixture
def table(frame: pd.DataFrame, tmp_path: Path) -> Path:
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def configured(table: Path, *overrides: str) -> Config:
    return compose(
        [
            *("task=clustering", f"data.path={table}", "data.target=kind", "task.clusters=2"),
            *("trainer.max_epochs=6", "trainer.progress=false", "trainer.accelerator=cpu", *overrides),
        ]
    )


def last(home: Home, run_id: int) -> Any:
    path = home.run_dir(run_id) / "checkpoints" / "last.ckpt"
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def test_a_run_finds_what_the_labels_say_and_its_model_takes_new_rows(
    table: Path, frame: pd.DataFrame, home: Home, store: Store
) -> None:
    run_id = train(configured(table), store=store, home=home)
    run = store.runs.get(run_id)
    assert run.summary["test"]["adjusted_rand"] > 0.9
    assert {panel["kind"] for panel in run.summary["panels"]} == {"cluster_profile", "cluster_map"}
    assert spec_of_run(run).names[0] == "inertia"
    told = fedtwin.predict(run_id, frame, store=home.root).frame()
    assert list(told.columns) == ["prediction", "cluster 0", "cluster 1"]
    assert np.array_equal(told["prediction"], told[["cluster 0", "cluster 1"]].to_numpy().argmin(axis=1))
    pairs = pd.crosstab(told["prediction"].to_numpy(), frame["kind"].to_numpy()).to_numpy()
    assert pairs.max(axis=1).sum() > 0.9 * len(frame)
    model = fedtwin.load_model(run_id, store=home.root)
    rows = torch.tensor([[50.0, 0.0, 0.0], [float("nan"), 1.0, 0.0]], dtype=torch.float64)
    assert model(rows).shape == (2, 2)
    outputs = Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE)
    assert outputs.predictions.dtype == np.float64
    assert outputs.predictions.shape[1] == 2 + 4  # to each centroid; two numbers and two levels


def test_a_resumed_training_is_one_without_a_break(table: Path, home: Home, store: Store) -> None:
    settings = ["task.clusters=6", "data.target=null"]
    whole = train(configured(table, *settings), store=store, home=home)
    half = train(configured(table, *settings, "trainer.max_epochs=2"), store=store, home=home)
    path = home.run_dir(half) / "checkpoints" / "last.ckpt"
    cfg = configured(table, *settings).model_copy(update={"resume": str(path)})
    resumed = train(cfg, store=store, home=home)
    for key, array in last(home, whole).items():
        assert torch.equal(array, last(home, resumed)[key]), key
    assert "adjusted_rand" not in store.runs.get(whole).summary["test"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=mlp"], "takes model=kmeans or gmm, got model.name=mlp"),
        (["data.drop_first_level=true"], "drop_first_level=true would put one level nearer"),
        (["data.positive=old"], "data.positive has no effect"),
        (["compare.local_only=true"], "distances are in other units"),
        (["trainer.gradient_clip=1"], "trainer.gradient_clip=1.0 has no effect on task=clustering"),
        (["trainer.class_weights=balanced"], "class_weights"),
        (["trainer.monitor=val/auroc"], "val/auroc"),
    ],
)
def test_settings_that_clusters_cannot_follow(
    overrides: Sequence[str], message: str, table: Path, home: Home, store: Store
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configured(table, *overrides), store=store, home=home)


def test_other_tasks_need_a_target(table: Path, home: Home) -> None:
    cfg = compose(["task=tabular_regression", f"data.path={table}", "data.target=null"])
    with pytest.raises(ConfigError, match=r"task=tabular_regression needs data\.target"):
        learner_of(cfg).dataset(cache=home.cache)
    with pytest.raises(ConfigError, match=r"data\.target_bins is of a target"):
        compose(["task=clustering", f"data.path={table}", "data.target_bins=[1]"])


@pytest.mark.parametrize("setting", ["trainer.optimizer.lr=1", "data.batch_size=8"])
def test_a_setting_without_an_effect_is_refused_where_it_is_typed(setting: str, table: Path) -> None:
    typed = [setting]
    with pytest.raises(ConfigError, match=r"has no effect with model\.name=kmeans"):
        reject_unused(typed, configured(table, *typed), command="fedtwin centralized")
    scaled = ["data.scaling=none"]
    reject_unused(scaled, configured(table, *scaled), command="fedtwin centralized")


@pytest.mark.parametrize(
    ("change", "overrides", "error", "message"),
    [
        (lambda own: own.assign(age=1.0, pain="low", ward=2.0), [], ClustersError, "there is only 1; set task"),
        (lambda own: own, ["data.missing=error"], DataError, "'age' is empty in"),
        (lambda own: own.assign(kind="old"), [], DataError, "at least two classes"),
        (lambda own: own.assign(kind=own.kind.where(own.index > 2)), [], DataError, "missing_target=drop"),
        (lambda own: own.assign(age=own.age * 1e200), ["data.scaling=none"], DataError, "beyond"),
    ],
    ids=["constant", "gaps", "one label", "labels missing", "huge"],
)
def test_rows_that_cannot_be_put_into_clusters(
    change: Any, overrides: list[str], error: type[Exception], message: str, frame: pd.DataFrame,
    table: Path, home: Home, store: Store,
) -> None:  # fmt: skip
    change(frame).to_csv(table, index=False)
    with pytest.raises(error, match=message):
        train(configured(table, *overrides), store=store, home=home)


def test_a_profile_is_of_standardised_differences() -> None:
    rows = np.array([[0.0, 5, 1], [2, 5, 1], [4, 5, 0], [6, 5, 0]])
    inside = np.array([True, True, False, False])
    effects = effect_sizes(rows, inside)
    assert effects[0] == pytest.approx(-4 / np.sqrt(4 / 2))
    assert effects[1] == 0.0
    assert np.isnan(effects[2])  # nothing varies within, and the means differ
    assert np.isnan(effect_sizes(rows, np.zeros(4, bool))).all()
    nearest = np.array([0, 0, 1, 1])
    panel = cluster_profile_panel(rows, nearest, names=["a", "b", "c"], clusters=3).data
    assert panel["sizes"] == [2, 2, 0]
    assert panel["inputs"][0] == "a"
    assert panel["effects"][2] == [None] * 3
    wide = np.random.default_rng(0).normal(size=(9, 30))
    panel = cluster_profile_panel(wide, np.arange(9) % 3, names=[*map(str, range(30))], clusters=3).data
    assert len(panel["inputs"]) == MOST_INPUTS < panel["num_inputs"] == 30


def test_a_map_is_the_plane_of_the_main_components() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(0, 5, 900), rng.normal(0, 1, 900), np.ones(900)], axis=1)
    data = cluster_map_panel(rows, (rows[:, 0] > 0).astype(np.intp), clusters=2).data
    assert len(data["x"]) == 500 < data["num_examples"] == 900
    assert data["explained"] == pytest.approx([25 / 26, 1 / 26], abs=0.01)
    assert abs(np.corrcoef(data["x"], data["cluster"])[0, 1]) > 0.7
    flat = cluster_map_panel(np.ones((4, 1)), np.zeros(4, np.intp), clusters=1).data
    assert flat["x"] == flat["y"] == [0.0] * 4
