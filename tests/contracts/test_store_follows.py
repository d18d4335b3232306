"""The contract of what external trackers were sent: by target and run, until nothing is new."""

from __future__ import annotations

import pytest

from shared.runtime.errors import TrackingError
from shared.tracking.store import Store
from tests.contracts.test_store_models import complete

MINE, OTHER = "MLflow at http://here", "TensorBoard in /there"


def due(store: Store, target: str = MINE, **options) -> list[int]:
    return [one.run_id for one in store.follows.due(target, **options)]


def tell_all(store: Store) -> None:
    for one in store.follows.due(MINE):
        store.follows.begin(MINE, one.run_id)
        store.follows.save(MINE, one.run_id, cursor=7, state={"size": 9}, told=one.told)


def test_runs_are_due_until_all_is_told(store):
    first, second = complete(store), complete(store, seed=2)
    running = store.runs.create(name="r", training_mode="federated", config={}, seed=1)
    store.runs.create(name="later", training_mode="federated", config={}, seed=1, status="pending")
    assert due(store) == [first, second, running]
    tell_all(store)
    assert due(store) == [running]
    assert due(store, OTHER) == [first, second, running]
    assert due(store, OTHER, after=first) == [second, running]
    for change in (
        lambda: store.runs.rename(first, "other"),
        lambda: store.runs.tag(first, add=["paper"]),
        lambda: store.models.promote("ward-7", "1.0.0"),
        lambda: store.models.remove_alias("ward-7", "production"),
        lambda: store.runs.claim(first, config={"seed": 3}, resume=True),
    ):
        change()
        assert due(store) == [first, running]
        tell_all(store)


def test_a_run_keeps_its_key(store):
    run_id = complete(store)
    assert store.follows.find(MINE, run_id) is None
    row = store.follows.begin(MINE, run_id)
    assert (row.cursor, row.state, row.told) == (0, {}, "")
    store.follows.save(MINE, run_id, cursor=5, state={"run": "a"}, told="all")
    again = store.follows.begin(MINE, run_id)
    assert (again.key, again.cursor, again.state, again.told) == (row.key, 5, {"run": "a"}, "all")
    assert store.follows.begin(OTHER, run_id).key != row.key
    store.runs.delete(run_id)
    assert store.follows.find(MINE, run_id) is None
    store.follows.save(MINE, run_id, cursor=6, state={}, told="")
    assert store.follows.find(MINE, run_id) is None


def test_one_follower_a_target(store, database_url):
    store.runs.search()
    with Store(database_url) as second:
        with store.follows.alone(MINE):
            with (
                pytest.raises(TrackingError, match="another process already follows"),
                second.follows.alone(MINE),
            ):
                pass
            with second.follows.alone(OTHER):
                pass
        with second.follows.alone(MINE):
            pass
