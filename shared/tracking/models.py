"""`Models`: the model registry: versions by number or alias, promotion, rollback and history."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from shared.runtime.errors import ConfigError
from shared.tracking.database import Database
from shared.tracking.model_guard import alias_stack, events_of, guards
from shared.tracking.model_rows import (
    LATEST,
    PRODUCTION,
    BelowThreshold,
    ModelEventRow,
    ModelRow,
    NoRollback,
    NotRegistered,
    VersionRow,
)
from shared.tracking.model_tables import model, model_alias, model_event, model_version
from shared.tracking.quality import NO_THRESHOLD, misses, parse_threshold
from shared.tracking.registration import register_run
from shared.tracking.schema import run
from shared.tracking.tenants import Scope, owner_of, within
from shared.tracking.transaction import lock_run, no_run
from shared.tracking.webhook_events import tell_model

_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_NUMBER = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")
_LARGEST = 2**31 - 1
_NEWEST = (model_version.c.major.desc(), model_version.c.minor.desc(), model_version.c.patch.desc())


class Models:
    """Stores and reads models and their versions; when a method that writes returns, its rows are on disk.

    Names are those of one tenant: of all tenants' scope, the default one's. Numbers of runs are the scope's.
    """

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database, self._scope, self._tenant = database, scope, owner_of(scope)

    def register(self, run_id: int) -> VersionRow:
        """Register a run that completed before there was a registry; others are registered as they complete.

        Raises
        ------
        TrackingError
            There is no such run.
        NotRegistered
            It is not completed, or trained no model of its own.
        """
        mine = sa.select(run.c.id).where(run.c.id == run_id, within(run.c.tenant, self._scope))
        with self._database.write() as connection:
            if connection.scalar(mine) is None:
                raise no_run(self._database, run_id)
            row = lock_run(self._database, connection, run_id)
            there = connection.scalar(sa.select(model_version.c.id).where(model_version.c.run_id == run_id))
            if there is None and (row.status != "completed" or register_run(connection, run_id) is None):
                raise NotRegistered(
                    f"run {run_id} ({row.status}) cannot be registered: expected a completed pooled or "
                    "federated run, which has a model of its own"
                )
            found = _version(connection, self._of_run(run_id))
        assert found is not None
        return found

    def search(self, *, after: str = "", limit: int | None = None) -> list[ModelRow]:
        """Models by name.

        Parameters
        ----------
        after : str
            Only names behind this one: the last of the page before.
        """
        mine = (model.c.tenant == self._tenant) & (model.c.name > after)
        query = sa.select(model).where(mine).order_by(model.c.name).limit(limit)
        with self._database.read() as connection:
            return [_model_row(connection, row) for row in connection.execute(query).all()]

    def get(self, name: str) -> ModelRow:
        """One model.

        Raises
        ------
        NotRegistered
        """
        with self._database.read() as connection:
            return _model_row(connection, self._find(connection, name))

    def versions(
        self, name: str, *, before: VersionRow | None = None, limit: int | None = None
    ) -> list[VersionRow]:
        """Versions of a model, newest first.

        Parameters
        ----------
        before : VersionRow, optional
            Only older ones: the last of the page before.

        Raises
        ------
        NotRegistered
        """
        with self._database.read() as connection:
            row = self._find(connection, name)
            query = _versions().where(model_version.c.model_id == row.id).order_by(*_NEWEST).limit(limit)
            if before is not None:
                number = sa.tuple_(model_version.c.major, model_version.c.minor, model_version.c.patch)
                query = query.where(number < sa.tuple_(before.major, before.minor, before.patch))
            return _with_aliases(connection, connection.execute(query).all())

    def resolve(self, name: str, ref: str = LATEST) -> VersionRow:
        """One version.

        Parameters
        ----------
        ref : str
            An alias, a number such as ``1.2.0``, or ``latest``.

        Raises
        ------
        NotRegistered
        """
        with self._database.read() as connection:
            return _resolved(connection, self._find(connection, name), ref)

    def aliases(self, name: str) -> dict[str, str]:
        """The versions that the aliases of a model name, by alias.

        Raises
        ------
        NotRegistered
        """
        with self._database.read() as connection:
            row = self._find(connection, name)
            named = sa.select(model_alias.c.version_id).where(model_alias.c.model_id == row.id)
            found = connection.execute(_versions().where(model_version.c.id.in_(named))).all()
            rows = _with_aliases(connection, found)
        return dict(sorted((alias, one.version) for one in rows for alias in one.aliases))

    def of_run(self, run_id: int) -> VersionRow | None:
        """The version that a run is; None where it is none."""
        with self._database.read() as connection:
            return _version(connection, self._of_run(run_id))

    def guarded(self, run_id: int) -> str | None:
        """What keeps a run from being deleted, in words; None where nothing does."""
        with self._database.read() as connection:
            if _version(connection, self._of_run(run_id)) is None:
                return None
            return guards(connection, [run_id]).get(run_id)

    def promote(self, name: str, ref: str = LATEST, *, alias: str = PRODUCTION) -> VersionRow:
        """Let an alias name a version; ``production`` only a version that reaches the model's threshold.

        Raises
        ------
        NotRegistered
            There is no such model or version.
        BelowThreshold
            Its test metrics do not reach the threshold, or none is set.
        ConfigError
            It is no alias.
        """
        check_alias(alias)
        with self._database.write() as connection:
            # The run first, as whoever completes or deletes it does; then it is not deleted meanwhile.
            found = _resolved(connection, self._find(connection, name), ref)
            lock_run(self._database, connection, found.run_id)
            row = self._find(connection, name, lock=True)
            now = connection.scalar(
                sa.select(model_alias.c.version_id).where(
                    model_alias.c.model_id == row.id, model_alias.c.alias == alias
                )
            )
            if now == found.id:
                return found
            reached = _check_quality(connection, row, found) if alias == PRODUCTION else ""
            _set_alias(connection, row.id, alias, found.id)
            _note(connection, row.id, "promoted", alias=alias, version=found, detail=reached)
            return _again(connection, found)

    def rollback(self, name: str, *, alias: str = PRODUCTION) -> VersionRow:
        """Let an alias name the version again that it named before.

        Raises
        ------
        NotRegistered
            There is no such model or alias.
        NoRollback
            It named no other version that is still there.
        """
        check_alias(alias)
        with self._database.write() as connection:
            row = self._find(connection, name, lock=True)
            present = _resolved(connection, row, alias)
            stack = alias_stack(events_of(connection, row.id), alias)
            before = [version_id for version_id, _ in stack if version_id != present.id]
            if not before:
                raise NoRollback(
                    f"{alias} of model {name} named no version before {present.version} that is still there"
                )
            found = _version(connection, model_version.c.id == before[-1])
            assert found is not None
            _set_alias(connection, row.id, alias, found.id)
            detail = f"from {present.version}"
            _note(connection, row.id, "rolled_back", alias=alias, version=found, detail=detail)
            return _again(connection, found)

    def remove_alias(self, name: str, alias: str) -> None:
        """Let an alias name nothing.

        Raises
        ------
        NotRegistered
        """
        check_alias(alias)
        with self._database.write() as connection:
            row = self._find(connection, name, lock=True)
            present = _resolved(connection, row, alias)
            here = (model_alias.c.model_id == row.id) & (model_alias.c.alias == alias)
            connection.execute(sa.delete(model_alias).where(here))
            _note(connection, row.id, "removed", alias=alias, detail=f"from {present.version}")

    def set_threshold(self, name: str, threshold: str) -> ModelRow:
        """Set what a version must reach to be promoted to production; the present one stays.

        Parameters
        ----------
        threshold : str
            Such as ``f1>=0.7``, several joined by commas, or ``none``.

        Raises
        ------
        NotRegistered
        ConfigError
            It is no threshold.
        """
        text = ",".join(map(str, parse_threshold(threshold))) or NO_THRESHOLD
        with self._database.write() as connection:
            row = self._find(connection, name, lock=True)
            if row.threshold != text:
                connection.execute(sa.update(model).where(model.c.id == row.id).values(threshold=text))
                _note(connection, row.id, "threshold", detail=f"{text}, before {row.threshold or 'not set'}")
            return _model_row(connection, self._find(connection, name))

    def history(self, name: str) -> list[ModelEventRow]:
        """What happened to the aliases and the threshold of a model, newest first.

        Raises
        ------
        NotRegistered
        """
        with self._database.read() as connection:
            events = events_of(connection, self._find(connection, name).id)
        shown = ("id", "kind", "alias", "version", "version_id", "detail", "time")
        return [ModelEventRow(**{key: getattr(one, key) for key in shown}) for one in reversed(events)]

    def _find(self, connection: sa.Connection, name: str, *, lock: bool = False) -> Any:
        here = (model.c.tenant == self._tenant) & (model.c.name == name.replace("\0", ""))
        query = sa.select(model).where(here)
        row = connection.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise NotRegistered(f"there is no model {name[:100]!r}; `fedtwin models` lists those that are")
        return row

    def _of_run(self, run_id: int) -> sa.ColumnElement[bool]:
        return (model_version.c.run_id == run_id) & within(model.c.tenant, self._scope)


def check_alias(alias: str) -> None:
    """Make sure that a text can be an alias.

    Raises
    ------
    ConfigError
    """
    if alias == LATEST or not _ALIAS.fullmatch(alias):
        raise ConfigError(
            f"an alias is a word of small letters, digits, - and _, at most 40, and not {LATEST!r}; got "
            f"{alias[:60]!r}"
        )


def _model_row(connection: sa.Connection, row: Any) -> ModelRow:
    own = model_version.c.model_id == row.id
    newest = connection.execute(_versions().where(own).order_by(*_NEWEST).limit(1)).one_or_none()
    latest = None if newest is None else f"{newest.major}.{newest.minor}.{newest.patch}"
    count = connection.scalar(sa.select(sa.func.count()).select_from(model_version).where(own)) or 0
    return ModelRow(row.id, row.name, row.threshold, row.created, latest, int(count))


def _versions() -> sa.Select[Any]:
    columns = [model_version.c[key] for key in ("id", "major", "minor", "patch", "run_id", "reason", "created")]
    own = (model.c.name.label("model"), model.c.tenant)
    return sa.select(*columns, *own).join(model, model.c.id == model_version.c.model_id)


def _with_aliases(connection: sa.Connection, rows: Any) -> list[VersionRow]:
    ids = [row.id for row in rows]
    query = sa.select(model_alias.c.version_id, model_alias.c.alias).where(model_alias.c.version_id.in_(ids))
    aliases: dict[int, list[str]] = {}
    for version_id, alias in connection.execute(query.order_by(model_alias.c.alias)) if ids else ():
        aliases.setdefault(version_id, []).append(alias)
    return [VersionRow(**row._mapping, aliases=tuple(aliases.get(row.id, ()))) for row in rows]


def _version(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> VersionRow | None:
    found = _with_aliases(connection, connection.execute(_versions().where(condition)).all())
    return found[0] if found else None


def _again(connection: sa.Connection, row: VersionRow) -> VersionRow:
    found = _version(connection, model_version.c.id == row.id)
    assert found is not None
    return found


def _resolved(connection: sa.Connection, row: Any, ref: str) -> VersionRow:
    own = model_version.c.model_id == row.id
    found: VersionRow | None = None
    if ref == LATEST:
        newest = connection.execute(_versions().where(own).order_by(*_NEWEST).limit(1)).all()
        found = next(iter(_with_aliases(connection, newest)), None)
    elif _NUMBER.fullmatch(ref):
        numbers = [min(int(part), _LARGEST) for part in ref.split(".")]
        parts = (model_version.c.major, model_version.c.minor, model_version.c.patch)
        here = [column == number for column, number in zip(parts, numbers, strict=True)]
        found = _version(connection, sa.and_(own, *here))
    elif _ALIAS.fullmatch(ref):
        named = sa.select(model_alias.c.version_id).where(
            model_alias.c.model_id == row.id, model_alias.c.alias == ref
        )
        found = _version(connection, model_version.c.id == named.scalar_subquery())
    if found is None:
        aliases = sa.select(model_alias.c.alias).where(model_alias.c.model_id == row.id)
        known = ", ".join(sorted(connection.scalars(aliases))) or "none yet"
        raise NotRegistered(
            f"model {row.name} has no version {ref[:60]!r}: expected latest, a number such as 1.0.0 (fedtwin "
            f"models show {row.name}), or an alias ({known})"
        )
    return found


def _check_quality(connection: sa.Connection, row: Any, found: VersionRow) -> str:
    if not row.threshold:
        raise BelowThreshold(
            f"model {row.name} has no quality threshold yet, as its task measures no f1: set one (fedtwin "
            f"models threshold {row.name} 'rmse<=3.5'), or none (fedtwin models threshold {row.name} none)"
        )
    summary = connection.scalar(sa.select(run.c.summary).where(run.c.id == found.run_id)) or {}
    if missed := misses(row.threshold, summary.get("test") or {}):
        raise BelowThreshold(
            f"version {found.version} of model {row.name} does not reach its quality threshold: "
            f"{'; '.join(missed)}"
        )
    return row.threshold if row.threshold == NO_THRESHOLD else f"reached {row.threshold}"


def _set_alias(connection: sa.Connection, model_id: int, alias: str, version_id: int) -> None:
    here = (model_alias.c.model_id == model_id) & (model_alias.c.alias == alias)
    connection.execute(sa.delete(model_alias).where(here))
    new = {"model_id": model_id, "alias": alias, "version_id": version_id, "since": datetime.now(UTC)}
    connection.execute(sa.insert(model_alias).values(new))


def _note(
    connection: sa.Connection,
    model_id: int,
    kind: str,
    *,
    alias: str | None = None,
    version: VersionRow | None = None,
    detail: str = "",
) -> None:
    connection.execute(
        sa.insert(model_event).values(
            model_id=model_id,
            kind=kind,
            alias=alias,
            version=None if version is None else version.version,
            version_id=None if version is None else version.id,
            detail=detail,
            time=datetime.now(UTC),
        )
    )
    if version is not None:
        tell_model(connection, version.id, f"model.{kind}", alias=alias)
