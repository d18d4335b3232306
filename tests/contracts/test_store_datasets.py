"""The contract of datasets: names, quotas, states, and what keeps one from being deleted."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.dataset_tables import dataset
from shared.tracking.dataset_use import NoDataset
from shared.tracking.datasets import MOST_REJECTED, DatasetInUse, NameTaken, OverQuota
from shared.tracking.jobs import NewJob
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant
from tests.job_kit import claimed, fence, submit


def add(store: Store, name: str = "ward-7", *, num_bytes: int = 60, ready: bool = True) -> int:
    row = store.datasets.begin(name, format="csv", num_bytes=num_bytes, quota=100)
    if ready:
        store.datasets.received(row.id, sha256="0" * 64)
        store.datasets.accept(row.id, kind="table", labelled=9, found={"summary": ["rows 9"]})
    return row.id


def test_a_name_and_room_are_taken_once(store):
    first = add(store, ready=False)
    store.datasets.progress(first, 30)
    assert (store.datasets.get("ward-7").state, store.datasets.get("ward-7").received) == ("uploading", 30)
    with pytest.raises(NameTaken, match=r"dataset 'ward-7' already \(uploading\)"):
        add(store)
    with pytest.raises(OverQuota, match="have 60 bytes, and may have 100: 41 more do not fit"):
        add(store, "ward-8", num_bytes=41)
    for name in ("digits", "", "../x", "<b>", "-", "a" * 101, "x\n"):
        with pytest.raises(ConfigError, match="the name of a dataset"):
            add(store, name)
    row = store.datasets.received(first, sha256="0" * 64)
    assert (row.state, row.received, row.file_name) == ("checking", 60, "ward-7.csv")
    store.datasets.reject(first, code="metadata", error="it has a header but no rows")
    assert store.datasets.get("ward-7").error_code == "metadata"
    again = add(store, num_bytes=100)
    assert [(one.id, one.state, one.found) for one in store.datasets.search()] == [(again, "ready", {})]
    assert store.datasets.get("ward-7").found == {"summary": ["rows 9"]}
    store.tenants.limit(Tenant("default"), max_running=None, max_queued=None, max_dataset_bytes=50)
    store.datasets.drop(store.datasets.begin_delete("ward-7").id)
    with pytest.raises(OverQuota):
        add(store)


def test_of_rejected_ones_the_newest_of_a_tenant_are_kept(store):
    store.tenants.create(Tenant("other"))
    other = add(store.of(Tenant("other")), ready=False)
    for where, number in ((store.of(Tenant("other")), other), (store, add(store, "fine", num_bytes=1))):
        where.datasets.received(number, sha256="0" * 64)
        where.datasets.reject(
            number, code="data", error="no rows"
        )  # of the one that is ready, it changes nothing
    for number in range(MOST_REJECTED + 3):
        row = store.datasets.begin(f"bad-{number:02}", format="csv", num_bytes=1, quota=100)
        store.datasets.received(row.id, sha256="0" * 64)
        store.datasets.reject(row.id, code="data", error="no rows")
    kept = [f"bad-{number:02}" for number in range(3, MOST_REJECTED + 3)]
    assert [(row.name, row.state) for row in store.datasets.search()] == [
        *((name, "rejected") for name in kept),
        ("fine", "ready"),
    ]
    assert [row.state for row in store.of(Tenant("other")).datasets.search()] == ["rejected"]


def test_jobs_and_schedules_keep_their_dataset(store):
    number = add(store)
    job = submit(store, dataset_id=number)
    new = NewJob(mode="centralized", name="nightly", config={}, dataset_id=number)
    nightly = store.schedules.add(new, cron="0 0 * * *", time_zone="UTC")
    with pytest.raises(DatasetInUse, match=f"used by job {job}, schedule {nightly.id}; cancel or delete these"):
        store.datasets.begin_delete("ward-7")
    made = store.schedules.run_now(nightly.id)
    assert store.jobs.get(made.id).dataset_id == number
    store.jobs.cancel(made.id)
    store.schedules.delete(nightly.id)
    running = claimed(store)
    with pytest.raises(DatasetInUse, match=f"used by job {job};"):
        store.datasets.begin_delete("ward-7")
    store.queue.complete(fence(running))
    assert store.datasets.begin_delete("ward-7").id == number
    assert (store.datasets.find("ward-7"), store.datasets.search()) == (None, [])
    for act in (lambda: submit(store, dataset_id=number), lambda: store.jobs.retry(made.id)):
        with pytest.raises(NoDataset, match="has been deleted; upload it again"):
            act()
    store.datasets.drop(number)
    assert add(store) != number, "a number is given once"


def test_datasets_of_another_tenant_are_not_there(store):
    for name in ("big", "small"):
        store.tenants.create(Tenant(name))
    big, small = store.of(Tenant("big")), store.of(Tenant("small"))
    mine, yours = add(big), add(small)
    assert (big.datasets.get("ward-7").id, small.datasets.get("ward-7").id) == (mine, yours)
    small.datasets.begin_delete("ward-7")
    assert small.datasets.find("ward-7") is None
    small.datasets.drop(mine)
    small.datasets.reject(mine, code="x", error="x")
    assert big.datasets.get("ward-7").state == "ready"
    with pytest.raises(NoDataset):
        submit(small, dataset_id=mine)
    with pytest.raises(TrackingError):
        store.datasets.get("ward-7")


def test_what_a_process_that_is_gone_was_at(store):
    uploading, _, deleting = add(store, "a", num_bytes=1, ready=False), add(store, "b", num_bytes=1), add(store)
    store.datasets.begin_delete("ward-7")
    assert store.datasets.left_behind() == [], "this process lives"
    with store.database.write() as connection:
        connection.execute(sa.update(dataset).values(pid_started=1.0))
    assert [row.id for row in store.datasets.left_behind()] == [uploading, deleting]
