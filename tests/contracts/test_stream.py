"""The live stream over both databases: rows of other processes, and a database that is away for a moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from service.stream import change_reader
from service.stream.hub import Hub
from shared.tracking.tenants import DEFAULT
from tests.contracts.store_workers import new_run, point, worker

WAIT_S = 60
Message = dict[str, Any]


async def take(frames: AsyncGenerator[str, None], done: Callable[[Message], bool]) -> list[Message]:
    """Messages up to the end of the frame that has the first one that is ``done``."""
    taken: list[Message] = []
    async with asyncio.timeout(WAIT_S):
        while not any(map(done, taken)):
            taken += json.loads(await anext(frames))
    return taken


def row_ids(messages: list[Message]) -> list[int]:
    return [row["id"] for message in messages for row in message.get("rows", ())]


def up_to(cursor: int) -> Callable[[Message], bool]:
    return lambda message: (message["cursor"] or 0) >= cursor


def test_rows_that_other_processes_write(store, database_url):
    run_id, other = new_run(store), new_run(store)

    def write() -> None:
        with worker("write_batches", database_url, run_id, 0), worker("write_batches", database_url, other, 1):
            pass

    async def watch() -> None:
        # Without the signs of a change, the next look at the database would come too late.
        async with (
            Hub(store, poll_s=0.01, heartbeat_s=WAIT_S) as hub,
            hub.watch(DEFAULT, run_id) as viewer,
            aclosing(viewer.frames()) as frames,
        ):
            await anext(frames)
            writing = asyncio.create_task(asyncio.to_thread(write))
            told: list[Message] = []
            while len(row_ids(told)) < 600:
                told += await take(frames, lambda message: message["cursor"])
            await writing
            assert row_ids(told) == [row.id for row in store.metrics.of_run(run_id)]

    asyncio.run(watch())


@contextmanager
def away(database_url: str):
    """A database that nobody can reach."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(database_url, dbname="postgres", options="", autocommit=True) as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        try:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(others, [name])
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_is_away_for_a_moment(store, database_url, monkeypatch, caplog):
    monkeypatch.setattr(change_reader, "RETRY_S", 0.05)
    run_id = new_run(store)

    async def watch() -> None:
        async with (
            Hub(store, poll_s=0.01, heartbeat_s=0.05) as hub,
            hub.watch(DEFAULT, run_id) as viewer,
            aclosing(viewer.frames()) as frames,
        ):
            await anext(frames)
            await asyncio.to_thread(store.metrics.add, run_id, [point(round=1)])
            assert row_ids(await take(frames, up_to(1))) == [1]
            with away(database_url):
                await take(frames, lambda message: message.get("database") == "unreachable")
            await asyncio.to_thread(store.metrics.add, run_id, [point(round=2)])
            assert row_ids(await take(frames, up_to(2))) == [2]
            await take(frames, lambda message: message.get("database") == "reachable")

    asyncio.run(watch())
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("live stream interrupted: cannot use the tracking database")
    assert last == "live stream resumed"
