"""The contract of trials: a sweep has all of them or none, each has one run, and all go with their sweep."""

from __future__ import annotations

import pytest

from shared.runtime.errors import TrackingError
from shared.tracking.trials import NewTrial

CONFIG = {"name": "digits-cnn", "description": "", "seed": 1}


@pytest.fixture
def sweep(store) -> int:
    trials = [
        NewTrial(
            settings=[f"strategy={name}"], seed=seed, config={**CONFIG, "seed": seed}, digest=f"{name}{seed}"
        )
        for seed in (1, 2)
        for name in ("fedavg", "fedprox")
    ]
    return store.trials.create(trials, name="mine", description="", config={}, summary={"sweep": {"trials": 4}})


def statuses(store, sweep):
    return [trial.status for trial in store.trials.of_sweep(sweep)]


def test_trials_are_stored_with_their_sweep(store, sweep):
    run = store.runs.get(sweep)
    assert (run.training_mode, run.status, run.seed) == ("sweep", "pending", 1)
    trials = store.trials.of_sweep(sweep)
    assert [(one.number, one.settings, one.seed, one.status, one.run_id) for one in trials[1:3]] == [
        (2, ["strategy=fedprox"], 1, "waiting", None),
        (3, ["strategy=fedavg"], 2, "waiting", None),
    ]
    assert store.trials.configs(sweep)[3] == {**CONFIG, "seed": 2}
    none = dict.fromkeys(("running", "completed", "failed", "pruned"), 0)
    assert store.trials.counts([sweep]) == {sweep: {"waiting": 4, **none}}


def test_a_trial_has_one_run_however_often_it_is_begun(store, sweep):
    run_id = store.trials.begin(sweep, 3, mode="compare")
    run = store.runs.get(run_id)
    assert (run.parent_id, run.sweep_id, run.comparison_id) == (sweep, sweep, run_id)
    assert (run.training_mode, run.status, run.seed) == ("compare", "pending", 2)
    store.trials.finish(sweep, 3, "failed", error="its process died")
    assert store.trials.get(sweep, 3).error == "its process died"
    assert store.trials.begin(sweep, 3, mode="compare") == run_id
    trial = store.trials.get(sweep, 3)
    assert (trial.status, trial.tries, trial.run_id, trial.error) == ("running", 2, run_id, None)


def test_a_trial_that_is_completed_is_not_begun_again(store, sweep):
    run_id = store.trials.begin(sweep, 3, mode="compare")
    store.trials.finish(sweep, 3, "completed")  # by a process that was taken for dead
    assert store.trials.begin(sweep, 3, mode="compare") == run_id
    trial = store.trials.get(sweep, 3)
    assert (trial.status, trial.tries) == ("completed", 1)


def test_a_sweep_that_goes_on_keeps_what_is_complete(store, sweep):
    runs = [store.trials.begin(sweep, number, mode="centralized") for number in (1, 2, 3)]
    store.runs.finish(runs[0], "completed")  # and its process was killed before it said so
    store.trials.finish(sweep, 2, "failed", error="diverged")
    store.trials.reopen(sweep, failed=False)
    assert statuses(store, sweep) == ["completed", "failed", "waiting", "waiting"]
    store.trials.reopen(sweep)
    assert statuses(store, sweep) == ["completed", "waiting", "waiting", "waiting"]
    assert store.runs.get(runs[1]).comparison_id is None


def test_trials_go_with_their_sweep_and_outlive_their_runs(store, sweep):
    run_id = store.trials.begin(sweep, 1, mode="centralized")
    with pytest.raises(TrackingError, match=f"belongs to run {sweep}"):
        store.runs.delete(run_id)
    for one in (run_id, sweep):
        store.runs.finish(one, "stopped")
    assert store.runs.delete(sweep, with_children=True) == [sweep, run_id]
    assert store.trials.of_sweep(sweep) == []


def test_a_search_adds_trials_that_keep_what_it_was_told(store, sweep):
    new = NewTrial(["lr=0.1"], 3, {**CONFIG, "seed": 3}, "d")
    (added,) = store.trials.add(sweep, [new], search={"asked": 0})
    assert (added.number, added.status, added.search) == (5, "waiting", {"asked": 0})
    assert store.trials.config(sweep, 5)["seed"] == 3
    store.trials.set_search(sweep, 5, {"asked": 0, "values": [0.5]})
    store.trials.finish(sweep, 5, "pruned")
    store.trials.reopen(sweep)
    assert (store.trials.get(sweep, 5).status, store.trials.get(sweep, 1).search) == ("pruned", None)
    assert store.trials.get(sweep, 5).search == {"asked": 0, "values": [0.5]}


def test_what_there_is_not(store, sweep):
    for number, run_id in ((5, sweep), (1, sweep + 1)):
        with pytest.raises(TrackingError):
            store.trials.begin(run_id, number, mode="compare")
