"""``fedtwin serve``: the live page on a port of this machine, until Ctrl-C."""

from __future__ import annotations

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
from service.settings import EVERY_ADDRESS, Settings, is_loopback, plain_host
from service.stream.sockets import UVICORN_OPTIONS
from shared.runtime.errors import FedtwinError
from shared.runtime.home import open_home
from shared.runtime.run import sigterm_as_interrupt

_BACKLOG = 2048  # a thousand viewers come back at once after a restart
_GRACE_S = 1  # for answers under way, when it ends


class ServeError(FedtwinError):
    """The live page cannot be served at this address."""


def run_command(options: Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM; the exit status is then 130, as that of the other commands.

    Parameters
    ----------
    options : Namespace
        As `fedtwin` parsed them. The token may also be in the variable ``FEDTWIN_TOKEN``, where other users of
        the machine do not see it in the list of processes.

    Raises
    ------
    FedtwinError
    """
    home = open_home()
    # An empty --token is a mistake, and refused; an empty variable is none.
    token = (os.environ.get("FEDTWIN_TOKEN") or None) if options.token is None else options.token
    settings = Settings(
        database_url=home.database_url,
        home=home,
        host=options.host,
        port=options.port,
        token=token,
        allowed_hosts=tuple(options.allow_host),
    )
    try:
        with sigterm_as_interrupt():
            serve(settings, open_browser=options.open)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def serve(settings: Settings, *, open_browser: bool = False) -> None:
    """Listen, say where, and answer until a signal ends it.

    Parameters
    ----------
    open_browser : bool
        Show the page as soon as there is one.

    Raises
    ------
    ServeError
        The address is taken, or is not one of this machine.
    TrackingError
        The database cannot be used.
    KeyboardInterrupt
        A signal came, and everything is closed.
    """
    app = create_app(settings)
    with listen(settings.host, settings.port) as listener:
        app.state.store.runs.close_orphans()  # also tells at once whether the database can be used
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
            "access_log": False,
            "lifespan": "on",
            "log_level": "warning",
            "server_header": False,
            "timeout_graceful_shutdown": _GRACE_S,
        }
        server = _Server(uvicorn.Config(app, **options), started=started)
        server.run(sockets=[listener])
        if not server.started:
            raise ServeError("the server could not start; the reason is above")


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before anything else is started.

    Parameters
    ----------
    port : int
        0: a free one.

    Returns
    -------
    socket
        Connections wait in it until somebody accepts them.

    Raises
    ------
    ServeError
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeError(f"there is no address {host!r}: {error.strerror}; give one with --host") from None
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        advice = {
            errno.EADDRINUSE: "another program has it (another `fedtwin serve`?): end that one, "
            "or take another port with --port, 0 for any that is free",
            errno.EADDRNOTAVAIL: "it is not an address of this machine; give one with --host",
            errno.EACCES: "ports below 1024 belong to the system; take another with --port",
        }
        raise ServeError(
            f"cannot listen on {host} port {port}: {advice.get(error.errno or 0, error.strerror)}"
        ) from None
    return listener


def page_url(settings: Settings, *, port: int, secret: bool) -> str:
    """Where to open the page.

    Parameters
    ----------
    port : int
        The one that was taken.
    secret : bool
        Whether to show the token: to somebody at a terminal, not in a log that is kept and read by others.

    Returns
    -------
    str
        An address under which this machine reaches it, or the first name that was allowed.
    """
    host = plain_host(settings.host)
    if host in EVERY_ADDRESS:
        host = plain_host(settings.allowed_hosts[0]) if settings.allowed_hosts else "127.0.0.1"
    return _url(host, settings, port=port, secret=secret)


def outside_url(settings: Settings, *, port: int, secret: bool) -> str | None:
    """Where other machines open the page, if that is another address than `page_url`'s.

    Returns
    -------
    str or None
        None where only this machine reaches it, where the address was given, and without a network. It is an
        address, not this machine's name: pages under names are refused unless they were allowed.
    """
    if plain_host(settings.host) not in EVERY_ADDRESS or settings.allowed_hosts:
        return None
    address = _own_address()
    return None if address is None else _url(address, settings, port=port, secret=secret)


def _own_address() -> str | None:
    # Of the interface that leads out; connecting a datagram socket sends nothing.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of RFC 5737: nobody's
            address: str = probe.getsockname()[0]
        except OSError:
            return None
    return None if is_loopback(address) else address


def _url(host: str, settings: Settings, *, port: int, secret: bool) -> str:
    name = f"[{host}]" if ":" in host else host
    query = f"?token={settings.token}" if settings.token and secret else ""
    return f"http://{name}:{port}/{query}"


def allow_many_files() -> None:
    """Let this process open as many files as the system lets it: each viewer is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems name a limit that they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, config: uvicorn.Config, *, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._tell()
