"""Workers over HTTP and at the command line: those of the whole server, without the jobs of other tenants."""

from __future__ import annotations

import re
from dataclasses import asdict

from shared.tracking.tenants import DEFAULT, Tenant
from shared.tracking.workers import Cluster
from tests.job_kit import submit
from tests.service.rows_kit import asking


def beat(store, name: str, **changes) -> None:
    given = {"host": "gpu-1", "pid": 7, "backend": "process", "lease_s": 60, "job_id": None, "new": True}
    store.workers.beat(name, **{**given, **changes})


def test_they_are_listed_with_what_they_do(store, home):
    store.tenants.create(Tenant("ward-7"))
    mine, other = submit(store), submit(store.of(Tenant("ward-7")))
    cluster = Cluster("http://ray-head:8265", nodes=2, cpus=8, cpus_free=3, gpus=0, gpus_free=0, memory=2**33)
    beat(store, "a")
    beat(store, "b", job_id=mine)
    beat(store, "c", job_id=other)
    beat(store, "d", lease_s=0, backend="ray", cluster=cluster)
    _, secret = store.tokens.create(Tenant("ward-7"), name="ci", scope="admin", expires=None)
    _, boss = store.tokens.create(DEFAULT, name="boss", scope="admin", expires=None)
    with asking(store, home) as client:
        hidden = client.get("/api/v1/workers").json()["workers"]
        found = client.get("/api/v1/workers", headers={"authorization": f"Bearer {boss}"}).json()["workers"]
        refused = client.get("/api/v1/workers", headers={"authorization": f"Bearer {secret}"})
    assert [(one["name"], one["state"], one["job_id"]) for one in found] == [
        ("a", "idle", None),
        ("b", "busy", mine),
        ("c", "busy", None),
        ("d", "gone", None),
    ]
    assert (found[0]["host"], found[0]["pid"], found[0]["backend"]) == ("gpu-1", 7, "process")
    assert [(one["state"], one["host"], one["pid"]) for one in hidden] == [
        (one["state"], None, None) for one in found
    ]
    assert len({one["name"] for one in hidden}) == 4
    assert all(re.fullmatch(r"worker [0-9a-f]{6}", one["name"]) for one in hidden), "no host without the scope"
    assert (found[0]["cluster"], found[3]["cluster"]) == (None, asdict(cluster))
    assert hidden[3]["cluster"] == {**asdict(cluster), "address": None}
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant")
