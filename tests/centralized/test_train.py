"""A centralized training from its configuration to its run row, its checkpoints and its test."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch

from centralized.fit import CHECKPOINTS
from centralized.train import Subset, train
from shared.data.datamodule import ImageDataModule
from shared.data.images import load_images
from shared.errors import ConfigError, DivergedError, TrackingError, WeightsError
from shared.model.classifier import LitClassifier
from shared.model.scores import best_threshold, build_metrics, predict, score, threshold_counts

CPU = torch.device("cpu")
METRICS = {"loss", *build_metrics(2)}
RANDOM = (
    "model.dropout=0.3",
    "model.norm=batch",
    "data.augment.rotate=10",
    "trainer.scheduler.name=cosine",
    "trainer.optimizer.lr=0.02",
    "trainer.max_epochs=4",
    "trainer.early_stopping.enabled=false",
    "trainer.test_model=last",
)


@pytest.fixture
def run(make_config, home, store):
    """Train, and give the run row and the checkpoint of a name."""

    def start(*overrides, cfg=None, **more):
        run_id = train(cfg or make_config(*overrides), store=store, home=home, **more)
        return store.run(run_id)

    return start


@pytest.fixture
def checkpoint(home):
    def load(run, name="last"):
        return torch.load(home.run_dir(run.id) / CHECKPOINTS / f"{name}.ckpt", weights_only=True)

    return load


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def failed(store, error, *, says):
    assert says in str(error.value)
    run = store.runs()[0]
    assert (run.status, run.error) == ("failed", f"{type(error.value).__name__}: {error.value}")


# --- the whole ----------------------------------------------------------------------------------------


def test_what_a_run_leaves(run, store, home, checkpoint):
    row = run("trainer.max_epochs=3")
    assert (row.status, row.training_mode, row.stop_reason) == ("completed", "centralized", None)
    counts = Counter((point.stage, point.epoch) for point in store.metrics(row.id))
    expected = {("val", epoch): len(METRICS) for epoch in (1, 2, 3)}
    expected |= {("train", epoch): len(METRICS) + 2 for epoch in (1, 2, 3)}  # and lr, seconds
    assert counts == expected | {("test", None): len(METRICS)}
    assert row.summary["test"].keys() == METRICS
    assert np.sum(row.summary["confusion"]) == 30
    folder = home.run_dir(row.id)
    assert sorted(path.name for path in (folder / CHECKPOINTS).iterdir()) == ["best.ckpt", "last.ckpt"]
    assert checkpoint(row)["epoch"] == 2
    with np.load(folder / "test_predictions.npz") as kept:
        assert kept["probabilities"].shape == (30, 2)
    results = json.loads((home.results / f"metrics_{row.id}.json").read_text())
    assert results["run"]["id"] == row.id
    assert (home.results / f"metrics_{row.id}.csv").is_file()


def test_the_test_is_of_the_chosen_checkpoint(run, make_config, store, home, checkpoint):
    cfg = make_config(
        "trainer.max_epochs=3", "trainer.monitor=val/loss", "trainer.mode=max"
    )  # the worst is "best"
    row = run(cfg=cfg)
    losses = [point.value for point in store.metrics(row.id) if (point.stage, point.name) == ("val", "loss")]
    worst = 1 + losses.index(max(losses))
    assert row.summary["test_epoch"] == worst
    module = LitClassifier(cfg, num_classes=2)
    module.load_state_dict(checkpoint(row, "best")["state_dict"])
    data = load_images(cfg.data, cache_dir=home.cache)
    scores = predict(module.network, ImageDataModule(data, cfg=cfg.data, seed=1), "test", device=CPU)
    assert row.summary["test"] == score(scores)
    last = run("trainer.max_epochs=3", "trainer.test_model=last")
    assert last.summary["test_epoch"] == 3


def test_the_default_monitor_of_two_classes_is_recall(run, store):
    row = run("trainer.max_epochs=3")
    recalls = [point.value for point in store.metrics(row.id) if (point.stage, point.name) == ("val", "recall")]
    assert row.summary["test_epoch"] == 1 + recalls.index(max(recalls))


def test_a_threshold_from_the_validation_rows(run, make_config, home, checkpoint):
    cfg = make_config("trainer.threshold=val", "trainer.max_epochs=1")
    row = run(cfg=cfg)
    module = LitClassifier(cfg, num_classes=2)
    module.load_state_dict(checkpoint(row, "best")["state_dict"])
    data = load_images(cfg.data, cache_dir=home.cache)
    scores = predict(module.network, ImageDataModule(data, cfg=cfg.data, seed=1), "val", device=CPU)
    assert row.summary["threshold"] == best_threshold(threshold_counts(scores))
    assert run("trainer.threshold=0.3", "trainer.max_epochs=1").summary["threshold"] == 0.3


def test_many_classes_in_colour(run):
    row = run(
        "data=digits",
        "data.channels=3",
        "data.batch_size=256",
        "trainer.max_epochs=1",
        "trainer.monitor=train/loss",
    )
    assert np.shape(row.summary["confusion"]) == (10, 10)
    assert row.summary["test_epoch"] == 1


def test_the_same_seed_gives_the_same_run(run, checkpoint):
    first, again, other = run(*RANDOM), run(*RANDOM), run(*RANDOM, "seed=7")
    assert same(checkpoint(first)["state_dict"], checkpoint(again)["state_dict"])
    assert first.summary["test"] == again.summary["test"]
    assert not same(checkpoint(first)["state_dict"], checkpoint(other)["state_dict"])


def test_an_average_of_the_weights(run, checkpoint, store):
    row = run("trainer.ema_decay=0.9", "model.norm=batch")
    state = checkpoint(row)
    assert not same(state["state_dict"], state["current_model_state"])
    losses = [point.value for point in store.metrics(row.id) if (point.stage, point.name) == ("val", "loss")]
    assert all(map(math.isfinite, losses))


def test_mixed_precision_on_the_cpu(run):
    assert run("trainer.precision=bf16-mixed", "trainer.max_epochs=1").status == "completed"
    assert run("trainer.precision=bf16-true", "trainer.max_epochs=1").status == "completed"


def test_a_plateau(run):
    assert run("trainer.scheduler.name=plateau").status == "completed"


# --- a subset -----------------------------------------------------------------------------------------


def test_a_client_alone(run, store, make_config, home):
    data = load_images(make_config().data, cache_dir=home.cache)
    indices = np.concatenate([data.indices("train")[:40], data.indices("val")[:10]])
    row = run(subset=Subset(partition_id=2, indices=indices))
    assert row.training_mode == "local"
    sizes = {point.stage: point.num_examples for point in store.metrics(row.id)}
    assert sizes == {"train": 40, "val": 10, "test": 30}
    other = run(subset=Subset(partition_id=1, indices=indices))
    assert other.summary["test"]["loss"] != row.summary["test"]["loss"]


@pytest.mark.parametrize("overrides", [(), ("trainer.threshold=val", "trainer.scheduler.name=plateau")])
def test_no_validation_rows(run, make_config, home, capsys, overrides):
    data = load_images(make_config().data, cache_dir=home.cache)
    row = run("trainer.max_epochs=3", *overrides, subset=Subset(partition_id=0, indices=data.indices("train")))
    assert (row.status, row.summary["test_epoch"], row.summary["threshold"]) == ("completed", 3, 0.5)
    assert (
        "warning: there are no validation rows, so the last epoch counts as the best" in capsys.readouterr().err
    )


@pytest.mark.parametrize("label", [0, 1])
def test_validation_rows_of_one_class(run, make_config, home, store, label):
    data = load_images(make_config().data, cache_dir=home.cache)
    val = data.indices("val")
    indices = np.concatenate([data.indices("train"), val[data.labels[val] == label]])
    subset = Subset(partition_id=0, indices=indices)
    row = run("trainer.threshold=val", subset=subset)
    names = {point.name for point in store.metrics(row.id) if point.stage == "val"}
    assert names == METRICS - {"auroc", "average_precision"}
    with pytest.raises(ConfigError) as error:
        run("trainer.monitor=val/auroc", subset=subset)
    failed(
        store,
        error,
        says=f"trainer.monitor=val/auroc is not defined: no val row is of class {data.classes[1 - label]}",
    )


# --- early ends ---------------------------------------------------------------------------------------


def test_early_stopping_says_why(run):
    row = run(
        "trainer.max_epochs=20", "trainer.early_stopping.patience=2", "trainer.early_stopping.min_delta=0.9"
    )
    assert row.status == "completed"
    # The first value is always better than none, and no gain of 0.9 follows.
    assert row.stop_reason.startswith(
        "Monitored metric val/recall did not improve in the last 2 records. Best score: "
    )
    assert "Signaling" not in row.stop_reason


def test_a_training_that_diverges_fails_its_run(run, store):
    with pytest.raises(DivergedError) as error:
        run("trainer.optimizer.lr=1e6")
    failed(store, error, says="the training diverged; lower trainer.optimizer.lr")


def test_an_unknown_monitor_fails_before_anything_is_trained(run, store):
    with pytest.raises(ConfigError) as error:
        run("trainer.monitor=val/foo")
    failed(store, error, says="choose one of train/loss, train/accuracy")
    assert store.metrics(store.runs()[0].id) == []


def test_a_threshold_for_many_classes(run, store):
    with pytest.raises(ConfigError) as error:
        run("data=digits", "trainer.threshold=val")
    failed(store, error, says="trainer.threshold=val is for 2 classes, got 10")


# --- going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [(), ("trainer.ema_decay=0.8",), ("trainer.scheduler.name=plateau", "trainer.optimizer.name=adamw")]
)
def test_a_new_run_from_a_checkpoint_equals_one_that_was_not_interrupted(run, home, store, checkpoint, more):
    whole = run(*RANDOM, *more)

    class Pulled(Exception):
        pass

    from lightning.pytorch.callbacks import Callback

    class PullThePlug(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                raise Pulled

    with pytest.raises(Pulled):
        run(*RANDOM, *more, extra_callbacks=[PullThePlug()])
    broken = store.runs()[0]
    assert (broken.status, checkpoint(broken)["epoch"]) == ("failed", 1)
    last = home.run_dir(broken.id) / CHECKPOINTS / "last.ckpt"
    resumed = run(*RANDOM, *more, f"resume={last}")
    assert resumed.id != broken.id
    assert same(checkpoint(resumed)["state_dict"], checkpoint(whole)["state_dict"])
    assert resumed.summary["test"] == whole.summary["test"]
    assert {point.epoch for point in store.metrics(resumed.id) if point.stage == "train"} == {3, 4}


def test_the_same_run_goes_on(run, make_config, home, store, checkpoint):
    from lightning.pytorch.callbacks import Callback

    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                raise KeyboardInterrupt

    whole = run(*RANDOM)
    with pytest.raises(KeyboardInterrupt):
        run(*RANDOM, extra_callbacks=[Interrupt()])
    stopped = store.runs()[0]
    assert (stopped.status, stopped.stop_reason) == ("stopped", "interrupted by the user")
    cfg = make_config(*RANDOM).replace("tracking", run_id=stopped.id)
    with pytest.raises(TrackingError, match="is stopped already"):
        run(cfg=cfg)
    resumed = run(cfg=cfg, resume=True)
    assert (resumed.id, resumed.status, resumed.stop_reason) == (stopped.id, "completed", None)
    assert same(checkpoint(resumed)["state_dict"], checkpoint(whole)["state_dict"])
    values = {
        run_id: {(p.stage, p.epoch, p.name): p.value for p in store.metrics(run_id) if p.name != "seconds"}
        for run_id in (whole.id, resumed.id)
    }
    assert values[whole.id] == values[resumed.id]
    # Only the test was missing: nothing is left to train, and the best model of before is still known.
    again = run(cfg=cfg, resume=True)
    assert again.summary["test"] == resumed.summary["test"]


def test_a_run_without_a_checkpoint_begins_again(run, make_config, store):
    prepared = store.create_run(name="x", training_mode="centralized", config={}, seed=42)
    store.finish_run(prepared, "stopped")
    row = run(cfg=make_config().replace("tracking", run_id=prepared), resume=True)
    assert (row.id, row.status) == (prepared, "completed")


def test_more_patience_helps_a_run_that_had_none_left(run, home):
    base = ("trainer.early_stopping.min_delta=0.9", "trainer.max_epochs=9")
    first = run(*base, "trainer.early_stopping.patience=2")
    assert first.summary["test_epoch"] <= 3
    last = home.run_dir(first.id) / CHECKPOINTS / "last.ckpt"
    second = run(*base, "trainer.early_stopping.patience=4", f"resume={last}")
    assert "in the last 4 records" in second.stop_reason


def test_checkpoints_that_cannot_be_gone_on_with(run, home, store, tmp_path):
    first = run()
    last = home.run_dir(first.id) / CHECKPOINTS / "last.ckpt"
    with pytest.raises(ConfigError) as error:
        run(f"resume={last}")
    failed(store, error, says="has 2 epochs behind it, trainer.max_epochs=2 leaves none to go")
    with pytest.raises(ConfigError) as error:
        run(f"resume={last}", "trainer.max_epochs=3", "trainer.optimizer.lr=0.7", "model.hidden=9", "seed=1")
    failed(store, error, says="trainer.optimizer.lr: 0.01 there, 0.7 now")
    assert all(
        text in str(error.value)
        for text in ("seed: 42 there, 1 now", "network.hidden.bias: shape (8,) there, (9,) now")
    )
    torch.save(torch.load(last, weights_only=True)["state_dict"], tmp_path / "weights.pt")
    with pytest.raises(ConfigError) as error:
        run(f"resume={tmp_path / 'weights.pt'}")
    failed(store, error, says="is not a checkpoint of a centralized run")
    for path, says in (
        (tmp_path / "none.ckpt", "there is no file"),
        (home.root / "fedtwin.db", "cannot be read as weights"),
    ):
        with pytest.raises(WeightsError) as error:
            run(f"resume={path}")
        failed(store, error, says=says)
