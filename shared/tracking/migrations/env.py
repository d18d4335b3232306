"""Alembic's entry: runs the steps on the connection that `upgrade` hands over; configures no logging."""

from __future__ import annotations

from alembic import context

from shared.tracking.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
