"""Followers of runs that are deleted while somebody watches."""

from __future__ import annotations

import pytest

from service.stream.follower import LISTED_RUNS, RunFollower, RunsFollower


@pytest.fixture
def begin(store):
    def make() -> int:
        return store.runs.create(name="mine", training_mode="centralized", config={}, seed=1)

    return make


def test_a_deleted_run_has_nothing_new(store, begin):
    run_id = begin()
    follower = RunFollower(store, run_id)
    store.runs.finish(run_id, "completed")
    assert follower.read()
    store.runs.delete(run_id)
    assert follower.read() == []


def test_the_list_of_runs_says_which_was_deleted(store, begin):
    gone = begin()
    for _ in range(LISTED_RUNS):  # then it is listed only because it is running
        store.runs.finish(begin(), "completed")
    follower = RunsFollower(store)
    store.runs.finish(gone, "failed")
    store.runs.delete(gone)
    later = begin()
    found = [(message.type, message.run_id) for message in follower.read()]
    assert found == [("run_deleted", gone), ("run_status", later)]
    store.runs.finish(later, "completed")
    assert [message.type for message in follower.read()] == ["run_status"]
    assert follower.read() == []
