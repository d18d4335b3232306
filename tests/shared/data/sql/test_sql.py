"""``data=sql`` on real SQLite and PostgreSQL: which rows it reads, and that it can change nothing."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from shared.config.compose import compose
from shared.config.config import Config
from shared.config.table_data import TableDataConfig
from shared.data.sql import query, rows
from shared.data.sql.address import address_of
from shared.data.sql.query import digest_of, run_query
from shared.data.sql.statement import check_statement
from shared.runtime.errors import ConfigError, DataError
from shared.tasks.reading import fix_rows
from shared.tasks.task import learner_of

Run = Callable[..., list[tuple[Any, ...]]]
COLUMNS = "id BIGINT PRIMARY KEY, machine TEXT, temp DOUBLE PRECISION, running BOOLEAN, failed TEXT"


class Database:
    """A database whose table ``readings`` has 120 rows."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.run(f"CREATE TABLE readings ({COLUMNS})")
        rng = np.random.default_rng(0)
        values = [
            f"({number}, 'm{number % 3}', {'NULL' if number == 7 else round(rng.normal(70, 5), 3)}, "
            f"{'true' if number % 2 else 'false'}, '{'yes' if number % 4 == 0 else 'no'}')"
            for number in rng.permutation(120).tolist()
        ]
        self.run(f"INSERT INTO readings VALUES {', '.join(values)}")

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Of the driver."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                yield connection
                connection.commit()
        else:
            with psycopg.connect(self.url) as connection:
                yield connection

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as somebody else would."""
        with self.connect() as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'plant.db'}")
    url = request.getfixturevalue("postgres_url")
    schema = f"plant_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return Database(f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}")


@cache
def base() -> Config:
    """Hydra takes a quarter of a second: other settings are changed in what it made."""
    task = ["task=tabular_classification", "model=linear", "data=sql", "data.target=failed"]
    return compose([*task, "data.url=env:PLANT_URL", "data.table=readings"])


def configured(database: Database | str, **changes: Any) -> Config:
    url = database if isinstance(database, str) else database.url
    if "query" in changes:
        changes = {"table": None, **changes}
    return base().replace("data", **{"url": url, **changes})


def table(database: Database | str, **changes: Any) -> TableDataConfig:
    return configured(database, **changes).table


def refused(database: Database | str, **changes: Any) -> str:
    with pytest.raises(DataError) as found:
        run_query(table(database, **changes))
    return str(found.value)


def test_rows_are_those_of_the_query_in_the_order_of_the_key(database: Database, tmp_path: Path) -> None:
    cfg = compose(
        [
            "task=tabular_classification",
            "data=sql",
            f"data.url={database.url}",
            "data.target=failed",
            "data.query=SELECT * FROM readings WHERE id < 100 AND machine <> 'x:y,{z}=%s' -- all; or so",
            "data.key=[id]",
            "data.columns.site=machine",
            "data.kinds.running=boolean",  # SQLite has no booleans
        ]
    )
    data: Any = learner_of(cfg).dataset(cache=tmp_path)
    expected = database.run("SELECT temp, running, failed, machine FROM readings WHERE id < 100 ORDER BY id")
    assert [(one.name, one.kind) for one in data.schema.inputs] == [("temp", "numeric"), ("running", "boolean")]
    np.testing.assert_array_equal(data.inputs[:, 0], [np.nan if row[0] is None else row[0] for row in expected])
    assert [data.schema.classes[label] for label in data.targets] == [row[2] for row in expected]
    assert data.columns["site"].tolist() == [row[3] for row in expected]
    assert data.origin.endswith("-- all; or so")


@pytest.mark.parametrize("key", [[], ["machine", "id"], ["id"]], ids=["all", "two", "one"])
def test_the_order_of_the_database_does_not_matter(database: Database, key: list[str]) -> None:
    digests = {
        digest_of(run_query(table(database, query=f"SELECT * FROM readings ORDER BY {order}", key=key)))
        for order in ("id", "temp", "machine DESC, id")
    }
    assert len(digests) == 1


def test_chunks_do_not_matter(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.run("INSERT INTO readings VALUES (9007199254740993, '12', 3, false, 'no')")
    whole = digest_of(run_query(table(database)))
    monkeypatch.setattr(query, "_CHUNK", 7)
    found = run_query(table(database))
    assert digest_of(found) == whole
    assert found["id"].to_pylist()[-1] == 9007199254740993


WRITING: dict[str, str] = {
    "insert": "INSERT INTO readings VALUES (500, 'm', 1, true, 'no')",
    "update": "UPDATE readings SET temp = 0",
    "delete": "DELETE FROM readings",
    "returning": "DELETE FROM readings RETURNING *",
    "ddl": "DROP TABLE readings",
    "hidden by a comment": "/* SELECT */ DELETE FROM readings",
    "two": "SELECT * FROM readings; DELETE FROM readings",
    "a transaction of its own": "COMMIT; DELETE FROM readings",
    "in a with": "WITH gone AS (SELECT 1) DELETE FROM readings RETURNING *",
    "explained": "EXPLAIN ANALYZE DELETE FROM readings",
    "a setting": "SET default_transaction_read_only = off",
    "into": "SELECT * INTO copied FROM readings",
    "a pragma": "PRAGMA query_only = off",
    "attached": "ATTACH 'other.db' AS other",
}


def test_a_query_that_writes_is_refused_and_changes_nothing(database: Database) -> None:
    before = database.run("SELECT * FROM readings ORDER BY id")
    for statement in WRITING.values():
        assert refused(database, query=statement)
    assert database.run("SELECT * FROM readings ORDER BY id") == before


def test_what_the_words_of_a_query_do_not_tell_the_database_refuses(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(query, "check_statement", lambda text, **more: text)
    before = database.run("SELECT * FROM readings ORDER BY id")
    for statement in WRITING.values():
        refused(database, query=statement)
    assert database.run("SELECT * FROM readings ORDER BY id") == before
    assert list(Path.cwd().iterdir()) == []  # SQLite creates a file that it attaches


def test_a_function_that_writes_is_refused_by_postgresql(postgres_url: str) -> None:
    name = f"counted_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"CREATE SEQUENCE {name}")
    said = refused(postgres_url, query=f"SELECT nextval('{name}') AS failed")
    assert "is only read, and the query would change it" in said
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(f"SELECT is_called FROM {name}").fetchone()
    assert found == (False,)


def test_a_table_that_changes_while_it_is_read_is_read_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.url.startswith("sqlite"):
        database.run("PRAGMA journal_mode=WAL")  # without it a writer waits until the rows are read
    before = digest_of(run_query(table(database)))
    monkeypatch.setattr(query, "_CHUNK", 10)
    add = query.Column.add

    def add_and_change(column: Any, values: Sequence[Any]) -> int:
        if column.name == "id" and len(column.chunks) == 3:
            database.run("DELETE FROM readings WHERE id > 20")
            database.run("UPDATE readings SET temp = -1")
        return add(column, values)

    monkeypatch.setattr(query.Column, "add", add_and_change)
    assert digest_of(run_query(table(database))) == before
    assert database.run("SELECT count(*) FROM readings") == [(21,)]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no rows": ({"query": "SELECT * FROM readings WHERE id < 0"}, "it returns no rows"),
    "no such column": ({"query": "SELECT heat FROM readings"}, "refuses the query: .*heat"),
    "no such table": ({"table": "reading"}, "has no table 'reading'.*did you mean readings"),
    "no SQL": ({"query": "SELECT FROM WHERE"}, "refuses the query"),
    "columns of one name": ({"query": "SELECT id, temp AS id FROM readings"}, "column 'id' appears twice"),
    "no such key": ({"key": ["ident"]}, r"no column 'ident'.*\(data\.key\)"),
    "a key with gaps": ({"key": ["temp"]}, "'temp' is empty in 1 rows"),
    "a key that repeats": (
        {"key": ["machine"]},
        "data.key: two rows or more have machine='m0'; name columns that together tell all rows apart",
    ),
    "chance": ({"query": "SELECT * FROM readings ORDER BY random()"}, r"holds 'random\(', so that each time"),
    "any ten": ({"query": "SELECT * FROM readings LIMIT 10"}, "holds 'LIMIT 1' and no ORDER BY"),
    "too many rows": ({"max_rows": 100}, "120 rows or more.*max_rows"),
    "too many columns": ({"max_columns": 3}, "it has 5 columns.*max_columns"),
    "too large": ({"max_table_bytes": 100}, "max_table_bytes"),
}


def test_what_cannot_be_read(database: Database) -> None:
    for changes, why in WRONG.values():
        with pytest.raises(DataError, match=f"(?s){why}"):
            run_query(table(database, **changes))


def test_values_that_are_no_single_values(postgres_url: str) -> None:
    for what, kind in (
        ("ARRAY[1,2]", "list"),
        ("'{\"a\": 1}'::jsonb", "dict"),
        ("'\\x00'::bytea", "bytes"),
        ("interval '1 hour'", "timedelta"),
    ):
        said = refused(postgres_url, query=f"SELECT {what} AS odd, 'no' AS failed")
        assert f"column 'odd' holds values of the type {kind}, expected numbers, texts" in said


def test_values_of_postgresql(postgres_url: str) -> None:
    values = {
        "1.5::numeric": 1.5,
        "9007199254740993::numeric": "9007199254740993",
        "timestamptz '2024-01-01 12:00+02'": "2024-01-01T10:00:00+00:00",
        "date '2024-01-01'": "2024-01-01",
        "'00000000-0000-0000-0000-000000000001'::uuid": "00000000-0000-0000-0000-000000000001",
        "true": True,
        "'ä'": "ä",
        "NULL": None,
        "'-0'::float8": 0.0,
    }
    columns = ", ".join(f"{text} AS c{place}" for place, text in enumerate(values))
    found = run_query(table(postgres_url, query=f"SELECT {columns}"))
    assert [found[name][0].as_py() for name in found.column_names] == list(values.values())


def test_a_database_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, though it is long enough to be taken for one" * 20)
    assert "there is no file" in refused(f"sqlite:///{tmp_path / 'none.db'}")
    assert "is no SQLite database" in refused(f"sqlite:///{tmp_path / 'text.db'}")
    said = refused("postgresql://nobody@127.0.0.1:9/plant")
    assert "postgresql://nobody@127.0.0.1:9/plant cannot be read: " in said
    assert "check that it runs" in said
    assert "needs the Python package" in refused("mysql+pymysql://nobody@127.0.0.1/plant")
    assert "knows no database 'plant'" in refused("plant://nobody@127.0.0.1/plant")


def test_a_password_is_refused_in_settings_and_hidden_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cr3t&%/"
    for url in (
        "postgresql://plant:s3cr3t@127.0.0.1:9/plant",
        "postgresql://127.0.0.1:9/plant?password=s3cr3t",
    ):
        with pytest.raises(
            ConfigError, match=r"data\.url: it holds a password.*data\.url=env:SENSORS_URL"
        ) as found:
            table(url)
        assert "s3cr3t" not in str(found.value)
    quoted = sa.URL.create(
        "postgresql", username="plant", password=secret, host="127.0.0.1", port=9, database="plant"
    ).render_as_string(hide_password=False)
    monkeypatch.setenv("PLANT_URL", quoted)
    said = refused("env:PLANT_URL")
    assert "postgresql://plant:***@127.0.0.1:9/plant cannot be read" in said
    assert "s3cr3t" not in said
    monkeypatch.setenv("PLANT_URL", f"no url {secret}")
    assert "s3cr3t" not in refused("env:PLANT_URL")
    monkeypatch.delenv("PLANT_URL")
    assert "the environment variable PLANT_URL (data.url) is not set" in refused("env:PLANT_URL")
    assert "s3cr3t" not in repr(address_of(quoted))


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "neither": ({"table": None}, "needs data.query='SELECT ...' or data.table=NAME"),
    "both": ({"table": "a", "query": "SELECT 1"}, "and not both"),
    "a path": ({"path": "b.csv"}, "data.path has no effect with data=sql"),
    "no URL": ({"url": "plant.db"}, "data.url: expected a URL such as sqlite:///FILE"),
    "no name": ({"url": "env:"}, "expected env:NAME with the name"),
    "a file": ({"source": "table", "path": "a.csv"}, "data.url, query, table, key and digest are of data=sql"),
}


@pytest.mark.parametrize(("changes", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_settings_that_cannot_be_used(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        base().replace("data", **changes)


def test_a_file_is_found_from_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = compose(["data=sql", "data.url=sqlite:///plant.db", "data.table=a", "data.target=b"])
    assert cfg.table.url == f"sqlite:///{tmp_path / 'plant.db'}"


def test_words_in_texts_and_names_are_no_words() -> None:
    harmless = "SELECT \"limit 5\", 'random()', `drop` FROM t -- DELETE; \n WHERE a = $x$;update$x$ /* ; */ ;"
    assert check_statement(harmless, dialect="mysql") == harmless[:-1]
    assert check_statement("SELECT replace(a, 'b', 'c') FROM t", dialect="mysql")
    with pytest.raises(DataError, match="holds the word 'delete', and a mysql database may be changed"):
        check_statement("WITH a AS (delete FROM t) SELECT 1", dialect="mysql")


def test_what_a_run_has_read_is_read_by_all_that_follows(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = fix_rows(configured(database, key=["id"]), cache=tmp_path)
    assert fix_rows(cfg, cache=tmp_path) is cfg
    first = learner_of(cfg).dataset(cache=tmp_path)
    database.run("DELETE FROM readings WHERE id > 50")
    monkeypatch.setattr(query, "run_query", lambda cfg: pytest.fail("the database was asked again"))
    again = learner_of(cfg).dataset(cache=tmp_path)
    assert again.fingerprint == first.fingerprint
    monkeypatch.undo()
    (folder,) = (tmp_path / "tables").iterdir()
    (folder / "rows.parquet").write_bytes(b"PAR1")  # damaged: the query is run again, and gives other rows
    with pytest.raises(DataError, match=r"gives other rows now \(digest .*, 51 rows\).*train anew"):
        learner_of(cfg).dataset(cache=tmp_path)
    assert len(learner_of(cfg.replace("data", digest=None)).dataset(cache=tmp_path)) == 51


def test_a_site_runs_its_query_once_for_a_run(database: Database, tmp_path: Path) -> None:
    cfg = table(database)
    first = rows.pin_rows_of_run(cfg, cache=tmp_path, run="1")
    database.run("DELETE FROM readings WHERE id > 50")
    assert rows.pin_rows_of_run(cfg, cache=tmp_path, run="1") == first
    assert rows.pin_rows_of_run(cfg, cache=tmp_path, run="2") != first
