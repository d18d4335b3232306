"""`Audit`: who asked the server to change what, when, and how it was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from shared.tracking.access_tables import audit
from shared.tracking.database import Database
from shared.tracking.rows import Row
from shared.tracking.tenants import Scope, Tenant, within


@dataclass(frozen=True, slots=True)
class AuditRow(Row):
    """One request.

    Attributes
    ----------
    who : str
        The token that was used, by number and name; never the token itself.
    action : str
        Method and path, without the query.
    status : int
        Of the answer, as in HTTP.
    """

    id: int
    time: datetime
    tenant: str
    who: str
    address: str
    action: str
    status: int


class Audit:
    """Stores and reads the audit log of a scope."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope = database, scope

    def add(self, owner: Tenant, *, who: str, address: str, action: str, status: int) -> None:
        """Keep a request."""
        values = {
            "time": datetime.now(UTC),
            "tenant": owner.name,
            "who": who,
            "address": address,
            "action": action[:500],
            "status": status,
        }
        with self._database.write() as connection:
            connection.execute(sa.insert(audit).values(values))

    def count(self, before: datetime) -> int:
        """How many requests came before a time."""
        mine = within(audit.c.tenant, self._scope) & (audit.c.time < before)
        query = sa.select(sa.func.count().label("number")).select_from(audit).where(mine)
        return int(self._database.select(query)[0].number)

    def forget(self, before: datetime) -> int:
        """Delete what came before a time; how many requests these were."""
        mine = within(audit.c.tenant, self._scope) & (audit.c.time < before)
        with self._database.write() as connection:
            return connection.execute(sa.delete(audit).where(mine)).rowcount

    def search(self, *, before: int | None = None, limit: int | None = None) -> list[AuditRow]:
        """Requests, newest first.

        Parameters
        ----------
        before : int, optional
            Only those with a smaller id: the last one of the page before.
        """
        query = sa.select(audit).where(within(audit.c.tenant, self._scope))
        if before is not None:
            query = query.where(audit.c.id < before)
        query = query.order_by(audit.c.id.desc()).limit(limit)
        return [AuditRow(**row._mapping) for row in self._database.select(query)]
