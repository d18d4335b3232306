"""The contract of schedules: each time queues one job, whoever looks, also where clocks are set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.cron import next_time
from shared.tracking.job_events import KeyReused
from shared.tracking.job_tables import schedule
from shared.tracking.jobs import NewJob
from shared.tracking.store import Store
from tests.job_kit import claimed, fence

BERLIN = ZoneInfo("Europe/Berlin")


def add(store: Store, cron: str = "30 2 * * *", time_zone: str = "Europe/Berlin", **changes) -> int:
    new = {"mode": "compare", "name": "ward", "config": {"seed": 1}, "tags": ["night"], "priority": "high"}
    return store.schedules.add(NewJob(**{**new, **changes}), cron=cron, time_zone=time_zone).id


def move(store: Store, schedule_id: int, *, days: float) -> datetime:
    """The next time of a schedule is so many days ago."""
    when = datetime.now(UTC) - timedelta(days=days)
    with store.database.write() as connection:
        connection.execute(sa.update(schedule).where(schedule.c.id == schedule_id).values(next_at=when))
    return when


class TestDue:
    def test_nothing_before_its_time(self, store):
        row = store.schedules.find(add(store))
        assert row.next_at > datetime.now(UTC)
        assert row.next_at.astimezone(BERLIN).strftime("%H:%M") in ("02:30", "03:00")
        assert store.schedules.queue_due() == []

    def test_missed_times_queue_one_job(self, store):
        schedule_id = add(store)
        when = move(store, schedule_id, days=9)
        (job_id,) = store.schedules.queue_due()
        assert store.schedules.queue_due() == []
        row, job = store.schedules.find(schedule_id), store.jobs.get(job_id)
        assert (row.last_job_id, row.last_at, row.next_at > datetime.now(UTC)) == (job_id, when, True)
        assert (job.mode, job.name, job.tags, job.priority) == ("compare", "ward", ["night"], 1)
        assert job.config == {"seed": 1}
        assert "schedule 1" in store.jobs.events(job_id)[0].detail

    def test_trainings_do_not_pile_up(self, store):
        schedule_id = add(store)
        move(store, schedule_id, days=1)
        assert len(store.schedules.queue_due()) == 1
        move(store, schedule_id, days=1)
        assert store.schedules.queue_due() == [], "the last one has not ended"
        assert store.schedules.find(schedule_id).next_at > datetime.now(UTC)
        store.queue.complete(fence(claimed(store)))
        move(store, schedule_id, days=1)
        assert len(store.schedules.queue_due()) == 1

    def test_a_paused_one_waits_and_goes_on_with_its_next_time(self, store):
        schedule_id = add(store)
        store.schedules.pause(schedule_id, paused=True)
        move(store, schedule_id, days=1)
        assert store.schedules.queue_due() == []
        assert store.schedules.pause(schedule_id, paused=False).next_at > datetime.now(UTC)
        assert store.schedules.queue_due() == []

    def test_one_that_cannot_be_told_any_more_is_paused(self, store):
        bad, good = add(store), add(store)
        for one in (bad, good):
            move(store, one, days=1)
        with store.database.write() as connection:
            connection.execute(sa.update(schedule).where(schedule.c.id == bad).values(time_zone="Mars/North"))
        assert len(store.schedules.queue_due()) == 1
        assert store.schedules.find(bad).paused


class TestChanges:
    def test_asked_for_now_and_deleted(self, store):
        schedule_id = add(store)
        before = store.schedules.find(schedule_id).next_at
        job = store.schedules.run_now(schedule_id)
        assert (job.status, store.schedules.find(schedule_id).next_at) == ("queued", before)
        store.schedules.delete(schedule_id)
        assert store.schedules.search() == []
        assert store.jobs.get(job.id).status == "queued"
        with pytest.raises(TrackingError, match="no schedule 1"):
            store.schedules.delete(schedule_id)

    def test_the_same_request_is_the_same_schedule(self, store):
        key = {"idempotency_key": "a", "request_hash": "1"}
        assert add(store, **key) == add(store, **key)
        with pytest.raises(KeyReused, match="schedule 1"):
            add(store, **{**key, "request_hash": "2"})


def times(cron: str, start: datetime, count: int) -> list[str]:
    found = [start.astimezone(UTC)]
    for _ in range(count):
        found.append(next_time(cron, time_zone="Europe/Berlin", after=found[-1]))
    return [one.astimezone(BERLIN).isoformat() for one in found[1:]]


def test_clocks_that_are_set_forward_and_back():
    assert times("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=BERLIN), 2) == [
        "2026-03-29T03:00:00+02:00",  # 02:30 does not come
        "2026-03-30T02:30:00+02:00",
    ]
    assert times("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=BERLIN), 2) == [
        "2026-10-25T02:30:00+02:00",  # comes twice
        "2026-10-26T02:30:00+01:00",
    ]


@pytest.mark.parametrize("cron", ["", "@daily", "* * * * * *", "61 * * * *", "0 0 31 2 *", "a b c d e"])
def test_expressions_that_cannot_be_read(cron):
    with pytest.raises(ConfigError, match="cron: "):
        next_time(cron, time_zone="UTC", after=datetime.now(UTC))
