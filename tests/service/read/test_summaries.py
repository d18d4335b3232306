"""Rows as the JSON of the page: every value where the page looks for it, and nothing that is not JSON."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from service.read import schemas
from service.read import summaries as views
from service.read.run_detail import run_detail
from shared.runtime.home import Home
from shared.runtime.secrets import without_secrets
from shared.tracking.rows import MetricRow
from shared.tracking.trials import NewTrial
from tests.profiles import stored
from tests.service.rows_kit import (
    CONFIG,
    add_round,
    after,
    clients,
    federated_run,
    is_json,
    new_run,
    point,
    pooled_run,
)


def config(**trainer):
    return {**CONFIG, "trainer": {**CONFIG["trainer"], **trainer}}


def summary(store, run):
    found = views.run_summary(store, store.runs.get(run.id))
    schemas.RunSummary.model_validate(found)
    assert is_json(found)
    return found


# --- summaries ----------------------------------------------------------------------------------------


def test_a_federated_run_under_way(store):
    run = federated_run(store, 0.5, 0.75, 0.625, description="a try")
    store.metrics.add(run.id, [point(0.1, client_id=0, round=4, stage="train", time=after(99))])
    found = summary(store, run)
    assert {key: found[key] for key in ("id", "name", "description", "training_mode", "status", "seed")} == {
        "id": run.id,
        "name": "digits-cnn",
        "description": "a try",
        "training_mode": "federated",
        "status": "running",
        "seed": 7,
    }
    assert (found["data"], found["model"], found["strategy"]) == ("digits", "cnn", "fedavg")
    assert found["progress"] == {"unit": "round", "done": 3, "total": 3}
    assert found["monitor"] == {"key": "val/accuracy", "mode": "max"}
    assert found["best"] == {"key": "val/accuracy", "value": 0.75}
    assert found["sparkline"] == [0.5, 0.75, 0.625]
    assert found["last_event"] == "2026-01-02T12:01:39+00:00"
    assert datetime.fromisoformat(found["started"]) == run.started
    assert (found["ended"], found["error"], found["stop_reason"], found["parent_id"]) == (None,) * 4
    assert 0 <= found["seconds"] < 60


def test_a_round_that_has_not_ended_is_not_done(store):
    run = federated_run(store, 0.5)
    store.metrics.add(run.id, [point(0.9, round=2)])
    assert summary(store, run)["progress"]["done"] == 1
    add_round(store, run.id, 2)
    assert summary(store, run)["progress"]["done"] == 2


def test_a_pooled_run(store):
    run = pooled_run(store, 0.5, 0.25, config=config(monitor="val/accuracy", mode="min"))
    store.metrics.add(run.id, [point(0.1, stage="test")])  # the final test is of no epoch
    found = summary(store, run)
    assert found["progress"] == {"unit": "epoch", "done": 2, "total": 4}
    assert (found["strategy"], found["best"]) == (None, {"key": "val/accuracy", "value": 0.25})


def test_a_comparison_has_no_curve_of_its_own(store):
    found = summary(store, new_run(store, training_mode="compare"))
    assert [found[key] for key in ("progress", "best", "sparkline", "last_event")] == [None, None, [], None]


def test_how_many_runs_a_comparison_will_have(store):
    def planned(mode="compare", **compare):
        given = {**CONFIG, "compare": compare, "federation": {"num_clients": 4}}
        return summary(store, new_run(store, training_mode=mode, config=given))["planned_runs"]

    assert planned(seeds=[1, 2], local_only=True) == 12  # of each seed both twins and four clients alone
    assert planned(seeds=[1, 2], local_only=True, fine_tune=3) == 20
    assert planned(seeds=[1, 2, 3], local_only=False) == 6
    assert planned(seeds=None, local_only=False) == 2
    assert planned(mode="federated", seeds=[1, 2], local_only=True) is None
    assert summary(store, new_run(store, training_mode="compare"))["planned_runs"] is None


def test_a_run_without_metrics_and_with_an_empty_config(store):
    found = summary(store, new_run(store, config={}, training_mode="federated"))
    assert found["progress"] == {"unit": "round", "done": 0, "total": None}
    assert [found[key] for key in ("data", "model", "strategy", "best", "last_event")] == [None] * 5


@pytest.mark.parametrize(
    ("given", "monitor", "mode"),
    [
        ({"classes": ["no", "yes"]}, None, None),
        ({"confusion": [[1, 0], [0, 1]]}, None, None),
        ({}, "val/recall", None),
    ],
)
def test_a_run_of_an_earlier_version_was_chosen_by_recall(store, given, monitor, mode):
    run = new_run(store, config=config(monitor=monitor, mode=mode))
    store.runs.update(run.id, summary=given)
    assert summary(store, run)["monitor"] == {"key": "val/recall", "mode": "max"}


@pytest.mark.parametrize(
    ("trainer", "best"),
    [
        ({"monitor": "val/loss"}, 0.25),
        ({"monitor": "val/loss", "mode": "max"}, 2.0),
        ({"monitor": "val/calibration_error"}, 0.125),
        ({"monitor": "train/loss"}, 0.0625),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_the_best_value_goes_by_the_direction(store, trainer, best, finished):
    run = new_run(store, config=config(**trainer))
    for epoch, value in enumerate((2.0, 0.25, math.nan, 0.5), 1):
        store.metrics.add(
            run.id,
            [
                point(value, name="loss", epoch=epoch),
                point(value / 2, name="calibration_error", epoch=epoch),
                point(value / 4, name="loss", stage="train", epoch=epoch),
            ],
        )
    if finished:
        store.runs.finish(run.id, "completed")
    assert summary(store, run)["best"] == {"key": trainer["monitor"], "value": best}


@pytest.mark.parametrize("finished", [False, True])
def test_a_long_sparkline_is_thinned_and_ends_with_the_last_value(store, finished):
    run = new_run(store)
    store.metrics.add(run.id, [point(epoch / 1000, epoch=epoch) for epoch in range(1, 901)])
    store.metrics.add(run.id, [point(math.nan, epoch=901), point(0.9995, epoch=902)])
    if finished:
        store.runs.finish(run.id, "completed")
    found = summary(store, run)
    assert 40 <= len(found["sparkline"]) <= views.SPARKLINE_POINTS
    assert found["sparkline"] == sorted(found["sparkline"])
    assert found["sparkline"][-1] == found["best"]["value"] == 0.9995


def test_how_a_run_ended(store):
    run = pooled_run(store, 0.5)
    store.runs.finish(run.id, "failed", error="TrackingError: postgresql://me:hidden@db/x is gone")
    found = summary(store, run)
    assert (found["status"], found["error"]) == ("failed", "TrackingError: postgresql://me:***@db/x is gone")
    assert found["ended"] is not None
    stopped = pooled_run(store, 0.5)
    store.runs.finish(stopped.id, "stopped", stop_reason="interrupted by the user")
    assert summary(store, stopped)["stop_reason"] == "interrupted by the user"


def test_many_runs_need_as_many_queries_as_one(store):
    runs = [pooled_run(store, 0.5, 0.75) for _ in range(3)] + [federated_run(store, 0.25) for _ in range(3)]
    statements = []
    with store._database.read() as connection:
        engine = connection.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2].split()[0]))
    views.run_summaries(store, runs[:1])
    assert statements == ["BEGIN", "SELECT", "BEGIN", "WITH"]
    found = views.run_summaries(store, runs)
    assert statements[4:] == statements[:4]
    assert [row["sparkline"] for row in found] == [[0.5, 0.75]] * 3 + [[0.25]] * 3
    assert [row["id"] for row in found] == [run.id for run in runs]
    assert views.run_summaries(store, []) == []


# --- rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, None), (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")],
)
def test_a_value_that_is_not_finite_is_null_with_a_flag(value, said):
    time = datetime(2026, 1, 2, 12, tzinfo=UTC)
    row = MetricRow(5, 9, None, 3, None, "val", "accuracy", value, 50, time)
    found = views.metric_row(row)
    schemas.Row.model_validate(found)
    assert found == {
        "id": 5,
        "client_id": None,
        "round": 3,
        "epoch": None,
        "stage": "val",
        "name": "accuracy",
        "value": value if said is None else None,
        "num_examples": 50,
        "time": "2026-01-02T12:00:00+00:00",
        **({} if said is None else {"not_finite": said}),
    }


def test_rounds_evaluations_and_clients(store):
    run = federated_run(store, 0.5)
    store.clients.add(run.id, clients(run.id))
    metrics = {"accuracy": 0.75, "auroc": math.nan}
    store.evaluations.add(
        run.id, round=1, loss=math.inf, metrics=metrics, confusion=[[5, 1], [2, 4]], num_examples=12
    )
    (round_row,), (evaluation,) = store.rounds.of_run(run.id), store.evaluations.of_run(run.id)
    record = views.round_record(round_row)
    schemas.RoundRecord.model_validate(record)
    assert record["failed"] == {"1": "train: <b>late</b>"}
    assert (record["began"], record["ended"]) == ("2026-01-02T12:00:00+00:00", "2026-01-02T12:00:20+00:00")
    found = views.evaluation(evaluation)
    schemas.Evaluation.model_validate(found)
    assert (found["loss"], found["metrics"]) == (None, {"accuracy": 0.75, "auroc": None})
    assert found["not_finite"] == {"loss": "inf", "auroc": "nan"}
    assert (found["true_positives"], found["false_positives"]) == (4, 1)
    one = views.client(store.clients.of_run(run.id)[1])
    schemas.Client.model_validate(one)
    assert one == {
        "client_id": 1,
        "node_id": "1001",
        "name": "site 1",
        "num_examples": 50,
        "profile": stored(20, 30),
    }
    assert all(map(is_json, (record, found, one)))


def test_an_evaluation_without_such_values_has_no_flag(store):
    run = federated_run(store, 0.5)
    store.evaluations.add(
        run.id, round=1, loss=0.5, metrics={"accuracy": 0.75}, confusion=None, num_examples=12
    )
    assert "not_finite" not in views.evaluation(store.evaluations.of_run(run.id)[0])


def test_passwords_are_hidden_wherever_they_are():
    given = {
        "a": ["postgresql://me:p-1@db:5432/x", "x://me:p@1@db/", "see http://db:80/x and a@b:c"],
        "b": 3,
        "c": None,
    }
    assert without_secrets(given) == {
        "a": ["postgresql://me:***@db:5432/x", "x://me:***@db/", "see http://db:80/x and a@b:c"],
        "b": 3,
        "c": None,
    }


def test_a_sweep_counts_its_trials_and_a_trial_names_its_sweep(store, tmp_path):
    trials = [
        NewTrial([f"seed={seed}"], seed, {**CONFIG, "name": "x", "description": "", "seed": seed}, "d")
        for seed in (1, 2, 3)
    ]
    created = store.trials.create(
        trials, name="mine", description="", config=CONFIG, summary={"sweep": {"trials": 3}}
    )
    run_id = store.trials.begin(created, 2, mode="centralized")
    store.trials.finish(created, 2, "failed", error="postgresql://me:hunter2@db/x is away")
    found = summary(store, store.runs.get(created))
    assert found["progress"] == {"unit": "trial", "done": 1, "total": 3}
    assert (found["planned_runs"], found["sweep_id"], found["training_mode"]) == (3, None, "sweep")
    trial = summary(store, store.runs.get(run_id))
    assert (trial["sweep_id"], trial["parent_id"]) == (created, created)
    home = Home(root=tmp_path, database_url="sqlite://")
    detail = run_detail(store, store.runs.get(created), home=home)
    schemas.RunDetail.model_validate(detail)
    assert [one["status"] for one in detail["trials"]] == ["waiting", "failed", "waiting"]
    assert "hunter2" not in str(detail)
    alone = run_detail(store, store.runs.get(run_id), home=home)["family"]
    assert (alone["parent"], [one["id"] for one in alone["members"]]) == (None, [run_id])
