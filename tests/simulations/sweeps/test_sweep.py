"""A sweep on two workers: every trial once, whatever dies meanwhile, with a command's own results."""

from __future__ import annotations

import os
import signal

import pytest

from shared.runtime.errors import TrackingError
from simulations.execute import execute
from simulations.sweeps.cells import cells_of_sweep
from simulations.sweeps.plan import read_plan
from simulations.sweeps.sweep import plan_sweep, resume_sweep

SMALL = {
    "data": "npz",
    "data.image_size": 8,
    "data.batch_size": 32,
    "model.widths": [2, 4],
    "model.hidden": 8,
    "trainer.accelerator": "cpu",
    "partition": "iid",
    "federation.num_clients": 2,
    "federation.num_rounds": 2,
    "federation.local_epochs": 1,
    "compare.resamples": 100,
}


@pytest.fixture
def sweep(store, home, two_classes):
    def make(**more) -> int:
        settings = {**SMALL, "data.path": str(two_classes)}
        return plan_sweep(read_plan({"settings": settings, **more}), store=store, home=home)

    return make


def statuses(store, sweep_id):
    return [trial.status for trial in store.trials.of_sweep(sweep_id)]


def test_trials_fail_die_stop_and_go_on_and_give_what_a_command_gives(sweep, store, home, make_config):
    sweep_id = sweep(grid={"trainer.optimizer.lr": [0.01, 1e30]}, seeds=[1, 2])
    seen, killed = [], []

    def kill_and_interrupt(progress):
        seen.append(progress)
        running = [trial for trial in store.trials.of_sweep(sweep_id) if trial.status == "running"]
        if running and not killed:  # the process of a trial, which is tried again
            run = store.runs.get(running[0].run_id)
            killed.append(running[0].number)
            os.kill(run.pid, signal.SIGKILL)
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume_sweep(sweep_id, store=store, home=home, workers=2, on_progress=[kill_and_interrupt])
    assert store.runs.get(sweep_id).status == "stopped"
    assert "running" not in statuses(store, sweep_id)
    assert "its process died (signal 9)" in str([one.error for one in seen])
    begun = {trial.number: trial.run_id for trial in store.trials.of_sweep(sweep_id) if trial.run_id}

    assert resume_sweep(sweep_id, store=store, home=home, workers=1) == sweep_id
    assert statuses(store, sweep_id) == ["completed", "failed", "completed", "failed"]
    run, trials = store.runs.get(sweep_id), store.trials.of_sweep(sweep_id)
    assert run.status == "failed"
    assert run.error.startswith("2 of 4 trials failed, such as trial 2: DivergedError: ")
    assert begun.items() <= {trial.number: trial.run_id for trial in trials}.items()
    assert len(store.runs.children(sweep_id)) == 4  # every trial is one run

    cfg = make_config("partition=iid", *(f"{name}={SMALL[name]}" for name in SMALL if name.startswith("fed")))
    plain = execute(
        cfg.replace("", seed=2).replace("compare", resamples=100), "compare", store=store, home=home
    )
    assert store.runs.get(trials[2].run_id).summary["gap"] == store.runs.get(plain).summary["gap"]

    # What was trained is not trained again, whether it was a trial or a command of its own.
    settings = {**SMALL, "data.path": str(cfg.data.path), "name": "again"}
    asked = read_plan({"settings": settings, "grid": {"trainer.optimizer.lr": [0.01, 0.02]}, "seeds": [1, 2]})
    again = plan_sweep(asked, store=store, home=home, reuse=True)
    reused = [trial.run_id for trial in store.trials.of_sweep(again)]
    assert reused == [trials[0].run_id, None, plain, None]
    assert cells_of_sweep(store, again)[0].seeds == [1, 2]

    first, second = cells_of_sweep(store, sweep_id)
    assert (first.seeds, first.failed, second.seeds, second.failed) == ([1, 2], 0, [], 2)
    gaps = [store.runs.get(trials[place].run_id).summary["gap"][0] for place in (0, 2)]
    mean = sum(row["federated"]["value"] for row in gaps) / 2
    assert first.numbers["federated"].value == pytest.approx(mean)
    assert first.numbers["gap"].low < first.numbers["gap"].value < first.numbers["gap"].high
    assert (
        (home.sweep_dir(sweep_id) / "summary.csv")
        .read_text()
        .splitlines()[2]
        .startswith("trainer.optimizer.lr=1e+30,,2,0,2,,")
    )


def test_what_cannot_be_resumed(sweep, store, home):
    sweep_id = sweep(seeds=[1])
    store.runs.claim(sweep_id)
    with pytest.raises(TrackingError, match="still running"):
        resume_sweep(sweep_id, store=store, home=home)
    store.runs.finish(sweep_id, "completed")
    with pytest.raises(TrackingError, match="already complete"):
        resume_sweep(sweep_id, store=store, home=home)
    other = store.runs.create(name="x", training_mode="compare", config={}, seed=1)
    with pytest.raises(TrackingError, match=f"run {other} is no sweep"):
        resume_sweep(other, store=store, home=home)
