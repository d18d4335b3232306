"""Followers: of runs that are deleted while somebody watches, and beside viewers who read for themselves."""

from __future__ import annotations

import json

import pytest

from service.stream.catch_up import read_page
from service.stream.follower import LISTED_RUNS, RunFollower, RunsFollower
from service.stream.replay_buffer import Entry, ReplayBuffer
from tests.service.live_kit import add_round, new_run


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


def test_a_viewer_who_read_rows_between_any_two_writes_misses_no_record(store):
    """What a viewer has read may lack the evaluation or the record that is stored a moment later."""

    def written(steps: int) -> tuple[int, list]:
        run_id = new_run(store)
        writes: list = []
        recorded = _Later(writes)
        add_round(recorded, run_id, 1)
        follower, buffer = RunFollower(store, run_id), ReplayBuffer()
        for table, args, kwargs in writes[:steps]:
            getattr(store, table).add(*args, **kwargs)
        page = read_page(store, run_id, after=0, federated=True)
        for table, args, kwargs in writes[steps:]:
            getattr(store, table).add(*args, **kwargs)
        buffer.add(map(Entry.of, follower.read()))
        cursor = max((frame.cursor or 0 for frame in page.frames), default=0)
        texts, position = [frame.text for frame in page.frames], 0
        while (found := buffer.next(position, after=cursor))[1] is not None:
            position, frame = found
            cursor = frame.cursor or cursor
            texts.append(frame.text)
        return len(writes), [message for text in texts for message in json.loads(text)]

    steps, _ = written(0)
    for step in range(steps + 1):
        told = written(step)[1]
        ids = [row["id"] for message in told for row in message["rows"]]
        assert ids == sorted(set(ids))
        assert [bool(message.get("record")) for message in told].count(True) >= 1, step
        assert [bool(message.get("evaluation")) for message in told].count(True) >= 1, step


class _Later:
    """Notes what would be added to a store, write by write."""

    def __init__(self, writes: list) -> None:
        for table in ("metrics", "evaluations", "rounds"):
            setattr(self, table, _Table(table, writes))


class _Table:
    def __init__(self, name: str, writes: list) -> None:
        self._name, self._writes = name, writes

    def add(self, *args, **kwargs) -> None:
        self._writes.append((self._name, args, kwargs))
