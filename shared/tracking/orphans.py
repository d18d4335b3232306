"""Which unfinished runs and datasets are orphans: those of this machine whose process is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.tracking.process import Owner, is_gone, same_boot
from shared.tracking.schema import run_metrics


def is_orphan(row: Any, *, here: Owner, is_sqlite: bool) -> bool:
    """Whether the process of a run or dataset of this machine is gone.

    A process in another PID namespace of the machine cannot be looked for, so what is its is none.

    Parameters
    ----------
    row : Row
        Of ``run`` or ``dataset``; its host is this machine.
    here : Owner
        Any process of this machine.
    is_sqlite : bool
        SQLite is not shared by machines, so a run from before a reboot is gone; two hosts of one PostgreSQL may
        have the same name.
    """
    if not same_boot(row.boot_id, here.boot_id):
        return is_sqlite
    if row.boot_id != here.boot_id:
        return False
    return is_gone(Owner(row.host, row.boot_id, row.pid, row.pid_started))


def last_sign(connection: sa.Connection, row: Any) -> datetime:
    """When a run was last known to live: at its newest metric, or at its start."""
    # When it died is not known; a client's clock may be ahead of ours.
    query = sa.select(sa.func.max(run_metrics.c.time)).where(run_metrics.c.run_id == row.id)
    started: datetime = row.started
    return min(max(started, connection.scalar(query) or started), datetime.now(UTC))
