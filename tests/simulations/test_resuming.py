"""`resume`: a run goes on with what it was begun with, as if never interrupted, or it is refused."""

from __future__ import annotations

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback

from federated.server.rounds import Rounds
from shared.runtime.errors import ConfigError, TrackingError
from simulations import compare, twins
from simulations.execute import execute
from simulations.resuming import resume
from tests.federated.federation_kit import Run

SMALL = (
    "partition=iid",
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "federation.workers=1",
    "compare.resamples=100",
    "trainer.test_model=last",
)


@pytest.fixture
def cfg(make_config):
    return make_config(*SMALL)


class Killed(BaseException):
    """Ends a run at once, as nothing that is caught on the way."""


class DiesInEpoch2(Callback):
    """Ends a training."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise Killed


@pytest.mark.parametrize("mode", ["centralized", "federated"])
def test_a_run_is_resumed_to_the_same_end(mode, cfg, store, home):
    run_id = execute(cfg, mode, store=store, home=home)
    test = store.runs.get(run_id).summary["test"]
    store.runs.claim(run_id, resume=True)
    store.runs.finish(run_id, "stopped")
    assert resume(run_id, store=store, home=home) == run_id
    run = store.runs.get(run_id)
    assert (run.status, run.summary["test"]) == ("completed", test)


@pytest.mark.parametrize(
    ("mode", "status", "says"),
    [
        ("centralized", "completed", "is already complete; nothing to resume .*trainer.max_epochs=MORE, now 2"),
        (
            "federated",
            "completed",
            "is already complete; .* federation.num_rounds=MORE, now 2",
        ),
        ("federated", "running", "is still running"),
        ("local", "stopped", "trains one client of comparison None alone"),
    ],
)
def test_what_cannot_be_resumed(mode, status, says, make_config, store, home):
    cfg = make_config(*SMALL, "trainer.max_epochs=2")
    run_id = store.runs.create(name="x", training_mode=mode, config=cfg.snapshot(), seed=1)
    if status != "running":
        store.runs.finish(run_id, status)
    with pytest.raises(TrackingError, match=says):
        resume(run_id, store=store, home=home)
    assert store.runs.get(run_id).status == status


@pytest.mark.parametrize(
    ("mode", "change", "says"),
    [
        ("centralized", "data.split_seed=3", "data.split_seed: 0 when it began, 3 now"),
        ("centralized", "data.augment.hflip=0.5", "data.augment.hflip: 0.0 when it began, 0.5 now"),
        ("centralized", "federation.num_rounds=9", "federation.num_rounds=9 has no effect on a pooled run"),
        ("federated", "trainer.max_epochs=9", "trainer.max_epochs=9 has no effect on a federated run"),
        ("federated", "data.batch_size=5", "data.batch_size: 32 when it began, 5 now"),
        ("federated", "partition.seed=5", "partition.seed: null when it began, 5 now"),
        ("federated", "federation.num_clients=3", "federation.num_clients: 2 when it began, 3 now"),
        ("federated", "federation.num_rounds=1", "2 when it began, 1 now; it can only be trained for longer"),
        ("federated", "seed=5", "seed: 42 when it began, 5 now"),
        ("compare", "compare.seeds=[7]", r"compare.seeds: \[1\] are trained already"),
        ("compare", "strategy.fraction_train=0.5", "strategy.fraction_train: 1.0 when it began, 0.5 now"),
    ],
)
def test_other_settings_are_refused_and_the_run_stays_as_it_was(mode, change, says, cfg, store, home):
    cfg = cfg.replace("compare", seeds=[1, 7])
    run_id = store.runs.create(name="x", training_mode=mode, config=cfg.snapshot(), seed=42)
    store.runs.finish(run_id, "completed")
    with pytest.raises(ConfigError, match=says):
        resume(run_id, store=store, home=home, settings=[change])
    run = store.runs.get(run_id)
    assert (run.status, run.config) == ("completed", cfg.snapshot())


@pytest.mark.parametrize("change", ["federation.rounds=3", "federation.num_rounds", "federation=deployment"])
def test_what_is_no_setting_is_named(change, cfg, store, home):
    run_id = store.runs.create(name="x", training_mode="federated", config=cfg.snapshot(), seed=42)
    store.runs.finish(run_id, "stopped")
    with pytest.raises(ConfigError, match=change.partition("=")[0]):
        resume(run_id, store=store, home=home, settings=[change])


@pytest.mark.parametrize("mode", ["centralized", "federated"])
def test_other_rows_are_refused_and_the_run_stays_as_it_was(mode, cfg, store, home, tmp_path):
    path = tmp_path / "own.npz"
    arrays = dict(np.load(cfg.data.path))
    np.savez(path, **arrays)
    run_id = execute(cfg.replace("data", path=str(path)), mode, store=store, home=home)
    arrays["test_labels"][:2] = 1 - arrays["test_labels"][:2]
    np.savez(path, **arrays)
    longer = "trainer.max_epochs=30" if mode == "centralized" else "federation.num_rounds=3"
    with pytest.raises(ConfigError, match=r"the test rows: .* when it began, .* now"):
        resume(run_id, store=store, home=home, settings=[longer])
    assert store.runs.get(run_id).status == "completed"


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_more_rounds_of_a_completed_run_are_exact(optimizer, cfg, store, home):
    cfg = cfg.replace("federation", keep_optimizer=True)
    cfg = cfg.replace("trainer", optimizer={**cfg.trainer.optimizer.model_dump(), "name": optimizer})
    whole = execute(cfg.replace("federation", num_rounds=3), "federated", store=store, home=home)
    run_id = execute(cfg, "federated", store=store, home=home)
    resume(run_id, store=store, home=home, settings=["federation.num_rounds=3"])
    longer, expected = (Run(store, home, one, []) for one in (run_id, whole))
    assert longer.digest() == expected.digest()
    assert longer.row.summary["test"] == expected.row.summary["test"]
    assert [row.round for row in longer.rounds] == [1, 2, 3]
    assert longer.row.config == expected.row.config


def results(store, run_id):
    """What a comparison found, and what its twins are."""
    summary = store.runs.get(run_id).summary
    tests = [
        (run.training_mode, run.name, run.seed, run.status, run.summary["test"])
        for run in store.runs.children(run_id)
    ]
    return summary["gap"], summary["warnings"], tests


@pytest.mark.attack
def test_a_comparison_that_is_killed_again_and_again_ends_as_one_that_was_not(
    cfg, store, home, monkeypatch, capsys
):
    cfg = cfg.replace("compare", local_only=True)
    whole = execute(cfg, "compare", store=store, home=home)
    train, close = twins.train, Rounds.close

    def killed_in(place, name, broken, run=lambda: resume(run_id, store=store, home=home)):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, broken)
            with pytest.raises(Killed):
                run()

    def until_epoch_2(*args, **more):
        return train(*args, extra_callbacks=[DiesInEpoch2()], **more)

    def until_round_2(self, arrays, *, before_training=False):
        if self.round == 2:
            raise Killed
        return close(self, arrays, before_training=before_training)

    def never(*args, **more):
        raise Killed

    killed_in(twins, "train", until_epoch_2, lambda: execute(cfg, "compare", store=store, home=home))
    run_id = store.runs.search(mode="compare")[0].id
    assert [run.status for run in store.runs.children(run_id)] == ["failed"]
    assert "measured before this" not in capsys.readouterr().err
    killed_in(Rounds, "close", until_round_2)
    pooled, federated = store.runs.children(run_id)
    assert (pooled.status, federated.status) == ("completed", "failed")
    assert f"measured before this: pooled, run {pooled.id}, seed 42 (test): " in capsys.readouterr().err
    killed_in(twins, "train", never)  # before the first client alone
    killed_in(compare, "measure_gap", never)
    ended = [run.ended for run in store.runs.children(run_id)]
    assert len(ended) == 4
    resume(run_id, store=store, home=home)
    assert [run.ended for run in store.runs.children(run_id)] == ended  # nothing was trained again
    assert results(store, run_id) == results(store, whole)

    longer = execute(cfg.replace("federation", num_rounds=4), "compare", store=store, home=home)
    resume(run_id, store=store, home=home, settings=["federation.num_rounds=4"])
    assert results(store, run_id) == results(store, longer)
    assert len(store.runs.children(run_id)) == 4


def test_a_twin_is_made_longer_with_its_comparison_only(cfg, store, home):
    parent = store.runs.create(name="x", training_mode="compare", config=cfg.snapshot(), seed=42)
    run_id = store.runs.create(
        name="x", training_mode="federated", config=cfg.snapshot(), seed=42, parent_id=parent
    )
    store.runs.finish(run_id, "completed")
    with pytest.raises(ConfigError, match=rf"belongs to comparison {parent}"):
        resume(run_id, store=store, home=home, settings=["federation.num_rounds=3"])
