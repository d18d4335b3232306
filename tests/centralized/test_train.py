"""A centralized training from its configuration to its run row, its checkpoints and its test."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch

from centralized.fit import CHECKPOINTS
from centralized.train import Subset
from shared.data.images.datamodule import ImageDataModule
from shared.metrics.classification import ClassificationMetrics
from shared.runtime.errors import ConfigError, DivergedError
from shared.tasks.stage_outputs import predict
from tests.images import classifier, load_images

CPU = torch.device("cpu")
METRICS = set(ClassificationMetrics(2).names)
OF_CLASS_1 = {"precision", "recall", "f1", "average_precision"}
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


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


# --- the whole ----------------------------------------------------------------------------------------


def test_what_a_run_leaves(run, store, home, checkpoint):
    row = run("trainer.max_epochs=3")
    assert (row.status, row.training_mode, row.stop_reason) == ("completed", "centralized", None)
    counts = Counter((point.stage, point.epoch) for point in store.metrics.of_run(row.id))
    expected = {("val", epoch): len(METRICS) for epoch in (1, 2, 3)}
    expected |= {("train", epoch): len(METRICS) + 2 for epoch in (1, 2, 3)}  # and lr, seconds
    assert counts == expected | {("test", None): len(METRICS)}
    assert row.summary["classes"] == ["0", "1"]
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
    losses = [
        point.value for point in store.metrics.of_run(row.id) if (point.stage, point.name) == ("val", "loss")
    ]
    worst = 1 + losses.index(max(losses))
    assert row.summary["test_epoch"] == worst
    module = classifier(cfg, num_classes=2)
    module.load_state_dict(checkpoint(row, "best")["state_dict"])
    data = load_images(cfg.data, cache_dir=home.cache)
    scores = predict(module, ImageDataModule(data, cfg=cfg.data, seed=1), "test", device=CPU)
    assert row.summary["test"] == ClassificationMetrics(2).values(scores)
    last = run("trainer.max_epochs=3", "trainer.test_model=last")
    assert last.summary["test_epoch"] == 3


@pytest.mark.parametrize(("given", "name"), [([], "auroc"), (["trainer.monitor=val/recall"], "recall")])
def test_the_default_monitor_of_two_classes_is_the_auroc(run, store, given, name):
    row = run("trainer.max_epochs=3", *given)
    values = [
        point.value for point in store.metrics.of_run(row.id) if (point.stage, point.name) == ("val", name)
    ]
    assert row.summary["test_epoch"] == 1 + values.index(max(values))
    assert row.summary["monitor"] == {"key": f"val/{name}", "mode": "max"}


def test_a_threshold_from_the_validation_rows(run, make_config, home, checkpoint):
    cfg = make_config("trainer.threshold=val", "trainer.max_epochs=1")
    row = run(cfg=cfg)
    module = classifier(cfg, num_classes=2)
    module.load_state_dict(checkpoint(row, "best")["state_dict"])
    data = load_images(cfg.data, cache_dir=home.cache)
    scores = predict(module, ImageDataModule(data, cfg=cfg.data, seed=1), "val", device=CPU)
    judge = ClassificationMetrics(2)
    assert row.summary["threshold"] == judge.best_threshold(judge.statistics(scores))
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
    losses = [
        point.value for point in store.metrics.of_run(row.id) if (point.stage, point.name) == ("val", "loss")
    ]
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
    sizes = {point.stage: point.num_examples for point in store.metrics.of_run(row.id)}
    assert sizes == {"train": 40, "val": 10, "test": 30}
    other = run(subset=Subset(partition_id=1, indices=indices))
    assert other.summary["test"]["loss"] != row.summary["test"]["loss"]


@pytest.mark.parametrize("overrides", [(), ("trainer.threshold=val", "trainer.scheduler.name=plateau")])
def test_no_validation_rows(run, make_config, home, capsys, overrides):
    data = load_images(make_config().data, cache_dir=home.cache)
    row = run("trainer.max_epochs=3", *overrides, subset=Subset(partition_id=0, indices=data.indices("train")))
    assert (row.status, row.summary["test_epoch"], row.summary["threshold"]) == ("completed", 3, 0.5)
    assert ": no validation rows; the last epoch is used as the best" in capsys.readouterr().err
    assert any(
        "val/auroc, which was to choose the model, was never measured" in w for w in row.summary["warnings"]
    )


@pytest.mark.parametrize("label", [0, 1])
def test_validation_rows_of_one_class(run, make_config, home, store, label, assert_failed, capsys):
    data = load_images(make_config().data, cache_dir=home.cache)
    val = data.indices("val")
    indices = np.concatenate([data.indices("train"), val[data.targets[val] == label]])
    subset = Subset(partition_id=0, indices=indices)
    row = run("trainer.threshold=val", subset=subset)
    points = [point for point in store.metrics.of_run(row.id) if point.stage == "val"]
    assert {p.name for p in points} == METRICS - ({"auroc"} if label else {"auroc", *OF_CLASS_1})
    # The one rule: the task's own monitor gives way to the loss, and says so.
    losses = [point.value for point in points if point.name == "loss"]
    assert row.summary["monitor"] == {"key": "val/loss", "mode": "min"}
    assert row.summary["test_epoch"] == 1 + losses.index(min(losses))
    assert (
        f"warning: run {row.id} (local): val/auroc, which chooses the best model, is not defined (no val row "
        f"is of class {data.schema.classes[1 - label]}); val/loss chooses it instead"
    ) in capsys.readouterr().err
    with pytest.raises(ConfigError) as error:
        run("trainer.monitor=val/auroc", subset=subset)
    absent = data.schema.classes[1 - label]
    assert_failed(error, says=f"trainer.monitor=val/auroc is not defined: no val row is of class {absent}")


# --- early ends ---------------------------------------------------------------------------------------


def test_early_stopping_says_why(run):
    row = run(
        "trainer.max_epochs=20", "trainer.early_stopping.patience=2", "trainer.early_stopping.min_delta=0.9"
    )
    assert row.status == "completed"
    # The first value is always better than none, and no gain of 0.9 follows.
    assert row.stop_reason.startswith(
        "Monitored metric val/auroc did not improve in the last 2 records. Best score: "
    )
    assert "Signaling" not in row.stop_reason


def test_a_training_that_diverges_fails_its_run(run, store, assert_failed):
    with pytest.raises(DivergedError) as error:
        run("trainer.optimizer.lr=1e6")
    assert_failed(error, says="the training diverged; lower trainer.optimizer.lr")
    assert store.runs.search()[0].summary["classes"] == ["0", "1"]  # known from the start, for whoever watches


def test_an_unknown_monitor_fails_before_anything_is_trained(run, store, assert_failed):
    with pytest.raises(ConfigError) as error:
        run("trainer.monitor=val/foo")
    assert_failed(error, says="choose one of train/auroc, train/accuracy")
    assert store.metrics.of_run(store.runs.search()[0].id) == []


def test_a_threshold_for_many_classes(run, assert_failed):
    with pytest.raises(ConfigError) as error:
        run("data=digits", "trainer.threshold=val")
    assert_failed(error, says="trainer.threshold=val is for 2 classes, got 10")
