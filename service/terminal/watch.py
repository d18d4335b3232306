"""``fedtwin watch RUN``: follows a run in a terminal, or prints its messages as JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.live import Live

from service.terminal.state import FINISHED, RunState
from service.terminal.stored_gap import read_gap
from service.terminal.stream_client import Connection, Message, StreamClient
from service.terminal.view import WatchView, status_line
from shared.metrics.gap_table import gap_table

EXIT_CODES = {"completed": 0, "failed": 1, "stopped": 3}
INTERRUPTED, BROKEN_PIPE = 130, 141  # exit statuses of SIGINT and SIGPIPE in a shell
FRAME_S = 0.25
FRAMES_APART = 4  # between redraws if only the ages have changed
NEWEST = 50_000  # rows of what is there that a picture is made of; a few seconds
LISTED_S = 5.0  # to wait for the run summaries of a finished comparison


def run_command(options: Namespace) -> None:
    """Watch until the run has ended; the exit status is its outcome.

    Parameters
    ----------
    options : Namespace
        As parsed by `fedtwin`. The token may also be in the variable ``FEDTWIN_TOKEN``.

    Raises
    ------
    FedtwinError
    SystemExit
        0: completed, 1: failed, 3: stopped, 130: Ctrl-C or SIGTERM, 141: broken pipe.
    """
    token = options.token or os.environ.get("FEDTWIN_TOKEN") or None
    sys.exit(watch(options.run, url=options.url, token=token, format=options.format))


def watch(run_id: int, *, url: str | None = None, token: str | None = None, format: str = "live") -> int:
    """Show a run on standard output until it has ended.

    Parameters
    ----------
    url : str, optional
        Base URL of a server. Default: the server on this machine's default port if it has this run, otherwise
        an embedded server in this process.
    token : str, optional
        Access token of the server at ``url``.
    format : {"live", "jsonl"}
        ``live`` redraws a page if standard output is a terminal, and prints one line per step otherwise.

    Returns
    -------
    int
        The exit status (see `run_command`).

    Raises
    ------
    FedtwinError
        No such run, no server at ``url``, or it rejects the request.
    """
    try:
        with _server(run_id, url=url, token=token) as (address, known):
            return asyncio.run(_follow(run_id, server=address, token=known, format=format))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except BrokenPipeError:
        # Buffered output would raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


@contextmanager
def _server(run_id: int, *, url: str | None, token: str | None) -> Iterator[tuple[str, str | None]]:
    if url is not None:
        yield url, token
        return
    # Imported late: not needed with --url, and the database takes most of the start-up time.
    from service.terminal.embedded_server import DEFAULT_URL, embedded_server, serves_run
    from shared.runtime.home import open_home
    from shared.tracking.store import Store

    home = open_home()
    with Store(home.database_url) as store:
        run = store.runs.get(run_id)
    if serves_run(DEFAULT_URL, run):
        yield DEFAULT_URL, None
    else:
        with embedded_server(home) as found:
            yield found


async def _follow(run_id: int, *, server: str, token: str | None, format: str) -> int:
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # a system without signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    console = Console()
    session = _Session(run_id, server=server, token=token, newest=None if format == "jsonl" else NEWEST)
    if format == "jsonl":
        session.reader.on_change = _ConnectionLog()
        await session.read(_print_json)
    elif console.is_terminal and not console.is_dumb_terminal:
        await _draw(session, console)
    else:
        session.reader.on_change = _ConnectionLog()
        await _print_steps(session)
    if format == "live":
        gap = (
            await asyncio.to_thread(read_gap, server, run_id, token=token) if session.state.has_children else []
        )
        with console.capture() as page:
            console.print(WatchView(session.state))
            if gap:
                console.print("", gap_table(gap), sep="\n")
        print(page.get(), end="", flush=True)
    return EXIT_CODES[session.state.status]


class _Session:
    """The state of a run and the streams that update it."""

    def __init__(self, run_id: int, *, server: str, token: str | None, newest: int | None) -> None:
        self.state = RunState(run_id)
        self.reader = StreamClient(server, path=f"/ws/runs/{run_id}", newest=newest, token=token)
        self.all_runs = StreamClient(server, path="/ws/runs", after=None, token=token)
        self.changed = asyncio.Event()
        self._listed = asyncio.Event()

    async def read(self, show: Callable[[list[Message]], None] | None = None) -> None:
        """Follow until the run has ended; a comparison's runs too, unless ``show`` takes the messages."""
        async with AsyncExitStack() as stack:
            frames = await stack.enter_async_context(aclosing(self.reader.frames()))
            with_children = False
            async for messages in frames:
                self.state.apply(messages)
                self.changed.set()
                if show is not None:
                    show(messages)
                elif self.state.has_children and not with_children:
                    await stack.enter_async_context(_task(self._read_children()))
                    with_children = True
                if self.state.ended:
                    break
            if with_children:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._listed.wait(), LISTED_S)

    async def _read_children(self) -> None:
        async with aclosing(self.all_runs.frames()) as frames:
            async for messages in frames:
                self.state.apply(messages)
                self.changed.set()
                self._listed.set()


class _ConnectionLog:
    """Logs to standard error when the connection is lost and restored."""

    def __init__(self) -> None:
        self._lost = False

    def __call__(self, connection: Connection) -> None:
        if connection.state == "waiting" and not self._lost:
            self._lost = True
            print(f"disconnected: {connection.reason}; reconnecting", file=sys.stderr, flush=True)
        elif connection.state == "live" and self._lost:
            self._lost = False
            print("reconnected; no data lost", file=sys.stderr, flush=True)


def _print_json(messages: list[Message]) -> None:
    # In ASCII: client names cannot contain control sequences.
    print("\n".join(json.dumps(message, separators=(",", ":")) for message in messages), flush=True)


async def _print_steps(session: _Session) -> None:
    state, shown = session.state, ""
    async with _task(session.read()) as reading:
        while not reading.done():
            step = f"{state.status} {state.progress()}"
            if state.status not in ("unknown", *FINISHED) and step != shown:
                shown = step
                print(status_line(state).plain, flush=True)
            await asyncio.wait({reading}, timeout=FRAME_S)
        await reading


async def _draw(session: _Session, console: Console) -> None:
    state = session.state
    async with _task(session.read()) as reading:
        while not (reading.done() or session.changed.is_set()):
            await asyncio.wait({reading}, timeout=0.05)
        if state.status not in FINISHED and not reading.done():
            with Live(console=console, screen=True, auto_refresh=False) as live:
                size, apart = console.size, 0
                while not reading.done():
                    apart += 1
                    if session.changed.is_set() or console.size != size or apart >= FRAMES_APART:
                        session.changed.clear()
                        size, apart = console.size, 0
                        view = WatchView(state, session.reader.connection, height=size.height)
                        live.update(view, refresh=True)
                    await asyncio.wait({reading}, timeout=FRAME_S)
        await reading


@asynccontextmanager
async def _task(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run a coroutine during the block, then cancel it and wait until it has closed its connection."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
