"""The contract of what users change about stored runs: names, tags, and which runs there are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from shared.metrics.point import MetricPoint
from shared.runtime.errors import TrackingError
from shared.tracking.rows import ClientRow
from shared.tracking.schema import client, round_, run_metrics, server_evaluation

TABLES = (run_metrics, round_, server_evaluation, client)


@pytest.fixture
def begin(store):
    """A run, ended unless its status says otherwise."""

    def make(*, status="completed", parent_id=None):
        run_id = store.runs.create(
            name="mine", training_mode="compare", config={}, seed=1, parent_id=parent_id, status="pending"
        )
        if status == "running":
            store.runs.claim(run_id)
        elif status != "pending":
            store.runs.finish(run_id, status)
        return run_id

    return make


@pytest.fixture
def rows_of(store):
    """How many rows each of the other tables has of a run."""

    def count(run_id):
        with store._database.read() as connection:
            return [
                connection.scalar(sa.select(sa.func.count()).where(table.c.run_id == run_id))
                for table in TABLES
            ]

    return count


def fill(store, run_id):
    now = datetime.now(UTC)
    store.metrics.add(run_id, [MetricPoint(stage="val", name="loss", value=1.0, num_examples=1, round=1)])
    store.rounds.add(
        run_id,
        round=1,
        began=now,
        ended=now,
        sampled=[0],
        replied=[0],
        failed={},
        bytes_down=1,
        bytes_up=1,
        seconds=1.0,
    )
    store.evaluations.add(run_id, round=1, loss=1.0, metrics={}, confusion=None, num_examples=1)
    store.clients.add(run_id, [ClientRow(run_id, 0, "1", "a", 1, {"counts": {}, "spans": {}, "missing": {}})])


def test_a_run_is_renamed(store, begin):
    run_id, other = begin(), begin()
    store.runs.rename(run_id, "a better\0name")
    assert [store.runs.get(one).name for one in (run_id, other)] == ["a better\ufffdname", "mine"]


def test_tags_are_added_once_and_removed(store, begin):
    run_id, other = begin(), begin()
    assert store.runs.get(run_id).tags == []
    assert store.runs.tag(run_id, add=["paper", "b", "paper"]) == ["paper", "b"]
    assert store.runs.tag(run_id, add=["a", "b"], remove=["paper", "none"]) == ["b", "a"]
    assert store.runs.get(run_id).tags == ["b", "a"]
    assert store.runs.get(other).tags == []


def test_a_deleted_run_takes_its_rows_and_no_others(store, begin, rows_of):
    run_id, other = begin(), begin()
    for one in (run_id, other):
        fill(store, one)
    assert store.runs.delete(run_id) == [run_id]
    assert store.runs.find(run_id) is None
    assert rows_of(run_id) == [0, 0, 0, 0]
    assert rows_of(other) == [1, 1, 1, 1]
    assert begin() > other, "an id is never used again"


def test_the_newest_id_is_not_used_again(store, begin):
    run_id = begin()
    store.runs.delete(run_id)
    assert begin() > run_id


def test_the_runs_of_a_comparison_stay_unless_they_are_asked_for(store, begin):
    kept, gone = begin(), begin()
    twin_kept, twin_gone = begin(parent_id=kept), begin(parent_id=gone)
    below = begin(parent_id=twin_gone)
    assert store.runs.delete(kept) == [kept]
    assert store.runs.get(twin_kept).parent_id is None
    assert store.runs.delete(gone, with_children=True) == [gone, twin_gone, below]
    assert [run.id for run in store.runs.search()] == [twin_kept]


def test_a_run_of_a_comparison_is_not_deleted_alone(store, begin):
    parent = begin()
    twin = begin(parent_id=parent)
    with pytest.raises(TrackingError, match=f"run {twin} belongs to run {parent}.*--with-children"):
        store.runs.delete(twin)
    assert store.runs.find(twin) is not None


@pytest.mark.parametrize("status", ["running", "pending"])
@pytest.mark.parametrize("with_children", [True, False])
def test_what_has_not_ended_is_not_deleted(store, begin, status, with_children):
    alone, parent = begin(status=status), begin()
    begin()
    twin = begin(parent_id=parent, status=status)
    for run_id, busy in ((alone, alone), (parent, twin)):
        with pytest.raises(TrackingError, match=f"run {busy} is still {status}"):
            store.runs.delete(run_id, with_children=with_children)
    assert len(store.runs.search()) == 4


@pytest.mark.parametrize("change", ["rename", "tag", "delete"])
def test_there_is_no_such_run(store, change):
    arguments = {"rename": ("x",), "tag": (), "delete": ()}[change]
    with pytest.raises(TrackingError, match="there is no run 7"):
        getattr(store.runs, change)(7, *arguments)
