"""Tokens that came by a link or a cookie, and what happens to those who hold one that has ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from service.access import NO_TOKEN
from service.security import middleware
from service.stream import sockets
from service.stream.hub import Hub
from shared.runtime.home import Home
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT, Tenant
from tests.service.rows_kit import build_app, new_run
from tests.service.server_kit import serving

pytestmark = pytest.mark.attack

WARD = Tenant("ward-b")


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'fedtwin.db'}") as store:
        store.tenants.create(WARD)
        new_run(store.of(DEFAULT), name="of-the-default-tenant")
        yield store


@pytest.fixture
def port(store, tmp_path) -> Iterator[int]:
    """Of a server that lets whoever reaches it read what is the default tenant's."""
    with serving(build_app(store, Home(root=tmp_path, database_url="sqlite://"))) as port:
        yield port


@pytest.fixture
def client(port) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        yield client


def token(store: Store, scope: str, *, revoked: bool = False) -> str:
    row, secret = store.tokens.create(WARD, name="ci", scope=scope, expires=None)
    if revoked:
        store.tokens.revoke(row.id)
    return secret


@asynccontextmanager
async def hub(app: FastAPI) -> AsyncIterator[None]:
    async with Hub(app.state.store) as app.state.hub:
        yield


PAGE = {"accept": "text/html"}


@pytest.mark.parametrize("headers", [{}, PAGE])
@pytest.mark.parametrize("scope", ["read", "train"])
def test_a_token_that_gives_no_access_is_not_taken_for_none(client, port, store, scope, headers) -> None:
    secret = token(store, scope, revoked=scope == "read")
    assert "of-the-default-tenant" in client.get("/api/runs").text
    for address, more in (
        (f"/api/runs?token={secret}", {}),
        ("/api/runs", {"cookie": f"fedtwin_{port}={secret}"}),
    ):
        answer = client.get(address, headers={**headers, **more})
        assert answer.status_code == 401
        assert "of-the-default-tenant" not in answer.text
        assert secret not in answer.text
    assert answer.headers["set-cookie"].startswith(f"fedtwin_{port}=; Max-Age=0")


def test_a_link_that_a_program_opens_shows_the_rows_of_its_tenant(client, store) -> None:
    answer = client.get(f"/api/runs?token={token(store, 'read')}")
    assert answer.status_code == 200
    assert "of-the-default-tenant" not in answer.text


def test_an_open_stream_ends_with_its_token(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sockets, "RECHECK_S", 0.1)
    row, secret = store.tokens.create(WARD, name="page", scope="read", expires=None)
    app = build_app(store, Home(root=tmp_path, database_url="sqlite://"), lifespan=hub)
    app.include_router(sockets.build_stream_router())
    with (
        serving(app) as port,
        connect(f"ws://127.0.0.1:{port}/ws/runs?token={secret}", proxy=None) as stream,
    ):
        stream.recv(timeout=10)
        store.tokens.revoke(row.id)
        with pytest.raises(ConnectionClosedError):
            deque(stream, maxlen=0)
        assert stream.close_code == NO_TOKEN


def test_who_has_no_token_cannot_fill_the_audit_log(client, store) -> None:
    most = middleware.KEPT_REJECTIONS
    for _ in range(most + 10):
        assert (
            client.post("/api/experiments/compare", headers={"authorization": "Bearer ft_x"}).status_code == 401
        )
    kept = [entry for entry in store.of(DEFAULT).audit.search(limit=100) if entry.status == 401]
    assert 0 < len(kept) <= most


def test_what_a_full_queue_refused_is_in_the_audit_log(store) -> None:
    kept = []

    async def refused(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 429, "headers": []})
        await send({"type": "http.response.body"})

    audit = SimpleNamespace(add=lambda tenant, **asked: kept.append(asked["status"]))
    settings = SimpleNamespace(token=None, train_token=None, rate=0.1, host="127.0.0.1", allowed_hosts=())
    guarded = middleware.SecurityMiddleware(refused, settings=settings, audit=audit)

    async def ask() -> None:
        async def nothing(*_) -> None: ...

        scope = {"type": "http", "method": "POST", "path": "/api/x", "query_string": b"", "scheme": "http"}
        scope |= {"headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
        await guarded(scope, nothing, nothing)

    async def twice() -> None:
        await ask()
        await ask()

    asyncio.run(twice())
    assert kept == [429], "the first was refused by the queue, the second was over the rate"
