"""Models that clients and server fit together by sums are those of pooled training, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

import fedtwin
from federated.client.app import app
from federated.messages.questions import unpacked_arrays
from federated.messages.records import ANSWER, array_of
from shared.config.compose import compose
from shared.config.config import Config
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError, QuorumError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from simulations.engine.process_pool import ProcessPoolGrid
from tests.federated.federation_kit import Federate, digest
from tests.federated.test_laws import ShuffledGrid, pooled_digest

AUTOENCODER = [
    *("model=autoencoder", "model.hidden=[8]", "model.code=1", "strategy=fedavg"),
    *(
        "trainer.optimizer.lr=0.05",
        "trainer.max_epochs=4",
        "federation.num_rounds=2",
        "federation.local_epochs=2",
    ),
]
CONVOLUTIONAL = [
    *AUTOENCODER[3:],  # but for the model
    *("model=conv_autoencoder", "model.window=6", "model.channels=[4]", "model.kernel=3"),
    *("data.columns.split=null", "data.split_by=time"),
]

SITES = ["north", "south", "east"]


def make_table(folder: Path) -> Path:
    """Three sensors of three machines, with gaps and a category; the last rows of each are anomalies."""
    rng, size = np.random.default_rng(0), 270
    place = np.arange(size) // 3
    anomaly = (place > 60) & (place < 80)
    level = rng.normal(size=size)
    frame = pd.DataFrame(
        {
            "flow": np.where(rng.random(size) < 0.05, np.nan, 5 + level + 4 * anomaly),
            "pressure": 2 - level + rng.normal(0, 0.2, size) + 3 * anomaly,
            "still": 7.0,
            "mode": rng.choice(["slow", "fast"], size),
            "machine": np.resize(SITES, size),
            "time": pd.Timestamp("2024-01-01") + pd.to_timedelta(place, unit="s"),
            "leak": np.where(anomaly, "yes", "no"),
            "split": np.where(place < 40, "train", np.where(place % 3, "test", "val")),
        }
    )
    path = folder / "sensors.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_table(tmp_path_factory.mktemp("sensors"))


@pytest.fixture
def configured(table: Path) -> Callable[..., Config]:
    def make(*overrides: str) -> Config:
        return compose(
            [
                *("task=anomaly", f"data.path={table}", "data.target=leak", "trainer.progress=false"),
                "data.columns={site: machine, time: time, series: machine}",
                *("partition=natural", "federation.num_clients=3", "trainer.accelerator=cpu", *overrides),
            ]
        )

    return make


@pytest.mark.parametrize("limits", ["common", "site"])
def test_federated_components_and_limits_are_the_pooled_ones(
    limits: str, configured: Callable[..., Config], federate: Federate, store: Store, home: Home
) -> None:
    cfg = configured(f"task.limits={limits}")
    pooled = pooled_digest(cfg, store=store, home=home)
    by_site = federate(cfg=cfg)
    own = {key: array for key, array in by_site.weights().items() if not key.startswith("strategy/")}
    assert digest(own) == pooled
    pooled_run = store.runs.search()[1]
    assert by_site.row.summary["test"] == pooled_run.summary["test"]
    for name in ("f1", "missed_alarm_rate", "loss"):  # from the clients' sums, of all together
        expected = {
            row.epoch: row.value
            for row in store.metrics.of_run(pooled_run.id)
            if (row.stage, row.name) == ("val", name)
        }
        assert by_site.values(name, stage="val") == pytest.approx(expected)
    assert by_site.row.summary["test"]["f1"] > 0.9
    outputs = Outputs.load(home.run_dir(by_site.id) / OUTPUTS_FILE)
    assert len(np.unique(outputs.predictions[:, 3])) == 3
    assert (np.diff(outputs.predictions[outputs.predictions[:, 3] == 0, 2]) > 0).all()


def test_neither_shares_nor_replies_nor_processes_change_components(
    configured: Callable[..., Config], federate: Federate
) -> None:
    cfg = configured()
    digests = {
        "in order": federate(cfg=cfg).digest(),
        "shuffled": federate(cfg=cfg, grid=ShuffledGrid(app, num_clients=3)).digest(),
        "other shares": federate(
            cfg=configured("partition=iid", "federation.num_clients=5"), grid=InProcessGrid(app, num_clients=5)
        ).digest(),
    }
    with ProcessPoolGrid(num_clients=3, workers=1) as grid:
        digests["another process"] = federate(cfg=cfg, grid=grid).digest()
    assert len(set(digests.values())) == 1, digests


def test_a_forest_of_one_client_is_the_pooled_one(
    configured: Callable[..., Config], federate: Federate, store: Store, home: Home
) -> None:
    settings = ["model=isolation_forest", "model.trees=10", "model.samples=32"]
    one = configured(*settings, "partition=iid", "federation.num_clients=1")
    assert federate(cfg=one).digest() == pooled_digest(one, store=store, home=home)
    of_three = federate(cfg=configured(*settings))
    assert of_three.row.summary["test"]["auroc"] > 0.8
    assert of_three.weights()["feature"].shape == (10, 63)


@pytest.mark.parametrize("model", [AUTOENCODER, CONVOLUTIONAL], ids=["rows", "windows"])
def test_one_client_trains_the_pooled_autoencoder_with_its_limit(
    model: list[str], configured: Callable[..., Config], federate: Federate, store: Store, home: Home
) -> None:
    one = configured(*model, "partition=iid", "federation.num_clients=1", "trainer.optimizer.momentum=0")
    assert federate(cfg=one).digest() == pooled_digest(one, store=store, home=home)
    three = configured(*model, "task.limits=site")
    by_site = federate(cfg=three)
    histogram = by_site.weights()["histogram"]
    assert float(histogram.sum()) == pytest.approx(1.0)
    assert by_site.row.summary["test"]["auroc"] > 0.6
    tested = Outputs.load(home.run_dir(by_site.id) / OUTPUTS_FILE).predictions
    frame = pd.read_csv(three.table.path)
    new = frame[frame["split"] == "test"] if three.table.columns.split else frame[-len(tested) :]
    told = fedtwin.predict(by_site.id, new, store=home.root).frame()
    np.testing.assert_allclose(told[["ratio", "score"]], tested[:, :2], rtol=1e-5)


def test_a_client_that_lies_is_named(configured: Callable[..., Config], federate: Federate) -> None:
    def lying(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if reply.has_content() and ANSWER in reply.content.array_records:
            arrays = unpacked_arrays(reply.content.array_records[ANSWER])
            if "products" in arrays and context.node_config["partition-id"] == 1:
                reply.content.array_records[ANSWER]["products"] = array_of(-arrays["products"])
        return reply

    grid = InProcessGrid(cast(ClientApp, lying), num_clients=3)
    with pytest.raises(QuorumError, match=r"2 of 3 clients answered[\s\S]*products of columns are not those"):
        federate(cfg=configured(), grid=grid)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strategy=fedavg"], "trained by strategy=sums"),
        (["federation.local_epochs=2"], "a round is one iteration"),
        (["model=autoencoder", "strategy=sums"], r"got\s+model\.name=autoencoder"),
    ],
)
def test_settings_that_sums_cannot_follow(
    overrides: list[str], message: str, configured: Callable[..., Config], federate: Federate
) -> None:
    with pytest.raises(ConfigError, match=message):
        federate(cfg=configured(*overrides))
