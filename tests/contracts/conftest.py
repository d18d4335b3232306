"""Both databases, empty: a file in a temporary folder, and a schema of its own in a PostgreSQL of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from shared.tracking.store import Store
from tests.databases import open_new

DEFAULT = "postgresql://postgres@127.0.0.1:5432/postgres"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database made for this session; dropped at its end."""
    server = os.environ.get("FEDTWIN_TEST_POSTGRES_URL", DEFAULT)
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        text = f"no PostgreSQL (set FEDTWIN_TEST_POSTGRES_URL): {error}"
        if os.environ.get("CI") or os.environ.get("FEDTWIN_REQUIRE_POSTGRES") == "1":
            pytest.fail(text)
        pytest.skip(text)
    name = f"fedtwin_test_{uuid.uuid4().hex}"
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            address, _, query = server.partition("?")
            yield f"{address.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fedtwin.db'}"
    url = request.getfixturevalue("postgres_url")
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on an empty database."""
    with open_new(database_url) as opened:
        yield opened
