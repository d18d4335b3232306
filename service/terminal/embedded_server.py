"""`embedded_server`: the web server in a thread of this process, for ``fedtwin watch`` if none is running."""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPException

import uvicorn

from service.app import create_app
from service.serve import listen
from service.settings import Settings
from service.stream.sockets import UVICORN_OPTIONS
from service.terminal.stream_client import StreamError
from service.web.http import TimedHTTP
from shared.runtime.home import Home
from shared.tracking.rows import RunRow

DEFAULT_URL = "http://127.0.0.1:8765"
END_S = 5.0


def serves_run(url: str, run: RunRow, *, timeout_s: float = 2.0) -> bool:
    """Whether a server answers and has this run; it may belong to another user or another home.

    No token is sent, since the server is not known yet.

    Parameters
    ----------
    url : str
        Base URL of a server on this machine.
    timeout_s : float, seconds
        A server that takes longer is ignored.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/api/runs/{run.id}", timeout=timeout_s) as answer:
            found = json.load(answer)
        return found["name"] == run.name and datetime.fromisoformat(found["started"]) == run.started
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return False


@contextmanager
def embedded_server(home: Home) -> Iterator[tuple[str, str]]:
    """Serve a home on a free loopback port while the block runs.

    Yields
    ------
    tuple of str and str
        Base URL, and a random token that keeps other users of the machine out.

    Raises
    ------
    StreamError
        The server did not start.
    """
    token = secrets.token_urlsafe(24)
    app = create_app(Settings(database_url=home.database_url, home=home, port=0, token=token))
    options = {
        **UVICORN_OPTIONS,
        "http": TimedHTTP,
        "access_log": False,
        "lifespan": "on",
        "log_level": "critical",
    }
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, **options, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), name="fedtwin-server", daemon=True)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise StreamError("the embedded server did not start; run `fedtwin serve` to see why")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", token
        finally:
            server.should_exit = True
            thread.join(END_S)
