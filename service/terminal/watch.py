"""``fedtwin watch RUN``: follows a run in a terminal (`watch_view`), or as lines of JSON for other programs."""

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
from service.terminal.stream_client import Connection, Message, StreamReader
from service.terminal.view import WatchView, status_line

EXIT_CODES = {"completed": 0, "failed": 1, "stopped": 3}
INTERRUPTED, NOBODY_READS = 130, 141  # what a shell makes of SIGINT and SIGPIPE
FRAME_S = 0.25
FRAMES_APART = 4  # between two frames where only the ages have changed
LISTED_S = 5.0  # for the runs of a comparison that is over


def run_command(options: Namespace) -> None:
    """Watch until the run has ended; the exit status tells how.

    Parameters
    ----------
    options : Namespace
        As `fedtwin` parsed them. The token may also be in the variable ``FEDTWIN_TOKEN``.

    Raises
    ------
    FedtwinError
    SystemExit
        0: completed, 1: failed, 3: stopped, 130: Ctrl-C or SIGTERM, 141: nobody reads the output any more.
    """
    token = options.token or os.environ.get("FEDTWIN_TOKEN") or None
    sys.exit(watch(options.run, url=options.url, token=token, format=options.format))


def watch(run_id: int, *, url: str | None = None, token: str | None = None, format: str = "live") -> int:
    """Show a run on standard output until it has ended.

    Parameters
    ----------
    url : str, optional
        Of a server. Without one: the server on the usual port of this machine if it shows this run of this
        home, else a server of its own in this process.
    token : str, optional
        Of the server at ``url``.
    format : {"live", "jsonl"}
        ``live`` draws a page where standard output is a terminal, and prints a line a step where it is not.

    Returns
    -------
    int
        The exit status (see `run_command`).

    Raises
    ------
    FedtwinError
        There is no such run, no server answers at ``url``, or it refuses.
    """
    try:
        with _server(run_id, url=url, token=token) as (address, known):
            return asyncio.run(_follow(run_id, server=address, token=known, format=format))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would raise once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS


@contextmanager
def _server(run_id: int, *, url: str | None, token: str | None) -> Iterator[tuple[str, str | None]]:
    if url is not None:
        yield url, token
        return
    # A server elsewhere needs none of this, and the database takes most of the time of a start.
    from service.terminal.embedded_server import DEFAULT_URL, server_beside, shows
    from shared.runtime.home import open_home
    from shared.tracking.store import Store

    home = open_home()
    with Store(home.database_url) as store:
        run = store.runs.get(run_id)
    if shows(DEFAULT_URL, run):
        yield DEFAULT_URL, None
    else:
        with server_beside(home) as found:
            yield found


async def _follow(run_id: int, *, server: str, token: str | None, format: str) -> int:
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # a system without signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    console = Console()
    session = _Session(run_id, server=server, token=token)
    if format == "jsonl":
        session.reader.on_change = _Notes()
        await session.read(_print_json)
    elif console.is_terminal and not console.is_dumb_terminal:
        await _draw(session, console)
    else:
        session.reader.on_change = _Notes()
        await _print_steps(session)
    if format == "live":
        with console.capture() as page:
            console.print(WatchView(session.state))
        print(page.get(), end="", flush=True)
    return EXIT_CODES[session.state.status]


class _Session:
    """What is known of a run, and the streams that it comes from."""

    def __init__(self, run_id: int, *, server: str, token: str | None) -> None:
        self.state = RunState(run_id)
        self.reader = StreamReader(server, path=f"/ws/runs/{run_id}", token=token)
        self.all_runs = StreamReader(server, path="/ws/runs", after=None, token=token)
        self.changed = asyncio.Event()
        self._listed = asyncio.Event()

    async def read(self, show: Callable[[list[Message]], None] | None = None) -> None:
        """Follow until the run has ended; of a comparison also its runs, unless ``show`` takes the messages."""
        async with AsyncExitStack() as stack:
            frames = await stack.enter_async_context(aclosing(self.reader.frames()))
            with_children = False
            async for messages in frames:
                self.state.apply(messages)
                self.changed.set()
                if show is not None:
                    show(messages)
                elif self.state.is_comparison and not with_children:
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


class _Notes:
    """Says on standard error that a connection was lost, and that it is back."""

    def __init__(self) -> None:
        self._lost = False

    def __call__(self, connection: Connection) -> None:
        if connection.state == "waiting" and not self._lost:
            self._lost = True
            print(f"no connection: {connection.reason}; trying again", file=sys.stderr, flush=True)
        elif connection.state == "live" and self._lost:
            self._lost = False
            print("connected again; nothing was missed", file=sys.stderr, flush=True)


def _print_json(messages: list[Message]) -> None:
    # In ASCII: what a client calls itself cannot change a terminal.
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
    """Something that goes on while the block runs, and is given the time to close its connection."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
