"""`tell_job`, `tell_model`, `tell_test`: messages for webhooks, written in the transaction of what they tell.

A message exists if and only if what it tells was committed. Nothing is sent here: `shared.tracking.webhooks`
hands the messages to whoever sends them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared.tracking.database import database_now
from shared.tracking.job_tables import job
from shared.tracking.model_tables import model, model_version
from shared.tracking.webhook_tables import TEST, webhook, webhook_delivery

_JOB = (job.c.id, job.c.mode, job.c.name, job.c.tags, job.c.attempt, job.c.run_id, job.c.error_code)


def tell_job(connection: sa.Connection, job_id: int, event: str) -> None:
    """Queue messages about a job, as it is now, for the webhooks of its tenant that ask for the event."""
    query = sa.select(webhook.c.id.label("webhook_id"), webhook.c.events, *_JOB)
    query = query.join(job, job.c.tenant == webhook.c.tenant).where(job.c.id == job_id)
    for row in _asked(connection, query, event):
        named = {column.name: getattr(row, column.name) for column in _JOB}
        data = {**named, "status": _STATUS[event], "url": f"/api/jobs/{row.id}"}
        _add(connection, row.webhook_id, event, data)


def tell_model(connection: sa.Connection, version_id: int, event: str, *, alias: str | None = None) -> None:
    """Queue messages about a version of a model for the webhooks of its tenant that ask for the event."""
    number = [model_version.c[part] for part in ("major", "minor", "patch")]
    query = sa.select(webhook.c.id.label("webhook_id"), webhook.c.events, model.c.name, model_version.c.run_id)
    query = query.add_columns(*number).join(model, model.c.tenant == webhook.c.tenant)
    query = query.join(model_version, model_version.c.model_id == model.c.id)
    for row in _asked(connection, query.where(model_version.c.id == version_id), event):
        version = f"{row.major}.{row.minor}.{row.patch}"
        data = {"model": row.name, "version": version, "alias": alias, "run_id": row.run_id}
        _add(
            connection, row.webhook_id, event, {**data, "url": f"/api/v1/models/{row.name}/versions/{version}"}
        )


def tell_test(connection: sa.Connection, webhook_id: int) -> int:
    """Queue a message that tells nothing but that the way to a webhook's receiver is open; its number."""
    return _add(connection, webhook_id, TEST, {"webhook_id": webhook_id})


_STATUS = {
    "job.queued": "queued",
    "job.started": "running",
    "job.completed": "completed",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
}


def _asked(connection: sa.Connection, query: sa.Select[Any], event: str) -> list[Any]:
    # Locked, so that no webhook is deleted before its message is in: the message would have no webhook.
    query = query.with_for_update(read=True, key_share=True, of=webhook)
    return [row for row in connection.execute(query) if event in row.events]


def _add(connection: sa.Connection, webhook_id: int, event: str, data: Mapping[str, Any]) -> int:
    now = database_now(connection)
    body = {"type": event, "timestamp": now.isoformat(), "data": data}
    values = {
        "webhook_id": webhook_id,
        "message_id": f"msg_{uuid.uuid4().hex}",
        "event": event,
        "body": json.dumps(body, separators=(",", ":")),
        "status": "waiting",
        "attempts": 0,
        "next_at": now,
        "created": now,
    }
    key = connection.execute(sa.insert(webhook_delivery).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])
