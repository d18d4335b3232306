"""The contract of `Store`: one suite over SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import math
import os
import socket
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
import sqlalchemy as sa

from shared.metrics.point import MetricPoint
from shared.runtime.errors import TrackingError
from shared.tracking.rows import ClientRow
from shared.tracking.schema import run, run_metrics
from shared.tracking.store import Store
from tests.contracts.store_workers import NOON, new_run, point
from tests.profiles import stored


def key(row) -> tuple:
    return (row.client_id, row.round, row.epoch, row.stage, row.name)


def execute(store: Store, statement) -> None:
    with store._database.write() as connection:
        connection.execute(statement)


class TestRuns:
    def test_a_run_begins_owned_by_this_process(self, store):
        run_id = new_run(store, description="a try", seed=2**32 - 1, config={"b": [1, None], "a": {"x": 0.1}})
        row = store.runs.get(run_id)
        assert (row.name, row.description, row.training_mode) == ("digits-cnn", "a try", "federated")
        assert (row.status, row.seed, row.parent_id, row.ended, row.error) == (
            "running",
            2**32 - 1,
            None,
            None,
            None,
        )
        assert row.config == {"b": [1, None], "a": {"x": 0.1}}
        assert list(row.config) == ["b", "a"]
        assert (row.host, row.pid) == (socket.gethostname(), os.getpid())
        assert abs(datetime.now(UTC) - row.started) < timedelta(seconds=30)
        assert row.started.utcoffset() == timedelta(0)
        assert not row.finished

    def test_a_missing_run_is_named(self, store):
        store.runs.search()
        for use in (
            lambda: store.runs.get(7),
            lambda: store.runs.claim(7),
            lambda: store.runs.finish(7, "completed"),
            lambda: store.runs.update(7, summary={}),
            lambda: store.metrics.add(7, [point()]),
            lambda: new_run(store, parent_id=7),
        ):
            with pytest.raises(TrackingError, match="no run 7"):
                use()
        assert store.metrics.of_run(7) == store.rounds.of_run(7) == store.clients.of_run(7) == []

    def test_runs_are_listed_newest_first_and_filtered(self, store):
        parent = new_run(store, training_mode="compare")
        pooled = new_run(store, training_mode="centralized", parent_id=parent)
        twin = new_run(store, parent_id=parent)
        store.runs.finish(pooled, "completed")
        assert [row.id for row in store.runs.search()] == [twin, pooled, parent]
        assert [row.id for row in store.runs.search(limit=2)] == [twin, pooled]
        assert [row.id for row in store.runs.search(mode="federated")] == [twin]
        assert [row.id for row in store.runs.search(status="running")] == [twin, parent]
        assert [row.id for row in store.runs.search(parent_id=parent, status="completed")] == [pooled]
        assert [row.id for row in store.runs.children(parent)] == [pooled, twin]

    def test_a_finished_run_is_never_overwritten(self, store):
        run_id = new_run(store)
        store.runs.finish(run_id, "failed", error="QuorumError: two of three")
        first = store.runs.get(run_id)
        store.runs.finish(run_id, "completed", stop_reason="late")
        assert store.runs.get(run_id) == first
        assert (first.status, first.error, first.stop_reason) == ("failed", "QuorumError: two of three", None)
        assert first.finished
        assert first.seconds == (first.ended - first.started).total_seconds()
        with pytest.raises(TrackingError, match="failed already"):
            store.runs.claim(run_id)

    def test_resume_reopens_a_finished_run(self, store):
        run_id = new_run(store)
        store.runs.finish(run_id, "stopped", stop_reason="interrupted by the user")
        began = store.runs.get(run_id).started
        store.runs.claim(run_id, resume=True)
        row = store.runs.get(run_id)
        assert (row.status, row.ended, row.stop_reason, row.started) == ("running", None, None, began)
        store.runs.finish(run_id, "completed")
        assert store.runs.get(run_id).status == "completed"

    def test_a_pending_run_is_claimed(self, store):
        run_id = new_run(store, status="pending")
        store.runs.set_owner(run_id, 1)
        asked = store.runs.get(run_id)
        assert (asked.status, asked.pid) == ("pending", 1)
        store.runs.claim(run_id, config={"seed": 8})
        row = store.runs.get(run_id)
        assert (row.status, row.pid, row.config) == ("running", os.getpid(), {"seed": 8})
        assert row.started >= asked.started

    def test_summaries_are_merged(self, store):
        run_id = new_run(store)
        store.runs.update(run_id, summary={"sha256": "ab", "test": {"auroc": 0.5}})
        store.runs.update(run_id, summary={"test": {"auroc": math.nan, "f1": math.inf}})
        assert store.runs.get(run_id).summary == {"sha256": "ab", "test": {"auroc": None, "f1": None}}

    def test_the_end_keeps_the_best_values_of_the_whole_model(self, store):
        run_id = new_run(store)
        values = [
            (1, "loss", 0.9),
            (2, "loss", 0.4),
            (3, "loss", 0.6),
            (1, "accuracy", 0.7),
            (2, "accuracy", 0.6),
        ]
        points = [point(value, name=name, round=number) for number, name, value in values]
        points += [point(0.99, round=1, client_id=0), point(0.98, stage="train"), point(math.nan, name="auroc")]
        store.metrics.add(run_id, points)
        assert store.metrics.best_values(run_id) == {"accuracy": 0.7, "loss": 0.4}
        store.runs.finish(run_id, "completed")
        assert store.runs.get(run_id).summary == {"best": {"accuracy": 0.7, "loss": 0.4}}

    def test_unstorable_letters_do_not_fail_a_run(self, store):
        run_id = new_run(store, name="a\0b")
        store.runs.finish(run_id, "failed", error="bad\ud800 bytes\0")
        row = store.runs.get(run_id)
        assert (row.name, row.error) == ("a\ufffdb", "bad? bytes\ufffd")

    @pytest.mark.parametrize("changes", [{"training_mode": "pooled"}, {"status": "done"}])
    def test_the_schema_refuses_unknown_words(self, store, changes):
        run_id = new_run(store)
        with pytest.raises(sa.exc.IntegrityError):
            execute(store, sa.update(run).where(run.c.id == run_id).values(changes))


class TestMetrics:
    def test_a_point_comes_back_as_it_was(self, store):
        run_id = new_run(store)
        late = NOON.astimezone(timezone(timedelta(hours=5)))
        sent = [
            MetricPoint(
                stage="train", name="loss", value=0.1, epoch=1, round=2, client_id=3, num_examples=4, time=late
            ),
            MetricPoint(stage="test", name="auroc", value=1, time=NOON),
        ]
        assert store.metrics.add(run_id, sent) == 2
        first, second = store.metrics.of_run(run_id)
        assert (key(first), first.value, first.num_examples) == ((3, 2, 1, "train", "loss"), 0.1, 4)
        assert first.time == NOON
        assert first.time.utcoffset() == timedelta(0)
        assert (key(second), second.value, second.num_examples) == (
            (None, None, None, "test", "auroc"),
            1.0,
            None,
        )
        assert first.run_id == run_id

    def test_values_that_are_not_finite_survive(self, store):
        run_id = new_run(store)
        values = [math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.5, 0.1 + 0.2]
        store.metrics.add(run_id, [point(value, epoch=number) for number, value in enumerate(values)])
        assert [repr(row.value) for row in store.metrics.of_run(run_id)] == [repr(value) for value in values]

    def test_unique_over_missing_parts_too(self, store):
        run_id, other = new_run(store), new_run(store)
        parts = [{}, {"client_id": 0}, {"round": 0}, {"epoch": 0}, {"client_id": 0, "round": 0, "epoch": 0}]
        parts += [{"stage": "test"}, {"name": "f1"}]
        assert store.metrics.add(run_id, [point(0.1, **part) for part in parts]) == len(parts)
        assert store.metrics.add(run_id, [point(0.9, **part) for part in parts]) == 0
        assert store.metrics.add(run_id, [point(0.9), point(0.2, round=1), point(0.3, round=1)]) == 1
        assert store.metrics.add(other, [point(0.9)]) == 1
        values = {key(row): row.value for row in store.metrics.of_run(run_id)}
        assert len(values) == len(parts) + 1
        assert values[None, 1, None, "val", "accuracy"] == 0.2
        assert sorted(values.values()) == [0.1] * len(parts) + [0.2]

    def test_a_batch_is_all_or_nothing(self, store):
        run_id = new_run(store)
        with pytest.raises(sa.exc.IntegrityError):
            store.metrics.add(run_id, [point(epoch=1), point(stage="validation")])
        with pytest.raises(sa.exc.IntegrityError):
            store.metrics.add(run_id, [point(epoch=1), point(client_id=-1)])
        assert store.metrics.of_run(run_id) == []
        assert store.metrics.add(run_id, []) == 0

    def test_after_is_a_cursor(self, store):
        run_id, other = new_run(store), new_run(store)
        store.metrics.add(run_id, [point(epoch=number) for number in range(250)])
        store.metrics.add(other, [point()])
        seen, last = [], 0
        while rows := store.metrics.of_run(run_id, after=last, limit=60):
            seen += rows
            last = rows[-1].id
        assert [row.epoch for row in seen] == list(range(250))
        assert seen == store.metrics.of_run(run_id)
        assert all(one.id < two.id for one, two in pairwise(seen))

    def test_ids_are_never_used_again(self, store):
        run_id = new_run(store)
        store.metrics.add(run_id, [point(epoch=1), point(epoch=2)])
        last = store.metrics.of_run(run_id)[-1].id
        execute(store, sa.delete(run).where(run.c.id == run_id))
        with store._database.read() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(run_metrics)) == 0
        again = new_run(store)
        assert again > run_id
        store.metrics.add(again, [point()])
        assert store.metrics.of_run(again)[0].id > last

    def test_latest_is_the_last_of_each(self, store):
        run_id = new_run(store)
        for number in (1, 2):
            places = [{}, {"client_id": 0}, {"stage": "train"}, {"name": "loss"}]
            store.metrics.add(run_id, [point(number / 10, round=number, **place) for place in places])
        store.metrics.add(run_id, [point(0.9, round=3)])
        found = {(row.client_id, row.stage, row.name): row.value for row in store.metrics.latest(run_id)}
        assert found == {
            (None, "val", "accuracy"): 0.9,
            (0, "val", "accuracy"): 0.2,
            (None, "train", "accuracy"): 0.2,
            (None, "val", "loss"): 0.2,
        }

    def test_a_sink_stores(self, store):
        run_id = new_run(store)
        store.metrics.sink(run_id).add([point()])
        assert [row.value for row in store.metrics.of_run(run_id)] == [0.5]


class TestRounds:
    def test_server_evaluations(self, store):
        run_id = new_run(store)
        values = {"accuracy": 0.1 + 0.2, "auroc": math.nan, "odd": -math.inf}
        matrix = [[5, 1], [2, 7]]
        given = {"metrics": values, "num_examples": 15}
        store.evaluations.add(run_id, round=1, loss=math.inf, confusion=matrix, **given)
        store.evaluations.add(run_id, round=0, loss=0.5, confusion=[[1, 0, 0]] * 3, **given)
        store.evaluations.add(run_id, round=2, loss=math.nan, confusion=None, **given)
        three, two, none = store.evaluations.of_run(run_id)
        assert [row.round for row in (three, two, none)] == [0, 1, 2]
        assert (two.true_negatives, two.false_positives, two.false_negatives, two.true_positives) == (
            5,
            1,
            2,
            7,
        )
        assert (two.confusion, two.loss, two.num_examples) == (matrix, math.inf, 15)
        assert {name: repr(value) for name, value in two.metrics.items()} == {
            "accuracy": "0.30000000000000004",
            "auroc": "nan",
            "odd": "-inf",
        }
        assert (three.confusion, three.true_positives) == ([[1, 0, 0]] * 3, None)
        assert none.confusion is None
        assert math.isnan(none.loss)
        store.evaluations.add(run_id, round=0, loss=0.25, confusion=None, **given)
        assert [row.loss for row in store.evaluations.of_run(run_id)][:2] == [0.25, math.inf]

    def test_rounds_are_stored_or_replaced(self, store):
        run_id = new_run(store)
        given = {"began": NOON, "ended": NOON + timedelta(seconds=3), "sampled": [0, 1], "seconds": 3.5}
        given |= {"bytes_down": 2**40, "bytes_up": 9}
        store.rounds.add(run_id, round=1, replied=[0], failed={1: "ReplyRejected: NaN in fc.weight"}, **given)
        store.rounds.add(run_id, round=2, replied=[0, 1], failed={}, **given)
        first, second = store.rounds.of_run(run_id)
        assert (first.began, first.ended) == (NOON, NOON + timedelta(seconds=3))
        assert (first.sampled, first.replied, first.bytes_down, first.seconds) == ([0, 1], [0], 2**40, 3.5)
        assert first.failed == {1: "ReplyRejected: NaN in fc.weight"}
        assert second.failed == {}
        store.rounds.add(run_id, round=1, replied=[0, 1], failed={}, **given)
        assert store.rounds.of_run(run_id)[0].replied == [0, 1]
        assert len(store.rounds.of_run(run_id)) == 2

    def test_clients(self, store):
        run_id = new_run(store)
        row = ClientRow(run_id, 1, str(2**64 - 1), "St. Mary\0", 12, stored(5, 7))
        other = dataclasses.replace(row, client_id=0, node_id="17", name="b", profile=stored())
        store.clients.add(run_id, [row, other])
        assert store.clients.of_run(run_id) == [other, dataclasses.replace(row, name="St. Mary\ufffd")]
        store.clients.add(run_id, [dataclasses.replace(other, num_examples=99)])
        assert [one.num_examples for one in store.clients.of_run(run_id)] == [99, 12]
        store.clients.add(run_id, [])
