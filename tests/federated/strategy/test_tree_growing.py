"""Clients grow trees of other libraries: one alone as pooled training, several in their order, lies refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

import fedtwin
from centralized.train import Subset, train
from federated.client.app import app
from federated.client.egress import egress_filter
from federated.messages.questions import unpacked_arrays
from federated.messages.records import array_of
from shared.config.compose import compose
from shared.config.config import Config
from shared.data.partition.partition import partition
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid
from simulations.engine.process_pool import ProcessPoolGrid
from simulations.execute import execute
from tests.federated.client.test_egress import SITE
from tests.federated.federation_kit import Federate, digest
from tests.federated.strategy.tree_tables import of_table, write_table
from tests.federated.test_laws import Killed, ShuffledGrid, dies_at_line, pooled_digest

Make = Callable[..., Config]
Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "table.csv")


@pytest.fixture
def configured(table: Path) -> Make:
    def make(model: str, *overrides: str, target: str = "sick") -> Config:
        return compose(
            [
                *(*of_table(table, target), f"model={model}", "federation.num_rounds=3"),
                *("federation.local_epochs=1", "trainer.max_epochs=3", "federation.num_clients=3"),
                *("partition=natural", "trainer.progress=false", "trainer.accelerator=cpu", *overrides),
            ]
        )

    return make


@pytest.mark.parametrize(
    ("model", "target", "overrides"),
    [
        ("xgboost", "sick", ["trainer.class_weights=balanced", "model.subsample=0.7", "model.colsample=0.6"]),
        ("xgboost", "grade", ["strategy=cyclic"]),
        ("lightgbm", "grade", ["federation.num_rounds=1", "federation.local_epochs=3"]),
        ("lightgbm", "score", ["strategy=cyclic", "model.subsample=0.7"]),
        ("forest", "grade", ["federation.num_rounds=1", "federation.local_epochs=3"]),
    ],
)
def test_one_client_grows_the_trees_of_pooled_training(
    model: str,
    target: str,
    overrides: list[str],
    configured: Make,
    federate: Federate,
    store: Store,
    home: Home,
) -> None:
    one = ["partition=iid", "federation.num_clients=1", "trainer.test_model=last"]
    cfg = configured(model, *one, *overrides, target=target)
    pooled = pooled_digest(cfg, store=store, home=home)
    run = federate(cfg=cfg, grid=InProcessGrid(app, num_clients=1))
    assert digest(run.weights()) == pooled
    assert run.row.summary["test"] == store.runs.search()[1].summary["test"]
    outputs = Outputs.load(home.run_dir(run.id) / OUTPUTS_FILE)
    told = fedtwin.predict(run.id, str(cfg.table.path), store=home.root).frame()
    found = {tuple(np.round(row, 4)) for row in told.select_dtypes("float").to_numpy(dtype=float)}
    assert {tuple(np.round(row, 4)) for row in outputs.predictions.astype(float)} <= found


@pytest.mark.parametrize(
    ("model", "overrides"),
    [("xgboost", []), ("lightgbm", ["strategy=cyclic"])],
    ids=["bagging", "cyclic"],
)
def test_neither_who_is_fast_nor_processes_change_a_tree(
    model: str, overrides: list[str], configured: Make, federate: Federate
) -> None:
    cfg = configured(model, *overrides)
    straight = federate(cfg=cfg)
    assert straight.digest() == federate(cfg=cfg, grid=ShuffledGrid(app, num_clients=3)).digest()
    with ProcessPoolGrid(num_clients=3, workers=2) as grid:
        assert federate(cfg=cfg, grid=grid).digest() == straight.digest()
    expected = [[0], [1], [2]] if overrides else [[0, 1, 2]] * 3
    assert [row.replied for row in straight.rounds] == expected


def test_what_is_joined_is_what_the_clients_grew(configured: Make, federate: Federate) -> None:
    """Three clients' trees in one round: as they are, and by their shares of the rows."""
    cfg = configured("xgboost", "federation.num_rounds=1")
    mean, plain = (
        federate(cfg=cfg.replace("strategy", combine=combine)).weights() for combine in ("mean", "sum")
    )
    ends = np.cumsum(mean["nodes"].numpy())
    assert len(ends) == 3
    counts = np.array([info.num_examples for info in federate(cfg=cfg).store.clients.of_run(1)])
    for place, (end, own) in enumerate(zip(ends, mean["nodes"].tolist(), strict=True)):
        span, share = slice(end - own, end), counts[place] / counts.sum()
        assert np.array_equal(mean["value"][span], plain["value"][span].numpy() * share)
        assert np.array_equal(mean["threshold"][span], plain["threshold"][span])


def test_a_forest_on_lags_is_the_union_of_those_that_homes_grow_alone(
    tmp_path: Path, federate: Federate, store: Store, home: Home
) -> None:
    rng, hours = np.random.default_rng(0), pd.date_range("2024-03-01", periods=120, freq="h")
    sizes = {"north": 120, "south": 90}
    frames = [
        pd.DataFrame(
            {
                "when": hours[:size],
                "home": name,
                "load": 5 + rng.normal(size=size).cumsum(),
                "warmth": rng.normal(size=size),
            }
        )
        for name, size in sizes.items()
    ]
    pd.concat(frames).to_csv(tmp_path / "load.csv", index=False)
    cfg = compose(
        [
            *("task=forecasting", "model=forest", f"data.path={tmp_path / 'load.csv'}", "data.target=load"),
            *("data.columns={time: when, series: home}", "data.scaling=local", "task.window=8"),
            *("task.horizon=4", "task.season=4", "task.block=24", "partition=natural", "partition.column=home"),
            *("federation.num_clients=2", "federation.num_rounds=2", "federation.local_epochs=2"),
            *("trainer.max_epochs=4", "trainer.test_model=last", "trainer.progress=false"),
            *("trainer.accelerator=cpu", "trainer.early_stopping.enabled=false"),
        ]
    )
    united = federate(cfg=cfg, grid=InProcessGrid(app, num_clients=2))
    assert len(united.weights()["nodes"]) == 2 * 4
    data = learner_of(cfg).dataset(cache=home.cache)
    parts = partition(data, cfg=cfg.shares, num_partitions=2)
    alone = [
        train(cfg, store=store, home=home, subset=Subset(partition_id=place, indices=rows, name=str(place)))
        for place, rows in enumerate(parts)
    ]
    counts = np.array([len(data.rows("train", rows)) for rows in parts])
    assert counts[0] > counts[1]

    def tested(run_id: int) -> NDArray[Any]:
        return Outputs.load(home.run_dir(run_id) / OUTPUTS_FILE).predictions.astype(np.float64)

    expected = np.average([tested(run_id) for run_id in alone], axis=0, weights=counts)
    np.testing.assert_allclose(tested(united.id), expected, rtol=1e-5)


def test_a_resumed_run_grows_the_trees_of_one_without_a_break(
    configured: Make, federate: Federate, store: Store
) -> None:
    cfg = configured("xgboost", "model.colsample=0.6")
    whole = federate(cfg=cfg)
    with pytest.raises(Killed):
        federate(cfg=cfg, say=dies_at_line("round 2/"))
    run_id = store.runs.search()[0].id
    resumed = federate(cfg=cfg.replace("tracking", run_id=run_id), resume=True)
    assert resumed.digest() == whole.digest()


def lying(changes: Sequence[Change], *, client: int = 1) -> ClientApp:
    """Our ClientApp, of which one client sends other trees than it has grown, other ones in each round."""
    other, left = ClientApp(), list(changes)

    @other.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @other.query("sums")
    def sums(message: Message, context: Context) -> Message:
        return app(message, context)

    @other.train()
    def train(message: Message, context: Context) -> Message:
        reply = app(message, context)
        if context.node_config["partition-id"] == client:
            record = reply.content.array_records["trees"]
            values = left.pop(0)(unpacked_arrays(record))
            record.clear()
            for name, array in values.items():
                record[name] = array if isinstance(array, Array) else array_of(np.asarray(array))
        return reply

    @other.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    return other


def root(name: str, value: Any) -> Change:
    """The first value of an array, that of the root, is another."""

    def change(arrays: dict[str, Any]) -> dict[str, Any]:
        changed = arrays[name].copy()
        changed[0] = value
        return {**arrays, name: changed}

    return change


def twice(arrays: dict[str, Any]) -> dict[str, Any]:
    return {key: own if key == "start" else np.concatenate([own] * 2) for key, own in arrays.items()}


LIES: list[tuple[Change, str]] = [
    (root("left", 0), "children need higher numbers"),
    (root("right", 10**9), "a child is missing"),
    (root("feature", 99), "expected an input below"),
    (root("value", 1e200), "beyond 1e\\+100"),
    (root("threshold", np.nan), "NaN"),
    (root("nodes", 10**15), "entries of feature"),
    (lambda own: {**own, "value": own["value"].astype(np.float32)}, "must be float64"),
    (lambda own: {**own, "value": own["value"][None]}, "must be float64"),
    (
        lambda own: {**own, "value": Array("float64", (2**25 + 1,), "numpy.ndarray", b"")},
        "33,554,433 values, at most",
    ),
    (lambda own: {**own, "code": np.zeros(3)}, "code is not an array"),
    (lambda own: {**own, "nodes": own["nodes"][:0]}, "expected 0 entries of feature"),
    (twice, "expected the trees of 1 local epochs .* got those of 2"),
]


@pytest.mark.attack
def test_trees_that_cannot_be_are_refused_by_name_and_the_round_goes_on(
    configured: Make, federate: Federate
) -> None:
    cfg = configured("xgboost", f"federation.num_rounds={len(LIES)}", "model.max_depth=2")
    run = federate(cfg=cfg, client_app=lying([change for change, _ in LIES]))
    for row, (_, reason) in zip(run.rounds, LIES, strict=True):
        assert (row.replied, list(row.failed)) == ([0, 2], [1])
        assert re.search(f"(?s)rejected: .*{reason}", row.failed[1]), row.failed[1]
    assert len(run.weights()["nodes"]) == 2 * len(LIES)


@pytest.mark.parametrize(
    ("model", "overrides", "message"),
    [
        (
            "xgboost",
            ["strategy=fedavg"],
            "by strategy=bagging or cyclic; model=xgboost chooses bagging",
        ),
        ("forest", ["strategy=scaffold"], "by strategy=bagging; model=forest chooses bagging"),
        ("forest", ["strategy=cyclic"], "trees of a forest do not build on one another"),
        ("lightgbm", ["strategy=boosting"], "got model.name=lightgbm"),
        ("trees", ["strategy=bagging"], "joins trees .* got model.name=trees"),
        ("lightgbm", ["strategy=cyclic", "federation.num_rounds=2"], "not all of federation.num_clients=3"),
        ("lightgbm", ["strategy=cyclic", "federation.min_replies=2"], "could never be reached"),
        ("lightgbm", ["strategy=cyclic", "strategy.fraction_train=0.5"], "expected strategy.fraction_train=1"),
        ("xgboost", ["federation.rounds_per_epoch=3"], "take all rows of a client"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_before_anything_is_read(
    model: str, overrides: list[str], message: str, configured: Make, store: Store, home: Home
) -> None:
    cfg = configured(model, *overrides).replace("data", path="no.csv")
    for mode in ("federated", "compare"):
        with pytest.raises(ConfigError, match=f"(?s){message}"):
            execute(cfg, mode, store=store, home=home)  # type: ignore[arg-type]
    assert not store.runs.search()  # no failed run is left


def test_a_site_sends_trees_and_nothing_else(configured: Make, federate: Federate, tmp_path: Path) -> None:
    guarded, outer = ClientApp(mods=[egress_filter]), ClientApp()
    seen: list[set[str]] = []

    @guarded.train()
    def train(message: Message, context: Context) -> Message:
        reply = app(message, context)
        reply.content["secret"] = reply.content.array_records["trees"]
        return reply

    @outer.query()
    def query(message: Message, context: Context) -> Message:
        return app(message, context)

    @outer.query("sums")
    def sums(message: Message, context: Context) -> Message:
        return app(message, context)

    @outer.train()
    def filtered(message: Message, context: Context) -> Message:
        lists = {"metrics": "[loss]", "counts": "[num_examples, num_val]", "may_run": "[]"}
        (tmp_path / "site.yaml").write_text(SITE.format(path=tmp_path, **lists))
        context.node_config["site-file"] = str(tmp_path / "site.yaml")
        try:
            reply = guarded(message, context)
        finally:
            del context.node_config["site-file"]
        seen.append({*reply.content.array_records})
        return reply

    @outer.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return app(message, context)

    assert federate(cfg=configured("forest"), client_app=outer).row.status == "completed"
    assert all(names == {"trees"} for names in seen)
