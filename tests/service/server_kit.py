"""A real uvicorn in a thread of the test, on a free port of this machine, and a real Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

WAIT_S = 60.0  # at most, for what takes a moment on an idle machine


@contextmanager
def serving(app: Any, *, host: str = "127.0.0.1", **options: Any) -> Iterator[int]:
    """Serve an ASGI application within the block; yields its port."""
    with socket.create_server((host, 0), backlog=128) as listener:
        settings = {
            "log_config": None,
            "ws": "websockets-sansio",
            "lifespan": "on",
            "timeout_graceful_shutdown": 1,
            **options,
        }
        server = uvicorn.Server(uvicorn.Config(app, **settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + WAIT_S
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                assert time.monotonic() < deadline, "the server did not start in time"
                time.sleep(0.005)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive(), "the server did not end"


def wait_until_ended(threads: Iterable[threading.Thread]) -> None:
    """Wait until threads have ended: AnyIO tells its worker threads to end, and does not wait for them."""
    deadline = time.monotonic() + WAIT_S
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"{thread.name} did not end"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window; the test is skipped where there is none, unless CI asks for it."""
    path = shutil.which("chromium")
    if path is None:
        text = "no Chromium (Debian: apt install chromium)"
        if os.environ.get("FEDTWIN_REQUIRE_BROWSER") == "1":
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()
