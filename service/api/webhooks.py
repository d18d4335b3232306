"""The REST routes of webhooks, for who may administer: make, list, test, delete; what was sent; send again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints

from service.api.dependencies import StoreDep
from service.api.problems import Problem, error_responses
from service.api.writing import AdminRoute, training_router
from service.problem_details import AsciiJson
from service.read.schemas import Shape
from service.webhooks.address import MOST_URL, Allowed, BadAddress, parse_url
from shared.tracking.schema import LARGEST_ID
from shared.tracking.webhook_tables import EVENTS
from shared.tracking.webhooks import DeliveryRow, NoDelivery, TooManyWebhooks, WebhookRow

router = training_router("webhooks", route=AdminRoute)

Event = Literal[
    "job.queued",
    "job.started",
    "job.completed",
    "job.failed",
    "job.cancelled",
    "model.registered",
    "model.promoted",
    "model.rolled_back",
]
DeliveryStatus = Literal["waiting", "delivered", "failed"]


class NewWebhook(Shape):
    """Who is to be told of what."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=MOST_URL)] = Field(
        examples=["https://hooks.example/fedtwin"]
    )
    events: list[Event] | None = Field(
        default=None, min_length=1, max_length=len(EVENTS), description="Default: all."
    )


class Webhook(Shape):
    """An address that is told of events."""

    id: int
    url: str
    events: list[Event]
    created: datetime


class CreatedWebhook(Webhook):
    """A new webhook, with its secret."""

    secret: str = Field(description="Signs the messages; shown this once.", examples=["whsec_..."])


class Delivery(Shape):
    """One message to a webhook."""

    id: int
    message_id: str = Field(description="As in the header webhook-id, the same in all attempts.")
    event: Event | Literal["webhook.test"]
    status: DeliveryStatus
    attempts: int
    next_at: datetime = Field(description="Of one that waits: when it is sent next.")
    answer: int | None = Field(description="Status of the last answer.")
    error: str | None = Field(description="Why the last attempt did not succeed.")
    created: datetime
    ended: datetime | None


class ListedWebhook(Webhook):
    """An address that is told of events, and what became of its newest message."""

    last: Delivery | None = Field(description="null where there was none within 30 days.")


class ListedWebhooks(Shape):
    """All webhooks; a tenant has few."""

    webhooks: list[ListedWebhook]


class Deliveries(Shape):
    """One page of the messages of a webhook."""

    deliveries: list[Delivery]
    next: int | None = Field(description="Pass as `before` to get the next page; null on the last page.")


def _webhook(store: StoreDep, webhook_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> WebhookRow:
    found = store.webhooks.find(webhook_id)
    if found is None:
        raise Problem(404, f"there is no webhook {webhook_id}")
    return found


WebhookDep = Annotated[WebhookRow, Depends(_webhook)]


@router.post(
    "/v1/webhooks",
    status_code=201,
    response_model=CreatedWebhook,
    responses=error_responses(409, 422),
)
def create(request: Request, store: StoreDep, wanted: NewWebhook) -> AsciiJson:
    """Send the events of jobs and models to an address, signed; the secret is in this answer alone.

    Refused (422, `webhook_address`) where the address is not public or not https, unless the server allows it.
    """
    try:
        Allowed(request.app.state.settings.allowed_webhooks).check_new(parse_url(wanted.url))
        row, secret = store.webhooks.create(wanted.url, events=wanted.events or EVENTS)
    except BadAddress as error:
        raise Problem(422, str(error), code="webhook_address") from None
    except TooManyWebhooks as error:
        raise Problem(409, str(error), code="too_many_webhooks") from None
    headers = {"location": f"/api/v1/webhooks/{row.id}", "cache-control": "no-store"}
    return AsciiJson({**_view(row), "secret": secret}, status_code=201, headers=headers)


@router.get("/v1/webhooks", response_model=ListedWebhooks)
def webhooks(store: StoreDep) -> AsciiJson:
    """List webhooks, oldest first."""
    views = []
    for row in store.webhooks.search():
        newest = store.webhooks.deliveries(row.id, limit=1)
        views.append({**_view(row), "last": _delivery(newest[0]) if newest else None})
    return AsciiJson({"webhooks": views})


@router.get("/v1/webhooks/{webhook_id}", response_model=Webhook, responses=error_responses(404))
def webhook(row: WebhookDep) -> AsciiJson:
    """One webhook."""
    return AsciiJson(_view(row))


@router.delete("/v1/webhooks/{webhook_id}", status_code=204, responses=error_responses(404))
def delete(store: StoreDep, row: WebhookDep) -> Response:
    """Delete a webhook; messages that wait are not sent."""
    store.webhooks.delete(row.id)
    return Response(status_code=204)


@router.get("/v1/webhooks/{webhook_id}/deliveries", response_model=Deliveries, responses=error_responses(404))
def deliveries(
    store: StoreDep,
    row: WebhookDep,
    status: DeliveryStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the last page.")] = None,
) -> AsciiJson:
    """List the messages of a webhook, newest first; those that ended are kept for 30 days."""
    found = store.webhooks.deliveries(row.id, status=status, before=before, limit=limit + 1)
    page = found[:limit]
    more = page[-1].id if len(found) > limit else None
    return AsciiJson({"deliveries": [_delivery(one) for one in page], "next": more})


@router.post(
    "/v1/webhooks/{webhook_id}/test",
    status_code=202,
    response_model=Delivery,
    responses=error_responses(404),
)
def test(store: StoreDep, row: WebhookDep) -> AsciiJson:
    """Send a message of the type `webhook.test`: its delivery says whether the receiver takes any."""
    return AsciiJson(_delivery(store.webhooks.test(row.id)), status_code=202)


@router.post(
    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    response_model=Delivery,
    responses=error_responses(404),
)
def resend(store: StoreDep, row: WebhookDep, delivery_id: Annotated[int, Path(ge=1, le=2**53)]) -> AsciiJson:
    """Send a message again, whether it was delivered or not."""
    try:
        return AsciiJson(_delivery(store.webhooks.resend(row.id, delivery_id)), status_code=202)
    except NoDelivery as error:
        raise Problem(404, str(error)) from None


def _view(row: WebhookRow) -> dict[str, object]:
    return {name: value for name, value in row.as_dict().items() if name != "tenant"}


def _delivery(row: DeliveryRow) -> dict[str, object]:
    return {name: value for name, value in row.as_dict().items() if name != "webhook_id"}
