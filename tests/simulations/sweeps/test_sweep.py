"""A sweep on two workers: every trial once, whatever dies meanwhile, with a command's own results."""

from __future__ import annotations

import os
import signal

import pytest

from shared.metrics.headline import stored_headline
from shared.runtime.errors import TrackingError
from shared.sweeps.plan import read_plan
from shared.tracking.trials import NewTrial
from shared.tracking.twins import family
from simulations.execute import execute
from simulations.sweeps.cells import cells_of_sweep
from simulations.sweeps.estimate import estimate
from simulations.sweeps.stopping import STOP, forget, is_asked, request_stop
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
    cells = [{"strategy": "fedavg"}, {"strategy": "fedprox"}, {"trainer.optimizer.lr": 1e30}]
    sweep_id = sweep(cells=cells, seeds=[2])
    seen, killed = [], []

    def kill_and_interrupt(progress):
        seen.append(progress)
        running = [trial for trial in store.trials.of_sweep(sweep_id) if trial.status == "running"]
        if running and not killed:  # the process of a trial, which is tried again
            run = store.runs.get(running[0].run_id)
            killed.append(running[0].number)
            os.kill(run.pid, signal.SIGKILL)
        if progress.done:
            store.runs.update(sweep_id, summary={STOP: True})  # as `fedtwin stop` does

    with pytest.raises(KeyboardInterrupt):
        resume_sweep(sweep_id, store=store, home=home, workers=2, on_progress=[kill_and_interrupt])
    run = store.runs.get(sweep_id)
    assert (run.status, run.stop_reason) == ("stopped", f"interrupted by fedtwin stop {sweep_id}")
    assert "running" not in statuses(store, sweep_id)
    assert "its process died (signal 9)" in str([one.error for one in seen])
    begun = {trial.number: trial.run_id for trial in store.trials.of_sweep(sweep_id) if trial.run_id}

    assert resume_sweep(sweep_id, store=store, home=home, workers=1) == sweep_id
    assert statuses(store, sweep_id) == ["completed", "completed", "failed"]
    run, trials = store.runs.get(sweep_id), store.trials.of_sweep(sweep_id)
    assert run.status == "failed"
    assert run.error.startswith("1 of 3 trials failed, such as trial 3: DivergedError: ")
    assert begun.items() <= {trial.number: trial.run_id for trial in trials}.items()
    children = store.runs.children(sweep_id)
    assert len([one for one in children if one.training_mode == "compare"]) == 3  # every trial is one run

    # Both strategies have one pooled twin, and each the numbers of a command of its own.
    (shared,) = [one.id for one in children if (one.training_mode, one.status) == ("centralized", "completed")]
    for trial in trials[:2]:
        twins = family(store, trial.run_id)[1:]
        assert {one.training_mode: one.id for one in twins}["centralized"] == shared
    few = (f"{name}={SMALL[name]}" for name in SMALL if name.startswith(("fed", "part", "compare")))
    cfg = make_config("strategy=fedprox", *few).replace("", seed=2)
    plain = execute(cfg, "compare", store=store, home=home)
    assert store.runs.get(trials[1].run_id).summary["gap"] == store.runs.get(plain).summary["gap"]

    # What was trained is not trained again, whether it was a trial or a command of its own.
    settings = {**SMALL, "data.path": str(cfg.data.path), "name": "again"}
    grid = {"strategy": ["fedavg", "fedprox", "scaffold"]}
    asked = read_plan({"settings": settings, "grid": grid, "seeds": [2]})
    again = plan_sweep(asked, store=store, home=home, reuse=True)
    reused = [trial.run_id for trial in store.trials.of_sweep(again)]
    assert reused == [trials[0].run_id, plain, None]
    assert cells_of_sweep(store, again)[0].seeds == [2]

    first, _, last = cells_of_sweep(store, sweep_id)
    assert (first.seeds, first.failed, last.seeds, last.failed) == ([2], 0, [], 1)
    row = stored_headline(store.runs.get(trials[0].run_id).summary)
    assert first.numbers["federated"].value == row.federated.value
    text = (home.sweep_dir(sweep_id) / "summary.csv").read_text()
    assert text.splitlines()[3].startswith("trainer.optimizer.lr=1e+30,,1,0,1,0,0,,")


def test_a_sweep_is_stopped_from_another_process(sweep, store, home, capsys):
    sweep_id = sweep(seeds=[1])
    with pytest.raises(TrackingError, match=f"sweep {sweep_id} does not run: it is pending"):
        request_stop(sweep_id, store=store, home=home)
    store.runs.claim(sweep_id)
    assert not is_asked(store, sweep_id)
    with pytest.raises(TrackingError, match="has not stopped within 0 s, but was asked to"):
        request_stop(sweep_id, store=store, home=home, timeout_s=0.1)
    assert is_asked(store, sweep_id)  # whoever leads it looks every second
    forget(store, sweep_id)
    assert not is_asked(store, sweep_id)
    assert "no earlier run of this model, data and length tells" in capsys.readouterr().err
    other = store.runs.create(name="x", training_mode="compare", config={}, seed=1)
    with pytest.raises(TrackingError, match=f"run {other} is no sweep"):
        request_stop(other, store=store, home=home)


def test_how_long_a_plan_takes_is_told_by_earlier_runs(store):
    config = {"data": {"name": "digits"}, "model": {"name": "cnn"}, "trainer": {"max_epochs": 3}}
    for _ in range(2):
        store.runs.finish(
            store.runs.create(name="x", training_mode="centralized", config=config, seed=1), "completed"
        )
    trial = NewTrial([], 1, config, "")
    said = estimate([trial], mode="centralized", store=store, count=4, workers=2)
    assert "4 trials of" in said
    assert "2 at once" in said
    longer = NewTrial([], 1, {**config, "trainer": {"max_epochs": 4}}, "")
    assert estimate([longer], mode="centralized", store=store, count=4, workers=2).startswith("no earlier run")


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
