"""Going on from a checkpoint: to the last bit as if nothing had happened, or not at all."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from centralized.fit import CHECKPOINTS
from shared.runtime.errors import ConfigError, FedtwinError, TrackingError, WeightsError

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


class Pulled(Exception):
    """The plug."""


class Raise(Callback):
    """Ends a training at the start of its third epoch."""

    def __init__(self, error):
        self.error = error

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise self.error


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    "more", [(), ("trainer.ema_decay=0.8",), ("trainer.scheduler.name=plateau", "trainer.optimizer.name=adamw")]
)
def test_a_new_run_from_a_checkpoint_equals_one_that_was_not_interrupted(run, home, store, checkpoint, more):
    whole = run(*RANDOM, *more)

    with pytest.raises(Pulled):
        run(*RANDOM, *more, extra_callbacks=[Raise(Pulled)])
    broken = store.runs.search()[0]
    assert (broken.status, checkpoint(broken)["epoch"]) == ("failed", 1)
    last = home.run_dir(broken.id) / CHECKPOINTS / "last.ckpt"
    resumed = run(*RANDOM, *more, f"resume={last}")
    assert resumed.id != broken.id
    assert same(checkpoint(resumed)["state_dict"], checkpoint(whole)["state_dict"])
    assert resumed.summary["test"] == whole.summary["test"]
    assert {point.epoch for point in store.metrics.of_run(resumed.id) if point.stage == "train"} == {3, 4}


def test_the_same_run_goes_on(run, make_config, home, store, checkpoint):
    whole = run(*RANDOM)
    with pytest.raises(KeyboardInterrupt):
        run(*RANDOM, extra_callbacks=[Raise(KeyboardInterrupt)])
    stopped = store.runs.search()[0]
    assert (stopped.status, stopped.stop_reason) == ("stopped", "interrupted by the user")
    cfg = make_config(*RANDOM).replace("tracking", run_id=stopped.id)
    with pytest.raises(TrackingError, match="is stopped already"):
        run(cfg=cfg)
    resumed = run(cfg=cfg, resume=True)
    assert (resumed.id, resumed.status, resumed.stop_reason) == (stopped.id, "completed", None)
    assert same(checkpoint(resumed)["state_dict"], checkpoint(whole)["state_dict"])
    values = {
        run_id: {
            (p.stage, p.epoch, p.name): p.value for p in store.metrics.of_run(run_id) if p.name != "seconds"
        }
        for run_id in (whole.id, resumed.id)
    }
    assert values[whole.id] == values[resumed.id]
    # Only the test was missing: nothing is left to train, and the best model of before is still known.
    again = run(cfg=cfg, resume=True)
    assert again.summary["test"] == resumed.summary["test"]


def test_a_run_that_recall_began_is_resumed_with_recall(run, make_config, store):
    with pytest.raises(KeyboardInterrupt):
        run("trainer.max_epochs=3", "trainer.monitor=val/recall", extra_callbacks=[Raise(KeyboardInterrupt)])
    stopped = store.runs.search()[0]
    store.runs.update(stopped.id, summary={"monitor": None})  # version 0.1 did not store it
    row = run(cfg=make_config("trainer.max_epochs=3").replace("tracking", run_id=stopped.id), resume=True)
    recalls = [p.value for p in store.metrics.of_run(row.id) if (p.stage, p.name) == ("val", "recall")]
    assert row.summary["monitor"] == {"key": "val/recall", "mode": "max"}
    assert row.summary["test_epoch"] == 1 + recalls.index(max(recalls))


def test_a_run_without_a_checkpoint_begins_again(run, make_config, store):
    prepared = store.runs.create(name="x", training_mode="centralized", config={}, seed=42)
    store.runs.finish(prepared, "stopped")
    row = run(cfg=make_config().replace("tracking", run_id=prepared), resume=True)
    assert (row.id, row.status) == (prepared, "completed")


def test_more_patience_helps_a_run_that_had_none_left(run, home):
    base = ("trainer.early_stopping.min_delta=0.9", "trainer.max_epochs=9")
    first = run(*base, "trainer.early_stopping.patience=2")
    assert first.summary["test_epoch"] <= 3
    last = home.run_dir(first.id) / CHECKPOINTS / "last.ckpt"
    second = run(*base, "trainer.early_stopping.patience=4", f"resume={last}")
    assert "in the last 4 records" in second.stop_reason


def test_checkpoints_that_cannot_be_gone_on_with(run, home, tmp_path, assert_failed):
    first = run()
    last = home.run_dir(first.id) / CHECKPOINTS / "last.ckpt"
    with pytest.raises(ConfigError) as error:
        run(f"resume={last}")
    assert_failed(error, says="has completed 2 epochs; none left to train (trainer.max_epochs=2)")
    with pytest.raises(ConfigError) as error:
        run(f"resume={last}", "trainer.max_epochs=3", "trainer.optimizer.lr=0.7", "model.hidden=9", "seed=1")
    assert_failed(error, says="trainer.optimizer.lr: 0.01 in the checkpoint, 0.7 now")
    assert all(
        text in str(error.value)
        for text in (
            "seed: 42 in the checkpoint, 1 now",
            "network.hidden.bias: shape (8,) in the checkpoint, (9,) now",
        )
    )
    torch.save(torch.load(last, weights_only=True)["state_dict"], tmp_path / "weights.pt")
    with pytest.raises(ConfigError) as error:
        run(f"resume={tmp_path / 'weights.pt'}")
    assert_failed(error, says="is not a checkpoint of a pooled run")
    for path, says in (
        (tmp_path / "none.ckpt", "there is no file"),
        (home.root / "fedtwin.db", "cannot be read as weights"),
    ):
        with pytest.raises(WeightsError) as error:
            run(f"resume={path}")
        assert_failed(error, says=says)


ODD = [None, 7, -(10**30), math.nan, "x", [], [7], {}, {"x": 7}, {7: [{}]}, torch.zeros(3)]


@pytest.mark.attack
@pytest.mark.parametrize("key", ["every key", "within"])
def test_any_checkpoint_is_resumed_or_refused_by_an_error_of_ours(run, home, tmp_path, store, key):
    more = "trainer.max_epochs=3"
    last = home.run_dir(run().id) / CHECKPOINTS / "last.ckpt"
    good = torch.load(last, weights_only=True)
    cases = [
        (name, odd) for number, name in enumerate(good) for odd in (ODD[number % 11], ODD[(number + 4) % 11])
    ]
    if key == "within":
        cases = [
            ("optimizer_states", [{}]),
            ("optimizer_states", [{"state": {0: {"momentum_buffer": 7}}, "param_groups": [{"params": [0]}]}]),
            ("optimizer_states", good["optimizer_states"] * 2),
            ("loops", {"fit_loop": {"epoch_progress": 7}}),
            ("config", {"trainer": 7}),
            ("state_dict", dict.fromkeys(good["state_dict"], 7)),
            ("epoch", 10**12),
        ]
    for name, odd in cases:
        torch.save({**good, name: odd}, tmp_path / "odd.ckpt")
        try:
            run(f"resume={tmp_path / 'odd.ckpt'}", more)
        except FedtwinError as error:
            text = str(error)
        else:
            text = "resumed"
        assert "odd.ckpt" in text or text == "resumed", (name, odd, text)


@pytest.mark.attack
def test_a_checkpoint_of_expanded_tensors_is_refused_before_it_takes_memory(run, home, tmp_path):
    last = home.run_dir(run().id) / CHECKPOINTS / "last.ckpt"
    good = torch.load(last, weights_only=True)
    huge = torch.zeros(1).expand(10**12)
    state = {0: {"momentum_buffer": huge}}
    good["optimizer_states"] = [{**good["optimizer_states"][0], "state": state}]
    torch.save(good, tmp_path / "huge.ckpt")
    assert (tmp_path / "huge.ckpt").stat().st_size < 10**6
    with pytest.raises(WeightsError, match=r"declares tensors of 3999999999996 bytes more than they have"):
        run(f"resume={tmp_path / 'huge.ckpt'}", "trainer.max_epochs=3")


@pytest.mark.parametrize(
    "changed",
    [
        ("data.augment.hflip=0.5", "data.augment.hflip: 0.0 in the checkpoint, 0.5 now"),
        ("data.batch_size=16", "data.batch_size: "),
        ("data.standardize=image", "data.standardize: dataset in the checkpoint, image now"),
        ("trainer.label_smoothing=0.1", "trainer.label_smoothing: 0.0 in the checkpoint, 0.1 now"),
        ("trainer.class_weights=balanced", "trainer.class_weights: none in the checkpoint, balanced now"),
        ("trainer.gradient_clip=1", "trainer.gradient_clip: null in the checkpoint, 1.0 now"),
        ("trainer.ema_decay=0.9", "trainer.ema_decay: null in the checkpoint, 0.9 now"),
        ("trainer.optimizer.momentum=0.5", "trainer.optimizer.momentum: 0.9 in the checkpoint, 0.5 now"),
    ],
    ids=lambda changed: changed[0].partition("=")[0],
)
def test_other_settings_of_the_training_are_refused_with_both_values(run, home, changed):
    last = home.run_dir(run().id) / CHECKPOINTS / "last.ckpt"
    override, says = changed
    with pytest.raises(ConfigError, match=re.escape(says)):
        run(f"resume={last}", "trainer.max_epochs=3", override)


def test_other_rows_are_refused_and_the_same_ones_elsewhere_are_not(run, home, make_config, tmp_path):
    cfg = make_config()
    first = run(cfg=cfg)
    last = home.run_dir(first.id) / CHECKPOINTS / "last.ckpt"
    arrays = dict(np.load(cfg.data.path))
    moved = tmp_path / "moved.npz"
    np.savez(moved, **arrays)
    assert run(f"resume={last}", "trainer.max_epochs=3", f"data.path={moved}").status == "completed"

    arrays["test_images"][:5], arrays["train_images"][:5] = (
        arrays["train_images"][:5],
        arrays["test_images"][:5],
    )
    other = tmp_path / "other.npz"
    np.savez(other, **arrays)
    count = len(arrays["test_labels"])
    with pytest.raises(
        ConfigError, match=rf"the test rows: {count} \(key \w{{8}}\) in the checkpoint, {count} "
    ):
        run(f"resume={last}", "trainer.max_epochs=3", f"data.path={other}")


def test_another_split_is_refused_by_its_setting_and_its_rows(run, home):
    small = ("data=digits", "trainer.max_epochs=1", "data.eval_batch_size=2048")
    last = home.run_dir(run(*small).id) / CHECKPOINTS / "last.ckpt"
    with pytest.raises(ConfigError) as error:
        run(*small, f"resume={last}", "trainer.max_epochs=2", "data.split_seed=3")
    assert "data.split_seed: 0 in the checkpoint, 3 now" in str(error.value)
    assert all(f"the {side} rows: " in str(error.value) for side in ("train", "val", "test"))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_more_epochs_of_a_schedule_over_all_of_them_are_refused(run, home, schedule):
    own = f"trainer.scheduler.name={schedule}"
    last = home.run_dir(run(own).id) / CHECKPOINTS / "last.ckpt"
    with pytest.raises(ConfigError, match=rf"trainer.max_epochs: 2 in the checkpoint, 4 now, .*{schedule}"):
        run(own, f"resume={last}", "trainer.max_epochs=4")


@pytest.mark.parametrize("schedule", ["none", "plateau"])
def test_more_epochs_without_one_are_exact(run, home, checkpoint, schedule):
    own = (f"trainer.scheduler.name={schedule}", "trainer.scheduler.patience=0", "trainer.test_model=last")
    whole = run(*own, "trainer.max_epochs=4")
    last = home.run_dir(run(*own).id) / CHECKPOINTS / "last.ckpt"
    longer = run(*own, f"resume={last}", "trainer.max_epochs=4")
    assert same(checkpoint(longer)["state_dict"], checkpoint(whole)["state_dict"])


def test_a_checkpoint_from_before_rows_had_keys_is_resumed(run, home, tmp_path):
    last = torch.load(home.run_dir(run().id) / CHECKPOINTS / "last.ckpt", weights_only=True)
    del last["row_keys"]
    torch.save(last, tmp_path / "old.ckpt")
    assert run(f"resume={tmp_path / 'old.ckpt'}", "trainer.max_epochs=3").status == "completed"
