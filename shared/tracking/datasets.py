"""`Datasets`: what tenants have uploaded to train on: from the first byte to its deletion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import ConfigError, TrackingError
from shared.tracking.access_tables import tenant
from shared.tracking.database import Database
from shared.tracking.dataset_tables import dataset
from shared.tracking.dataset_use import NoDataset, users
from shared.tracking.orphans import is_orphan
from shared.tracking.process import owner
from shared.tracking.rows import Row
from shared.tracking.tenants import Scope, owner_of, within

BUILT_IN = "digits"  # images of a package, which need no file
MOST_REJECTED = 20  # of a tenant that stay listed, with why; their files are gone
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LISTED = ("found",)  # columns that may be large: not of a list
_PROCESS = ("host", "boot_id", "pid", "pid_started")


class NameTaken(TrackingError):
    """A tenant has a dataset of this name already."""


class OverQuota(TrackingError):
    """A tenant's datasets would have more bytes than they may."""


class DatasetInUse(TrackingError):
    """Jobs or schedules need a dataset."""


@dataclass(frozen=True, slots=True)
class DatasetRow(Row):
    """One dataset.

    Attributes
    ----------
    format : {"zip", "npz", "csv", "parquet"}
    state : {"uploading", "checking", "ready", "rejected", "deleting"}
    bytes, received : int
        How many it has, and how many of them have come.
    sha256 : str or None
        Of its content, once all of it has come.
    kind : {"images", "table"} or None
        Known when it has been checked, as `labelled`.
    labelled : int or None
        How many images or rows can be trained on.
    found : dict
        What its check found: ``layout``, ``summary``, ``preview``, of a table ``columns``; empty in lists.
    error_code : str or None
        Stable: why it is rejected.
    ready : datetime or None
        When it could be trained on first.
    """

    id: int
    tenant: str
    name: str
    format: str
    state: str
    bytes: int
    received: int
    sha256: str | None
    kind: str | None
    labelled: int | None
    found: dict[str, Any]
    error_code: str | None
    error: str | None
    created: datetime
    ready: datetime | None

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.name}.{self.format}"


class Datasets:
    """Stores and reads datasets of a scope; when a method that writes returns, its row is on disk.

    Names are those of one tenant: of all tenants' scope, the default one's.
    """

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope, self._tenant = database, scope, owner_of(scope)

    def begin(self, name: str, *, format: str, num_bytes: int, quota: int) -> DatasetRow:
        """Take a name and room for a dataset that this process receives; a rejected one of the name goes.

        Parameters
        ----------
        num_bytes : int
            How many it will have.
        quota : int
            How many all datasets of the tenant may have, unless it has a limit of its own.

        Raises
        ------
        ConfigError
            It is no name.
        NameTaken
        OverQuota
        """
        check_name(name)
        process = owner()
        with self._database.write() as connection:
            # The row of the tenant is locked: two uploads at once do not both take the last room, or one name.
            limits = sa.select(tenant.c.max_dataset_bytes).where(tenant.c.name == self._tenant)
            own = connection.execute(limits.with_for_update()).scalar()
            here = (dataset.c.tenant == self._tenant) & (dataset.c.name == name)
            connection.execute(sa.delete(dataset).where(here, dataset.c.state == "rejected"))
            if (state := connection.scalar(sa.select(dataset.c.state).where(here))) is not None:
                raise NameTaken(
                    f"there is a dataset {name!r} already ({state}); delete it first, or use another name"
                )
            sizes = sa.select(sa.func.sum(dataset.c.bytes)).where(
                dataset.c.tenant == self._tenant, dataset.c.state != "rejected"
            )
            there, most = int(connection.scalar(sizes) or 0), quota if own is None else own
            if there + num_bytes > most:
                raise OverQuota(
                    f"the datasets of this tenant have {there:,} bytes, and may have {most:,}: {num_bytes:,} "
                    "more do not fit; delete some first"
                )
            values = {
                "tenant": self._tenant,
                "name": name,
                "format": format,
                "state": "uploading",
                "bytes": num_bytes,
                "received": 0,
                "created": datetime.now(UTC),
                **{part: getattr(process, part) for part in _PROCESS},
            }
            key = connection.execute(sa.insert(dataset).values(values)).inserted_primary_key
            assert key is not None
            return _row(connection.execute(sa.select(dataset).where(dataset.c.id == key[0])).one())

    def progress(self, dataset_id: int, received: int) -> None:
        """Note how many bytes have come."""
        self._change(dataset_id, "uploading", received=received)

    def received(self, dataset_id: int, *, sha256: str) -> DatasetRow:
        """All of it has come: it is to be checked."""
        self._change(dataset_id, "uploading", state="checking", received=dataset.c.bytes, sha256=sha256)
        return self._of_number(dataset_id)

    def accept(self, dataset_id: int, *, kind: str, labelled: int, found: Mapping[str, Any]) -> None:
        """It can be trained on."""
        changes = {"kind": kind, "labelled": labelled, "found": dict(found), "ready": datetime.now(UTC)}
        self._change(dataset_id, "checking", state="ready", **changes)

    def reject(self, dataset_id: int, *, code: str, error: str) -> None:
        """It cannot be trained on; its file is gone. Of a tenant the newest `MOST_REJECTED` stay listed."""
        with self._database.write() as connection:
            mine = (dataset.c.id == dataset_id) & (dataset.c.state == "checking")
            mine &= within(dataset.c.tenant, self._scope)
            tenant = connection.scalar(sa.select(dataset.c.tenant).where(mine))
            changes = {"state": "rejected", "error_code": code, "error": error}
            connection.execute(sa.update(dataset).where(mine).values(changes))
            rejected = (dataset.c.tenant == tenant) & (dataset.c.state == "rejected")
            newest = sa.select(dataset.c.id).where(rejected).order_by(dataset.c.id.desc()).limit(MOST_REJECTED)
            older = rejected & dataset.c.id.not_in(newest) & (dataset.c.id != dataset_id)
            connection.execute(sa.delete(dataset).where(older))

    def drop(self, dataset_id: int) -> None:
        """Forget one whose upload did not end, or whose files are deleted."""
        gone = (dataset.c.id == dataset_id) & dataset.c.state.in_(("uploading", "deleting"))
        with self._database.write() as connection:
            connection.execute(sa.delete(dataset).where(gone & within(dataset.c.tenant, self._scope)))

    def find(self, name: str) -> DatasetRow | None:
        """One dataset, if there is such a dataset."""
        mine = (dataset.c.tenant == self._tenant) & (dataset.c.name == name.replace("\0", ""))
        rows = self._database.select(sa.select(dataset).where(mine, dataset.c.state != "deleting"))
        return _row(rows[0]) if rows else None

    def get(self, name: str) -> DatasetRow:
        """One dataset.

        Raises
        ------
        NoDataset
        """
        found = self.find(name)
        if found is None:
            raise NoDataset(f"there is no dataset {name[:100]!r}")
        return found

    def search(self, *, after: str = "", limit: int | None = None) -> list[DatasetRow]:
        """Datasets by name, without what was found in them.

        Parameters
        ----------
        after : str
            Only names behind this one: the last of the page before.
        """
        mine = (dataset.c.tenant == self._tenant) & (dataset.c.name > after)
        columns = [column for column in dataset.c if column.name not in _LISTED]
        query = sa.select(*columns).where(mine, dataset.c.state != "deleting").order_by(dataset.c.name)
        return [_row(row) for row in self._database.select(query.limit(limit))]

    def users(self, dataset_id: int) -> list[str]:
        """The jobs that wait or run with a dataset, and the schedules of such jobs, in words."""
        with self._database.read() as connection:
            return users(connection, dataset_id)

    def begin_delete(self, name: str) -> DatasetRow:
        """Let no job use a dataset any more; then its file can be deleted, and `drop` called.

        Raises
        ------
        NoDataset
        DatasetInUse
            A job waits or runs with it, or a schedule would queue one; or it is being received or checked.
        """
        with self._database.write() as connection:
            mine = (dataset.c.tenant == self._tenant) & (dataset.c.name == name.replace("\0", ""))
            row = connection.execute(sa.select(dataset).where(mine).with_for_update()).one_or_none()
            if row is None:
                raise NoDataset(f"there is no dataset {name[:100]!r}")
            if row.state in ("uploading", "checking"):
                raise DatasetInUse(f"dataset {name} is {row.state}; delete it when that has ended")
            if found := users(connection, row.id):
                more = f" and {len(found) - 5} more" if len(found) > 5 else ""
                raise DatasetInUse(
                    f"dataset {name} is used by {', '.join(found[:5])}{more}; cancel or delete these"
                )
            connection.execute(sa.update(dataset).where(dataset.c.id == row.id).values(state="deleting"))
            return _row(row)

    def left_behind(self) -> list[DatasetRow]:
        """Datasets of this machine that a process which is gone was receiving, checking or deleting."""
        here = owner()
        unfinished = dataset.c.state.in_(("uploading", "checking", "deleting")) & (dataset.c.host == here.host)
        query = sa.select(dataset).where(unfinished, within(dataset.c.tenant, self._scope))
        found, is_sqlite = self._database.select(query), self._database.is_sqlite
        # What this process itself deletes is under way, or has failed.
        return [_row(row) for row in found if is_orphan(row, here=here, is_sqlite=is_sqlite)]

    def _change(self, dataset_id: int, present: str, /, **changes: Any) -> None:
        mine = (dataset.c.id == dataset_id) & (dataset.c.state == present)
        with self._database.write() as connection:
            connection.execute(
                sa.update(dataset).where(mine & within(dataset.c.tenant, self._scope)).values(changes)
            )

    def _of_number(self, dataset_id: int) -> DatasetRow:
        mine = (dataset.c.id == dataset_id) & within(dataset.c.tenant, self._scope)
        rows = self._database.select(sa.select(dataset).where(mine))
        if not rows:
            raise NoDataset("the dataset has been deleted")
        return _row(rows[0])


def check_name(name: str) -> None:
    """Make sure that a text can name a dataset.

    Raises
    ------
    ConfigError
    """
    if name == BUILT_IN or not _NAME.fullmatch(name):
        raise ConfigError(
            "the name of a dataset has 1 to 100 letters, digits, '.', '_' and '-', begins with a letter or "
            f"digit, and is not {BUILT_IN!r}; got {name[:100]!r}"
        )


def _row(row: Any) -> DatasetRow:
    values = {name: value for name, value in row._mapping.items() if name not in _PROCESS}
    return DatasetRow(**{**values, "found": values.get("found") or {}})
