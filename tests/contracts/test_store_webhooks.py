"""The contract of webhooks' messages: written with what they tell, taken by one sender, kept until they end."""

from __future__ import annotations

import threading

import pytest

from shared.runtime.errors import TrackingError
from shared.tracking.tenants import DEFAULT, Tenant
from tests.job_kit import claimed, fence, submit

URL = "https://hooks.example/"


def test_a_message_is_written_with_what_it_tells_or_not_at_all(store):
    store.webhooks.create(URL, events=["job.queued"])
    store.tenants.limit(DEFAULT, max_running=None, max_queued=1)
    submit(store)
    with pytest.raises(TrackingError, match="1 jobs wait already"):
        submit(store)
    assert [row.event for row in store.webhooks.deliveries(1)] == ["job.queued"]


def test_two_senders_take_no_message_twice(store):
    for _ in range(3):
        store.webhooks.create(URL, events=["job.queued"])
    for _ in range(4):
        submit(store)
    taken, barrier = [], threading.Barrier(4)

    def send() -> None:
        barrier.wait()
        while messages := store.outbox.take(limit=2, lease_s=60):
            for message in messages:
                taken.append((message.id, message.attempts))
                store.outbox.delivered(message, answer=204)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # One that found the others' webhooks busy ended early; what is left is taken now.
    while messages := store.outbox.take(limit=8, lease_s=60):
        for message in messages:
            taken.append((message.id, message.attempts))
            store.outbox.delivered(message, answer=204)
    assert sorted(taken) == [(number, 1) for number in range(1, 13)]


def test_a_tenant_with_many_messages_holds_up_no_other(store):
    evil, good = Tenant("evil"), Tenant("good")
    for tenant in (evil, good):
        store.tenants.create(tenant)
    for _ in range(6):
        store.webhooks.create(URL, events=["job.queued"], owner=evil)
    mine, _ = store.webhooks.create(URL, events=["job.queued"], owner=good)
    for tenant in (evil, evil, good):
        submit(store.of(tenant))

    def taken(limit: int) -> list[int]:
        return [message.webhook_id for message in store.outbox.take(limit=limit, lease_s=60, most_of_tenant=4)]

    assert sorted(taken(2)) == [1, mine.id], "of each tenant one"
    assert sorted(taken(8)) == [2, 3, 4], "no more than four of one tenant"
    assert taken(8) == []


def test_a_webhook_that_is_deleted_takes_its_messages_along(store):
    store.webhooks.create(URL, events=["job.queued"])
    store.webhooks.create(URL, events=["job.completed"])
    submit(store)
    (message,) = store.outbox.take(limit=8, lease_s=60)
    store.webhooks.delete(1)
    store.outbox.missed(message, error="x", answer=None, again_s=1)
    store.queue.complete(fence(claimed(store)))
    assert [row.event for row in store.webhooks.deliveries(2)] == ["job.completed"]
    with pytest.raises(TrackingError, match="there is no webhook 1"):
        store.webhooks.delete(1)
    store.tenants.create(Tenant("other"))
    with pytest.raises(TrackingError, match="there is no webhook 2"):
        store.of(Tenant("other")).webhooks.delete(2)
