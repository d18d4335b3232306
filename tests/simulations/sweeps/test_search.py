"""A search: what it refuses, what it proposes, and that only the winner's test set is opened, once."""

from __future__ import annotations

import pytest

from shared.config.compose import compose
from shared.metrics.point import MetricPoint
from shared.runtime.errors import ConfigError
from shared.sweeps.plan import read_plan
from shared.tracking.trials import NewTrial
from simulations.sweeps.cells import cells_of_sweep
from simulations.sweeps.objectives import Objectives, find_metric
from simulations.sweeps.search import Search
from simulations.sweeps.space import Space
from simulations.sweeps.sweep import plan_sweep, resume_sweep

LR, MOMENTUM = "trainer.optimizer.lr", "trainer.optimizer.momentum"
GRID = {LR: "tag(log,interval(0.001,0.1))", MOMENTUM: "interval(0.1,0.9)"}


def plan(grid=GRID, mode="centralized", seeds=(1,), **search):
    return read_plan({"mode": mode, "grid": grid, "seeds": list(seeds), "search": {"trials": 6, **search}})


@pytest.mark.parametrize(
    ("search", "more", "says"),
    [
        ({"metric": "test/auroc"}, {}, r"sweep.search.metric=test/auroc: a search must not see the test set"),
        ({"metric": "auroc"}, {}, "choose one of validation: val/NAME"),
        ({"objectives": ["gap"]}, {}, "gap is not measured by pooled trials; it needs sweep.mode=comparison"),
        ({"objectives": ["metric", "seconds"], "pruner": "median"}, {}, "with several objectives"),
        ({"objectives": ["metric", "seconds"], "sampler": "cmaes"}, {}, "cmaes is for one objective"),
        ({"objectives": ["epsilon"]}, {}, "expected"),
        ({"pruner": "median"}, {"seeds": [1, 2]}, "each has 2 seeds; name one seed"),
        ({"sampler": "cmaes"}, {"grid": {LR: [0.1, 0.2]}}, "needs two or more intervals of numbers"),
        ({}, {"grid": {"data.split_seed": [1, 2]}}, "data.split_seed chooses the rows of each side"),
        ({}, {"grid": {"data.end": ["2024-01-01", "2025-01-01"]}}, "data.end chooses the rows of each side"),
        ({}, {"grid": {"data.query": ["select 1", "select 2"]}}, "data.query chooses the rows of each side"),
        ({}, {"grid": {"trainer.monitor": ["val/loss", "val/auroc"]}}, "what trials are compared by"),
        ({}, {"grid": {}}, "searches nothing"),
        ({}, {"draws": 3}, "leave sweep.draws out"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(search, more, says):
    values = {"mode": "centralized", "grid": GRID, "search": {"trials": 2, **search}, **more}
    with pytest.raises(ConfigError, match=says):
        Space(read_plan(values))


def test_a_metric_that_is_not_of_validation_is_refused(make_config, home):
    from shared.tasks.task import learner_of

    cfg = make_config()
    learner = learner_of(cfg)
    spec = learner.spec(learner.dataset(cache=home.cache).schema)
    assert find_metric(cfg, spec=spec, given=None) == ("val/auroc", "max")
    last = cfg.replace("trainer", test_model="last")
    assert find_metric(last, spec=spec, given="val/loss") == ("val/loss", "min")
    assert find_metric(cfg.replace("trainer", monitor="val/loss"), spec=spec, given="val/loss")[1] == "min"
    with pytest.raises(ConfigError, match="not what chooses the model of a trial"):
        find_metric(cfg, spec=spec, given="val/loss")
    with pytest.raises(ConfigError, match="did you mean accuracy"):
        find_metric(cfg, spec=spec, given="val/acuracy")
    with pytest.raises(
        ConfigError, match=r"trainer.monitor=train/loss: a search compares trials by validation"
    ):
        find_metric(cfg.replace("trainer", monitor="train/loss"), spec=spec, given=None)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random", "nsga2"])
def test_a_search_that_was_interrupted_proposes_what_it_would_have(sampler, store):
    searched = plan(sampler=sampler, trials=9)

    def begin() -> int:
        first = NewTrial([], 1, compose().snapshot(), "")
        return store.trials.create([first], name="x", description="", config={}, summary={})

    def proposed(sweep_id: int, *, interrupt: bool) -> list:
        search = None
        for _ in range(8):
            if search is None or interrupt:
                objectives = Objectives(("metric",), "val/loss", "min")
                search = Search(searched, objectives=objectives, sweep_id=sweep_id, store=store)
            (row,) = search.ask()
            rate = row.search["params"][LR]
            value = (rate - 0.02) ** 2 + row.search["params"][MOMENTUM] ** 2  # known: the best is near 0.02
            run_id = store.trials.begin(sweep_id, row.number, mode="centralized")
            store.runs.update(run_id, summary={"best": {"loss": value}})
            store.trials.finish(sweep_id, row.number, "completed")
            search.tell(store.trials.get(sweep_id, row.number))
        assert search.to_come == 1
        assert search.best()[0] == min(
            range(8), key=lambda one: store.trials.get(sweep_id, one + 2).search["values"][0]
        )
        return [one.settings for one in store.trials.of_sweep(sweep_id)[1:]]

    undisturbed = proposed(begin(), interrupt=False)
    assert len({tuple(one) for one in undisturbed}) == 8
    assert proposed(begin(), interrupt=True) == undisturbed


def write_losses(store, run_id: int, losses: list[float]) -> None:
    """Validation losses of the rounds of a federated run."""
    store.metrics.add(run_id, [MetricPoint("val", "loss", value, round=n) for n, value in enumerate(losses, 1)])


@pytest.mark.parametrize(("test_model", "value"), [("best", 0.2), ("last", 0.5)])
def test_a_trial_is_judged_by_the_model_that_would_be_tested(test_model, value, store):
    config = {"trainer": {"test_model": test_model}}
    run_id = store.runs.create(name="x", training_mode="federated", config=config, seed=1)
    write_losses(store, run_id, [0.9, 0.2, 0.5])
    store.runs.finish(run_id, "completed")
    objectives = Objectives(("metric",), "val/loss", "min")
    assert objectives.of_trial(store.runs.get(run_id), store=store) == [value]


def test_no_trial_is_pruned_in_its_first_fifth(store):
    searched = plan(mode="federated", pruner="median", trials=8)
    sweep_id = store.trials.create([], name="x", description="", config={}, summary={}, seed=1)
    objectives = Objectives(("metric",), "val/loss", "min")
    search = Search(searched, objectives=objectives, sweep_id=sweep_id, store=store)

    def began(losses: list[float]) -> int:
        (row,) = search.ask()
        write_losses(store, store.trials.begin(sweep_id, row.number, mode="federated"), losses)
        return row.number

    for _ in range(5):  # of ten rounds, by default
        number = began([0.1] * 10)
        assert search.to_prune() == []
        store.runs.finish(store.trials.get(sweep_id, number).run_id, "completed")
        store.trials.finish(sweep_id, number, "completed")
        search.tell(store.trials.get(sweep_id, number))
    began([0.9] * 2)
    later = began([0.9] * 3)
    assert [row.number for row in search.to_prune()] == [later]


def test_settings_that_none_beats(store):
    searched = plan(mode="federated", objectives=["metric", "bytes"], trials=3)
    sweep_id = store.trials.create([], name="x", description="", config={}, summary={}, seed=1)
    search = Search(
        searched, objectives=Objectives(("metric", "bytes"), "val/auroc", "max"), sweep_id=sweep_id, store=store
    )
    for values in ([0.8, 10.0], [0.9, 30.0], [0.7, 20.0]):
        (row,) = search.ask()
        store.trials.set_search(sweep_id, row.number, {**row.search, "values": values})
        store.trials.finish(sweep_id, row.number, "completed")
        search.tell(store.trials.get(sweep_id, row.number))
    assert search.best() == [1, 0]  # the third has a lower metric than the first, for more bytes


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_test_set_of_the_winner_alone_is_opened_once(store, home, two_classes):
    settings = {
        "data": "npz",
        "data.path": str(two_classes),
        "data.image_size": 8,
        "data.batch_size": 32,
        "model.widths": [2, 4],
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 2,
    }
    grid = {LR: [0.05, 1e30], MOMENTUM: "interval(0.1,0.9)"}
    searched = {"trials": 4, "pruner": "median", "seed": 1}
    asked = {"mode": "pooled", "settings": settings, "grid": grid, "seeds": [2], "search": searched}
    sweep_id = plan_sweep(read_plan(asked), store=store, home=home)
    assert [one.status for one in store.trials.of_sweep(sweep_id)] == ["waiting"]
    totals = []
    resume_sweep(
        sweep_id, store=store, home=home, workers=2, on_progress=[lambda one: totals.append(one.total)]
    )
    assert set(totals) == {4, 5}
    assert store.runs.get(sweep_id).status == "completed"
    trials = store.trials.of_sweep(sweep_id)
    assert len(trials) == 5
    tested = [one for one in trials if store.runs.get(one.run_id).summary.get("test")]
    assert [one.number for one in tested] == [5]
    assert not any((home.run_dir(one.run_id) / "test_predictions.npz").exists() for one in trials[:4])
    best = max((one for one in trials[:4] if one.search.get("values")), key=lambda one: one.search["values"])
    assert tested[0].settings == best.settings
    again = store.runs.get(tested[0].run_id).summary["best"]
    assert again == store.runs.get(best.run_id).summary["best"]  # the same training, with its test
    (winner,) = [cell for cell in cells_of_sweep(store, sweep_id) if cell.is_winner]
    assert list(winner.numbers) == ["pooled"]
