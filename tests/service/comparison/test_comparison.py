"""Runs side by side: the gap, its band and its labels, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from service.api import chart_schemas
from service.comparison.comparison import compare
from service.comparison.intervals import t_interval
from service.read.members import comparison_members
from service.read.run_detail import difference
from shared.metrics.gap import GapRow
from shared.metrics.headline import summary_sentence
from tests.service.rows_kit import CONFIG, federated_run, is_json, new_run, point, pooled_run


def compared(store, *runs, metric="accuracy", stage="val"):
    found = compare(store, [store.runs.get(run.id) for run in runs], metric=metric, stage=stage)
    chart_schemas.Comparison.model_validate(found)
    assert is_json(found)
    return found


def gap_of(store, *runs, **asked):
    """The gap of runs whose federated ones are alike."""
    (found,) = compared(store, *runs, **asked)["gaps"]
    return found


# --- curves -------------------------------------------------------------------------------------------


def test_the_columns_of_each_run(store):
    pooled, federated = pooled_run(store, 0.5, math.nan), federated_run(store, 0.25, 0.75)
    store.metrics.add(pooled.id, [point(0.9, stage="test")])
    store.runs.update(pooled.id, summary={"test": {"accuracy": 0.875}})
    found = compared(store, pooled, federated)
    assert (found["metric"], found["stage"], found["metrics"]) == ("accuracy", "val", ["accuracy"])
    assert found["runs"] == [
        {
            "id": pooled.id,
            "name": "digits-cnn",
            "role": "pooled",
            "seed": 7,
            "status": "running",
            "client_id": None,
            "client_name": None,
            "label": "Pooled, seed 7",
            "group": "pooled",
            "differs": "",
            "unit": "epoch",
            "sampled": False,
            "step": [1, 2],
            "examples": [100, 200],
            "seconds": [10.0, 20.0],
            "bytes": [None, None],
            "value": [0.5, None],
            "test": 0.875,
            "apart": "",
        },
        {
            "id": federated.id,
            "name": "digits-cnn",
            "role": "federated",
            "seed": 7,
            "status": "running",
            "client_id": None,
            "client_name": None,
            "label": "Federated, seed 7",
            "group": "federated",
            "differs": "",
            "unit": "round",
            "sampled": False,
            "step": [1, 2],
            "examples": [100, 200],
            "seconds": [20.0, 40.0],
            "bytes": [4000, 8000],
            "value": [0.25, 0.75],
            "test": None,
            "apart": "",
        },
    ]


def test_a_comparison_stands_for_its_runs(store):
    parent = new_run(store, training_mode="compare")
    runs = [
        pooled_run(store, 0.5, parent_id=parent.id),
        federated_run(store, 0.5, parent_id=parent.id),
        new_run(store, training_mode="local", name="digits-cnn-client-3", parent_id=parent.id),
        new_run(store, training_mode="local", name="by hand", parent_id=parent.id),
        new_run(store, training_mode="local", name="by hand", parent_id=parent.id),
    ]
    found = compared(store, parent, runs[0])
    assert [one["id"] for one in found["runs"]] == [run.id for run in runs]
    assert [one["client_id"] for one in found["runs"]] == [None, None, 3, None, None]
    assert [one["label"] for one in found["runs"]] == [
        "Pooled, seed 7",
        "Federated, seed 7",
        "Local, client-3, seed 7",
        f"Local, seed 7, run {runs[3].id}",
        f"Local, seed 7, run {runs[4].id}",
    ]
    members = comparison_members(store, store.runs.get(runs[1].id))
    assert members == comparison_members(store, parent)
    assert members["parent"] == parent.id
    assert [one["role"] for one in members["members"]] == ["pooled", "federated", "local", "local", "local"]
    alone = pooled_run(store, 0.5)
    assert [one["id"] for one in comparison_members(store, alone)["members"]] == [alone.id]
    assert comparison_members(store, alone)["parent"] is None


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("loss", "r2", "mae", "seconds"), "mae"),
        (("loss", "label_accuracy", "f1"), "loss"),
        (("dice",), "dice"),
    ],
)
def test_the_headline_is_one_that_the_runs_of_a_task_have(store, names, chosen):
    pooled, federated = new_run(store), new_run(store, training_mode="federated")
    store.metrics.add(pooled.id, [point(0.5, name=name, epoch=1) for name in names])
    store.metrics.add(federated.id, [point(0.5, name=name, round=1) for name in names])
    assert compared(store, pooled, federated, metric=None)["metric"] == chosen


def test_the_headline_is_auroc_where_all_runs_have_it(store):
    def headline(*runs, stage="val"):
        return compared(store, *runs, metric=None, stage=stage)["metric"]

    pooled, federated, waiting = pooled_run(store, 0.5), federated_run(store, 0.5), new_run(store)
    assert headline(waiting) == "loss", "every task has it"
    assert headline(pooled, federated, waiting) == "accuracy"
    store.metrics.add(pooled.id, [point(0.75, name="auroc", epoch=1)])
    assert headline(pooled, waiting) == "auroc"
    assert headline(pooled, federated) == "accuracy"
    store.metrics.add(federated.id, [point(math.nan, name="auroc", round=1)])
    assert headline(pooled, federated) == "accuracy", "a client lacks a class: it is not defined"
    store.metrics.add(federated.id, [point(0.5, name="auroc", round=2)])
    assert headline(pooled, federated, waiting) == "auroc"
    # A pooled run is tested once, at its end.
    tested = [point(0.5, name=name, round=1, stage="test") for name in ("auroc", "accuracy")]
    store.metrics.add(federated.id, tested)
    assert headline(pooled, federated, stage="test") == "auroc"
    store.runs.update(pooled.id, summary={"test": {"accuracy": 0.5, "auroc": math.nan}})
    assert headline(pooled, federated, stage="test") == "accuracy"
    store.runs.update(pooled.id, summary={"test": {"accuracy": 0.5, "auroc": 0.75}})
    assert headline(pooled, federated, stage="test") == "auroc"


def test_the_metrics_that_all_runs_have(store):
    pooled, federated = pooled_run(store, 0.5), federated_run(store, 0.5)
    store.metrics.add(pooled.id, [point(0.5, name=name, epoch=1) for name in ("f1", "auroc")])
    store.metrics.add(federated.id, [point(0.5, name=name, round=1) for name in ("f1", "recall")])
    store.metrics.add(federated.id, [point(0.5, name="auroc", round=1, client_id=0)])  # not of all clients
    store.metrics.add(federated.id, [point(0.5, name="auroc")])  # at no step
    waiting = new_run(store)
    assert compared(store, pooled, federated, waiting)["metrics"] == ["accuracy", "f1"]
    assert compared(store, waiting)["metrics"] == []


# --- the gap ------------------------------------------------------------------------------------------


def test_the_pooled_curve_is_interpolated_and_never_goes_on(store):
    pooled = pooled_run(store, 0.4, 0.6, 0.8)  # at 100, 200 and 300 examples
    federated = federated_run(store, 0.3, 0.5, 0.7, examples=150)  # at 150, 300 and 450
    gap = gap_of(store, pooled, federated)
    assert (gap["of"], gap["against"]) == ([pooled.id], [federated.id])
    assert (gap["step"], gap["examples"]) == ([1, 2], [150, 300])
    assert gap["value"] == pytest.approx([0.5 - 0.3, 0.8 - 0.5])
    assert (gap["seconds"], gap["bytes"], gap["pairs"]) == ([20, 40], [4000, 8000], [1, 1])
    early = federated_run(store, 0.1, 0.2, examples=60)  # at 60 and 120
    gap = gap_of(store, pooled, early)
    assert gap["examples"] == [120]
    assert gap["value"] == pytest.approx([0.4 + 0.2 * 0.2 - 0.2])


def test_what_is_not_a_number_is_left_out(store):
    pooled = pooled_run(store, 0.4, math.nan, 0.8)
    federated = federated_run(store, 0.1, 0.2, math.nan)
    gap = gap_of(store, pooled, federated)
    assert gap["examples"] == [100, 200]
    assert gap["value"] == pytest.approx([0.3, 0.6 - 0.2])


def test_one_seed_has_no_band(store):
    gap = gap_of(store, pooled_run(store, 0.9), federated_run(store, 0.8))
    assert (gap["value"], gap["low"], gap["high"], gap["band"]) == ([pytest.approx(0.1)], [None], [None], None)
    assert gap["why"].startswith("one seed only")


def test_the_gap_is_a_cost_whichever_direction_a_metric_has(store):
    pooled, federated = pooled_run(store, 0.9), federated_run(store, 0.8)
    for name, better, worse in (("loss", 0.2, 0.5), ("auroc", 0.9, 0.6), ("calibration_error", 0.1, 0.4)):
        store.metrics.add(pooled.id, [point(better, name=name, epoch=1)])
        store.metrics.add(federated.id, [point(worse, name=name, round=1)])
        for run, value in ((pooled, better), (federated, worse)):
            store.runs.update(run.id, summary={"test": {name: value}})
        gap = gap_of(store, pooled, federated, metric=name)
        assert (gap["value"], gap["test"]) == ([pytest.approx(0.3)], pytest.approx(0.3)), name
        told = "".join(part["text"] for part in compared(store, pooled, federated, metric=name)["result"])
        assert "0.300 worse than the pooled one" in told


def test_rounds_that_evaluated_other_rows_have_no_gap(store):
    pooled, federated = pooled_run(store, 0.5, 0.6), federated_run(store, 0.3, 0.4)
    for run, at in ((pooled, "epoch"), (federated, "round")):
        counts = (100, 100) if at == "epoch" else (100, 60)  # in round 2 a client was not asked
        store.metrics.add(
            run.id,
            [point(0.5, name="f1", num_examples=n, **{at: k}) for k, n in enumerate(counts, 1)],
        )
    gap = gap_of(store, pooled, federated, metric="f1")
    assert gap["step"] == [1]
    assert gap["notes"][0].startswith("1 round is left out of the gap")


def test_what_cannot_be_compared_is_told_and_not_drawn(store):
    pooled, federated = pooled_run(store, 0.9), federated_run(store, 0.8)
    alone = pooled_run(store, 0.9, training_mode="local")
    found = compared(store, pooled, federated, alone)
    assert [bool(run["apart"]) for run in found["runs"]] == [False, False, True]
    found = compared(store, pooled, federated, alone, stage="train", metric="loss")
    assert [bool(run["apart"]) for run in found["runs"]] == [False, True, True]
    assert found["gaps"][0]["value"] == []
    found = compared(store, pooled, federated, alone, stage="test")
    assert not any(run["apart"] for run in found["runs"])


def test_two_seeds_are_two_lines_and_no_band(store):
    runs = []
    for seed, federated in ((1, 0.4), (2, 0.38)):  # gaps of 0.1 and 0.12
        runs += [pooled_run(store, 0.5, 0.5, seed=seed), federated_run(store, federated, seed=seed)]
    gap = gap_of(store, *runs)
    assert (gap["of"], gap["against"]) == ([runs[0].id, runs[2].id], [runs[1].id, runs[3].id])
    assert gap["value"] == pytest.approx([0.11])
    assert (gap["low"], gap["high"], gap["band"]) == ([None], [None], None)
    assert gap["why"] == "2 seeds are too few; thin lines show each seed"
    assert [(line["seed"], line["of"], line["against"], line["step"]) for line in gap["each"]] == [
        (1, runs[0].id, runs[1].id, [1]),
        (2, runs[2].id, runs[3].id, [1]),
    ]
    assert [line["value"] for line in gap["each"]] == [pytest.approx([0.1]), pytest.approx([0.12])]
    assert [line["examples"] for line in gap["each"]] == [[100], [100]]


def test_several_seeds(store):
    runs = []
    for seed, federated in ((1, 0.4), (2, 0.38), (3, 0.36)):  # gaps of 0.1, 0.12 and 0.14
        runs += [pooled_run(store, 0.5, 0.5, seed=seed), federated_run(store, federated, seed=seed)]
    # Mean 0.12, sd 0.02; Student's t of 2 degrees of freedom: 4.302653.
    gap = gap_of(store, *runs)
    assert gap["value"] == pytest.approx([0.12])
    assert gap["low"] == pytest.approx([0.12 - 4.302653 * 0.02 / math.sqrt(3)])
    assert gap["high"] == pytest.approx([0.12 + 4.302653 * 0.02 / math.sqrt(3)])
    assert (gap["band"], gap["why"]) == ("seeds", "95 % CI, t interval of the mean over 3 seeds")
    assert gap["each"] == []
    # A seed that has come no further than the first round: the second is of one pair.
    store.metrics.add(
        runs[1].id,
        [point(0.4, round=2), point(1, name="loss", stage="train", round=2, client_id=0, num_examples=100)],
    )
    gap = gap_of(store, *reversed(runs))
    assert gap["of"] == [runs[0].id, runs[2].id, runs[4].id]
    assert gap["value"] == pytest.approx([0.12, 0.1])
    assert gap["low"] == [pytest.approx(0.12 - 4.302653 * 0.02 / math.sqrt(3)), None]
    assert gap["pairs"] == [3, 1]


def test_a_band_ends_where_no_difference_can_be(store):
    runs = []
    for seed, federated in ((1, 0.1), (2, 0.6), (3, 0.9)):
        runs += [pooled_run(store, 0.9, seed=seed), federated_run(store, federated, seed=seed)]
    gap = gap_of(store, *runs)
    assert (gap["low"], gap["high"]) == ([pytest.approx(0.36667 - 1.00395, abs=1e-4)], [1.0])


def test_why_there_is_no_gap(store):
    pooled, federated = pooled_run(store, 0.9), federated_run(store, 0.8)
    gap = gap_of(store, pooled, federated, metric="loss")
    assert (gap["value"], gap["band"], gap["yet"]) == ([], None, True)
    assert gap["why"] == "no loss at equal examples seen yet"
    for run in (pooled, federated):
        store.runs.finish(run.id, "completed")
    gap = gap_of(store, pooled, federated, metric="loss")
    assert (gap["why"], gap["yet"]) == ("no loss at equal examples seen", False)
    gap = gap_of(store, pooled, federated, stage="test")
    assert gap["why"].startswith("a pooled model is tested only once, at the end")


def test_there_is_no_gap_yet_while_a_run_is_to_come(store):
    def told(*runs):
        return "".join(part["text"] for part in compared(store, *runs)["result"])

    parent = new_run(store, training_mode="compare")
    pooled = pooled_run(store, 0.9, parent_id=parent.id)
    store.runs.finish(pooled.id, "completed")
    assert "No gap yet" in told(pooled), "the federated twin has not begun"
    store.runs.finish(parent.id, "stopped")
    assert "A gap needs" in told(pooled)
    begun = new_run(store, training_mode="federated")
    assert "No gap yet" in told(pooled_run(store, 0.9), begun)


def test_the_gap_of_the_final_test(store):
    runs = []
    for seed, (pooled, federated) in ((1, (0.9, 0.8)), (2, (0.8, 0.75))):
        runs += [pooled_run(store, 0.5, seed=seed), federated_run(store, 0.5, seed=seed)]
        store.runs.update(runs[-2].id, summary={"test": {"accuracy": pooled}})
        assert gap_of(store, *runs)["test"] is None, "not all are tested"
        store.runs.update(runs[-1].id, summary={"test": {"accuracy": federated}})
    assert gap_of(store, *runs)["test"] == pytest.approx(0.075)


def test_which_runs_are_a_pair(store):
    parents = [new_run(store, training_mode="compare") for _ in range(2)]
    other = pooled_run(store, 0.1, parent_id=parents[0].id)
    pooled = pooled_run(store, 0.9, parent_id=parents[1].id)
    federated = federated_run(store, 0.5, parent_id=parents[1].id)
    gap = gap_of(store, other, federated, pooled)
    assert (gap["of"], gap["against"]) == ([pooled.id], [federated.id])
    assert gap_of(store, other, federated)["of"] == [other.id]  # better than none
    strangers = gap_of(store, pooled_run(store, 0.5, seed=1), federated_run(store, 0.5, seed=2))
    assert (strangers["of"], strangers["value"], strangers["band"]) == ([], [], None)
    assert strangers["why"] == "no pooled and federated run with the same seed"
    assert compared(store, pooled, other)["gaps"] == []


def test_other_data_is_no_pair(store):
    data = {"source": "digits", "path": None, "split_seed": 0, "image_size": 8, "name": "digits"}

    def runs(**changes):
        config = {**CONFIG, "data": {**data, **changes}}
        return pooled_run(store, 0.9, config=config), federated_run(store, 0.8, config=config)

    pooled, federated = runs()
    for change, value in (("source", "npz"), ("path", "b.zip"), ("split_seed", 1)):
        strange, _ = runs(**{change: value})
        gap = gap_of(store, strange, federated)
        assert (gap["of"], gap["value"], gap["band"], gap["test"]) == ([], [], None, None)
        assert gap["why"].startswith(f"the runs are tested on different data (data.{change} is {value} in run")
        found = gap_of(store, strange, federated, pooled)
        assert (found["of"], found["notes"]) == ([pooled.id], [])
    # The size and the name change no row.
    resized, _ = runs(image_size=28, name="small digits")
    gap = gap_of(store, resized, federated)
    assert gap["of"] == [resized.id]
    assert gap["notes"] == [
        "Not twins: the runs of a pair also differ in other settings (data.image_size is 28 in run "
        f"{resized.id}, 8 in run {federated.id})."
    ]


def test_only_a_name_tells_the_data_of_an_old_run(store):
    other = {**CONFIG, "data": {"name": "pneumoniamnist"}}
    gap = gap_of(store, pooled_run(store, 0.9, config=other), federated_run(store, 0.8))
    assert gap["why"].startswith("the runs are tested on different data (data.name is pneumoniamnist in run")


def test_in_what_a_pair_is_no_pair_of_twins(store):
    longer = {
        **CONFIG,
        "trainer": {**CONFIG["trainer"], "max_epochs": 9},
        "model": {"name": "cnn", "widths": [1]},
    }
    other = {**longer, "model": {"name": "resnet18", "widths": [2]}, "strategy": {"name": "fedprox"}}
    pooled, federated = pooled_run(store, 0.9, config=longer), federated_run(store, 0.8, config=other)
    gap = gap_of(store, pooled, federated)
    assert gap["value"] == pytest.approx([0.1])
    assert gap["notes"] == [
        "Not twins: the runs of a pair also differ in other settings (model.name is cnn in run "
        f"{pooled.id}, resnet18 in run {federated.id})."
    ]


def test_runs_of_different_settings_are_different_groups(store):
    prox = {**CONFIG, "strategy": {"name": "fedprox", "mu": 0.1}}
    parents = [new_run(store, training_mode="compare") for _ in range(2)]
    runs = []
    for parent, config, federated in ((parents[0], CONFIG, 0.4), (parents[1], prox, 0.3)):
        for seed in (1, 2):
            given = {"seed": seed, "parent_id": parent.id, "config": {**config, "seed": seed}}
            runs.append(pooled_run(store, 0.5, **given))
            runs.append(federated_run(store, federated, **given))
    found = compared(store, *parents)
    assert [(run["group"], run["differs"]) for run in found["runs"]] == [
        ("pooled", ""),
        ("federated", "strategy.name=fedavg"),
        ("pooled", ""),
        ("federated", "strategy.name=fedavg"),
        ("pooled", ""),  # the strategy is nothing to a pooled run
        ("federated-2", "strategy.name=fedprox"),
        ("pooled", ""),
        ("federated-2", "strategy.name=fedprox"),
    ]
    assert found["runs"][5]["label"] == "Federated, seed 1, strategy.name=fedprox"
    first, second = found["gaps"]
    assert (first["group"], first["of"], first["against"]) == (
        "federated",
        [runs[0].id, runs[2].id],
        [runs[1].id, runs[3].id],
    )
    assert (second["group"], second["of"], second["against"]) == (
        "federated-2",
        [runs[4].id, runs[6].id],  # its own twins
        [runs[5].id, runs[7].id],
    )
    assert (first["value"], second["value"]) == (pytest.approx([0.1]), pytest.approx([0.2]))


def test_where_the_clients_were_simulated_makes_no_other_group(store):
    places = [
        {},
        {"ray_address": None},
        {"ray_address": "10.0.0.5:6379", "client_gpus": 0.5},
    ]  # the first: an old run
    runs = [
        federated_run(store, 0.4, seed=seed, config={**CONFIG, "federation": {"num_clients": 2, **place}})
        for seed, place in enumerate(places)
    ]
    assert {run["group"] for run in compared(store, *runs)["runs"]} == {"federated"}


def test_a_group_is_told_by_what_it_differs_in(store):
    def named(*configs):
        runs = [federated_run(store, 0.5, seed=seed, config=config) for seed, config in enumerate(configs, 1)]
        return [run["differs"] for run in compared(store, *runs)["runs"]]

    moved = (
        {**CONFIG, "partition": {"name": "iid", "seed": 1}},
        {**CONFIG, "partition": {"name": "iid", "seed": 2}},
    )
    assert named(*moved) == ["", ""]  # the partition's seed moves with the run's
    apart = [{**CONFIG, "partition": {"name": "iid", "seed": 5 + number}} for number in (0, 1)]
    assert named(*apart) == ["partition.seed=5", "partition.seed=6"]
    own = [{**CONFIG, "name": str(number), "compare": {"seeds": [number]}} for number in (0, 1)]
    assert named(*own) == ["", ""]
    many = [{**CONFIG, "trainer": {"a": number, "b": number, "c": number}} for number in (0, 1)]
    assert named(*many) == ["trainer.a=0, trainer.b=0, and 1 more", "trainer.a=1, trainer.b=1, and 1 more"]


def test_which_of_repeated_runs_is_in_the_gap(store):
    pooled, first, again = pooled_run(store, 0.5), federated_run(store, 0.4), federated_run(store, 0.4)
    gap = gap_of(store, pooled, first, again)
    assert (gap["of"], gap["against"]) == ([pooled.id], [first.id])
    assert gap["notes"] == [f"Repeated runs: seed 7 uses run {first.id}, not run {again.id}."]


def test_the_interval_over_seeds():
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.484138, 2 + 2.484138))


# --- the final gap ------------------------------------------------------------------------------------


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


@pytest.fixture
def finished(store):
    """A finished comparison of two seeds."""
    parent = new_run(store, training_mode="compare")
    pooled = [pooled_run(store, 0.5, seed=seed, parent_id=parent.id) for seed in (1, 2)]
    federated = [federated_run(store, 0.5, seed=seed, parent_id=parent.id) for seed in (1, 2)]
    row = {
        "metric": "accuracy",
        "pooled": interval(0.9, 0.88, 0.92),
        "federated": interval(0.8, 0.78, 0.82),
        "gap": interval(0.1, 0.0625, 0.125),
        "local": interval(0.7, 0.6, 0.75),
        "better": "higher",
        "confidence": 0.9,
        "undefined": 0,
    }
    undefined = {**row, "metric": "auroc", "local": None, "gap": interval(math.nan, math.nan, math.nan)}
    ids = {"pooled": [run.id for run in pooled], "federated": [run.id for run in federated]}
    store.runs.update(
        parent.id, summary={"gap": [row, undefined], "twins": {"seeds": [1, 2], **ids, "local": []}}
    )
    return store.runs.get(parent.id)


def test_the_sentence_is_that_of_the_terminal_and_the_report(store, finished):
    accuracy = GapRow.from_json(finished.summary["gap"][0])
    found = compared(store, finished, metric=None)
    assert found["metric"] == "accuracy", "the AUROC is not defined"
    text = "".join(part["text"] for part in found["result"])
    assert text == summary_sentence(accuracy, num_clients=len(store.clients.of_run(4)))
    assert [part["text"] for part in found["result"] if part["strong"]] == ["0.100 [0.062, 0.125] worse"]


def test_the_metric_of_the_comparison_stays(store, finished):
    store.runs.update(finished.id, summary={"metric": "auroc"})
    found = compared(store, finished, metric=None)
    assert found["metric"] == "auroc", "also where it turns out not to be defined"
    running = new_run(store, training_mode="compare")
    store.runs.update(running.id, summary={"metric": "f1"})
    begun = pooled_run(store, 0.5, parent_id=running.id)
    assert compared(store, begun, metric=None)["metric"] == "f1", "before it is measured"


def test_the_tested_epochs_and_the_warnings_of_the_runs(store, finished):
    twins = finished.summary["twins"]
    for place, (pooled, federated) in enumerate(zip(twins["pooled"], twins["federated"], strict=True)):
        store.runs.update(pooled, summary={"test_epoch": 4 + place})
        store.runs.update(federated, summary={"test_round": 9, "warnings": ["never predicts b"] * place})
    store.runs.update(finished.id, summary={"warnings": ["unequal"]})
    found = compared(store, finished, metric=None)
    text = "".join(part["text"] for part in found["result"])
    assert text.endswith(" Tested after epochs 4, 5 (pooled) and rounds 9, 9 (federated).")
    assert found["warnings"] == ["unequal", "federated, seed 2: never predicts b"]


def test_what_an_interval_is_from_stands_beside_it(store, finished):
    row, undefined = finished.summary["gap"]
    counted = {**row, "groups": 57, "noun": "patient", "seeds": 2}
    for more, told in (({}, "57 test patients, 2 seeds"), ({"per_run": True}, "2 seeds")):
        store.runs.update(finished.id, summary={"gap": [{**counted, **more}, undefined]})
        found = compared(store, finished, metric=None)
        text = "".join(part["text"] for part in found["result"])
        assert text.endswith(f"(90 % CI, {told}).")
        assert next(own["text"]["counted"] for own in found["final"] if own["metric"] == "accuracy") == told


def test_a_gap_without_an_interval_is_told_as_in_the_terminal(store, finished):
    row, _ = finished.summary["gap"]
    alone = {**row, "per_run": True, "gap": {"value": 0.1, "low": None, "high": None}}
    store.runs.update(finished.id, summary={"gap": [alone]})
    text = "".join(part["text"] for part in compared(store, finished, metric=None)["result"])
    assert text == summary_sentence(GapRow.from_json(alone), num_clients=len(store.clients.of_run(4)))
    assert "The gap +0.100 has no interval" in text


def test_the_final_gap_is_in_the_order_of_the_task(store, finished):
    assert [row["metric"] for row in compared(store, finished)["final"]] == ["auroc", "accuracy"], "older runs"
    dice = {**finished.summary["gap"][0], "metric": "dice"}
    loss = {**dice, "metric": "loss"}
    parent = new_run(store, training_mode="compare", config={**CONFIG, "task": {"name": "custom"}})
    twins = [pooled_run(store, 0.5, parent_id=parent.id), federated_run(store, 0.5, parent_id=parent.id)]
    ids = {"pooled": [twins[0].id], "federated": [twins[1].id]}
    store.runs.update(parent.id, summary={"gap": [dice, loss], "twins": {"seeds": [7], **ids, "local": []}})
    found = compared(store, parent, metric=None)
    assert [row["metric"] for row in found["final"]] == ["dice", "loss"]
    assert found["metric"] == "dice"


def test_the_final_gap_is_that_of_the_comparison(store, finished):
    twins = store.runs.children(finished.id)
    assert compared(store, finished)["final"] == compared(store, *twins)["final"]
    undefined, first = compared(store, *twins)["final"]  # in the catalogue's order
    assert first == {
        "metric": "accuracy",
        "label": "accuracy",
        "pooled": 0.9,
        "federated": 0.8,
        "local": 0.7,
        "gap": 0.1,
        "low": 0.0625,
        "high": 0.125,
        "better": "higher",
        "confidence": 0.9,
        "verdict": "worse",
        "groups": None,
        "group": "row",
        "seeds": None,
        "text": {
            "pooled": "0.900",
            "federated": "0.800",
            "local": "0.700",
            "gap": "+0.100",
            "interval": "[+0.062, +0.125]",
            "pooled_interval": "[0.880, 0.920]",
            "federated_interval": "[0.780, 0.820]",
            "verdict": "▲ worse",
            "counted": "",
        },
    }
    assert (undefined["gap"], undefined["low"], undefined["local"]) == (None, None, None)


def test_the_final_gap_is_not_shown_beside_other_runs(store, finished):
    twins = store.runs.children(finished.id)
    assert compared(store, *twins[1:])["final"] == []
    assert compared(store, *twins, pooled_run(store, 0.5))["final"] == []
    assert compared(store, pooled_run(store, 0.5))["final"] == []
    running = new_run(store, training_mode="compare")
    assert compared(store, pooled_run(store, 0.5, parent_id=running.id))["final"] == []


# --- settings -----------------------------------------------------------------------------------------


def test_the_settings_in_which_two_runs_differ(store):
    optimizer = {"lr": 0.1, "name": "sgd"}
    changed = {**CONFIG, "seed": 8, "trainer": {**CONFIG["trainer"], "optimizer": optimizer}, "data": {}}
    del changed["strategy"]
    one = new_run(store, config={**CONFIG, "partition": None, "widths": [1, 2]})
    other = new_run(store, config={**changed, "widths": [1, 3], "url": "postgresql://me:hidden@db/x"})
    found = difference(one, other)
    chart_schemas.Difference.model_validate(found)
    assert found == {
        "left": one.id,
        "right": other.id,
        "rows": [
            {"key": "seed", "left": 7, "right": 8},
            {"key": "data.name", "left": "digits", "right": None},
            {"key": "trainer.optimizer.lr", "left": 0.01, "right": 0.1},
            {"key": "strategy.name", "left": "fedavg", "right": None},
            {"key": "widths", "left": [1, 2], "right": [1, 3]},
            {"key": "trainer.optimizer.name", "left": None, "right": "sgd"},
            {"key": "url", "left": None, "right": "postgresql://me:***@db/x"},
        ],
    }
    assert difference(one, one)["rows"] == []
