"""``fedtwin webhooks``, as it is typed."""

from __future__ import annotations

import json

import pytest

from tests.job_kit import submit

URL = "https://hooks.example/fedtwin"


def test_one_is_made_shown_sent_again_and_deleted(fedtwin, store):
    fedtwin("tenant", "create", "ward-7")
    code, secret, said = fedtwin("webhooks", "create", URL, "--event", "job.queued", "--tenant", "default")
    assert (code, secret.startswith("whsec_"), "webhook 1" in said) == (0, True, True)
    made = json.loads(fedtwin("webhooks", "create", URL, "--tenant", "ward-7", "--format", "json")[1])
    assert (made["tenant"], made["secret"][:6]) == ("ward-7", "whsec_")
    listed = fedtwin("webhooks")[1]
    assert secret.strip() not in listed
    assert all(word in listed for word in ("ward-7", "job.queued", "all"))
    submit(store)
    assert "waiting" in fedtwin("webhooks", "deliveries", "1")[1]
    (row,) = json.loads(fedtwin("webhooks", "deliveries", "1", "--format", "json")[1])
    store.outbox.missed(store.outbox.take(limit=1, lease_s=9)[0], error="[red]x", answer=500, again_s=None)
    assert "[red]x" in fedtwin("webhooks", "deliveries", "1", "--status", "failed")[1]
    assert fedtwin("webhooks", "resend", "1", str(row["id"]))[1] == (
        "delivery 1 (job.queued) is sent again by the server\n"
    )
    assert store.webhooks.deliveries(1)[0].status == "waiting"
    assert fedtwin("webhooks", "test", "1")[1].startswith("delivery 2 (webhook.test) is sent by the server")
    assert fedtwin("webhooks", "delete", "1")[1] == "webhook 1 is deleted\n"
    assert store.webhooks.find(1) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["create"], "takes URL, got nothing"),
        (["create", "hooks.example"], "expected the URL of a receiver"),
        (["create", URL, "--event", "job.exploded"], "got job.exploded"),
        (["create", URL, "--tenant", "nobody"], "there is no tenant 'nobody'"),
        (["deliveries", "7"], "there is no webhook 7"),
        (["test", "7"], "there is no webhook 7"),
        (["delete", "x"], "expected a number"),
        (["resend", "1", "2"], "there is no delivery 2 of webhook 1"),
    ],
)
def test_mistakes_are_named(fedtwin, home, given, says):
    code, _, err = fedtwin("webhooks", *given)
    assert (code, says in err.replace("\n", " ")) == (2, True)
