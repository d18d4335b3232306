"""A plan of a sweep: which cells a grid, a list and random draws make, and what is wrong with a plan."""

from __future__ import annotations

import pytest

from shared.runtime.errors import ConfigError
from shared.sweeps.plan import add_overrides, cells_of, read_plan


def typed(*overrides: str, **more):
    return read_plan({**add_overrides({}, overrides), **more})


def test_several_values_are_an_axis_and_one_is_of_all_trials():
    plan = typed("strategy=fedavg,fedprox", "partition.alpha=0.1,1", "federation.num_rounds=3", "seed=1,2")
    assert cells_of(plan) == [
        ("strategy=fedavg", "partition.alpha=0.1"),
        ("strategy=fedavg", "partition.alpha=1"),
        ("strategy=fedprox", "partition.alpha=0.1"),
        ("strategy=fedprox", "partition.alpha=1"),
    ]
    assert plan.settings == {"federation.num_rounds": "3"}
    assert plan.seeds == (1, 2)


def test_what_is_typed_takes_the_place_of_what_a_file_has():
    file = {"settings": {"model": "mlp"}, "grid": {"strategy": ["fedavg", "scaffold"]}, "seeds": [1]}
    plan = read_plan(add_overrides(file, ["strategy=fedprox", "model=cnn,linear", "seed=7"]))
    assert (plan.settings, plan.grid, plan.seeds) == ({"strategy": "fedprox"}, {"model": "cnn,linear"}, (7,))
    assert file["grid"] == {"strategy": ["fedavg", "scaffold"]}


def test_values_of_a_file_are_written_as_they_are_typed():
    grid = {"model.widths": [[2, 4], [8]], "trainer.optimizer.nesterov": [True, False], "model.weights": [None]}
    plan = read_plan({"grid": grid})
    assert cells_of(plan)[0] == ("model.widths=[2,4]", "trainer.optimizer.nesterov=true", "model.weights=null")
    assert len(cells_of(plan)) == 4


def test_cells_that_are_named_one_by_one_are_combined_with_the_grid():
    plan = typed("seed=1", "partition.alpha=0.1,1", cells=[{"strategy": "fedavg"}, {"strategy": "scaffold"}])
    assert cells_of(plan)[1:3] == [
        ("strategy=fedavg", "partition.alpha=1"),
        ("strategy=scaffold", "partition.alpha=0.1"),
    ]


def test_draws_are_within_their_bounds_and_the_same_again():
    axes = (
        "trainer.optimizer.lr=tag(log,interval(0.001,0.1))",
        "model.hidden=int(interval(4,6))",
        "model=cnn,mlp",
    )
    plan = typed(*axes, draws=30)
    drawn = [dict(text.split("=") for text in cell) for cell in cells_of(plan)]
    rates = [float(one["trainer.optimizer.lr"]) for one in drawn]
    assert len(drawn) == 30
    assert all(0.001 <= rate <= 0.1 for rate in rates)
    assert 5 < sum(rate < 0.01 for rate in rates) < 25  # half of them, in decades
    assert {one["model.hidden"] for one in drawn} == {"4", "5", "6"}
    assert {one["model"] for one in drawn} == {"cnn", "mlp"}
    assert cells_of(plan) == cells_of(typed(*axes, draws=30))
    assert cells_of(plan) != cells_of(typed(*axes, draws=30, draw_seed=1))


@pytest.mark.parametrize(
    ("overrides", "more", "says"),
    [
        (("strategy=fedavg,fedprox", "a=(", "b"), {}, r"(?s)a=\(: the value cannot be read.*b: has no value"),
        (("lr=interval(0,1)",), {}, "lr=interval.*has no number of values; say how many .*--draws 20"),
        (("strategy=glob(*)",), {}, "strategy: name the values"),
        (("lr=tag(log,interval(0,1))",), {"draws": 2}, "LOW below HIGH above 0, got 0"),
        (("seed=1,x",), {}, "seed=1,x: expected whole numbers"),
        (("model=cnn",), {"draws": 2}, "sweep.draws=2 draws from nothing"),
        (("seed=1,1",), {}, "must name at least one seed, each once"),
        ((), {"grid": {"seed": [1, 2]}}, r"are sweep.seeds=\[1,2,3\], not a setting"),
        ((), {"grid": {"strategy": "fedavg"}}, "expected several values"),
        ((), {"grid": {"strategy": []}}, "expected a list of values"),
        ((), {"grdi": {}}, "sweep.grdi: there is no such setting; did you mean sweep.grid?"),
        ((), {"mode": "both"}, "sweep.mode: expected one of"),
        ((), {"retries": -1}, "sweep.retries: expected"),
    ],
)
def test_what_is_wrong_with_a_plan_is_named(overrides, more, says):
    with pytest.raises(ConfigError, match=says):
        cells_of(typed(*overrides, **more))


def test_modes_have_the_names_of_everywhere_else():
    assert [read_plan({"mode": mode}).mode for mode in ("pooled", "comparison", "federated", "compare")] == [
        "centralized",
        "compare",
        "federated",
        "compare",
    ]
