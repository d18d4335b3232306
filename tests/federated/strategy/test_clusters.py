"""Centroids that clients and server move together are those of pooled training, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from sklearn.cluster import KMeans

import fedtwin
from federated.client.app import app
from federated.client.egress import egress_filter
from federated.messages.questions import Asked, unpacked_arrays
from federated.messages.records import ANSWER, array_of
from shared.config.compose import compose
from shared.config.config import Config
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError, QuorumError
from shared.runtime.home import Home
from shared.tasks.base import FitContext
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from simulations.engine.process_pool import ProcessPoolGrid
from tests.federated.client.test_egress import SITE
from tests.federated.federation_kit import Federate, digest
from tests.federated.test_laws import Killed, ShuffledGrid, dies_at_line, pooled_digest

ROUNDS = 4


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers with gaps and ties, a category, four sites, and labels."""
    rng, size = np.random.default_rng(0), 240
    kind = rng.integers(0, 3, size)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(size) < 0.1, np.nan, (rng.normal(50, 6, size) + 12 * kind).round()),
            "pulse": rng.normal(70, 9, size).round(2) - 9 * (kind == 1),
            "pain": np.where(rng.random(size) < 0.1, None, rng.choice(["low", "some", "much"], size)),
            "site": rng.choice(["north", "south", "east", "west"], size, p=[0.45, 0.25, 0.2, 0.1]),
            "kind": np.array(["a", "b", "c"])[kind],
        }
    )
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def configured(table: Path) -> Callable[..., Config]:
    def make(*overrides: str) -> Config:
        return compose(
            [
                *("task=clustering", f"data.path={table}", "data.target=kind", "task.clusters=4"),
                *(f"federation.num_rounds={ROUNDS}", f"trainer.max_epochs={ROUNDS}", "trainer.progress=false"),
                *("trainer.accelerator=cpu", "partition=natural", "federation.num_clients=4", *overrides),
            ]
        )

    return make


@pytest.mark.parametrize("overrides", [[], ["data.missing=indicator", "data.scaling=none", "data.target=null"]])
def test_the_federated_centroids_are_the_pooled_ones_and_scikit_learns(
    overrides: list[str],
    configured: Callable[..., Config],
    federate: Federate,
    store: Store,
    home: Home,
) -> None:
    cfg = configured(*overrides)
    pooled = pooled_digest(cfg, store=store, home=home)
    by_site = federate(cfg=cfg)
    weights = by_site.weights()
    own = {key: array for key, array in weights.items() if not key.startswith("strategy/")}
    assert digest(own) == pooled
    pooled_run = store.runs.search()[1]
    assert by_site.row.summary["test"] == pooled_run.summary["test"]
    for name in ("inertia", "calinski_harabasz"):  # from the clients' sums, of all together
        expected = {
            row.epoch: row.value
            for row in store.metrics.of_run(pooled_run.id)
            if (row.stage, row.name) == ("val", name)
        }
        assert by_site.values(name, stage="val") == pytest.approx(expected, rel=1e-6)
    learner = learner_of(cfg)
    data = learner.dataset(cache=home.cache)
    agreed = learner.spec(data.schema).agree(
        {"all": learner.spec(data.schema).profile(data, data.indices("train"))}, trainer=cfg.trainer
    )
    rows = learner.datamodule(data, None, FitContext(agreed=agreed)).prepared("train")
    first = federate(cfg=configured(*overrides, "federation.num_rounds=1")).weights()["centroids"].numpy()
    fitted = KMeans(4, init=first, n_init=1, max_iter=ROUNDS - 1, tol=0, algorithm="lloyd").fit(rows)
    assert np.abs(weights["centroids"].numpy() - fitted.cluster_centers_).max() < 1e-9
    outputs = Outputs.load(home.run_dir(by_site.id) / OUTPUTS_FILE)
    test = fedtwin.predict(by_site.id, str(cfg.table.path), store=home.root)
    assert test.frame().shape == (240, 5)
    found = test.frame().to_numpy()[:, 1:].astype(np.float64)
    tested = outputs.predictions[:, :4]
    assert np.abs(tested[:, None] - found).max(axis=2).min(axis=1).max() < 1e-4  # each is among them


def test_neither_shares_nor_replies_nor_processes_move_a_centroid(
    configured: Callable[..., Config], federate: Federate
) -> None:
    cfg = configured()
    digests = {
        "in order": federate(cfg=cfg).digest(),
        "shuffled": federate(cfg=cfg, grid=ShuffledGrid(app, num_clients=4)).digest(),
        "other shares": federate(
            cfg=configured("partition=iid", "federation.num_clients=6"), grid=InProcessGrid(app, num_clients=6)
        ).digest(),
    }
    with ProcessPoolGrid(num_clients=4, workers=2) as grid:
        digests["processes"] = federate(cfg=cfg, grid=grid).digest()
    assert len(set(digests.values())) == 1, digests


def with_sums(sums: Callable[[Message, Context], Message]) -> ClientApp:
    """Our ClientApp with another way of answering questions."""
    other = ClientApp()

    @other.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    other.query("sums")(sums)

    @other.train()
    def train(message: Message, context: Context) -> Message:
        return app(message, context)

    @other.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    return other


def dies_at_question(number: int) -> ClientApp:
    asked: list[int] = []

    def sums(message: Message, context: Context) -> Message:
        from federated.client.work import _algorithm

        _algorithm.cache_clear()  # as a process that knows of no other message
        asked.append(1)
        if len(asked) == number:
            raise Killed
        return app(message, context)

    return with_sums(sums)


@pytest.mark.parametrize(
    "death",
    [
        {"client_app": dies_at_question(21)},
        {"client_app": dies_at_question(47)},
        {"say": dies_at_line("round 3/")},
    ],
    ids=["start", "asked", "kept"],
)
def test_a_resumed_run_ends_with_the_centroids_of_one_without_a_break(
    death: dict[str, Any], configured: Callable[..., Config], federate: Federate, store: Store
) -> None:
    cfg = configured()
    whole = federate(cfg=cfg)
    with pytest.raises(Killed):
        federate(cfg=cfg, **death)
    run_id = store.runs.search()[0].id
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), resume=True)
    assert resumed.digest() == whole.digest()
    assert resumed.row.summary["test"] == whole.row.summary["test"]
    assert [row.round for row in resumed.rounds] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda own: {**own, "sums": own["sums"][:, :1]}, "must be int64"),
        (lambda own: {**own, "sums": own["sums"] * np.nan}, "must be int64"),
        (lambda own: {**own, "counts": own["counts"] - 500}, "expected counts of rows"),
        (lambda own: {**own, "more": np.zeros(3)}, "more is not an array"),
    ],
    ids=["shape", "not a number", "negative", "more"],
)
def test_an_answer_that_cannot_be_is_refused_by_name(
    change: Callable[[dict[str, Any]], dict[str, Any]],
    reason: str,
    configured: Callable[..., Config],
    federate: Federate,
) -> None:
    def sums(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if Asked.from_message(message).kind == "sums":
            record = reply.content.array_records[ANSWER]
            values = change(unpacked_arrays(record))
            record.clear()
            for name, array in values.items():
                record[name] = array_of(np.asarray(array))
        return reply

    with pytest.raises(QuorumError, match=f"(?s)0 of 4 clients answered.*needs the sums of all.*{reason}"):
        federate(cfg=configured(), client_app=with_sums(sums))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strategy=fedavg"], "trained by strategy=clusters"),
        (["federation.local_epochs=2"], "a round is one iteration"),
        (["federation.rounds_per_epoch=2"], "a round is one iteration"),
        (["strategy.fraction_train=0.5"], "the sums of all clients"),
        (["model=mlp", "strategy=clusters"], r"got model\.name=mlp"),
    ],
)
def test_settings_that_clusters_cannot_follow(
    overrides: list[str], message: str, configured: Callable[..., Config], federate: Federate
) -> None:
    with pytest.raises(ConfigError, match=message):
        federate(cfg=configured(*overrides))


@pytest.mark.parametrize("allowed", [True, False])
def test_a_site_gives_its_leave_before_a_row_starts_a_cluster(
    allowed: bool, configured: Callable[..., Config], federate: Federate, tmp_path: Path
) -> None:
    guarded = ClientApp(mods=[egress_filter])
    seen: list[set[str]] = []
    guarded.query("sums")(lambda message, context: app(message, context))

    def sums(message: Message, context: Context) -> Message:
        lists = {"metrics": "[inertia]", "counts": "[num_examples, num_val]", "may_run": "[]"}
        text = SITE.format(path=tmp_path, **lists).replace(
            "may_leave:", f"may_leave:\n  rows: {str(allowed).lower()}"
        )
        (tmp_path / "site.yaml").write_text(text)
        context.node_config["site-file"] = str(tmp_path / "site.yaml")
        try:
            reply = guarded(message, context)
        finally:
            del context.node_config["site-file"]
        seen.append({*reply.content})
        return reply

    if allowed:
        assert federate(cfg=configured(), client_app=with_sums(sums)).row.status == "completed"
        assert all(names == {ANSWER} for names in seen)
        return
    with pytest.raises(QuorumError, match=r"lets no training row out.*may_leave\.rows"):
        federate(cfg=configured(), client_app=with_sums(sums))
