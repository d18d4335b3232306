"""``fedtwin serve``: runs the web server of the live page until Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import sys
import threading
import webbrowser
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from service.app import create_app
from service.dataset_limits import DatasetLimits
from service.integrations.mlflow import check_installed, check_uri
from service.settings import EVERY_ADDRESS, Settings, is_loopback, plain_host
from service.stream.sockets import UVICORN_OPTIONS
from service.web.http import TimedHTTP
from shared.runtime.errors import FedtwinError
from shared.runtime.home import open_home
from shared.runtime.signals import sigterm_as_interrupt

_TIDY_S = 5.0  # for requests that are cut
_BACKLOG = 2048  # many viewers reconnect at once after a restart
_GRACE_S = 1  # for responses in progress at shutdown


class ServeError(FedtwinError):
    """The live page cannot be served at this address."""


def run_command(options: Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM; exits with status 130, like the other commands.

    Parameters
    ----------
    options : Namespace
        As parsed by `fedtwin`. The token may also be in the environment variable ``FEDTWIN_TOKEN``, where other
        users of the machine do not see it in the process list.

    Raises
    ------
    FedtwinError
    """
    home = open_home()
    # An empty --token is rejected as a mistake; an empty variable counts as unset.
    token = (os.environ.get("FEDTWIN_TOKEN") or None) if options.token is None else options.token
    train_token = (
        (os.environ.get("FEDTWIN_TRAIN_TOKEN") or None)
        if options.train_token is None
        else (options.train_token)
    )
    if options.mlflow is not None:  # the follower is a process of its own, which would fail again and again
        check_uri(options.mlflow)
        check_installed()
    settings = Settings(
        database_url=home.database_url,
        home=home,
        host=options.host,
        port=options.port,
        token=token,
        train_token=train_token,
        data_folders=tuple(options.data),
        dataset_limits=DatasetLimits.of(options.dataset_limit),
        worker=options.worker,
        sweep_workers=options.sweep_workers,
        most_trials=options.max_trials,
        mlflow=options.mlflow,
        rate=options.rate,
        allowed_hosts=tuple(options.allow_host),
        allowed_webhooks=tuple(options.allow_webhook),
    )
    try:
        with sigterm_as_interrupt():
            serve(settings, open_browser=options.open)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def serve(settings: Settings, *, open_browser: bool = False) -> None:
    """Listen, print the URL, and serve until a signal.

    Parameters
    ----------
    open_browser : bool
        Open the page in a browser once the server is ready.

    Raises
    ------
    ServeError
        The address is in use, or not one of this machine.
    TrackingError
        The database cannot be used.
    KeyboardInterrupt
        On a signal, after everything was closed.
    """
    app = create_app(settings)
    with listen(settings.host, settings.port) as listener:
        app.state.store.runs.settle(settings.home.journals)  # also fails early if the database cannot be used
        allow_many_files()
        port = listener.getsockname()[1]

        def started() -> None:
            shown = sys.stdout.isatty()
            print(f"live page: {page_url(settings, port=port, secret=shown)}", flush=True)
            elsewhere = outside_url(settings, port=port, secret=shown)
            if elsewhere is not None:
                print(f"from other machines: {elsewhere}", flush=True)
            if open_browser:
                url = page_url(settings, port=port, secret=True)
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        options = {
            **UVICORN_OPTIONS,
            "http": TimedHTTP,
            "access_log": False,
            "lifespan": "on",
            "log_level": "warning",
            "server_header": False,
            "timeout_graceful_shutdown": _GRACE_S,
        }
        server = _Server(uvicorn.Config(app, **options), started=started)
        server.run(sockets=[listener])
        if not server.started:
            raise ServeError("the server could not start; see the log above")


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, before anything else is started.

    Parameters
    ----------
    port : int
        0: any free port.

    Returns
    -------
    socket
        Connections queue until they are accepted.

    Raises
    ------
    ServeError
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeError(
            f"cannot resolve host {host!r}: {error.strerror}; pass an address of this machine with --host"
        ) from None
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        advice = {
            errno.EADDRINUSE: "the port is in use (by another `fedtwin serve`?): stop that program, or "
            "choose another port with --port (0: any free port)",
            errno.EADDRNOTAVAIL: "not an address of this machine; pass one with --host",
            errno.EACCES: "ports below 1024 need privileges; choose another with --port",
        }
        raise ServeError(
            f"cannot listen on {host} port {port}: {advice.get(error.errno or 0, error.strerror)}"
        ) from None
    return listener


def page_url(settings: Settings, *, port: int, secret: bool) -> str:
    """URL of the page for this machine.

    Parameters
    ----------
    port : int
        The port that the server listens on.
    secret : bool
        Whether to include the token: yes at a terminal, no in a log that others may read.

    Returns
    -------
    str
        With an address that this machine can reach, or the first allowed host.
    """
    host = plain_host(settings.host)
    if host in EVERY_ADDRESS:
        host = plain_host(settings.allowed_hosts[0]) if settings.allowed_hosts else "127.0.0.1"
    return _url(host, settings, port=port, secret=secret)


def outside_url(settings: Settings, *, port: int, secret: bool) -> str | None:
    """URL of the page for other machines, if it differs from `page_url`.

    Returns
    -------
    str or None
        None if only this machine can reach it, if hosts were given, and without a network. Contains an address
        rather than the host name, since host names are rejected unless allowed.
    """
    if plain_host(settings.host) not in EVERY_ADDRESS or settings.allowed_hosts:
        return None
    address = _own_address()
    return None if address is None else _url(address, settings, port=port, secret=secret)


def _own_address() -> str | None:
    # Address of the default interface; connecting a datagram socket sends nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # reserved for documentation (RFC 5737)
            address: str = probe.getsockname()[0]
        except OSError:
            return None
    return None if is_loopback(address) else address


def _url(host: str, settings: Settings, *, port: int, secret: bool) -> str:
    name = f"[{host}]" if ":" in host else host
    query = f"?token={settings.token}" if settings.token and secret else ""
    return f"http://{name}:{port}/{query}"


def allow_many_files() -> None:
    """Raise the limit of open files to its maximum: each viewer needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems report a limit that they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """Calls back when it is ready, and lets requests that are cut tidy up."""

    def __init__(self, config: uvicorn.Config, *, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets=sockets)
        # uvicorn cancels requests without waiting; the end of the loop would cancel them again as they tidy.
        if tasks := set(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=_TIDY_S)
