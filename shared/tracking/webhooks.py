"""`Webhooks`: who is told of which events, and what became of each message; `Outbox`: messages to be sent."""

from __future__ import annotations

import base64
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.access_tables import tenant
from shared.tracking.database import Database, database_now
from shared.tracking.rows import Row
from shared.tracking.tenants import Scope, Tenant, no_tenant, owner_of, within
from shared.tracking.webhook_events import tell_test
from shared.tracking.webhook_tables import EVENTS, webhook, webhook_delivery

SECRET_PREFIX = "whsec_"  # of the Standard Webhooks; what follows is base64
MOST_WEBHOOKS = 20  # of a tenant: each makes a message of every event
KEPT = timedelta(days=30)  # deliveries that have ended


class TooManyWebhooks(TrackingError):
    """A tenant has as many webhooks as it may."""


class NoDelivery(TrackingError):
    """There is no such message of a webhook."""


@dataclass(frozen=True, slots=True)
class WebhookRow(Row):
    """An address that is told of events; without its secret."""

    id: int
    tenant: str
    url: str
    events: list[str]
    created: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRow(Row):
    """One message to one webhook.

    Attributes
    ----------
    message_id : str
        The same in all attempts, by which a receiver knows what it has had already.
    status : {"waiting", "delivered", "failed"}
    next_at : datetime
        Of one that waits: when it is sent next.
    answer : int or None
        Of the last attempt, the status of HTTP.
    error : str or None
        Why the last attempt did not succeed.
    """

    id: int
    webhook_id: int
    message_id: str
    event: str
    status: str
    attempts: int
    next_at: datetime
    answer: int | None
    error: str | None
    created: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A delivery that was taken to be sent.

    Attributes
    ----------
    attempts : int
        This one counted.
    """

    id: int
    webhook_id: int
    message_id: str
    body: str
    attempts: int
    url: str
    secret: str


_SHOWN = [webhook.c[name] for name in ("id", "tenant", "url", "events", "created")]
_DELIVERY = [webhook_delivery.c[name] for name in DeliveryRow.__slots__]


class Webhooks:
    """Stores and reads the webhooks of a scope and their deliveries."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope = database, scope

    def create(
        self, url: str, *, events: Sequence[str] = EVENTS, owner: Tenant | None = None
    ) -> tuple[WebhookRow, str]:
        """Add a webhook, with a random secret of 256 bits.

        Parameters
        ----------
        owner : Tenant, optional
            Whose events; the scope's by default.

        Returns
        -------
        WebhookRow, str
            And the secret, which nothing else returns.

        Raises
        ------
        ConfigError
            There is no such event.
        TrackingError
            There is no such tenant.
        TooManyWebhooks
        """
        unknown = [event for event in events if event not in EVENTS]
        if unknown or not events:
            raise ConfigError(
                f"events: expected some of {', '.join(EVENTS)}; got {', '.join(unknown) or 'none'}"
            )
        name = owner_of(self._scope) if owner is None else owner.name
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        values = {"tenant": name, "url": url, "events": sorted(set(events), key=EVENTS.index)}
        with self._database.write() as connection:
            # Locked: two requests at once do not both take the last place.
            known = sa.select(tenant.c.name).where(tenant.c.name == name, within(tenant.c.name, self._scope))
            if connection.execute(known.with_for_update()).first() is None:
                raise no_tenant(Tenant(name))
            count = sa.select(sa.func.count()).select_from(webhook).where(webhook.c.tenant == name)
            if connection.execute(count).scalar_one() >= MOST_WEBHOOKS:
                raise TooManyWebhooks(f"a tenant has at most {MOST_WEBHOOKS} webhooks; delete one first")
            key = connection.execute(
                sa.insert(webhook).values(**values, secret=secret, created=datetime.now(UTC))
            ).inserted_primary_key
            assert key is not None
            return _webhook(connection.execute(sa.select(*_SHOWN).where(webhook.c.id == key[0])).one()), secret

    def search(self) -> list[WebhookRow]:
        """All of them, oldest first."""
        query = sa.select(*_SHOWN).where(within(webhook.c.tenant, self._scope)).order_by(webhook.c.id)
        return [_webhook(row) for row in self._database.select(query)]

    def find(self, webhook_id: int) -> WebhookRow | None:
        """One of them, if there is such a webhook."""
        rows = self._database.select(sa.select(*_SHOWN).where(self._mine(webhook_id)))
        return _webhook(rows[0]) if rows else None

    def delete(self, webhook_id: int) -> None:
        """Delete a webhook; what it was to be sent is not sent any more.

        Raises
        ------
        TrackingError
            There is no such webhook.
        """
        with self._database.write() as connection:
            if not connection.execute(sa.delete(webhook).where(self._mine(webhook_id))).rowcount:
                raise _none(webhook_id)

    def deliveries(
        self,
        webhook_id: int,
        *,
        status: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[DeliveryRow]:
        """Messages of a webhook, newest first.

        Parameters
        ----------
        before : int, optional
            Only those with a smaller id: the last one of the page before.
        """
        query = sa.select(*_DELIVERY).join(webhook, webhook.c.id == webhook_delivery.c.webhook_id)
        query = query.where(self._mine(webhook_id)).order_by(webhook_delivery.c.id.desc()).limit(limit)
        if status is not None:
            query = query.where(webhook_delivery.c.status == status)
        if before is not None:
            query = query.where(webhook_delivery.c.id < before)
        return [DeliveryRow(**row._mapping) for row in self._database.select(query)]

    def test(self, webhook_id: int) -> DeliveryRow:
        """Queue a message that shows whether the receiver takes any.

        Raises
        ------
        TrackingError
            There is no such webhook.
        """
        with self._database.write() as connection:
            known = sa.select(webhook.c.id).where(self._mine(webhook_id))
            if connection.execute(known.with_for_update(read=True)).first() is None:
                raise _none(webhook_id)
            mine = webhook_delivery.c.id == tell_test(connection, webhook_id)
            return DeliveryRow(**connection.execute(sa.select(*_DELIVERY).where(mine)).one()._mapping)

    def resend(self, webhook_id: int, delivery_id: int) -> DeliveryRow:
        """Send a message again at once, with all its attempts anew, whether it was delivered or not.

        Raises
        ------
        NoDelivery
        """
        mine = (webhook_delivery.c.id == delivery_id) & (webhook_delivery.c.webhook_id == webhook_id)
        owned = webhook_delivery.c.webhook_id.in_(sa.select(webhook.c.id).where(self._mine(webhook_id)))
        with self._database.write() as connection:
            changes = {"status": "waiting", "attempts": 0, "next_at": database_now(connection), "ended": None}
            changes |= {"lease_until": None}
            update = sa.update(webhook_delivery).where(mine, owned).values(changes)
            if not connection.execute(update).rowcount:
                raise NoDelivery(f"there is no delivery {delivery_id} of webhook {webhook_id}")
            return DeliveryRow(**connection.execute(sa.select(*_DELIVERY).where(mine)).one()._mapping)

    def _mine(self, webhook_id: int) -> sa.ColumnElement[bool]:
        return (webhook.c.id == webhook_id) & within(webhook.c.tenant, self._scope)


class Outbox:
    """Messages of all tenants, for those who send them: any number of processes.

    A message is taken for some time; whoever took it says what became of it, or it is taken again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, *, limit: int, lease_s: float, most_of_tenant: int | None = None) -> list[Message]:
        """Take messages that are due, of each webhook the oldest, and none while another one is being sent.

        The tenant with the fewest under way comes first, and then what has been due for longest.

        Parameters
        ----------
        limit : int
            At most so many.
        lease_s : float, seconds
            Nobody else gets them for so long.
        most_of_tenant : int, optional
            At most so many of a tenant are under way.
        """
        with self._database.read() as connection:  # most looks find nothing, and need not lock
            if not self._due(connection, 1, most_of_tenant):
                return []
        with self._database.write() as connection:
            ids = self._due(connection, limit, most_of_tenant)
            now = database_now(connection)
            free = webhook_delivery.c.id.in_(ids) & _free(now)
            lock = sa.select(webhook_delivery.c.id).where(free).with_for_update(skip_locked=True)
            taken = [row.id for row in connection.execute(lock)]
            changes = {
                "lease_until": now + timedelta(seconds=lease_s),
                "attempts": webhook_delivery.c.attempts + 1,
            }
            mine = webhook_delivery.c.id.in_(taken)
            connection.execute(sa.update(webhook_delivery).where(mine).values(changes))
            columns = [
                webhook_delivery.c[name] for name in ("id", "webhook_id", "message_id", "body", "attempts")
            ]
            query = sa.select(*columns, webhook.c.url, webhook.c.secret)
            query = query.join(webhook, webhook.c.id == webhook_delivery.c.webhook_id).where(mine)
            return [Message(**row._mapping) for row in connection.execute(query)]

    def delivered(self, message: Message, *, answer: int) -> None:
        """Keep that a message was taken by its receiver."""
        self._end(message, status="delivered", answer=answer, error=None)

    def missed(self, message: Message, *, error: str, answer: int | None, again_s: float | None) -> None:
        """Keep that an attempt failed.

        Parameters
        ----------
        again_s : float, seconds, optional
            When it is tried again; None: never.
        """
        if again_s is None:
            self._end(message, status="failed", answer=answer, error=error)
            return
        with self._database.write() as connection:
            next_at = database_now(connection) + timedelta(seconds=again_s)
            changes = {"next_at": next_at, "lease_until": None, "answer": answer, "error": error}
            connection.execute(sa.update(webhook_delivery).where(_still(message)).values(changes))

    def forget(self, *, before: datetime) -> None:
        """Delete deliveries that ended before a time."""
        with self._database.write() as connection:
            connection.execute(sa.delete(webhook_delivery).where(webhook_delivery.c.ended < before))

    def _end(self, message: Message, **changes: Any) -> None:
        with self._database.write() as connection:
            ended = {"ended": database_now(connection), "lease_until": None}
            connection.execute(sa.update(webhook_delivery).where(_still(message)).values(**ended, **changes))

    def _due(self, connection: sa.Connection, limit: int, most_of_tenant: int | None) -> list[int]:
        now = database_now(connection)
        columns = webhook_delivery.c
        own = webhook_delivery.join(webhook, webhook.c.id == columns.webhook_id)
        sending = (columns.status == "waiting") & (columns.lease_until > now)
        busy = {
            row.webhook_id: row.tenant
            for row in connection.execute(
                sa.select(columns.webhook_id, webhook.c.tenant).select_from(own).where(sending)
            )
        }
        first = sa.select(sa.func.min(columns.id)).where(_free(now)).group_by(columns.webhook_id)
        heads = connection.execute(
            sa.select(columns.id, columns.webhook_id, webhook.c.tenant)
            .select_from(own)
            .where(columns.id.in_(first))
            .order_by(columns.next_at, columns.id)
        )
        waiting = [row for row in heads if row.webhook_id not in busy]
        under_way = Counter(busy.values())
        found: list[int] = []
        while waiting and len(found) < limit:
            head = min(waiting, key=lambda row: under_way[row.tenant])  # of several, the one due for longest
            if most_of_tenant is not None and under_way[head.tenant] >= most_of_tenant:
                break
            waiting.remove(head)
            under_way[head.tenant] += 1
            found.append(head.id)
        return found


def _free(now: datetime) -> sa.ColumnElement[bool]:
    due = (webhook_delivery.c.status == "waiting") & (webhook_delivery.c.next_at <= now)
    lease = webhook_delivery.c.lease_until
    return due & (lease.is_(None) | (lease <= now))


def _still(message: Message) -> sa.ColumnElement[bool]:
    # Not where it was taken again meanwhile, or is to be sent again by request.
    mine = (webhook_delivery.c.id == message.id) & (webhook_delivery.c.attempts == message.attempts)
    return mine & (webhook_delivery.c.status == "waiting")


def _webhook(row: Any) -> WebhookRow:
    return WebhookRow(**row._mapping)


def _none(webhook_id: int) -> TrackingError:
    return TrackingError(f"there is no webhook {webhook_id}; `fedtwin webhooks` lists those that are")
