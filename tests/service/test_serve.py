"""``fedtwin serve``, as a user types it: a real process, its exit status and what it prints."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from service import serve
from service.serve import outside_url, page_url
from service.settings import Settings
from shared.runtime.home import Home

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "correct-horse_battery.staple~1"
Started = Callable[..., tuple["subprocess.Popen[str]", str]]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fedtwin", "serve", "--port", "0", *arguments]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FEDTWIN_")}
    return {**kept, "FEDTWIN_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture
def started(environment: dict[str, str], tmp_path: Path) -> Iterator[Started]:
    """Start a server; gives the process and the address that it prints."""
    with ExitStack() as ends:

        def start(*arguments: str, shell: str = "exec", **more: str) -> tuple[subprocess.Popen[str], str]:
            process = ends.enter_context(
                subprocess.Popen(
                    ["sh", "-c", f'{shell} "$@"', "sh", *command(*arguments)],
                    env={**environment, **more},
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            ends.callback(process.kill)
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.fullmatch(r"live page: (http://\S+)\n", line)
            assert match, line or process.communicate(timeout=10)[1]
            return process, match[1]

        yield start


@pytest.fixture
def refused(environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Start a server that cannot; gives what it says."""

    def run(*arguments: str, **more: str) -> str:
        env = {**environment, **more}
        done = subprocess.run(
            command(*arguments), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
        return done.stderr

    return run


def test_it_serves_and_never_loads_torch(started):
    process, url = started()
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        assert client.get("/").status_code == 200
        assert client.get("/api/health").json()["database"] == "sqlite"
        assert client.get("/api/runs").json()["runs"] == []
        assert "server" not in client.get("/api/runs").headers
    assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)


@pytest.mark.attack
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_although_viewers_are_there(started, number):
    process, url = started()
    address = url.replace("http", "ws") + "ws/runs"
    with connect(address, proxy=None), socket.create_connection(("127.0.0.1", _port(url))) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\n")  # never ends its request
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err == "stopped\n"


@pytest.mark.attack
def test_an_upload_that_is_under_way_ends_with_it_in_silence(started, tmp_path):
    process, url = started("--train-token", TOKEN)
    with socket.create_connection(("127.0.0.1", _port(url))) as connection:
        connection.sendall(
            f"POST /api/v1/datasets?name=half&format=csv HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\nage".encode()
        )
        place = f"{url}api/v1/datasets/half"
        deadline = time.monotonic() + 30
        while httpx.get(place, trust_env=False).status_code == 404:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        connection.settimeout(30)
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))  # its body may come after its head
        _, err = process.communicate(timeout=20)
    assert b'"code":"stopping"' in answer, err
    assert (process.returncode, "Traceback" in err, err.endswith("stopped\n")) == (130, False, True), err
    assert list((tmp_path / "home" / "datasets").iterdir()) == []


@pytest.mark.attack
def test_it_comes_back_on_its_port_after_kill_9(started):
    process, url = started()
    port = str(_port(url))
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        assert client.get("/api/health").status_code == 200
        process.kill()
        process.wait(20)
        _, again = started("--port", port)
        assert again == url
        assert client.get("/api/health").status_code == 200


def test_a_port_that_is_taken_is_an_error_that_says_so(refused):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        text = refused("--port", port)
    assert "\nerror: " in f"\n{text}"  # on a busy machine after a line of what is waited for
    assert port in text
    assert "--port" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--host", "0.0.0.0"), "FEDTWIN_TOKEN"),
        (("--host", "192.0.2.7", "--token", TOKEN), "not an address of this machine"),
        (("--host", "no such name", "--token", TOKEN), "cannot resolve host 'no such name'"),
        (("--token", "short"), "16 or more"),
        (("--token", ""), "16 or more"),
        (("--allow-host", "https://lab.example"), "without scheme"),
        (("--port", "70000"), "65535"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused(refused, arguments, expected):
    assert expected in refused(*arguments)


def test_a_database_that_cannot_be_used_is_an_error(refused, tmp_path):
    text = refused(FEDTWIN_DATABASE_URL=f"sqlite:///{tmp_path / 'no' / 'folder' / 'fedtwin.db'}")
    assert "\nerror: " in f"\n{text}"  # on a busy machine after a line of what is waited for


def test_other_addresses_ask_for_the_token_and_a_log_does_not_hold_it(started):
    process, url = started("--host", "0.0.0.0", "--allow-host", "lab.example", FEDTWIN_TOKEN=TOKEN)
    assert re.fullmatch(r"http://lab\.example:\d+/", url)
    base = f"http://127.0.0.1:{_port(url)}"
    assert httpx.get(f"{base}/api/health", trust_env=False, timeout=30).status_code == 401
    assert (
        httpx.get(
            f"{base}/?token={TOKEN}", headers={"accept": "text/html"}, trust_env=False, timeout=30
        ).status_code
        == 303
    )
    headers = {"authorization": f"Bearer {TOKEN}", "host": "lab.example"}
    assert httpx.get(f"{base}/api/health", headers=headers, trust_env=False, timeout=30).status_code == 200
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert TOKEN not in out + err


def test_a_terminal_shows_the_address_with_the_token(environment, tmp_path):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("--token", TOKEN), env=environment, cwd=tmp_path, stdout=theirs, stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8", buffering=1) as terminal:
            url = terminal.readline().strip().removeprefix("live page: ")
            answer = httpx.get(url, headers={"accept": "text/html"}, trust_env=False, timeout=30)
            process.terminate()
            process.wait(20)
    assert url.endswith(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_it_opens_the_browser(started, tmp_path):
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o755)
    _, url = started("--open", "--token", TOKEN, BROWSER=f"{browser} %s")
    deadline = time.monotonic() + 20
    while not opened.exists():
        assert time.monotonic() < deadline, "no browser was started"
        time.sleep(0.02)
    assert opened.read_text() == f"{url}?token={TOKEN}\n"


def test_it_may_open_as_many_files_as_the_system_lets_it(started):
    process, _ = started(shell="ulimit -S -n 200; exec")
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    match = re.search(r"^Max open files +(\w+) +(\w+)", limits, re.MULTILINE)
    assert match
    assert match[1] == match[2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "http://127.0.0.1:9/"),
        ({"host": "localhost"}, "http://localhost:9/"),
        ({"host": "::1"}, "http://[::1]:9/"),
        ({"host": "0.0.0.0", "token": TOKEN}, f"http://127.0.0.1:9/?token={TOKEN}"),
        (
            {"host": "::", "token": TOKEN, "allowed_hosts": ("Lab.example",)},
            f"http://lab.example:9/?token={TOKEN}",
        ),
    ],
)
def test_the_address_that_is_shown_can_be_opened(changes: dict[str, Any], expected: str):
    settings = Settings(database_url="sqlite://", home=Home(Path("/nowhere"), "sqlite://"), **changes)
    assert page_url(settings, port=9, secret=True) == expected
    assert TOKEN not in page_url(settings, port=9, secret=False)


def test_other_machines_are_told_an_address_of_their_own(monkeypatch: pytest.MonkeyPatch):
    def outside(**changes: Any) -> str | None:
        settings = Settings(
            database_url="sqlite://", home=Home(Path("/nowhere"), "sqlite://"), token=TOKEN, **changes
        )
        return outside_url(settings, port=9, secret=False)

    monkeypatch.setattr(serve, "_own_address", lambda: "198.51.100.7")
    for host in ("0.0.0.0", "::"):
        assert outside(host=host) == "http://198.51.100.7:9/"
    assert outside(host="127.0.0.1") is None
    assert outside(host="192.0.2.7") is None, "that is the address already"
    assert outside(host="0.0.0.0", allowed_hosts=("lab.example",)) is None, "and that a name for it"
    monkeypatch.setattr(serve, "_own_address", lambda: None)
    assert outside(host="0.0.0.0") is None, "there is no network"


def test_a_server_on_every_address_says_two(started):
    process, url = started("--host", "0.0.0.0", FEDTWIN_TOKEN=TOKEN)
    own = serve._own_address()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
    if own is not None:
        assert process.stdout.readline() == f"from other machines: http://{own}:{_port(url)}/\n"
        answer = httpx.get(f"http://{own}:{_port(url)}/api/health", trust_env=False, timeout=30)
        assert answer.status_code == 401, "under that name it answers, and asks for the token"


def _port(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])
