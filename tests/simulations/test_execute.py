"""`execute` and `resume`: rows that exist are claimed or resumed, and each configuration finds its runner."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from federated.launch.launch import prepare_run
from federated.launch.superlink_runner import DEPLOYMENT, SIMULATION
from shared.runtime.errors import ConfigError, TrackingError
from simulations.engine.local_runner import LocalRunner
from simulations.execute import execute, resume
from simulations.report.terminal import print_comparison
from simulations.runner import open_runner

SMALL = (
    "partition=iid",
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "federation.workers=1",
    "compare.resamples=100",
)


@pytest.fixture
def cfg(make_config):
    return make_config(*SMALL)


@pytest.mark.parametrize("mode", ["centralized", "federated"])
def test_a_pending_run_is_claimed(mode, cfg, store, home):
    run_id = store.runs.create(
        name="prepared", training_mode=mode, config=cfg.snapshot(), seed=cfg.seed, status="pending"
    )
    assert execute(cfg, mode, store=store, home=home, run_id=run_id) == run_id
    (run,) = store.runs.search()
    assert (run.name, run.status, run.pid) == ("prepared", "completed", os.getpid())


def test_a_comparison_is_a_run_with_two_children(cfg, store, home):
    run_id = execute(cfg, "compare", store=store, home=home)
    children = {run.training_mode: run for run in store.runs.children(run_id)}
    assert children.keys() == {"centralized", "federated"}
    summary = store.runs.get(run_id).summary
    assert summary["twins"]["pooled"] == [children["centralized"].id]
    epoch, number = (
        children[mode].summary[key]
        for mode, key in (("centralized", "test_epoch"), ("federated", "test_round"))
    )
    tested = f"Tested after epoch {epoch} (pooled) and round {number} (federated)."
    console = Console(width=400, record=True, file=io.StringIO())
    store.runs.update(children["federated"].id, summary={"warnings": ["never predicts [b]"]})
    print_comparison(console, run_id, store=store, home=home)
    text = console.export_text()
    assert tested in text
    assert "warning: federated: never predicts [b]" in text
    assert tested in (Path(summary["folder"]) / "report.html").read_text()


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
        ("centralized", "completed", "is already complete; nothing to resume"),
        ("federated", "running", "is still running"),
        ("compare", "failed", "only pooled and federated runs can be resumed"),
        ("local", "stopped", "only pooled and federated runs can be resumed"),
    ],
)
def test_what_cannot_be_resumed(mode, status, says, cfg, store, home):
    run_id = store.runs.create(name="x", training_mode=mode, config=cfg.snapshot(), seed=1)
    if status != "running":
        store.runs.finish(run_id, status)
    with pytest.raises(TrackingError, match=says):
        resume(run_id, store=store, home=home)
    assert store.runs.get(run_id).status == status


def test_each_configuration_has_its_runner(cfg, home):
    with open_runner(cfg.replace("federation", engine="flower"), home=home) as runner:
        assert runner is SIMULATION
    with open_runner(cfg.replace("federation", engine="flower", kit="/kit"), home=home) as runner:
        assert runner is DEPLOYMENT
    with open_runner(cfg, home=home) as runner:
        assert isinstance(runner, LocalRunner)


def test_the_local_engine_has_no_ray(cfg, home):
    other = cfg.replace("federation", engine="local", workers=None, ray_address="10.0.0.5:6379")
    with pytest.raises(ConfigError, match=r"needs federation.engine=flower"), open_runner(other, home=home):
        pass


def test_a_prepared_run_of_another_process_is_taken_over(cfg, store, home):
    run_id = prepare_run(cfg, store=store)
    store.runs.set_owner(run_id, os.getppid())
    with open_runner(cfg, home=home) as runner:
        runner.federate(cfg.replace("tracking", run_id=run_id), store=store, home=home)
    assert (store.runs.get(run_id).status, store.runs.get(run_id).pid) == ("completed", os.getpid())
