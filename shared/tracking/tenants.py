"""`Tenant`: whose runs and jobs a repository reads and writes; `Tenants`: the limits of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.access_tables import tenant
from shared.tracking.database import Database
from shared.tracking.rows import Row

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


@dataclass(frozen=True)
class Tenant:
    """One group of users, who see nothing of another one's.

    Raises
    ------
    ConfigError
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "a tenant's name has 1 to 60 lower-case letters, digits, - and _, and begins with a letter or "
                f"digit; got {self.name[:100]!r}"
            )


@dataclass(frozen=True)
class Everyone:
    """All tenants: for who owns the database, at the command line, and for workers."""


Scope = Tenant | Everyone
DEFAULT = Tenant("default")  # of the command line, and of a server's own tokens
EVERYONE = Everyone()


def within(column: sa.ColumnElement[str], scope: Scope) -> sa.ColumnElement[bool]:
    """The condition that a row belongs to a scope."""
    return sa.true() if isinstance(scope, Everyone) else column == scope.name


def owner_of(scope: Scope) -> str:
    """The tenant of a row that is written in a scope."""
    return DEFAULT.name if isinstance(scope, Everyone) else scope.name


@dataclass(frozen=True, slots=True)
class TenantRow(Row):
    """A tenant's limits.

    Attributes
    ----------
    max_running, max_queued : int or None
        Jobs at a time; None: no limit.
    claimed : datetime or None
        When a worker last took a job of it.
    max_dataset_bytes : int or None
        What all its datasets may have; None: as the server allows.
    """

    name: str
    max_running: int | None
    max_queued: int | None
    claimed: datetime | None
    created: datetime
    max_dataset_bytes: int | None


class Tenants:
    """Stores and reads tenants; when a method that writes returns, its row is on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        new: Tenant,
        *,
        max_running: int | None = None,
        max_queued: int | None = None,
        max_dataset_bytes: int | None = None,
    ) -> TenantRow:
        """Add a tenant.

        Raises
        ------
        TrackingError
            It is there already.
        """
        values = {
            "name": new.name,
            "max_running": max_running,
            "max_queued": max_queued,
            "max_dataset_bytes": max_dataset_bytes,
            "created": datetime.now(UTC),
        }
        with self._database.write() as connection:
            query = sa.select(tenant).where(tenant.c.name == new.name)
            if connection.execute(query).first() is not None:
                raise TrackingError(f"there is a tenant {new.name!r} already")
            connection.execute(sa.insert(tenant).values(values))
            return TenantRow(**connection.execute(query).one()._mapping)

    def limit(
        self,
        one: Tenant,
        *,
        max_running: int | None,
        max_queued: int | None,
        max_dataset_bytes: int | None = None,
    ) -> TenantRow:
        """Set the limits of a tenant; those of its jobs that run stay.

        Raises
        ------
        TrackingError
            There is no such tenant.
        """
        values = {
            "max_running": max_running,
            "max_queued": max_queued,
            "max_dataset_bytes": max_dataset_bytes,
        }
        with self._database.write() as connection:
            connection.execute(sa.update(tenant).where(tenant.c.name == one.name).values(values))
        return self.get(one)

    def get(self, one: Tenant) -> TenantRow:
        """One tenant.

        Raises
        ------
        TrackingError
            There is no such tenant.
        """
        rows = self._database.select(sa.select(tenant).where(tenant.c.name == one.name))
        if not rows:
            raise no_tenant(one)
        return TenantRow(**rows[0]._mapping)

    def search(self) -> list[TenantRow]:
        """All tenants, by name."""
        return [
            TenantRow(**row._mapping)
            for row in self._database.select(sa.select(tenant).order_by(tenant.c.name))
        ]


def no_tenant(one: Tenant) -> TrackingError:
    """The error for a tenant that does not exist."""
    return TrackingError(
        f"there is no tenant {one.name!r}; `fedtwin tenant list` lists those that are, "
        f"`fedtwin tenant create {one.name}` adds it"
    )
