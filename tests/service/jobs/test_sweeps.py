"""Requests for a sweep: every trial is composed and checked, and nothing is reached but settings."""

from __future__ import annotations

import os

import pytest
import yaml

from service.api.job_schemas import SweepPlan
from service.jobs.experiments import InvalidExperiment
from service.jobs.sweeps import SweepExperiment, checked_sweep
from shared.config.settings import CONF_DIR
from shared.sweeps.plan import Plan, cells_of, read_plan

SMALL = {"federation.num_rounds": 2}


def check(plan, settings=SMALL, **more) -> SweepExperiment:
    given = {"dataset": None, "run_name": None, "folders": [], "most_trials": 50}
    return checked_sweep(plan, settings, **{**given, **more})


def refused(plan, settings=SMALL, **more) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        check(plan, settings, **more)
    return caught.value.problems


def test_a_plan_over_http_has_the_names_of_a_file():
    assert set(SweepPlan.model_fields) == set(Plan.model_fields)


def test_what_is_queued_has_the_trials_of_the_same_command():
    grid = {"strategy": ["fedavg", "fedprox"], "federation.num_clients": "range(2,6,2)"}
    settings = {"partition": "iid", "federation.num_rounds": 9}
    found = check({"grid": grid, "seeds": [1, 2], "mode": "federated", "settings": settings})
    assert (found.trials, found.name) == (8, "sweep of 8 trials")
    assert found.overrides == [
        *("partition=iid", "federation.num_rounds=2", "strategy=fedavg,fedprox", "federation.num_clients=2,4"),
        "seed=1,2",
    ]
    stored = read_plan(found.stored["sweep"])
    assert (stored.mode, stored) == ("federated", found.plan)
    assert cells_of(stored)[1] == ("strategy=fedavg", "federation.num_clients=4")
    assert (found.shown["federation"]["num_rounds"], found.shown["sweep"]["trials"]) == (2, 8)
    assert "name" not in found.shown["strategy"], "trials differ in it"


def test_cells_draws_and_searches():
    cells = [{"strategy": "fedprox", "strategy.proximal_mu": 0.1}, {"model.widths": [2, 4]}]
    assert check({"cells": cells}).overrides[-2:] == [
        "--cell 'strategy=fedprox strategy.proximal_mu=0.1'",
        "--cell 'model.widths=[2,4]'",
    ]
    grid = {"trainer.optimizer.lr": "tag(log,interval(0.001,0.1))", "federation.local_epochs": [1, 2]}
    assert check({"grid": grid, "draws": 5}).trials == 5
    search = check({"grid": grid, "search": {"trials": 7}, "seeds": [3]}, run_name="night")
    assert (search.trials, search.name, search.plan.search.trials) == (7, "night", 7)


def test_a_mistake_in_the_middle_is_named_with_its_trial():
    grid = {"strategy": ["fedavg", "fedprxo", "fedprox"], "federation.num_rounds": [1, -2]}
    problems = refused({"grid": grid}, {})
    assert any("with strategy=fedprxo" in one and "did you mean fedprox?" in one for one in problems)
    both = "strategy=fedavg federation.num_rounds=-2 or strategy=fedprox federation.num_rounds=-2: "
    assert any(f"with {both}" in one for one in problems)
    grid = {"federation.local_epochs": "interval(1,3)", "model": ["cnn", "mlp"]}
    (problem,) = refused({"grid": grid, "search": {"trials": 5}})
    assert "with federation.local_epochs=1 model=mlp: task=image_classification takes model=cnn" in problem


@pytest.mark.attack
@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"grid": {"data.path": ["/etc/passwd", "/etc/group"]}}, "data.path: cannot be set here"),
        ({"grid": {"model._target_": ["os.system"]}}, "names that begin with _"),
        ({"grid": {"+strategy": ["fedavg", "fedprox"]}}, "named by words"),
        ({"grid": {"description": ["${oc.env:HOME}", "b"]}}, "interpolations"),
        ({"grid": {"description": "a,${oc.env:HOME}"}}, "interpolations"),
        ({"grid": {"description": "a,http://10.0.0.1/"}}, "addresses"),
        ({"grid": {"task": "{_target_:os.system},{_target_:os.getcwd}"}}, "no name of a setting"),
        ({"grid": {"strategy": "glob(*)"}}, "name the values"),
        ({"grid": {"seed": [1, 2]}}, "the seeds of the trials are sweep.seeds"),
        ({"cells": [{"model.weights": "x"}]}, "model.weights: cannot be set here"),
        ({"cells": [{"tracking.home": "x"}], "seeds": [1]}, "tracking.home: cannot be set here"),
        ({"settings": {"federation.ray_address": "x"}, "seeds": [1]}, "cannot be set here"),
        ({"grid": {"federation": ["simulation", "deployment"]}}, "federation=deployment: "),
        ({"grid": {"data": ["digits", "medmnist"]}}, "with data=medmnist"),
        ({"grid": {"data": ["digits", "sql"]}}, "with data=sql"),
        ({"grid": {"trainer.test": [True, False]}}, "trials are tested"),
        ({"settings": {"federation.early_stopping": True}, "seeds": [1]}, "ends the federated twin alone"),
        ({}, "has no trials"),
        ({"grid": {"federation.num_rounds": "range(3,1)"}}, "has no values"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": list(range(60))}, "60 trials; at most 50"),
        ({"grid": {"seed_": "range(0,1000000000000)"}}, "at most 50 trials"),
        ({"grid": {"seed_": "range(0,1e308,1e-308)"}}, "no number of values"),
        ({"grid": {name: [1, 2, 3, 4] for name in "abcdef"}}, "4,096 trials; at most 50"),
        ({"grid": {"federation.num_rounds": "interval(1,3)"}, "draws": 10**9}, "at most 50"),
        ({"grid": {"federation.num_rounds": "interval(1,3)"}, "search": {"trials": 10**9}}, "at most 50"),
        ({"grid": {"federation.num_rounds": "1,2"}, "search": {"sampler": "best"}}, "sweep.search.sampler"),
    ],
)
def test_no_plan_reaches_beyond_settings_or_is_endless(plan, says):
    assert says in (told := " ".join(refused(plan, {}))), told


def test_the_data_of_all_trials_is_what_the_server_allows(tmp_path):
    plan = {"grid": {"strategy": ["fedavg", "fedprxo"]}}
    problems = refused(plan, dataset="elsewhere", folders=[tmp_path])
    assert "there is no 'elsewhere'" in problems[0]
    assert "did you mean fedprox?" in problems[1]
    assert check({"seeds": [1, 2]}, dataset="digits").plan.settings["data"] == "digits"
    (tmp_path / "a.csv").write_text("x,y\n1,a\n")
    settings = {"task": "tabular_classification", "data.target": "y", "model": "mlp"}
    given = {"settings": settings, "dataset": "a.csv", "folders": [tmp_path]}
    found = check({"seeds": [1]}, **given)
    assert found.plan.settings["data.path"] == os.path.realpath(tmp_path / "a.csv")
    assert refused({"seeds": [1]}, **given, also=lambda config: [config.data.target]) == ["y"]


def test_every_plan_of_ours_can_be_asked_for():
    for path in sorted((CONF_DIR / "sweep").glob("*.yaml")):
        plan = SweepPlan.model_validate(yaml.safe_load(path.read_text()))
        assert check(plan.model_dump(exclude_unset=True)).trials > 3
