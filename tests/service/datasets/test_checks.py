"""Checks of datasets take turns among tenants, and say what became of one that died."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

from service.dataset_limits import DatasetLimits
from service.datasets.checks import MOST_CHECKS, Checks

WAIT_S = 30.0


class Slow(Checks):
    """Checks that end when they are told to; what they would read is not the question here."""

    def __init__(self) -> None:
        super().__init__(store=None, home=None, limits=DatasetLimits())
        self.begun: list[tuple[str, int]] = []
        self.go_on = threading.Event()
        self.some_began = threading.Semaphore(0)

    def _check(self, row) -> None:
        self.begun.append((row.tenant, row.id))
        self.some_began.release()
        assert self.go_on.wait(WAIT_S)


def test_a_tenant_with_many_datasets_holds_up_no_other():
    checks = Slow()
    ids = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)]
    ended = [checks.begin(SimpleNamespace(tenant=tenant, id=number)) for tenant, number in ids]
    for _ in range(MOST_CHECKS):
        assert checks.some_began.acquire(timeout=WAIT_S)
    assert sorted(checks.begun) == [("a", 1), ("b", 4)]
    checks.go_on.set()
    for one in ended:
        one.result(timeout=WAIT_S)
    assert sorted(checks.begun) == ids
    checks.close()


def test_a_check_that_died_is_told_as_that_of_a_dataset(store, home, monkeypatch):
    monkeypatch.setattr("service.datasets.checks.COMMAND", ("-c", "raise SystemExit(1)"))
    row = store.datasets.begin("a", format="csv", num_bytes=1, quota=9)
    row = store.datasets.received(row.id, sha256="0" * 64)
    checks = Checks(store, home=home, limits=DatasetLimits())
    checks.begin(row).result(timeout=WAIT_S)
    checks.close()
    found = store.datasets.get("a")
    assert (found.error_code, found.error) == (
        "check_died",
        "the process that read it has ended; see the server's log",
    )


def test_what_waits_when_the_server_stops_is_not_begun():
    checks = Slow()
    first, second = (checks.begin(SimpleNamespace(tenant="a", id=number)) for number in (1, 2))
    assert checks.some_began.acquire(timeout=WAIT_S)
    closing = threading.Thread(target=checks.close)
    closing.start()
    with pytest.raises(CancelledError):
        second.result(timeout=WAIT_S)
    checks.go_on.set()
    first.result(timeout=WAIT_S)
    closing.join(WAIT_S)
    assert checks.begun == [("a", 1)]
