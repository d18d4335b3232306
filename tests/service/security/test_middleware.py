"""Who is let in: Host, Origin and token, on HTTP and on WebSockets, over a real connection."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from service.security.middleware import SecurityMiddleware
from service.settings import Settings, is_loopback
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from tests.service.server_kit import serving

TOKEN = "correct-horse_battery.staple~1"
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def make_settings(**changes: Any) -> Settings:
    return Settings(database_url="sqlite://", home=Home(Path("/nowhere"), "sqlite://"), **changes)


def guarded(**changes: Any) -> ASGIApp:
    """Three routes behind `SecurityMiddleware`."""

    def data(request: Request) -> Response:
        return JSONResponse({"query": str(request.url.query)})

    def report(request: Request) -> Response:
        return Response("report", headers={"content-security-policy": "sandbox"})

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        await websocket.close()

    routes = [
        Route("/api/data", data, methods=["GET", "POST"]),
        Route("/report", report),
        Route("/{path:path}", data),
        WebSocketRoute("/ws/runs", stream),
    ]
    return SecurityMiddleware(Starlette(routes=routes), settings=make_settings(**changes))


@pytest.fixture(scope="module")
def open_port() -> Iterator[int]:
    """A server without a token that also answers to one name."""
    with serving(guarded(allowed_hosts=("lab.example",))) as port:
        yield port


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A server that asks for the token."""
    with serving(guarded(token=TOKEN)) as port:
        yield port


@pytest.fixture
def client(open_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{open_port}", trust_env=False, timeout=30) as opened:
        yield opened


@pytest.fixture
def stranger(closed_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{closed_port}", trust_env=False, timeout=30) as opened:
        yield opened


def raw(port: int, *lines: str) -> str:
    """The status line that answers a request of these lines."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        with connection.makefile("rb") as answer:
            return answer.readline().decode().strip()


# --- headers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/api/data", {}, 200), ("/api/data", {"host": "evil.example"}, 421), ("/", {"origin": "null"}, 403)],
)
def test_every_response_tells_the_browser_what_it_may_do(client, path, headers, status):
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert "unsafe-inline" not in str(policy)
    assert "unsafe-eval" not in str(policy)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_route_may_have_a_stricter_policy_of_its_own(client):
    assert client.get("/report").headers.get_list("content-security-policy") == ["sandbox"]


# --- Host ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8:80",
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "[::1]:9",
        "[0:0::1]",
        "lab.example",
        "Lab.Example:444",
    ],
)
def test_names_of_this_machine_and_allowed_ones_are_answered(client, host):
    assert client.get("/api/data", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "sub.lab.example",
        "10.0.0.1",
        "0.0.0.0",
        "[::2]",
        "xn--lcalhost-2qa",
    ],
)
def test_a_name_that_somebody_else_points_here_is_not_answered(client, host):
    answer = client.get("/api/data", headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["instance"]) == (421, "/api/data")
    assert "--allow-host" in problem["detail"]


@pytest.mark.parametrize(
    "lines",
    [(), ("Host: localhost", "Host: localhost"), ("Host: local host",), ("Host: a@localhost",), ("Host:",)],
)
def test_a_request_without_one_readable_host_is_refused(open_port, lines):
    assert raw(open_port, "GET /api/data HTTP/1.1", *lines).startswith("HTTP/1.1 400 ")


def test_the_address_that_the_connection_came_in_on_is_answered():
    async def status(address: str, *, host: str) -> int:
        app = guarded(host="0.0.0.0", token=TOKEN)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            answer = await client.get(
                f"http://{address}/", headers={"host": host, "authorization": f"Bearer {TOKEN}"}
            )
        return answer.status_code

    assert asyncio.run(status("192.0.2.7", host="192.0.2.7:8765")) == 200
    assert asyncio.run(status("[::ffff:192.0.2.7]", host="192.0.2.7")) == 200, "one socket for IPv4 and IPv6"
    for host in ("192.0.2.8", "0.0.0.0"):
        assert asyncio.run(status("192.0.2.7", host=host)) == 421


def test_websockets_are_refused_for_other_names(open_port):
    with (
        socket.create_connection(("127.0.0.1", open_port)) as connection,
        pytest.raises(InvalidStatus) as refused,
    ):
        connect(f"ws://evil.example:{open_port}/ws/runs", sock=connection)
    assert refused.value.response.status_code == 421


# --- Origin --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_this_page_may_ask(client, open_port, method):
    for host in ("127.0.0.1", "localhost", "[::1]"):
        headers = {"host": f"{host}:{open_port}", "origin": f"http://{host}:{open_port}"}
        assert client.request(method, "/api/data", headers=headers).status_code == 200
    assert client.request(
        method, "/api/data", headers={"host": "lab.example", "origin": "http://lab.example:80"}
    ).is_success


def foreign(port: int) -> list[str]:
    return [
        "null",
        "",
        "http://evil.example",
        f"http://evil.example:{port}",
        f"https://127.0.0.1:{port}",  # another scheme
        f"http://127.0.0.1:{port + 1}",  # another port
        "http://127.0.0.1",
        f"http://localhost:{port}",  # another name
        f"http://127.0.0.1:{port}/",  # not an origin
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_pages_may_not_ask(client, open_port, method):
    for origin in foreign(open_port):
        answer = client.request(method, "/api/data", headers={"origin": origin})
        assert (origin, answer.status_code) == (origin, 403)
        assert answer.json()["title"] == "Forbidden"


def test_other_pages_may_not_open_a_websocket(open_port):
    url = f"ws://127.0.0.1:{open_port}/ws/runs"
    for origin in foreign(open_port):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, origin=origin, proxy=None)
        assert (origin, refused.value.response.status_code) == (origin, 403)
        assert b"cross-origin" in refused.value.response.body
    for origin in (None, f"http://127.0.0.1:{open_port}"):  # a program, and our page
        with connect(url, origin=origin, proxy=None) as websocket:
            assert websocket.recv(timeout=10) == "welcome"


def test_a_server_that_cannot_answer_a_handshake_closes_it():
    scope = {"type": "websocket", "scheme": "ws", "path": "/ws/runs", "query_string": b"", "server": None}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    for host, origin in ((b"localhost", b"http://evil.example"), (b"evil.example", b"http://evil.example")):
        asyncio.run(guarded()(scope | {"headers": [(b"host", host), (b"origin", origin)]}, receive, send))
    assert [(message["type"], message["code"]) for message in sent] == [
        ("websocket.close", 4403),
        ("websocket.close", 4421),
    ]


# --- token ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer \xe4"},
        {"cookie": f"fedtwin_1={TOKEN}"},
        {"cookie": "fedtwin_80="},
    ],
)
def test_without_the_token_there_is_nothing_to_see(stranger, headers):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    for path in ("/api/data", "/static/app.js", "/openapi.json", f"/api/data?token={TOKEN}"):
        answer = stranger.get(path, headers=encoded)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["title"] == "Unauthorized"
        assert TOKEN not in answer.text


def test_programs_send_the_token_in_a_header(stranger):
    answer = stranger.get("/api/data?a=1", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.json() == {"query": "a=1"}
    assert stranger.get("/api/data", headers={"authorization": f"bearer  {TOKEN}"}).status_code == 200


def test_a_browser_brings_the_token_once(stranger, closed_port):
    answer = stranger.get(f"/runs/3?axis=bytes&token={TOKEN}&token=x&metric=auroc", headers=PAGE)
    assert answer.status_code == 401, "the last one counts"
    answer = stranger.get(f"/runs/3?axis=bytes&token={TOKEN}&metric=auroc%20x", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/3?axis=bytes&metric=auroc%20x")
    parts = answer.headers["set-cookie"].split("; ")
    assert parts[0] == f"fedtwin_{closed_port}={TOKEN}"
    assert {"HttpOnly", "SameSite=strict", "Path=/"} < set(parts)
    assert "Secure" not in parts
    assert stranger.get(answer.headers["location"], headers=PAGE).status_code == 200
    assert stranger.get("/api/data").status_code == 200


def test_a_cookie_is_for_https_alone_where_the_page_was(stranger):
    headers = PAGE | {"x-forwarded-proto": "https"}  # of a proxy on this machine
    answer = stranger.get(f"/?token={TOKEN}", headers=headers)
    assert answer.headers["location"] == "/"
    assert "Secure" in answer.headers["set-cookie"].split("; ")


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "///evil.example", "/\\evil.example", "/%2F/evil.example"]
)
def test_signing_in_never_leads_elsewhere(closed_port, path):
    with socket.create_connection(("127.0.0.1", closed_port), timeout=10) as connection:
        lines = [
            f"GET {path}?token={TOKEN} HTTP/1.1",
            "Host: localhost",
            "Accept: text/html",
            "Connection: close",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with connection.makefile("r", encoding="latin-1") as answer:
            headers = dict(line.strip().split(": ", 1) for line in answer if ": " in line)
    assert headers.get("location", "/").startswith("/")
    assert not headers.get("location", "/").startswith(("//", "/\\"))


def test_a_person_without_the_token_reads_what_to_do(stranger):
    answer = stranger.get('/runs/3?q="><script>', headers=PAGE)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "?token=TOKEN" in answer.text
    assert "<script" not in answer.text
    assert 'href="/runs/3?q=' in answer.text


def test_a_websocket_without_the_token_is_closed_and_says_why(closed_port):
    url = f"ws://127.0.0.1:{closed_port}/ws/runs"
    for more in ({}, {"Authorization": "Bearer wrong"}):
        with (
            connect(url, additional_headers=more, proxy=None) as websocket,
            pytest.raises(ConnectionClosedError) as closed,
        ):
            websocket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    with connect(f"{url}?token={TOKEN}", proxy=None) as websocket, pytest.raises(ConnectionClosedError):
        websocket.recv(timeout=10)
    for more in ({"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"fedtwin_{closed_port}={TOKEN}"}):
        with connect(url, additional_headers=more, proxy=None) as websocket:
            assert websocket.recv(timeout=10) == "welcome"


def test_logs_of_requests_do_not_hold_the_token(caplog):
    caplog.set_level(logging.INFO)
    with serving(guarded(token=TOKEN), access_log=True) as port:
        httpx.get(f"http://127.0.0.1:{port}/?a=1&token={TOKEN}", headers=PAGE, trust_env=False, timeout=30)
        with connect(f"ws://127.0.0.1:{port}/ws/runs?b=2&token={TOKEN}", proxy=None):
            pass
    log = "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("uvicorn"))
    assert '"GET /?a=1 HTTP/1.1" 303' in log
    assert "/ws/runs?b=2" in log
    assert TOKEN not in log


# --- settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "lab.example", "127.0.0.1.evil.example"])
def test_other_addresses_need_a_token(host):
    with pytest.raises(ConfigError, match=r"--token TOKEN.*secrets.token_urlsafe"):
        make_settings(host=host)
    assert make_settings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_loopback_needs_none(host):
    assert is_loopback(make_settings(host=host).host)


@pytest.mark.parametrize(
    "token", ["", "short", "fifteen-letters", "with spaces in between", "sixteen;letters!", "ä" * 16]
)
def test_a_token_is_long_and_fits_into_urls_and_cookies(token):
    with pytest.raises(ConfigError, match="16 or more letters"):
        make_settings(token=token)


@pytest.mark.parametrize(
    "changes",
    [{"port": -1}, {"port": 65536}]
    + [{"allowed_hosts": (name,)} for name in ("http://lab.example", "lab.example:80", "*", "lab/x", "")],
)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError):
        make_settings(**changes)


# --- the training token --------------------------------------------------------------------------------------


def test_who_may_train_may_look_and_a_viewer_signs_in_with_the_other_token_alone():
    train = "train-correct-horse_battery"
    with serving(guarded(token=TOKEN, train_token=train)) as port:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            assert client.get("/api/data", headers={"authorization": f"Bearer {train}"}).status_code == 200
            assert client.get("/api/data", headers={"authorization": f"Bearer {train}x"}).status_code == 401
            assert client.get(f"/?token={train}", headers=PAGE).status_code == 401, "never in an address"
            client.cookies.set(f"fedtwin_{port}", train)
            assert client.get("/api/data").status_code == 401


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_token": "short"}, "16 or more letters"),
        ({"train_token": TOKEN, "token": TOKEN}, "must differ"),
        ({"data_folders": (Path("/nowhere/at/all"),)}, "/nowhere/at/all is none"),
    ],
)
def test_settings_of_jobs_that_are_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        make_settings(**changes)
