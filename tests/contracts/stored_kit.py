"""Databases as older versions of fedtwin left them, in both kinds of database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.tracking import migrations
from shared.tracking.engines import make_engine, parse_url

DUMPS = Path(__file__).parent / "stored"
PARENTS_FIRST = ("run", "run_metrics", "server_evaluation", "round", "client")


def restore(revision: str, url: str, scratch: Path) -> None:
    """Fill an empty database with what ``stored/vREVISION.sql`` holds, in the schema of that revision.

    Parameters
    ----------
    scratch : Path
        An empty folder.
    """
    dump = (DUMPS / f"v{revision}.sql").read_text()
    parsed = parse_url(url)
    file = parsed.database if parsed.get_backend_name() == "sqlite" else scratch / "dump.db"
    with closing(sqlite3.connect(str(file))) as connection:
        connection.executescript(dump)
        if parsed.get_backend_name() == "postgresql":
            connection.row_factory = sqlite3.Row
            _copy(connection, make_engine(parsed), revision=revision)


def _copy(source: sqlite3.Connection, engine: sa.Engine, *, revision: str) -> None:
    with engine.begin() as connection:
        migrations.upgrade(connection, to=revision)
        for name in PARENTS_FIRST:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            rows = [_converted(row, table) for row in source.execute(f"SELECT * FROM {name} ORDER BY 1")]
            connection.execute(sa.insert(table), rows)
            if "id" in table.c:
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
                )
    engine.dispose()


def _converted(row: sqlite3.Row, table: sa.Table) -> dict[str, Any]:
    values = dict(row)
    for column in table.c:
        value = values[column.name]
        if isinstance(column.type, sa.JSON):
            values[column.name] = sa.null() if value is None else json.loads(value)
        elif isinstance(column.type, sa.DateTime) and value is not None:
            values[column.name] = datetime.fromisoformat(value).replace(tzinfo=UTC)
    return values
