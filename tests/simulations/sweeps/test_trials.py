"""The trials of a plan: composed and checked as a whole, before anything is trained."""

from __future__ import annotations

import pytest

from fedtwin.cli.sweep import PLANS, read_file
from shared.config.compose import compose
from shared.config.settings import groups
from shared.runtime.errors import ConfigError
from shared.sweeps.checks import common
from shared.sweeps.plan import add_overrides, cells_of, read_plan
from shared.sweeps.search_axes import corners, search_axes
from simulations.sweeps.trials import check_parts, digest_of, expand


def plan(*overrides: str, **more):
    return read_plan({**add_overrides({}, overrides), **more})


def test_a_trial_has_the_settings_that_its_command_would_have():
    trials = expand(plan("strategy=fedavg,fedprox", "federation.num_rounds=2", "seed=1,2"))
    assert [(list(trial.settings), trial.seed) for trial in trials] == [
        (["strategy=fedavg"], 1),
        (["strategy=fedprox"], 1),
        (["strategy=fedavg"], 2),
        (["strategy=fedprox"], 2),
    ]
    assert trials[3].config == compose(["strategy=fedprox", "federation.num_rounds=2", "seed=2"]).snapshot()
    shared = common([trial.config for trial in trials])
    assert shared["federation"]["num_rounds"] == 2
    assert "seed" not in shared
    assert "name" not in shared["strategy"]


def test_every_mistake_of_every_trial_is_named_at_once():
    wrong = plan(
        "federation.num_rouds=2",
        "partition=iid,dirichlet",
        "tracking.home=/elsewhere",
        cells=[{"strategy": "fedprxo"}, {"trainer.optimizer.lr": "fast"}, {"seed_": 1}],
    )
    with pytest.raises(ConfigError) as caught:
        expand(wrong)
    assert str(caught.value).startswith("no trial was begun, as settings are not valid:\n  - tracking.home: ")
    right = wrong.model_copy(update={"settings": {"federation.num_rouds": 2}})
    with pytest.raises(ConfigError) as caught:
        expand(right)
    said = str(caught.value)
    for text in (
        "there is no 'fedprxo'; did you mean fedprox?",
        "federation.num_rouds: there is no such setting; did you mean federation.num_rounds?",
        "with seed_=1 partition=iid or seed_=1 partition=dirichlet: seed_: there is no such setting",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("overrides", "mode", "says"),
    [
        (
            ("partition=iid", "partition.alpha=0.1,1"),
            "compare",
            "partition.alpha: only with partition=dirichlet",
        ),
        (("strategy=fedavg,fedprox",), "centralized", "has no effect on fedtwin centralized"),
        (("federation.engine=flower", "seed=1,2"), "federated", "train on its own workers"),
        (("compare.seeds=[1,2]", "seed=1,2"), "compare", "compare.seeds: a trial has one seed"),
        (("federation.early_stopping=true", "seed=1"), "compare", "ends the federated twin alone"),
        (("trainer.ema_decay=0.9", "seed=1"), "federated", "averages the weights of pooled training only"),
    ],
)
def test_what_a_command_rejects_a_sweep_rejects(overrides, mode, says):
    with pytest.raises(ConfigError, match=says):
        expand(plan(*overrides, mode=mode))


def test_data_and_algorithms_are_looked_at_before_anything_is_trained(make_config, home):
    right = make_config()
    values = right.model_dump()
    values["strategy"] |= {"momentum": 0.5}
    wrong = [
        right.replace("data", path="/nowhere.npz"),
        type(right).model_validate(values),
        right.replace("compare", metric="acuracy"),
        right,
    ]
    with pytest.raises(ConfigError) as caught:
        check_parts(wrong, mode="compare", home=home)
    said = str(caught.value)
    assert "/nowhere.npz" in said
    assert "strategy.momentum: " in said
    assert "did you mean accuracy?" in said
    check_parts([right], mode="compare", home=home)


def test_a_digest_is_of_what_is_computed(make_config):
    cfg = make_config()
    one = digest_of("compare", cfg.snapshot())
    elsewhere = cfg.replace("", name="other").replace("federation", workers=7).replace("trainer", progress=True)
    assert digest_of("compare", elsewhere.snapshot()) == one
    assert digest_of("compare", cfg.replace("", seed=cfg.seed + 1).snapshot()) != one
    assert digest_of("federated", cfg.snapshot()) != one


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.yaml")))
def test_every_plan_of_ours_is_valid(name):
    found = read_plan(read_file(PLANS / f"{name}.yaml", name=name))
    cells = cells_of(found) if found.search is None else corners(search_axes(found))
    assert len(cells) > 3
    few = cells[:1]
    assert expand(found.model_copy(update={"grid": {}, "draws": None, "cells": _as_settings(few)}))


def test_plans_are_no_group_of_settings():
    assert "sweep" not in groups()
    with pytest.raises(ConfigError, match="sweep"):
        compose(["sweep=strategies"])


def _as_settings(cells):
    return [dict(text.split("=", 1) for text in cell) for cell in cells]
