"""A sweep in a comparison: which of its trials are shown, and what they are called."""

from __future__ import annotations

import re

from service.api import chart_schemas
from service.comparison.comparison import compare
from shared.tracking.trials import NewTrial
from tests.service.rows_kit import CONFIG, federated_run, pooled_run
from tests.simulations.sweeps.report_kit import fill, fill_search


def compared(store, sweep_id, **asked):
    found = compare(store, [store.runs.get(sweep_id)], **{"metric": "accuracy", "stage": "val", **asked})
    chart_schemas.Comparison.model_validate(found)
    return found


def test_a_sweep_stands_for_the_runs_of_its_best_choices_of_settings(store):
    sweep_id = fill(store, rates=[0.001, 0.01, 0.03, 0.1, 0.3], strategies=["fedavg", "fedprox"], seeds=[1, 2])
    found = compared(store, sweep_id)
    trials = {trial.run_id: trial for trial in store.trials.of_sweep(sweep_id)}
    shown = [trials[run["id"]] for run in found["runs"]]
    assert len(shown) == 16
    assert {"trainer.optimizer.lr=0.001"}.isdisjoint(setting for one in shown for setting in one.settings)
    assert shown[0].settings == shown[1].settings == ["strategy=fedavg", "trainer.optimizer.lr=0.03"]
    assert found["chosen"] == (
        f"The 8 best of 10 choices of settings of sweep {sweep_id}, by validation accuracy."
    )
    said = "".join(part["text"] for part in found["result"])
    assert re.fullmatch(
        r"Latest validation accuracy: 0\.\d+ to 0\.\d+, by 8 choices of settings\. A gap .*", said
    )
    few = fill(store, rates=[0.01, 0.03], strategies=["fedavg"], seeds=[1])
    assert (len(compared(store, few)["runs"]), compared(store, few)["chosen"]) == (2, "")


def test_the_trials_of_a_search_are_chosen_by_its_first_objective_and_its_winner_is_tested(store):
    sweep_id = fill_search(store, objectives=("bytes", "metric"))
    found = compared(store, sweep_id)
    trials = {trial.run_id: trial.number for trial in store.trials.of_sweep(sweep_id)}
    assert [trials[run["id"]] for run in found["runs"]][:6] == [1, 2, 3, 4, 5, 11], "fewest bytes first"
    assert found["chosen"].endswith(f"8 best of 10 choices of settings of sweep {sweep_id}, by bytes.")
    assert [run["test"] for run in found["runs"] if run["test"] is not None] == [0.893]


def test_a_comparison_as_a_trial_stands_for_its_twins(store):
    config = {**CONFIG, "description": ""}
    trials = [NewTrial([f"strategy={name}"], 7, config, "d") for name in ("fedavg", "fedprox")]
    sweep_id = store.trials.create(trials, name="mine", description="", config=CONFIG, summary={})
    assert compared(store, sweep_id)["runs"] == []
    parent = store.trials.begin(sweep_id, 1, mode="compare")
    twins = [pooled_run(store, 0.5, parent_id=parent), federated_run(store, 0.4, parent_id=parent)]
    found = compared(store, sweep_id)
    assert [run["id"] for run in found["runs"]] == [twin.id for twin in twins]
    assert found["gaps"][0]["value"]
