"""A comparison, from finished runs to figures and report, with Flower's apps in one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from centralized.train import train
from federated.client.app import app
from federated.server.app import serve
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tasks.task import learner_of
from shared.tracking.store import Store
from simulations.compare import measure_gap, warnings
from simulations.engine.in_process import InProcessGrid
from simulations.report.build import Comparison, cost_rows, write_results
from simulations.report.history import client_values, cost, history, read_outputs
from simulations.report.tables import twin_table
from simulations.report.terminal import cost_table
from simulations.twins import Twins, for_seed

CLIENTS = 3


@pytest.fixture
def cfg(make_config: Callable[..., Config]) -> Config:
    return make_config(
        f"federation.num_clients={CLIENTS}",
        "federation.num_rounds=2",
        "federation.local_epochs=2",
        "partition=iid",
        "compare.resamples=200",
    )


@pytest.fixture
def twins(cfg: Config, store: Store, home: Home) -> Twins:
    own, _ = for_seed(
        cfg,
        seed=cfg.seed,
        parent_id=store.runs.create(name="parent", training_mode="compare", config={}, seed=cfg.seed),
        data=learner_of(cfg).dataset(cache=home.cache),
    )
    pooled = train(own, store=store, home=home)
    federated = serve(
        InProcessGrid(app, num_clients=CLIENTS), own, store=store, home=home, say=lambda line: None
    )
    return Twins(seeds=[cfg.seed], pooled=[pooled], federated=[federated])


def test_the_twins_see_the_same_number_of_examples(twins: Twins, store: Store) -> None:
    pooled, federated = (cost(store, runs[0]) for runs in (twins.pooled, twins.federated))
    assert pooled.examples == federated.examples == 97 * 4, "97 training rows, 2 rounds of 2 local epochs"
    assert federated.bytes_down > federated.bytes_up > 0 == pooled.bytes_up


def test_histories_count_examples_and_start_before_training(twins: Twins, store: Store) -> None:
    pooled = history(store, twins.pooled[0], stage="val", metric="loss")
    federated = history(store, twins.federated[0], stage="val", metric="loss")
    assert [examples for examples, _ in pooled] == [97, 194, 291, 388]
    assert [examples for examples, _ in federated] == [194, 388]
    on_test = history(store, twins.federated[0], stage="test", metric="loss")
    assert [examples for examples, _ in on_test] == [0, 194, 388]


def test_the_gap_is_that_of_the_stored_test_metrics(
    cfg: Config, twins: Twins, store: Store, home: Home
) -> None:
    rows = {row.metric: row for row in measure_gap(cfg, twins, home=home)}
    tests = [store.runs.get(runs[0]).summary["test"] for runs in (twins.pooled, twins.federated)]
    for metric, row in rows.items():
        assert row.pooled.value == pytest.approx(tests[0][metric], abs=1e-5), metric
        assert row.federated.value == pytest.approx(tests[1][metric], abs=1e-5), metric
        assert row.gap.value == pytest.approx(row.pooled.value - row.federated.value)
        assert row.gap.low <= row.gap.value <= row.gap.high or metric == "calibration_error"


def test_report_and_figures_are_written(cfg: Config, twins: Twins, store: Store, home: Home) -> None:
    rows = measure_gap(cfg, twins, home=home)
    done = Comparison(run_id=1, cfg=cfg, twins=twins, rows=rows, command="fedtwin compare partition=iid")
    folder = home.results / "compare_1"
    report = write_results(done, store=store, home=home, folder=folder)
    names = {path.name for path in folder.iterdir()}
    wanted = {"gap", "curve_loss", "curve_accuracy", "curve_auroc", "clients", "labels", "confusion", "roc"}
    assert names == {"report.html", *(f"{name}.png" for name in wanted)}
    text = report.read_text()
    assert "fedtwin compare partition=iid" in text
    assert text.count("<svg") == len(wanted)
    assert "<script" not in text
    assert {row.mode for row in cost_rows(twins, store=store)} == {"pooled", "federated"}
    assert cost_table(twins, store=store).row_count == 2


def test_clients_are_named_in_order(twins: Twins, store: Store) -> None:
    values = client_values(store, twins.federated[0], metric="accuracy")
    assert list(values) == [f"client-{index}" for index in range(CLIENTS)]
    assert all(0 <= value <= 1 for value in values.values())


def test_the_partition_moves_with_the_seed_unless_it_was_set_apart(
    cfg: Config, home: Home, store: Store
) -> None:
    data = learner_of(cfg).dataset(cache=home.cache)
    assert for_seed(cfg, seed=7, parent_id=1, data=data)[0].shares.seed == 7
    apart = cfg.replace("partition", seed=cfg.seed + 1)
    assert for_seed(apart, seed=7, parent_id=1, data=data)[0].shares.seed == cfg.seed + 1
    equal = cfg.replace("partition", seed=cfg.seed)  # set, though to the same number
    assert for_seed(equal, seed=7, parent_id=1, data=data)[0].shares.seed == cfg.seed
    assert for_seed(cfg, seed=7, parent_id=1, data=data)[0].trainer.max_epochs == 4


@pytest.mark.parametrize(
    ("settings", "epochs", "differ"),
    [
        # 2 of 3 clients (strategy.min_train=2) in each of 3 rounds of 2 passes: 3 x 2 x 2 x 97 / 3 = 4 x 97.
        ({"num_rounds": 3, "local_epochs": 2}, 4, False),
        # Less than one epoch: 1 x 2 x 97 / 3 = 65 of 97.
        ({"num_rounds": 1, "local_epochs": 1}, 1, True),
    ],
)
def test_the_server_samples_what_was_planned(
    cfg: Config,
    home: Home,
    store: Store,
    settings: dict[str, int],
    epochs: int,
    differ: bool,
) -> None:
    cfg = cfg.replace("federation", **settings).replace("strategy", fraction_train=0.1)
    data = learner_of(cfg).dataset(cache=home.cache)
    parent = store.runs.create(name="p", training_mode="compare", config={}, seed=cfg.seed)
    own, planned = for_seed(cfg, seed=cfg.seed, parent_id=parent, data=data)
    grid = InProcessGrid(app, num_clients=CLIENTS)
    federated = serve(grid, own, store=store, home=home, say=lambda line: None)
    pooled = train(own, store=store, home=home)
    assert planned.epochs == own.trainer.max_epochs == epochs
    assert planned.federated == cost(store, federated).examples
    assert planned.pooled == cost(store, pooled).examples == 97 * epochs
    found = warnings(Twins(seeds=[cfg.seed], pooled=[pooled], federated=[federated]), store=store)
    assert found == ([planned.problem] if differ else [])


def test_the_report_shows_how_each_twin_was_trained(twins: Twins, store: Store) -> None:
    pooled, federated = (store.runs.get(runs[0]) for runs in (twins.pooled, twins.federated))
    table = {name: values for name, *values in twin_table(pooled, federated, examples=(388, 388)).rows}
    assert table == {
        "length": ["4 epochs", "2 rounds of 2 local epochs"],
        "training examples seen": [388, 388],
        "learning rate schedule": ["none", "none"],
        "early stopping": ["off", "off"],
        "tested": [
            f"epoch {pooled.summary['test_epoch']} (highest val/auroc)",
            f"round {federated.summary['test_round']} (highest val/auroc)",
        ],
        "threshold": [0.5, 0.5],
    }


def test_predictions_are_probabilities_of_the_test_rows(twins: Twins, home: Home) -> None:
    for runs in (twins.pooled, twins.federated):
        outputs = read_outputs(home, runs[0])
        assert outputs.predictions.shape == (30, 2)
        assert outputs.predictions.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_results_files_hold_the_summary(twins: Twins, home: Home) -> None:
    for runs in (twins.pooled, twins.federated):
        path: Path = home.results / f"metrics_{runs[0]}.json"
        content = json.loads(path.read_text())
        assert content["run"]["status"] == "completed"
        assert content["metrics"]["test"]["accuracy"] is not None
        assert path.with_suffix(".csv").is_file()
