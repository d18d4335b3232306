"""Anomaly detection behind the commands: the autoencoder and its limit, what is trained on, what is refused."""

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
from shared.config.no_effect import reject_unused
from shared.data.dataset import SIDES
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.model.autoencoder import BINS, Autoencoder
from shared.runtime.errors import ConfigError, DataError, FittingError
from shared.runtime.home import Home
from shared.tasks.anomaly.panels import MOST_BINS, scores_panel
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from tests.federated.strategy.test_sums import AUTOENCODER, make_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return make_table(tmp_path)


def configured(table: Path, *overrides: str) -> Config:
    return compose(
        [
            *("task=anomaly", f"data.path={table}", "data.target=leak", "trainer.progress=false"),
            "data.columns={site: machine, time: time, series: machine}",
            *("trainer.accelerator=cpu", "data.batch_size=20", *overrides),
        ]
    )


def test_an_autoencoder_keeps_its_limit_and_tells_anomalies(table: Path, home: Home, store: Store) -> None:
    cfg = configured(
        table, *AUTOENCODER, "trainer.max_epochs=40", "trainer.test_model=last", "task.quantile=0.95"
    )
    run_id = train(cfg, store=store, home=home)
    run = store.runs.get(run_id)
    assert run.summary["test"]["auroc"] > 0.9
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    frame = pd.read_csv(table)
    told = fedtwin.predict(run_id, frame[frame["split"] == "train"], store=home.root).frame()
    assert 0.9 <= (told["prediction"] == "normal").mean() <= 0.96  # the limit is at the end of a bin
    outputs = Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE)
    assert outputs.predictions.shape == (len(data.indices("test")), 4)
    (panel,) = run.summary["panels"]
    assert panel["kind"] == "anomaly_scores"
    assert len(panel["data"]["series"]) == 3
    told = {row.name for row in store.metrics.of_run(run_id) if row.stage == "val"}
    assert {"loss", "f1", "false_alarm_rate", "missed_alarm_rate", "auroc"} <= told


def test_a_limit_is_the_end_of_the_bin_that_holds_the_quantile() -> None:
    network = Autoencoder(width=3, hidden=[4], code=1, dropout=0.0)
    assert network.limit(0.99) is None
    errors = torch.from_numpy(np.exp(np.random.default_rng(0).normal(size=(1000, 1))))
    network.keep(errors)
    for quantile in (0.5, 0.9, 0.99, 1.0):
        exact = np.quantile(errors.numpy(), quantile, method="inverted_cdf")
        assert exact <= network.limit(quantile) <= exact * 2 ** (1 / 32)  # type: ignore[operator]
    network.keep(torch.tensor([[0.0], [1e30]]))
    assert network.histogram.nonzero().reshape(-1).tolist() == [0, BINS - 1]


def test_models_are_trained_on_normal_rows_alone(table: Path, home: Home) -> None:
    cfg = configured(table, "data.columns.split=null")
    data = learner_of(cfg).dataset(cache=home.cache)
    train_rows = data.indices("train")
    assert not data.targets[train_rows].any()
    assert data.targets[data.indices("test")].any()
    assert any("anomalies among the training rows, which no model sees" in note for note in data.notes)
    assert len(data) < 270
    assert len(data.columns["machine"]) == len(data.time.times) == len(data)  # type: ignore[union-attr]


def test_limits_by_site_are_quantiles_of_its_own_training_rows(table: Path, home: Home, store: Store) -> None:
    cfg = configured(table, "task.limits=site", "task.quantile=0.9", "task.margin=1.5", "data.scaling=local")
    run_id = train(cfg, store=store, home=home)
    learner: Any = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    datamodule = learner.datamodule(data, None, FitContext())
    module = learner.module(data.schema, FitContext())
    path = home.run_dir(run_id) / "checkpoints" / "last.ckpt"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state)
    trained, tested = module.results_of(datamodule, "train"), module.results_of(datamodule, "test")
    found = Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE).predictions[:, 0]
    machines = data.columns["machine"]
    for machine in np.unique(machines):
        own, here = machines[data.indices("train")] == machine, machines[data.indices("test")] == machine
        limits = 1.5 * np.quantile(trained[own], 0.9, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(found[here], (tested[here] / limits).max(axis=1))

    model = fedtwin.load_model(run_id, store=home.root)
    frame = pd.read_csv(table)
    told = fedtwin.predict(model, frame[frame["split"] == "test"]).frame()
    np.testing.assert_allclose(told["ratio"], found, rtol=1e-5)
    with pytest.raises(
        DataError, match=r"'west'[\s\S]*a row needs 'machine', one of east, north, south"
    ) as caught:
        fedtwin.predict(model, frame.replace({"machine": {"north": "west"}}))
    assert "task.limits=common" in str(caught.value)


def test_an_untested_run_has_no_limits_of_sites(table: Path, home: Home, store: Store) -> None:
    run_id = train(configured(table, "task.limits=site", "trainer.test=false"), store=store, home=home)
    with pytest.raises(ConfigError, match="stored when a run is tested"):
        fedtwin.load_model(run_id, store=home.root)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model=mlp"],
            r"isolation_forest, autoencoder or conv_autoencoder, got model\.name=mlp",
        ),
        (["model.components=9"], "components=9, and rows have 5 numbers"),
        (["trainer.gradient_clip=1"], r"gradient_clip=1\.0 has no effect on model=pca"),
        ([*AUTOENCODER, "trainer.ema_decay=0.9"], r"ema_decay=0\.9 has no effect on model=autoencoder"),
        (["trainer.class_weights=balanced"], "class_weights"),
        (["trainer.monitor=val/accuracy"], "val/accuracy"),
    ],
)
def test_settings_that_anomalies_cannot_follow(
    overrides: Sequence[str], message: str, table: Path, home: Home, store: Store
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configured(table, *overrides), store=store, home=home)


def test_a_setting_without_an_effect_is_refused_where_it_is_typed(table: Path) -> None:
    typed = ["trainer.optimizer.lr=1"]
    with pytest.raises(ConfigError, match=r"has no effect with model\.name=pca"):
        reject_unused(typed, configured(table, *typed), command="fedtwin centralized")


def _infinite(own: pd.DataFrame) -> pd.DataFrame:
    own.loc[3, "flow"] = np.inf
    return own


@pytest.mark.parametrize(
    ("change", "overrides", "error", "message"),
    [
        (lambda own: own.assign(leak="yes"), [], DataError, "are anomalies, and models of task=anomaly"),
        (_infinite, [], DataError, "'flow' is infinite"),
        (lambda own: own.assign(leak="maybe"), [], DataError, "says 'maybe', and what tells anomalies"),
        (lambda own: own, ["data.classes=[no,yes]"], DataError, r"data\.classes has no effect"),
        (
            lambda own: own.assign(leak=np.where(own["machine"] == "east", "yes", own["leak"])),
            ["task.limits=site"],
            DataError,
            "no training row of site 'east' is normal",
        ),
        (
            lambda own: own,
            ["task.limits=site", "data.columns.site=null"],
            DataError,
            "needs the site of each row",
        ),
        (
            lambda own: own[["still", "leak", "split", "machine", "time"]],
            [],
            FittingError,
            "every input is the same in all normal training rows",
        ),
    ],
    ids=["no normal rows", "infinite", "words", "classes", "site", "no sites", "constant sensors"],
)
def test_rows_that_say_nothing_of_what_is_normal(
    change: Callable[[pd.DataFrame], pd.DataFrame], overrides: list[str], error: type[Exception], message: str,
    table: Path, home: Home, store: Store,
) -> None:  # fmt: skip
    change(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(error, match=message):
        train(configured(table, *overrides), store=store, home=home)


def test_a_site_without_anomalies_and_the_words_for_them(table: Path, home: Home, store: Store) -> None:
    frame = pd.read_csv(table)
    frame.assign(leak=np.where(frame["leak"] == "yes", 1.0, 0.0)).to_csv(table, index=False)
    cfg = configured(table)
    numbers = learner_of(cfg).dataset(cache=home.cache).targets
    frame.assign(leak=np.where(frame["leak"] == "yes", "burst", "calm")).to_csv(table, index=False)
    words = learner_of(configured(table, "data.positive=burst")).dataset(cache=home.cache).targets
    np.testing.assert_array_equal(numbers, words)
    typo = learner_of(configured(table, "data.positive=bust")).dataset(cache=home.cache)
    assert any("no row says 'bust' (data.positive)" in note for note in typo.notes)
    frame.assign(leak="no").to_csv(table, index=False)
    run = store.runs.get(train(cfg, store=store, home=home))
    assert set(run.summary["test"]) == {"false_alarm_rate", "loss"}


def test_limits_of_sites_need_their_training_rows(table: Path, home: Home) -> None:
    cfg = configured(table, "task.limits=site")
    learner: Any = learner_of(cfg)
    frame = pd.read_csv(table)
    alone = configured(make_table(table.parent), "task.limits=site")
    frame[frame["split"] == "test"].to_csv(table, index=False)
    with pytest.raises(DataError, match="a deployment's server has none"):
        learner_of(alone).dataset(cache=home.cache, sides=("test",))
    frame.to_csv(table, index=False)
    own = learner.dataset(cache=home.cache, sides=[side for side in SIDES if side != "test"])
    assert len(own) > 0
    data = learner.dataset(cache=home.cache)
    north = np.flatnonzero((data.columns["machine"] == "north") == (data.splits == "train"))
    datamodule = learner.datamodule(data, north, FitContext())
    with pytest.raises(DataError, match="a client holds rows of site 'east', 'south' and none of its training"):
        datamodule.sites("val")


def test_a_panel_has_one_bin_for_consecutive_rows_of_one_series() -> None:
    size = 3 * MOST_BINS
    ratios, time = np.full(size, 0.5), np.arange(size)[::-1]
    ratios[[0, 10]] = 3.0, 0.0
    series = (np.arange(size) < 100).astype(float)
    targets = np.zeros(size)
    targets[0] = 1
    outputs = Outputs(np.stack([ratios, ratios, time, series], axis=1), targets)
    data = scores_panel(outputs).data
    assert data["series"] == [0, size - 100]
    assert len(data["row"]) == len(data["ratio"]) <= MOST_BINS + 2
    assert (data["ratio"][-1], data["anomaly"][-1], data["alarm"][-1]) == (3.0, 1, 1)  # the latest of series 1
    assert data["timed"] is True
    plain = scores_panel(Outputs(np.array([[0.0, 1.0]]), np.zeros(1))).data
    assert (plain["ratio"], plain["timed"], plain["num_examples"]) == ([1e-3], False, 1)
