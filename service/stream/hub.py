"""`Hub`: channels while somebody watches, and the threads that feed them; `live` serves its viewers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

from service.stream.change_reader import RETRY_S, Tail
from service.stream.channel import Channel, RunChannel, RunsChannel
from service.stream.replay_buffer import Frame
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store

READERS = 4


class Viewer:
    """One viewer of a channel, at a cursor of its own.

    Parameters
    ----------
    after : int
        The last row that the viewer has.
    heartbeat_s : float, seconds
        The longest silence.
    """

    def __init__(self, channel: Channel, *, after: int, heartbeat_s: float) -> None:
        self._channel, self._heartbeat_s = channel, heartbeat_s
        self._cursor = after

    async def frames(self) -> AsyncGenerator[str, None]:
        """What the viewer has to be sent: each row once, in order, however slowly it is taken.

        Yields
        ------
        str
            A JSON array of messages. Ends when the channel is closed.
        """
        channel, ring = self._channel, self._channel.ring
        place = ring.start - 1
        while not channel.closed:
            if place < ring.start:
                place = ring.end
                try:
                    async with aclosing(channel.catch_up(self._cursor)) as past:
                        async for frame in past:
                            yield self._taken(frame)
                except TrackingError:
                    place = ring.start - 1
                    yield channel.heartbeat().text
                    await asyncio.sleep(RETRY_S)
                continue
            place, new = ring.next(place, after=self._cursor)
            if new is not None:
                yield self._taken(new)
            elif place == ring.end:
                try:
                    async with asyncio.timeout(self._heartbeat_s):
                        await channel.news.wait()
                except TimeoutError:
                    yield channel.heartbeat().text

    def _taken(self, frame: Frame) -> str:
        self._cursor = frame.cursor or self._cursor
        return frame.text


class Hub:
    """Lets many viewers follow runs that any process writes; an asynchronous context.

    Parameters
    ----------
    poll_s : float, seconds
        How often SQLite is asked whether there is something new; PostgreSQL tells.
    heartbeat_s : float, seconds
        The longest silence towards a viewer.
    """

    def __init__(self, store: Store, *, poll_s: float = 0.1, heartbeat_s: float = 5.0) -> None:
        self._store, self._poll_s, self._heartbeat_s = store, poll_s, heartbeat_s
        self._channels: dict[int | None, Channel] = {}
        self._readers: ThreadPoolExecutor
        self._tail: Tail

    async def __aenter__(self) -> Self:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="fedtwin-read")
        changes = self._store.changes(poll_s=self._poll_s)
        self._tail = Tail(changes, poll_s=self._poll_s, recheck_s=self._heartbeat_s)
        self._tail.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            channel.close()
        await asyncio.get_running_loop().run_in_executor(self._readers, self._tail.close)
        self._readers.shutdown()

    @property
    def watched(self) -> dict[int | None, int]:
        """The number of viewers of each channel; None is the list of runs."""
        return {run_id: channel.viewers for run_id, channel in self._channels.items()}

    @asynccontextmanager
    async def watch(self, run_id: int | None, *, after: int = 0) -> AsyncIterator[Viewer]:
        """Become a viewer.

        Parameters
        ----------
        run_id : int, optional
            None: the list of runs.
        after : int
            The last row that the viewer has.

        Raises
        ------
        NoSuchRun
        TrackingError
            The database cannot be used.
        """
        channel = self._channels.get(run_id)
        if channel is None:
            kind = RunsChannel if run_id is None else RunChannel
            channel = self._channels[run_id] = kind(self._store, run_id=run_id, readers=self._readers)
        channel.viewers += 1
        try:
            if await channel.open():
                self._tail.add(channel)
            yield Viewer(channel, after=after, heartbeat_s=self._heartbeat_s)
        finally:
            channel.viewers -= 1
            if not channel.viewers:
                self._tail.remove(channel)
                del self._channels[run_id]
