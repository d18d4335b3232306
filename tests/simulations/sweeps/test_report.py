"""The report of a sweep: its numbers by hand or by another implementation, and the page itself."""

from __future__ import annotations

import math

import pyarrow.parquet as pq
import pytest
from scipy.stats import friedmanchisquare

from shared.runtime.errors import TrackingError
from simulations.sweeps.importance import importance_of
from simulations.sweeps.measured import measure_trials, target_of
from simulations.sweeps.ranks import front, rank_cells
from simulations.sweeps.report import write_sweep_report
from tests.simulations.sweeps.report_kit import fill


def test_ranks_and_the_critical_difference():
    # Demsar (2006), section 3.2.2: 4 classifiers on 14 data sets have a critical difference of 1.25 at 5 %.
    values = {(name,): dict.fromkeys(range(14), 0.9 - 0.1 * place) for place, name in enumerate("abcd")}
    ranks = rank_cells(values, higher_is_better=True)
    assert list(ranks.average.values()) == [1.0, 2.0, 3.0, 4.0]
    assert ranks.critical == pytest.approx(1.25, abs=0.005)
    assert ranks.p_value == friedmanchisquare(*[list(own.values()) for own in values.values()]).pvalue
    assert next(iter(rank_cells(values, higher_is_better=False).average)) == ("d",)
    two = rank_cells({("a",): {1: 0.5, 2: 0.5}, ("b",): {1: 0.5, 2: 0.5}}, higher_is_better=True)
    assert (list(two.average.values()), math.isnan(two.p_value)) == ([1.5, 1.5], True)
    assert rank_cells({("a",): {1: 0.5}, ("b",): {2: 0.5}}, higher_is_better=True) is None


def test_what_none_beats_and_what_matters():
    assert front([(0.9, 30.0), (0.8, 10.0), (0.7, 20.0), (0.9, 40.0)]) == [1, 0]
    rates, others = ["0.1", "0.2", "0.3", "0.4"] * 6, ["a"] * 12 + ["b"] * 12
    settings = [{"lr": rate, "name": name} for rate, name in zip(rates, others, strict=True)]
    found = importance_of(settings, [float(one["lr"]) for one in settings])
    assert found["lr"] > 0.9
    assert sum(found.values()) == pytest.approx(1)
    assert importance_of(settings[:3], [1.0, 2.0, 3.0]) == {}


def test_the_report_of_a_sweep(store, home):
    sweep_id = fill(store, rates=[0.01, 0.03, 0.3], strategies=["fedavg", "fedprox"], seeds=[1, 2, 3])
    path = write_sweep_report(store, sweep_id, home=home)
    html = path.read_text()
    assert "Best on validation rows: strategy=fedavg trainer.optimizer.lr=0.03" in html
    for heading in ("Each cell", "Ranks", "Parallel coordinates", "Importance of settings", "Learning curves"):
        assert heading in html
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org/", "").replace('http-equiv="', "")
    assert html.count("<svg") >= 5
    trials = measure_trials(store, sweep_id)
    best = max(trials, key=lambda one: one.best)
    assert next(step for step, value in best.curve if value >= target_of(trials)) == 5
    assert best.to_target(target_of(trials))[0] == best.seconds
    assert len(best.curve) == 5
    table = pq.read_table(path.with_name("trials.parquet"))
    assert table.num_rows == 18
    assert table["validation"].to_pylist() == [one.best for one in trials]
    assert table["federated"].to_pylist() == [one.values["federated"] for one in trials]
    with pytest.raises(TrackingError, match="is no sweep"):
        write_sweep_report(store, trials[0].run_id, home=home)


def test_a_sweep_without_a_completed_trial_has_no_report(store, home):
    plan = {"sweep": {"mode": "federated"}}
    sweep_id = store.trials.create([], name="x", description="", config={}, summary=plan, seed=1)
    with pytest.raises(TrackingError, match="no trial of sweep"):
        write_sweep_report(store, sweep_id, home=home)
