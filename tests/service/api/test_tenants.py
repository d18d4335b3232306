"""Tokens of two tenants at the API: none reaches what is the other's, or does more than its scope."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from service.security.rates import Rates
from shared.runtime.home import Home
from shared.tracking.jobs import NewJob
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant
from tests.contracts.test_store_models import complete
from tests.service.rows_kit import build_app, new_run
from tests.service.server_kit import serving

pytestmark = pytest.mark.attack

OWNER, OTHER = Tenant("ward-7"), Tenant("ward-8")
NAME = "tuberculosis-of-ward-7"
# What a path names; a route with another name in it must be added here.
PLACES = {"run_id": 1, "job_id": 1, "schedule_id": 1, "name": "tuberculosis-of-ward-7", "mode": "compare"}
PLACES |= {"webhook_id": 1, "delivery_id": 1}
PLACES |= {"ref": "latest", "alias": "production", "format": "onnx"}
OWN = ("/api/runs/1", "/api/jobs/1", "/api/schedules/1", f"/api/v1/models/{NAME}", f"/api/v1/datasets/{NAME}")
OWNED = {"run_id", "job_id", "schedule_id", "webhook_id"}
BODIES = {
    "/api/jobs/{job_id}": {"priority": "high"},
    "/api/schedules/{schedule_id}": {"paused": True},
    "/api/runs/{run_id}": {"name": "x"},
    "/api/v1/models/{name}": {"threshold": "none"},
    "/api/v1/models/{name}/aliases/{alias}": {"version": "1.0.0"},
    "/api/v1/models/{name}/compare": {"first": "1.0.0", "second": "latest"},
    "/api/v1/models/{name}/versions/{ref}/exports": {"format": "onnx"},
    "/api/v1/models/{name}/predict": {"rows": [{"a": 1}]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Store]:
    """One run, job, schedule, dataset and model, of `OWNER`."""
    with Store(f"sqlite:///{tmp_path_factory.mktemp('home') / 'fedtwin.db'}") as store:
        for tenant in (OWNER, OTHER):
            store.tenants.create(tenant)
        new_run(store.of(OWNER), name=NAME)
        store.of(OWNER).webhooks.create(f"https://{NAME}.example/")
        job = NewJob(mode="centralized", name=NAME, config={}, idempotency_key="k")
        store.of(OWNER).jobs.submit(job)
        store.of(OWNER).schedules.add(
            NewJob(mode="centralized", name=NAME, config={}), cron="0 0 * * *", time_zone="UTC"
        )
        new = store.of(OWNER).datasets.begin(NAME, format="csv", num_bytes=9, quota=9)
        store.of(OWNER).datasets.received(new.id, sha256="0" * 64)
        complete(store.of(OWNER), name=NAME)
        store.of(OWNER).models.promote(NAME, alias="candidate")
        yield store


@pytest.fixture(scope="module")
def app(store, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    return build_app(store, Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}"))


@pytest.fixture(scope="module")
def client(app) -> Iterator[httpx.Client]:
    with (
        serving(app) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
    ):
        yield client


def bearer(store: Store, tenant: Tenant, scope: str, **changes) -> dict[str, str]:
    _, secret = store.tokens.create(tenant, **{"name": "ci", "scope": scope, "expires": None, **changes})
    return {"authorization": f"Bearer {secret}"}


def requests_of(app) -> Iterator[tuple[str, str, set[str], dict]]:
    """Method, address, names in the path and body of a request to each route of the API."""
    for path, operations in sorted(app.openapi()["paths"].items()):
        names = set(re.findall(r"\{(\w+)\}", path))
        address = path.format(**PLACES)
        for method, operation in operations.items():
            query = {"runs": "1", "with": "1"}
            asked = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            given = "&".join(f"{name}={value}" for name, value in query.items() if name in asked)
            yield method.upper(), f"{address}?{given}" if given else address, names, BODIES.get(path, {})


def test_nothing_of_another_tenant_is_reached_on_any_route(app, client, store):
    other, owner = bearer(store, OTHER, "admin"), bearer(store, OWNER, "admin")
    seen = set()
    for method, address, names, body in requests_of(app):
        if address.endswith("/fails"):
            continue
        answer = client.request(method, address, headers=other, json=body)
        if address.startswith("/api/v1/datasets/"):
            assert (answer.status_code, answer.json()["detail"]) == (404, f"there is no dataset '{NAME}'")
            continue
        if "/v1/models/" in address:
            seen.add((method, address))
            assert answer.status_code == 404, (method, address, answer.text)
            nobody = client.request(method, address.replace(NAME, "nobody"), headers=other, json=body)
            assert answer.text.replace(NAME, "nobody") == nobody.text, "as of a model that is nowhere"
            assert "there is no model 'nobody'" in nobody.json()["detail"]
            continue
        assert NAME not in answer.text.replace(address, ""), (method, address)
        if names & OWNED:
            assert answer.status_code == 404, (method, address, answer.text)
            assert re.search(r"there is no (run|job|schedule|webhook) 1$", answer.json()["detail"]), answer.text
            seen |= names & OWNED
        elif address == "/metrics":
            assert (answer.status_code, answer.json()["code"]) == (403, "tenant"), (method, address)
    models = {one for one in seen if isinstance(one, tuple)}
    assert (seen - models, len(models)) == (OWNED, 12)
    registered = store.of(OWNER).models
    assert registered.aliases(NAME) == {"candidate": "1.0.0"}
    assert (registered.get(NAME).threshold, len(registered.history(NAME))) == ("f1>=0.7", 1)
    assert store.of(OWNER).jobs.get(1).status == "queued"
    assert [row.id for row in store.of(OWNER).schedules.search()] == [1]
    for path in (*(f"/api/{one}" for one in ("runs", "jobs", "schedules", "v1/models", "v1/datasets")), *OWN):
        assert NAME in client.get(path, headers=owner).text, path
        unnamed = client.get(path)  # the default tenant's, which needs no token here
        assert unnamed.status_code == 404 if path in OWN else NAME not in unnamed.text, path


def test_no_tenant_trains_the_model_of_another_one_on(client, store):
    for place in ("validate", "centralized"):
        body = {"use_existing_model": f"{NAME}@candidate"}
        answer = client.post(f"/api/experiments/{place}", json=body, headers=bearer(store, OTHER, "train"))
        (says,) = answer.json()["errors"]
        assert says.startswith("use_existing_model: there is no model 'tuberculosis-of-ward-7'")
    found = client.post("/api/experiments/validate", json=body, headers=bearer(store, OWNER, "train")).json()
    assert found["config"]["model"]["weights"] == f"registry:{NAME}@1.0.0"


def test_two_tenants_have_models_of_the_same_name(client, store):
    mine, yours = bearer(store, OWNER, "train"), bearer(store, OTHER, "train")
    for tenant, f1 in ((OWNER, 0.8), (OWNER, 0.9), (OTHER, 0.75)):
        complete(store.of(tenant), name="shared", f1=f1)
    model = "/api/v1/models/shared"
    assert client.put(f"{model}/aliases/production", json={}, headers=yours).json()["test"]["f1"] == 0.75
    for given, latest, aliases in ((mine, "1.0.1", {}), (yours, "1.0.0", {"production": "1.0.0"})):
        detail = client.get(model, headers=given).json()
        assert (detail["latest"], detail["aliases"], len(detail["history"])) == (latest, aliases, len(aliases))
    assert client.get(f"{model}/versions/1.0.1", headers=yours).status_code == 404
    assert client.patch(model, json={"threshold": "f1>=0.5"}, headers=yours).status_code == 200
    assert store.of(OWNER).models.get("shared").threshold == "f1>=0.7"
    assert client.get(model).status_code == 404, "the default tenant's, which needs no token here"


def test_two_tenants_may_use_the_same_key(store):
    job = NewJob(mode="centralized", name="mine", config={}, idempotency_key="k")
    mine = store.of(OTHER).jobs.submit(job)
    assert mine.name == "mine"
    assert store.of(OTHER).jobs.submit(job).id == mine.id
    assert mine.id != 1
    store.of(OTHER).jobs.cancel(mine.id)


def test_a_token_does_no_more_than_its_scope(app, client, store):
    reads, trains = bearer(store, OTHER, "read"), bearer(store, OTHER, "train")
    for method, address, _, body in requests_of(app):
        if method != "GET" or address == "/api/audit":
            answer = client.request(method, address, headers=reads, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope"), (method, address)
    assert client.get("/api/audit", headers=trains).json()["code"] == "scope"
    assert client.get("/api/runs", headers=reads).status_code == 200


def test_a_token_ends_when_it_expires_or_is_revoked(client, store):
    soon = datetime.now(UTC) + timedelta(seconds=1)
    short = bearer(store, OTHER, "read", expires=soon)
    revoked = bearer(store, OTHER, "read")
    row = store.tokens.search()[-1]
    for given in (short, revoked):
        assert client.get("/api/runs", headers=given).status_code == 200
    store.tokens.revoke(row.id)
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
    for given in (short, revoked, {"authorization": "Bearer ft_" + "x" * 43}):
        answer = client.get("/api/runs", headers=given)
        assert (answer.status_code, answer.json()["code"]) == (401, "token")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_link_to_the_page_takes_a_token_that_reads_and_no_other(client, store):
    for scope, status in (("read", 303), ("train", 401)):
        secret = bearer(store, OTHER, scope)["authorization"].removeprefix("Bearer ")
        page = {"accept": "text/html"}
        answer = client.get(f"/api/runs?token={secret}", headers=page, follow_redirects=False)
        assert answer.status_code == status
        assert ("set-cookie" in answer.headers) == (scope == "read")
        assert secret not in answer.headers.get("location", "")
    client.cookies.clear()


def test_no_token_is_in_the_database_or_the_audit_log(client, store):
    given = bearer(store, OTHER, "train")
    secret = given["authorization"].removeprefix("Bearer ")
    client.delete("/api/jobs/77", headers=given)
    client.post("/api/jobs/77/retry")
    admin = bearer(store, OTHER, "admin")
    entries = client.get("/api/audit", headers=admin).json()["entries"]
    newest = entries[0]
    assert (newest["action"], newest["status"]) == ("DELETE /api/jobs/77", 404)
    assert re.fullmatch(r"token \d+ \(ci\)", newest["who"])
    assert store.of(Tenant("default")).audit.search(limit=1)[0].status == 403
    with store.database.read() as connection:
        everything = "".join(map(str, connection.exec_driver_sql("SELECT * FROM token").all()))
    assert secret not in everything + str(entries)


def test_a_caller_waits_when_it_has_sent_too_much():
    rates = Rates(2.0)
    assert [rates.wait_s("a", now=0.0) for _ in range(20)] == [0.0] * 20
    assert rates.wait_s("a", now=0.0) == pytest.approx(0.5)
    assert rates.wait_s("b", now=0.0) == 0.0
    assert rates.wait_s("a", now=0.6) == 0.0
    assert rates.wait_s("a", now=0.6) > 0
    assert all(Rates(0).wait_s("a") == 0 for _ in range(99))
