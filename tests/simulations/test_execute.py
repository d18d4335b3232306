"""`execute`: rows that exist are claimed, and each configuration finds its runner."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from federated.launch.launch import prepare_run
from federated.launch.superlink_runner import SIMULATION
from shared.runtime.errors import ConfigError, DeployError
from simulations.engine.local_runner import LocalRunner
from simulations.execute import execute
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


def test_each_configuration_has_its_runner(cfg, home):
    with open_runner(cfg.replace("federation", engine="flower"), home=home) as runner:
        assert runner is SIMULATION
    deployed = cfg.replace("federation", engine="flower", kit="/kit")
    with (
        pytest.raises(DeployError, match=r"/kit/server\.yaml cannot be read"),
        open_runner(deployed, home=home),
    ):
        pass  # a deployment's kit is looked at before anything is trained
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
