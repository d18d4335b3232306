"""`Channel`: the state that all viewers of one run, or of the list of runs, share."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Hashable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol, TypeVar

from service.stream.catch_up import read_page, read_runs, read_snapshot
from service.stream.encode import encode_heartbeat
from service.stream.follower import RunFollower, RunsFollower
from service.stream.messages import Message, to_frame, to_json
from service.stream.replay_buffer import Entry, Frame, ReplayBuffer
from shared.runtime.errors import TrackingError
from shared.tracking.store import TenantStore

SHORTEST_PAUSE_S = 0.05
PAUSE_PER_VIEWER_S = 0.0002  # a few times the time to send one frame to one viewer
RUNS_PAUSE_S = 0.5
CACHED_READS = 8
CACHE_S = 1.0

T = TypeVar("T")


class NoSuchRun(TrackingError):
    """The database has no run of this id."""


class Follower(Protocol):
    """Reads what is new."""

    def read(self) -> list[Message]:
        """New messages; empty when nothing is left."""
        ...


class Channel(ABC):
    """A replay buffer of the newest messages, and catch-up reads shared by the viewers that need them.

    Bound to the event loop in which it was created, except ``run_id``, `pause_s`, `read` and `set_reachable`,
    which `ChangeReader` uses from its thread.

    Parameters
    ----------
    run_id : int, optional
        None: all runs.
    readers : Executor
        Threads that read the database.

    Attributes
    ----------
    closed : bool
        Viewers must leave.
    news : Event
        Set and cleared at once when there is something new.
    """

    def __init__(self, store: TenantStore, *, run_id: int | None, readers: Executor) -> None:
        self.run_id = run_id
        self.buffer = ReplayBuffer()
        self.viewers = 0
        self.closed = False
        self.news = asyncio.Event()
        self._store, self._readers = store, readers
        self._loop = asyncio.get_running_loop()
        self._follower: Follower | None = None
        self._reads: dict[Hashable, asyncio.Future[Any]] = {}
        self._reachable = True
        self._beat, self._beat_until = "", 0.0

    async def start_of(self, newest: int) -> int:
        """The cursor after which there are so many rows, or all of them: 0.

        Raises
        ------
        TrackingError
        """
        return 0

    @property
    @abstractmethod
    def pause_s(self) -> float:
        """Shortest time between two reads, in seconds."""

    @abstractmethod
    def catch_up(self, cursor: int) -> AsyncGenerator[Frame, None]:
        """Everything after a cursor, up to the end of the buffer.

        Raises
        ------
        TrackingError
        """

    @abstractmethod
    def _follow(self) -> Follower:
        """Create the follower; called in a thread."""

    async def open(self) -> bool:
        """Start to follow, unless already started.

        Returns
        -------
        bool
            Whether this call started it.

        Raises
        ------
        NoSuchRun
        TrackingError
            The database cannot be used.
        """
        if self._follower is None:
            follower = await self._read_once("open", self._follow)
            if self._follower is None:
                self._follower = follower
                return True
        return False

    def close(self) -> None:
        """Make the viewers leave."""
        self.closed = True
        self._wake()

    def heartbeat(self) -> Frame:
        """A heartbeat, encoded at most once a second."""
        if time.monotonic() >= self._beat_until:
            self._beat = to_frame([to_json(encode_heartbeat(self.run_id, reachable=self._reachable))])
            self._beat_until = time.monotonic() + 1.0
        return Frame(self._beat, 1)

    def read(self) -> bool:
        """Read what is new and pass it to the event loop."""
        assert self._follower is not None
        entries = [Entry.of(message) for message in self._follower.read()]
        if entries:
            self._loop.call_soon_threadsafe(self._publish, entries)
        return bool(entries)

    def set_reachable(self, reachable: bool) -> None:
        """Record whether the database can be read."""
        self._loop.call_soon_threadsafe(self._set_reachable, reachable)

    def _publish(self, entries: list[Entry]) -> None:
        self.buffer.add(entries)
        self._reads.clear()  # they lack what is in the buffer now
        self._wake()

    def _set_reachable(self, reachable: bool) -> None:
        self._reachable, self._beat_until = reachable, 0.0

    def _wake(self) -> None:
        self.news.set()
        self.news.clear()

    async def _read_once(self, key: Hashable, read: Callable[[], T]) -> T:
        """Read the database in a thread; viewers that need the same before it changes share one read."""
        if self.closed:
            raise TrackingError("the server is shutting down")
        future: asyncio.Future[T] | None = self._reads.get(key)
        if future is None:
            future = self._loop.run_in_executor(self._readers, read)
            future.add_done_callback(partial(self._expire, key))
            self._reads[key] = future
            if len(self._reads) > CACHED_READS:
                del self._reads[next(iter(self._reads))]
        return await asyncio.shield(future)  # other viewers may wait for it

    def _expire(self, key: Hashable, future: asyncio.Future[Any]) -> None:
        failed = future.cancelled() or future.exception() is not None
        self._loop.call_later(0.0 if failed else CACHE_S, self._forget, key, future)

    def _forget(self, key: Hashable, future: asyncio.Future[Any]) -> None:
        if self._reads.get(key) is future:
            del self._reads[key]


class RunChannel(Channel):
    """The channel of one run."""

    run_id: int

    @property
    def pause_s(self) -> float:
        """Longer with many viewers, so that sending does not saturate the event loop."""
        return max(SHORTEST_PAUSE_S, PAUSE_PER_VIEWER_S * self.viewers)

    async def start_of(self, newest: int) -> int:
        """The row before so many of the newest."""
        read = partial(self._store.metrics.cursor, self.run_id, before=newest)
        return await self._read_once(("newest", newest), read)

    async def catch_up(self, cursor: int) -> AsyncGenerator[Frame, None]:
        """The state of the run, and the rows after a cursor."""
        snapshot = await self._read_once("snapshot", partial(read_snapshot, self._store, self.run_id))
        for one in snapshot.begin:
            yield one
        complete = False
        while not complete:
            read = partial(read_page, self._store, self.run_id, after=cursor, federated=snapshot.federated)
            page = await self._read_once(cursor, read)
            for one in page.frames:
                yield one
                cursor = one.cursor or cursor
            complete = page.complete
        for one in snapshot.end:
            yield one

    def _follow(self) -> Follower:
        if self._store.runs.find(self.run_id) is None:
            raise NoSuchRun(f"there is no run {self.run_id}")
        return RunFollower(self._store, self.run_id)


class RunsChannel(Channel):
    """The channel of the list of runs; it has no cursor."""

    @property
    def pause_s(self) -> float:
        """Long enough to summarize many runs."""
        return max(RUNS_PAUSE_S, PAUSE_PER_VIEWER_S * self.viewers)

    async def catch_up(self, cursor: int) -> AsyncGenerator[Frame, None]:
        """The summaries of the listed runs."""
        for one in await self._read_once("runs", partial(read_runs, self._store)):
            yield one

    def _follow(self) -> Follower:
        return RunsFollower(self._store)
