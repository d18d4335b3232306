"""Webhooks from the event to a real receiver: signed, again until taken, by tenant, over restarts."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from service.webhooks import sender as sending
from service.webhooks.address import Allowed
from service.webhooks.sender import Sender
from shared.tracking.job_errors import job_failure
from shared.tracking.tenants import DEFAULT, Tenant
from shared.tracking.webhook_tables import EVENTS, webhook_delivery
from tests.contracts.test_store_models import complete
from tests.job_kit import claimed, fence, submit
from tests.service.live_kit import until
from tests.service.webhooks_kit import is_signed, receiving, status


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@contextmanager
def started(store, *, allowed=("127.0.0.1",), **options):
    """A sender that is quicker than usual."""
    given = {"poll_s": 0.05, "backoff_s": 0.05, "timeout_s": 2.0, **options}
    found = Sender(store, allowed=Allowed(allowed), say=print, **given)
    found.start()
    try:
        yield found
    finally:
        found.close()


def ended(store, webhook_id: int = 1) -> list:
    return [row for row in store.webhooks.deliveries(webhook_id) if row.status != "waiting"]


def test_what_happens_to_jobs_and_models_is_sent_signed(store, receiver):
    _, secret = store.webhooks.create(receiver.url())
    first, second = submit(store, name="ward", tags=["night"]), submit(store)
    store.queue.complete(fence(claimed(store)))
    store.queue.fail(fence(claimed(store)), job_failure(ValueError("x")))
    store.jobs.retry(second)
    store.jobs.cancel(second)
    complete(store, name="ward")
    complete(store, name="ward", seed=2)
    store.models.promote("ward", "1.0.0", alias="candidate")
    store.models.promote("ward", "latest", alias="candidate")
    store.models.rollback("ward", alias="candidate")
    with started(store):
        until(lambda: len(ended(store)) == 14 or not store.webhooks.deliveries(1, status="waiting"))
    told = [json.loads(body) for _, body in receiver.got]
    kinds = ["queued", "queued", "started", "completed", "started", "failed", "queued", "cancelled"]
    models = ["registered", "registered", "promoted", "promoted", "rolled_back"]
    expected = [f"job.{kind}" for kind in kinds] + [f"model.{kind}" for kind in models]
    assert [one["type"] for one in told] == expected
    assert set(expected) == set(EVENTS)
    assert told[0]["data"] == {
        "id": first,
        "mode": "centralized",
        "name": "ward",
        "tags": ["night"],
        "attempt": 0,
        "run_id": None,
        "error_code": None,
        "status": "queued",
        "url": "/api/jobs/1",
    }
    assert (told[5]["data"]["id"], told[5]["data"]["error_code"]) == (second, "unexpected")
    assert told[-1]["data"] == {
        "model": "ward",
        "version": "1.0.0",
        "alias": "candidate",
        "run_id": 1,
        "url": "/api/v1/models/ward/versions/1.0.0",
    }
    for headers, body in receiver.got:
        assert is_signed(headers, body, secret)
        assert not is_signed(headers, body + b" ", secret)
        assert (headers["path"], headers["content-type"]) == ("/hook?a=b", "application/json")
        assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == len(told)
    assert {(row.status, row.attempts, row.answer) for row in ended(store)} == {("delivered", 1, 204)}


def test_events_that_are_not_asked_for_and_other_tenants_are_not_told(store, receiver):
    store.tenants.create(Tenant("ward-7"))
    store.webhooks.create(receiver.url(), events=["job.started"])
    store.of(Tenant("ward-7")).webhooks.create(receiver.url(), events=["job.queued"])
    submit(store)
    complete(store)
    assert [store.webhooks.deliveries(number) for number in (1, 2)] == [[], []]
    submit(store.of(Tenant("ward-7")))
    complete(store.of(Tenant("ward-7")))
    assert [len(store.webhooks.deliveries(number)) for number in (1, 2)] == [0, 1]
    assert store.of(DEFAULT).webhooks.deliveries(2) == []


def test_what_a_receiver_does_not_take_is_sent_again_with_the_same_id(store, receiver):
    store.webhooks.create(receiver.url(), events=["job.queued"])
    receiver.answers += [status(500), status(302, location=receiver.url()), lambda handler: None]
    submit(store)
    with started(store):
        until(lambda: bool(ended(store)))
    assert len(receiver.got) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    (row,) = ended(store)
    assert (row.status, row.attempts, row.answer, row.error) == ("delivered", 4, 204, None)


@pytest.mark.parametrize(
    ("answer", "most", "attempts", "says"),
    [(410, 20, 1, "answered with 410"), (307, 2, 2, "redirect, which is not followed")],
)
def test_it_is_given_up_when_told_so_and_after_enough_attempts(
    store, receiver, monkeypatch, answer, most, attempts, says
):
    monkeypatch.setattr(sending, "MOST_ATTEMPTS", most)
    store.webhooks.create(receiver.url(), events=["job.queued"])
    receiver.answers += [status(answer, location=receiver.url())] * 9
    submit(store)
    with started(store):
        until(lambda: bool(ended(store)))
    (row,) = ended(store)
    assert (row.status, row.attempts, len(receiver.got)) == ("failed", attempts, attempts)
    assert says in row.error
    receiver.answers.clear()
    again = store.webhooks.resend(1, row.id)
    assert (again.status, again.attempts, again.ended) == ("waiting", 0, None)
    with started(store):
        until(lambda: store.webhooks.deliveries(1)[0].status == "delivered")


def test_a_sender_that_is_killed_loses_nothing(store, receiver):
    """What it had taken is another one's when its time is over; what it had not waits in the database."""
    store.webhooks.create(receiver.url(), events=["job.queued"])
    submit(store)
    (taken,) = store.outbox.take(limit=8, lease_s=0.3)
    submit(store)
    assert store.outbox.take(limit=8, lease_s=60) == [], "of a webhook one at a time"
    with started(store):
        until(lambda: len(ended(store)) == 2)
    store.outbox.missed(taken, error="late", answer=None, again_s=1)
    assert {row.status for row in ended(store)} == {"delivered"}
    assert [row.attempts for row in ended(store)] == [1, 2]


def test_a_slow_receiver_holds_up_nobody(store, receiver):
    """Neither who drips its answer nor who says nothing: not other receivers, not a job, not the end."""

    def drip(handler) -> None:
        for _ in range(100):
            handler.wfile.write(b"H")
            time.sleep(0.05)

    with receiving() as slow:
        slow.answers += [drip] * 9
        store.webhooks.create(slow.url(), events=["job.queued"])
        store.webhooks.create(receiver.url(), events=["job.queued"])
        with started(store, timeout_s=1.0):
            began = time.monotonic()
            for _ in range(3):
                submit(store)
            assert time.monotonic() - began < 0.5
            until(lambda: len(ended(store, 2)) == 3)
            until(lambda: any(row.error for row in store.webhooks.deliveries(1)))
            assert "no answer" in next(row.error for row in store.webhooks.deliveries(1) if row.error)
        with started(store, timeout_s=30.0, backoff_s=0.01):
            heard = len(slow.got)
            until(lambda: len(slow.got) > heard)
            began = time.monotonic()
        assert time.monotonic() - began < 2.5


def test_an_answer_without_end_is_not_read(store, receiver):
    def flood(handler) -> None:
        handler.wfile.write(b"X" * 10_000_000)

    receiver.answers.append(flood)
    store.webhooks.create(receiver.url(), events=["job.queued"])
    submit(store)
    with started(store, backoff_s=60):
        until(lambda: store.webhooks.deliveries(1)[0].error is not None)
    assert "no answer of HTTP" in store.webhooks.deliveries(1)[0].error


def test_old_deliveries_are_forgotten(store, receiver):
    store.webhooks.create(receiver.url(), events=["job.queued"])
    submit(store)
    submit(store)
    with started(store):
        until(lambda: len(ended(store)) == 2)
    with store.database.write() as connection:
        old = datetime.now(UTC) - timedelta(days=31)
        connection.execute(webhook_delivery.update().where(webhook_delivery.c.id == 1).values(ended=old))
    with started(store):
        until(lambda: [row.id for row in store.webhooks.deliveries(1)] == [2])


def test_waits_grow_to_a_cap():
    waits = [sending.backoff_s(attempts) for attempts in range(1, sending.MOST_ATTEMPTS)]
    assert all(0.8 * 10 * 2**n <= wait <= 1.2 * 10 * 2**n for n, wait in enumerate(waits[:11]))
    assert max(waits) <= 1.2 * sending.MOST_BACKOFF_S
    assert 1.5 < sum(waits) / 86400 < 3
