"""Webhooks over HTTP: made, listed, deleted and sent again by who may administer; and a server that sends."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from shared.runtime.errors import ConfigError
from shared.tracking.tenants import DEFAULT
from shared.tracking.webhook_tables import EVENTS
from shared.tracking.webhooks import MOST_WEBHOOKS
from tests.job_kit import submit
from tests.service.live_kit import until
from tests.service.rows_kit import build_app
from tests.service.server_kit import serving
from tests.service.webhooks_kit import is_signed, receiving

PATH = "/api/v1/webhooks"
URL = "https://hooks.example/fedtwin"


def client_of(port: int, store, scope: str) -> httpx.Client:
    _, secret = store.tokens.create(DEFAULT, name="ci", scope=scope, expires=None)
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30)


@pytest.fixture
def client(store, home) -> Iterator[httpx.Client]:
    with serving(build_app(store, home)) as port, client_of(port, store, "admin") as opened:
        yield opened


def test_one_is_made_listed_and_deleted_and_its_secret_shown_once(client, store):
    answer = client.post(PATH, json={"url": URL, "events": ["model.promoted", "job.failed", "job.failed"]})
    assert (answer.status_code, answer.headers["location"]) == (201, f"{PATH}/1")
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert (made["url"], made["events"]) == (URL, ["job.failed", "model.promoted"])
    assert made.pop("secret").startswith("whsec_")
    assert client.get(f"{PATH}/1").json() == made
    assert client.get(PATH).json() == {"webhooks": [{**made, "last": None}]}
    assert client.post(PATH, json={"url": URL}).json()["events"] == list(EVENTS)
    assert client.delete(f"{PATH}/1").status_code == 204
    assert client.get(f"{PATH}/1").status_code == 404
    assert (
        client.post(f"{PATH}/2/deliveries/1/resend").json()["detail"] == "there is no delivery 1 of webhook 2"
    )


def test_it_needs_the_scope_admin(client, store):
    port = client.base_url.port
    with client_of(port, store, "train") as other:
        for method, path in (("POST", PATH), ("GET", PATH), ("GET", f"{PATH}/1"), ("DELETE", f"{PATH}/1")):
            answer = other.request(method, path, json={"url": URL})
            assert (answer.status_code, answer.json()["code"]) == (403, "scope"), (method, path)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://hooks.example/"}, "webhook_address"),
        ({"url": "https://127.0.0.1/"}, "webhook_address"),
        ({"url": "https://0x7f000001/"}, "webhook_address"),
        ({"url": "https://me:secret@hooks.example/"}, "webhook_address"),
        ({"url": "javascript:alert(1)"}, "webhook_address"),
        ({"url": URL, "events": []}, None),
        ({"url": URL, "events": ["job.exploded"]}, None),
        ({"url": URL, "secret": "mine"}, None),
        ({}, None),
    ],
)
def test_what_cannot_be_used_is_refused(client, store, body, code):
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.json().get("code")) == (422, code), answer.text
    assert store.webhooks.search() == []


def test_a_tenant_has_few(client):
    for _ in range(MOST_WEBHOOKS):
        assert client.post(PATH, json={"url": URL}).status_code == 201
    answer = client.post(PATH, json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


def test_a_server_sends_what_its_jobs_do(store, home):
    settings = Settings(database_url=home.database_url, home=home, allowed_webhooks=("127.0.0.1",))
    with (
        receiving() as receiver,
        serving(create_app(settings)) as port,
        client_of(port, store, "admin") as client,
    ):
        secret = client.post(PATH, json={"url": receiver.url(), "events": ["job.queued"]}).json()["secret"]
        job_id = submit(store)
        until(lambda: client.get(f"{PATH}/1/deliveries?status=delivered").json()["deliveries"] != [])
        ((headers, body),) = receiver.got
        assert is_signed(headers, body, secret)
        assert json.loads(body)["data"]["id"] == job_id
        page = client.get(f"{PATH}/1/deliveries").json()
        (row,) = page["deliveries"]
        assert (row["status"], row["answer"], row["message_id"]) == ("delivered", 204, headers["webhook-id"])
        assert secret not in json.dumps(page)
        assert client.post(f"{PATH}/1/deliveries/{row['id']}/resend").status_code == 202
        until(lambda: len(receiver.got) == 2)
        assert receiver.got[1][0]["webhook-id"] == headers["webhook-id"]


def test_a_receiver_is_tried_out(store, home):
    settings = Settings(database_url=home.database_url, home=home, allowed_webhooks=("127.0.0.1",))
    with (
        receiving() as receiver,
        serving(create_app(settings)) as port,
        client_of(port, store, "admin") as client,
    ):
        made = client.post(PATH, json={"url": receiver.url(), "events": ["job.failed"]}).json()
        answer = client.post(f"{PATH}/1/test")
        assert (answer.status_code, answer.json()["event"]) == (202, "webhook.test")
        until(lambda: client.get(PATH).json()["webhooks"][0]["last"]["status"] == "delivered")
        ((headers, body),) = receiver.got
        assert is_signed(headers, body, made["secret"])
        assert (json.loads(body)["type"], json.loads(body)["data"]) == ("webhook.test", {"webhook_id": 1})
        assert client.post(f"{PATH}/2/test").status_code == 404


def test_a_setting_that_names_no_address_ends_the_server_at_once(home):
    settings = Settings(database_url=home.database_url, home=home, allowed_webhooks=("http://a/",))
    with pytest.raises(ConfigError, match="--allow-webhook"):
        create_app(settings)
