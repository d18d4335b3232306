"""A model and data of the user's own, trained in both ways: the laws hold, and its metrics are pooled."""

from __future__ import annotations

import threading
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from centralized.train import Subset, train
from shared.config.compose import compose
from shared.config.config import Config
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import ConfigError, DivergedError
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.engine.process_pool import ProcessPoolGrid
from simulations.report.history import cost
from tests.federated.federation_kit import OF_NETWORKS, Federate, digest
from tests.own_code import ROWS

SMALL = [
    "task=custom",
    "data._target_=tests.own_code.Data",
    "federation.num_clients=3",
    "federation.num_rounds=3",
    "federation.local_epochs=1",
    "trainer.max_epochs=3",
    "trainer.num_threads=1",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
]


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, "tests.own_code")


def config(*overrides: str, model: str = "Plain", metrics: str = "{loss: lower}") -> Config:
    """Settings of a small training of one of the users' modules."""
    small = SMALL if "data=digits" not in overrides else [one for one in SMALL if "data." not in one]
    return compose([*small, f"model._target_=tests.own_code.{model}", f"task.metrics={metrics}", *overrides])


def pooled(cfg: Config, *, store: Store, home: Home) -> tuple[int, str]:
    """The run, and SHA-256 of what the last epoch left."""
    run_id = train(cfg, store=store, home=home)
    path = home.run_dir(run_id) / "checkpoints" / "last.ckpt"
    return run_id, digest(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("Plain", ["trainer.optimizer.momentum=0"]),
        ("Plain", ["trainer.optimizer.momentum=0", "trainer.scheduler.name=cosine", "+model.dropout=0.3"]),
        ("Plain", ["trainer.optimizer.momentum=0", "+model.norm=true", "trainer.gradient_clip=0.5"]),
        ("Scheduled", ["+model.schedule=cosine", "+model.norm=true", "+model.dropout=0.2"]),
        ("Scheduled", ["+model.schedule=steps", "federation.local_epochs=2", "trainer.max_epochs=6"]),
        ("Counting", ["+model.schedule=steps", "federation.local_epochs=2", "trainer.max_epochs=6"]),
        ("Plain", ["trainer.optimizer.momentum=0", "+data.how=in order"]),
        ("Plain", ["trainer.optimizer.momentum=0", "+data.how=split"]),
        ("Plain", ["federation.keep_optimizer=true", "trainer.scheduler.name=cosine"]),
        ("Plain", ["federation.keep_optimizer=true", "trainer.optimizer.name=adamw", "+model.norm=true"]),
    ],
)
def test_one_client_with_all_data_equals_pooled_training(
    model: str, overrides: list[str], federate: Federate, home: Home, store: Store
) -> None:
    cfg = config(*overrides, "federation.num_clients=1", model=model)
    assert federate(cfg=cfg).digest() == pooled(cfg, store=store, home=home)[1]


@pytest.mark.parametrize("strategy", OF_NETWORKS)
def test_every_algorithm_trains_it_in_every_process_alike(strategy: str, federate: Federate) -> None:
    settings = [f"strategy={strategy}", "+model.norm=true", "+model.dropout=0.2", "partition=quantity"]
    cfg = config(*settings, "federation.num_rounds=2")
    alone = federate(cfg=cfg)
    with ProcessPoolGrid(num_clients=3, workers=2) as engine:
        assert federate(cfg=cfg, grid=engine).digest() == alone.digest()


@pytest.mark.parametrize(
    "metrics", ["{loss: lower}", "{loss: {better: lower, _target_: tests.own_code.squared}}"]
)
def test_a_federations_metrics_are_those_of_all_rows(metrics: str, federate: Federate, home: Home) -> None:
    run = federate(cfg=config("partition=quantity", model="Predicting", metrics=metrics))
    ours = run.values("loss", stage="val")
    for number in (1, 2, 3):
        rows = [row for client in range(3) for row in run.rows("loss", stage="val", client_id=client)]
        mine = [(row.value, row.num_examples) for row in rows if row.round == number]
        values, counts = np.array(mine, dtype=float).T
        assert counts.sum() == ROWS["val"]
        assert ours[number] == pytest.approx((values * counts).sum() / counts.sum(), rel=1e-6)
    outputs = Outputs.load(home.run_dir(run.id) / OUTPUTS_FILE)
    assert len(outputs) == ROWS["test"]
    assert run.row.summary["test"]["loss"] > 0
    assert run.row.summary["monitor"] == {"key": "val/loss", "mode": "min"}


def test_what_is_logged_is_the_same_as_what_a_function_computes(store: Store, home: Home) -> None:
    metrics = "{mse: {better: lower, _target_: tests.own_code.squared}, loss: lower}"
    run_id, _ = pooled(config(model="Predicting", metrics=metrics), store=store, home=home)
    test = store.runs.get(run_id).summary["test"]
    assert test["mse"] == pytest.approx(test["loss"], rel=1e-6)
    assert list(test) == ["mse", "loss"]


def test_metrics_logged_with_an_underscore_by_step_and_at_the_end_of_an_epoch(
    federate: Federate, store: Store, home: Home
) -> None:
    cfg = config(model="Underscored")
    run_id, _ = pooled(cfg, store=store, home=home)
    for run, client in ((run_id, None), (federate(cfg=cfg).id, 0)):
        rows = [row for row in store.metrics.of_run(run) if row.client_id == client]
        names = {(row.stage, row.name) for row in rows}
        assert {("train", "loss"), ("train", "late"), ("val", "loss")} <= names
        assert not {name for _, name in names if name.endswith(("_step", "_epoch"))}
        assert len([row for row in rows if row.name == "late"]) == 3  # each epoch, also the last
    assert store.runs.get(run_id).summary["test"].keys() == {"loss"}


def examples_by_step(store: Store, run_id: int) -> dict[int, int]:
    return {number: step.examples for number, step in store.series.steps(run_id).items()}


def test_rows_are_counted_whatever_a_module_logs(federate: Federate, store: Store, home: Home) -> None:
    cfg = config("+model.logs=mse", "federation.local_epochs=2", metrics="{mse: lower}")
    run_id, federated = pooled(cfg, store=store, home=home)[0], federate(cfg=cfg).id
    assert cost(store, run_id).examples == 3 * ROWS["train"]
    assert examples_by_step(store, run_id) == dict.fromkeys((1, 2, 3), ROWS["train"])
    assert cost(store, federated).examples == 3 * 2 * ROWS["train"]
    by_round = examples_by_step(store, federated)
    assert {step: by_round[step] for step in (1, 2, 3)} == dict.fromkeys((1, 2, 3), 2 * ROWS["train"])


def test_clients_of_a_function_hold_what_it_gives_them(federate: Federate) -> None:
    own = ["data._target_=tests.own_code.datasets", "partition=natural", "partition.column=client"]
    run = federate(cfg=config(*own, "+data.rows_each=30"))
    assert [client.num_examples for client in run.store.clients.of_run(run.id)] == [30, 31, 32]


def test_natural_partition_strata_and_groups_come_from_columns(federate: Federate) -> None:
    run = federate(cfg=config("partition=natural", "partition.column=site", "data.strata=kind"))
    clients = run.store.clients.of_run(run.id)
    assert [client.num_examples for client in clients] == [20, 20, 20]
    assert [client.profile["counts"] for client in clients] == [{"kind": {"even": 10, "odd": 10}}] * 3
    federate(cfg=config("partition=dirichlet", "data.strata=kind", "data.groups=patient"))


@pytest.mark.parametrize(
    ("overrides", "model", "metrics", "message"),
    [
        (["+model.schedule=two"], "Scheduled", "{loss: lower}", "configures 2 optimisers"),
        (["trainer.optimizer.lr=0.5"], "Scheduled", "{loss: lower}", "optimizer.lr=0.5 has no effect on"),
        (["trainer.class_weights=balanced"], "Plain", "{loss: lower}", "class_weights=balanced has no effect"),
        (["trainer.monitor=val/other"], "Plain", "{loss: lower}", "choose one of train/loss, val/loss"),
        (["+model.depth=3"], "Plain", "{loss: lower}", "unexpected keyword argument 'depth'"),
        ([], "Lacking", "{loss: lower}", "has no validation_step and no test_step"),
        ([], "Plain", "{dice: higher}", "logs no val/dice, which .* it logs loss"),
        ([], "Plain", "{r: {better: higher, _target_: tests.own_code.r2}}", "has no predict_step"),
        ([], "Silent", "{r: {better: higher, _target_: tests.own_code.r2}}", "two tensors, .* got a tensor"),
        ([], "Predicting", "{r: {better: higher, _target_: tests.own_code.wrong_shape}}", r"shape \(2, 2\)"),
        (["data=digits"], "Plain", "{loss: lower}", "needs data=custom and model=custom"),
        ([], "Plain", "{val/loss: lower}", "names without the stage"),
        (["data._target_=tests.own_code.datasets"], "Plain", "{loss: lower}", "set partition=natural"),
        ([], "Plain", "{loss: smaller}", "task.metrics.loss"),
        ([], "Plain", f"{{{'a' * 61}: lower}}", "of at most 60 letters"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_rejected_by_name(
    overrides: list[str], model: str, metrics: str, message: str, store: Store, home: Home
) -> None:
    monitor = (
        [] if "loss" in metrics else ["trainer.monitor=train/r" if "r:" in metrics else "trainer.mode=max"]
    )
    given = [*overrides, *(monitor if "trainer.monitor" not in " ".join(overrides) else [])]
    with pytest.raises(ConfigError, match=message):
        train(config(*given, model=model, metrics=metrics), store=store, home=home)


def test_without_validation_rows_the_last_model_is_tested(federate: Federate, store: Store, home: Home) -> None:
    cfg = config("+data.how=unvalidated")
    run_id, _ = pooled(cfg, store=store, home=home)
    assert store.runs.get(run_id).summary["test_epoch"] == 3
    run = federate(cfg=cfg)
    assert run.digest("best") == run.digest("last")


class Interrupt(Callback):
    """Ctrl-C in the middle of an epoch."""

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 2 and batch_idx == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("model", ["Plain", "Scheduled"])
def test_an_interrupted_training_resumes_to_the_same_weights(model: str, store: Store, home: Home) -> None:
    cfg = config("trainer.max_epochs=4", "+model.dropout=0.2", "+model.norm=true", model=model)
    whole = pooled(cfg, store=store, home=home)[1]
    with pytest.raises(KeyboardInterrupt):
        train(cfg, store=store, home=home, extra_callbacks=[Interrupt()])
    (stopped,) = (run for run in store.runs.search() if run.status == "stopped")
    train(cfg.replace("tracking", run_id=stopped.id), store=store, home=home, resume=True)
    path = home.run_dir(stopped.id) / "checkpoints" / "last.ckpt"
    assert digest(torch.load(path, map_location="cpu", weights_only=True)["state_dict"]) == whole


def test_clients_that_train_alone_and_a_federation_that_shares_a_pass(
    federate: Federate, store: Store, home: Home
) -> None:
    cfg = config("trainer.max_epochs=1")
    run_id = train(cfg, store=store, home=home, subset=Subset(1, np.arange(5, 30)))
    assert store.runs.get(run_id).training_mode == "local"
    parts = federate(cfg=config("federation.rounds_per_epoch=3"))
    for client in parts.store.clients.of_run(parts.id):
        seen = [row.num_examples for row in parts.rows("loss", stage="train", client_id=client.client_id)]
        assert sum(seen) == client.num_examples


def test_a_plateau_is_for_pooled_training_alone(federate: Federate, store: Store, home: Home) -> None:
    cfg = config("+model.schedule=plateau", model="Scheduled")
    parent, _ = pooled(cfg, store=store, home=home)
    with pytest.raises(ConfigError, match="ReduceLROnPlateau"):
        train(cfg.replace("tracking", parent_id=parent), store=store, home=home)
    with pytest.raises(Exception, match="ReduceLROnPlateau, which a client that fits a few epochs"):
        federate(cfg=cfg)


def test_workers_may_run_what_was_allowed_after_the_first_of_them_began(
    federate: Federate, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    threading.Thread(target=ended.wait).start()  # with a thread, workers come from a fork server
    monkeypatch.delenv(MAY_RUN)
    with ProcessPoolGrid(num_clients=1, workers=1):
        monkeypatch.setenv(MAY_RUN, "tests.own_code")
    cfg = config("federation.num_clients=2", "federation.num_rounds=1")
    try:
        with ProcessPoolGrid(num_clients=2, workers=1) as engine:
            assert federate(cfg=cfg, grid=engine).digest() == federate(cfg=cfg).digest()
    finally:
        ended.set()


def test_loaders_with_workers_give_the_weights_of_those_without(federate: Federate) -> None:
    settings = ["federation.num_rounds=1", "federation.num_clients=2"]
    with ProcessPoolGrid(num_clients=2, workers=2) as engine:
        several = federate(cfg=config(*settings, "+data.how=workers"), grid=engine)
        assert several.digest() == federate(cfg=config(*settings), grid=engine).digest()


def test_a_diverged_training_ends_by_name(store: Store, home: Home) -> None:
    with pytest.raises(DivergedError, match=r"(train|val)/loss is (nan|inf) in epoch 1"):
        train(config("+model.poison=1e38", "trainer.optimizer.lr=1"), store=store, home=home)


def test_what_a_stored_run_names_may_not_run_unasked(
    monkeypatch: pytest.MonkeyPatch, store: Store, home: Home
) -> None:
    cfg = config()
    monkeypatch.delenv(MAY_RUN)
    with pytest.raises(ConfigError, match=r"tests\.own_code\.Data may not run here"):
        train(cfg, store=store, home=home)
