"""The contract of the job queue: each job once, in order, whoever dies; an overtaken attempt writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from shared.runtime.errors import ConfigError, DatabaseAway, TrackingError
from shared.tracking import job_queue
from shared.tracking.fence import FENCE, Overtaken
from shared.tracking.job_errors import CODES, job_failure
from shared.tracking.job_events import KeyReused
from shared.tracking.job_tables import job
from shared.tracking.jobs import JobState
from shared.tracking.store import Store
from tests.contracts.store_workers import NOON, point, worker
from tests.job_kit import begun_sweep, claimed, fence, submit

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def change(store: Store, job_id: int, **values) -> None:
    with store.database.write() as connection:
        connection.execute(sa.update(job).where(job.c.id == job_id).values(values))


def expire(store: Store, job_id: int) -> None:
    """The worker of a job has been silent for longer than its lease."""
    change(store, job_id, lease_until=datetime.now(UTC) - timedelta(seconds=1))


def kinds(store: Store, job_id: int) -> list[str]:
    return [event.kind for event in store.jobs.events(job_id)]


class TestOrder:
    def test_by_priority_then_age(self, store):
        low, first, second = (submit(store, priority=p) for p in ("low", "normal", "normal"))
        urgent = submit(store, priority="critical")
        assert [store.jobs.position(store.jobs.get(one)) for one in (low, first, second, urgent)] == [
            4,
            2,
            3,
            1,
        ]
        store.jobs.set_priority(second, "high")
        assert [claimed(store).id for _ in range(4)] == [urgent, second, first, low]
        assert store.queue.claim("here 2") is None

    def test_one_that_names_a_backend_is_left_to_its_workers(self, store):
        named, other = submit(store, backend="ray", priority="critical"), submit(store)
        assert claimed(store).id == other
        assert store.queue.claim("here 2") is None
        assert store.queue.claim("here 2", backend="dask") is None
        row = store.queue.claim("here 2", backend="ray")
        assert row is not None
        assert (row.id, row.backend) == (named, "ray")

    def test_not_before_its_time(self, store):
        waits = submit(store, run_after=LATER, priority="critical")
        now = submit(store)
        assert claimed(store).id == now
        assert store.queue.claim("here 2") is None
        assert store.jobs.position(store.jobs.get(waits)) is None

    def test_lists_newest_first_a_page_at_a_time(self, store):
        one, two, three = submit(store), submit(store, mode="compare"), submit(store)
        claimed(store)
        assert [row.id for row in store.jobs.search(limit=2)] == [three, two]
        assert [row.id for row in store.jobs.search(before=two)] == [one]
        assert [row.id for row in store.jobs.search(status="running")] == [one]
        assert [row.id for row in store.jobs.search(mode="compare")] == [two]


class TestIdempotency:
    def test_the_same_request_is_the_same_job(self, store):
        key = {"idempotency_key": "a", "request_hash": "1"}
        assert submit(store, **key) == submit(store, **key)
        assert submit(store) != submit(store), "without a key each is a job"

    def test_another_request_with_the_same_key_is_refused(self, store):
        first = submit(store, idempotency_key="a", request_hash="1")
        with pytest.raises(KeyReused, match=f"job {first}"):
            submit(store, idempotency_key="a", request_hash="2")
        assert len(store.jobs.search()) == 1


class TestAttempts:
    def test_one_is_held_by_heartbeats_and_completed(self, store):
        job_id = submit(store)
        row = claimed(store)
        assert (row.status, row.attempt, row.worker) == ("running", 1, "here 1")
        expire(store, job_id)
        store.queue.heartbeat(fence(row))
        assert store.queue.claim("here 2") is None
        store.queue.complete(fence(row))
        assert store.jobs.get(job_id).status == "completed"
        assert kinds(store, job_id) == ["submitted", "claimed", "completed"]

    def test_a_silent_worker_loses_its_job_and_is_fenced(self, store, monkeypatch):
        job_id = submit(store)
        old = claimed(store)
        run_id = store.queue.begin_run(fence(old), config={"seed": 1}, seed=1, description="")
        expire(store, job_id)
        new = claimed(store)
        assert (new.id, new.attempt, new.lost, new.run_id) == (job_id, 2, 1, run_id)
        for write in (
            lambda: store.queue.heartbeat(fence(old)),
            lambda: store.queue.cancel_requested(fence(old)),
            lambda: store.queue.complete(fence(old)),
            lambda: store.queue.release(fence(old)),
            lambda: store.queue.fail(fence(old), job_failure(DatabaseAway("x"))),
            lambda: store.queue.begin_run(fence(old), config={}, seed=1, description=""),
            lambda: begun_sweep(store, fence(old)),
        ):
            with pytest.raises(Overtaken):
                write()
        monkeypatch.setenv(FENCE, str(fence(old)))
        for write in (
            lambda: store.metrics.add(run_id, [point(epoch=1)]),
            lambda: store.runs.claim(run_id),
            lambda: store.runs.finish(run_id, "completed"),
            lambda: store.runs.create(name="twin", training_mode="centralized", config={}, seed=1),
        ):
            with pytest.raises(Overtaken, match=f"attempt 1 of job {job_id}"):
                write()
        monkeypatch.setenv(FENCE, str(fence(new)))
        assert store.metrics.add(run_id, [point(epoch=1)]) == 1
        assert len(store.runs.search()) == 1
        assert kinds(store, job_id) == ["submitted", "claimed", "run", "lost", "claimed"]

    def test_a_job_that_takes_its_workers_with_it_fails(self, store):
        job_id = submit(store)
        for _ in range(job_queue.MOST_LOST + 1):
            claimed(store)
            expire(store, job_id)
        assert store.queue.claim("here 1") is None
        row = store.jobs.get(job_id)
        assert (row.status, row.error_code) == ("failed", "worker_lost")

    def test_a_worker_that_stops_gives_its_job_back(self, store):
        job_id = submit(store)
        store.queue.release(fence(claimed(store)))
        row = claimed(store)
        assert (row.id, row.attempt, row.lost, row.failures) == (job_id, 2, 0, 0)

    def test_the_run_has_the_jobs_name_and_tags(self, store):
        submit(store, name="ward 7", tags=["x", "y"])
        row = claimed(store)
        run_id = store.queue.begin_run(fence(row), config={"a": 1}, seed=3, description="why")
        run = store.runs.get(run_id)
        assert (run.name, run.tags, run.status, run.seed) == ("ward 7", ["x", "y"], "pending", 3)
        store.runs.finish(run_id, "failed")
        store.runs.delete(run_id)
        assert store.jobs.get(row.id).run_id is None, "a run can be deleted; its job begins another one"


class TestFailures:
    def test_what_may_pass_is_tried_again_after_growing_waits(self, store, monkeypatch):
        monkeypatch.setattr(job_queue, "JITTER", 0.0)
        job_id, waits = submit(store, max_retries=2), []
        for _ in range(3):
            before = datetime.now(UTC)
            store.queue.fail(fence(claimed(store)), job_failure(DatabaseAway("away")))
            row = store.jobs.get(job_id)
            waits.append(round((row.run_after - before).total_seconds(), -1))
            change(store, job_id, run_after=NOON)
        assert waits[:2] == [60, 120]
        assert (row.status, row.error_code, row.error) == ("failed", "database_away", "away")
        assert [job_queue.backoff_s(number) for number in (2, 30)] == [240, 3600]

    def test_what_a_user_must_mend_is_not(self, store):
        job_id = submit(store, max_retries=5)
        store.queue.fail(fence(claimed(store)), job_failure(ConfigError("model.name: unknown")))
        row = store.jobs.get(job_id)
        assert (row.status, row.error_code, row.error) == ("failed", "config", "model.name: unknown")

    def test_codes_are_unique(self):
        assert len(set(CODES)) == len(CODES)

    def test_asked_for_again_it_goes_on_with_its_run(self, store):
        job_id = submit(store)
        row = claimed(store)
        run_id = store.queue.begin_run(fence(row), config={}, seed=1, description="")
        store.queue.fail(fence(row), job_failure(ValueError("odd")))
        again = store.jobs.retry(job_id)
        assert (again.status, again.error, again.ended) == ("queued", None, None)
        row = claimed(store)
        assert (row.attempt, row.run_id) == (2, run_id)
        with pytest.raises(JobState, match="running"):
            store.jobs.retry(job_id)
        store.queue.complete(fence(row))
        with pytest.raises(JobState, match="completed"):
            store.jobs.retry(job_id)


class TestCancel:
    def test_a_queued_job_ends_at_once(self, store):
        job_id = submit(store)
        assert store.jobs.cancel(job_id).status == "cancelled"
        assert store.jobs.cancel(job_id).status == "cancelled"
        assert store.queue.claim("here 1") is None
        assert store.jobs.retry(job_id).status == "queued"
        assert claimed(store).cancel_requested is False

    def test_the_worker_of_a_running_one_is_told(self, store):
        job_id = submit(store)
        row = claimed(store)
        assert not store.queue.cancel_requested(fence(row))
        assert store.jobs.cancel(job_id).status == "running"
        assert store.queue.cancel_requested(fence(row))
        store.queue.cancelled(fence(row))
        assert store.jobs.get(job_id).status == "cancelled"

    @pytest.mark.parametrize("end", ["lost", "failed"])
    def test_it_does_not_begin_again(self, store, end):
        job_id = submit(store, max_retries=3)
        row = claimed(store)
        store.jobs.cancel(job_id)
        if end == "lost":
            expire(store, job_id)
        else:
            store.queue.fail(fence(row), job_failure(DatabaseAway("away")))
        assert store.queue.claim("here 1") is None
        assert store.jobs.get(job_id).status == "cancelled"

    def test_what_has_ended_stays(self, store):
        job_id = submit(store)
        store.queue.complete(fence(claimed(store)))
        with pytest.raises(JobState, match="completed already"):
            store.jobs.cancel(job_id)
        with pytest.raises(JobState, match="completed"):
            store.jobs.set_priority(job_id, "low")
        with pytest.raises(TrackingError, match="no job 99"):
            store.jobs.cancel(99)


@pytest.mark.attack
def test_many_workers_take_each_job_once(store, database_url):
    many = [submit(store, priority="high" if number % 2 else "low") for number in range(60)]
    with worker("take_jobs", database_url) as one, worker("take_jobs", database_url) as two:
        taken = [[int(line) for line in process.stdout] for process in (one, two)]
    assert sorted(taken[0] + taken[1]) == many
    assert {row.status for row in store.jobs.search()} == {"completed"}
    for ids in taken:
        assert [number % 2 for number in ids] == sorted(number % 2 for number in ids), "high ones first"
