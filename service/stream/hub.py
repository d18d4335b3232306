"""`Hub`: opens a channel per watched run, feeds it from the database, and gives each viewer its frames."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

from service.stream.change_reader import RETRY_S, ChangeReader
from service.stream.channel import Channel, RunChannel, RunsChannel
from service.stream.replay_buffer import Frame
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store
from shared.tracking.tenants import Tenant

READERS = 4


class Viewer:
    """One viewer of a channel, at a cursor of its own.

    Parameters
    ----------
    after : int
        The last row that the viewer has.
    heartbeat_s : float, seconds
        Longest time without a frame.
    """

    def __init__(self, channel: Channel, *, after: int, heartbeat_s: float) -> None:
        self._channel, self._heartbeat_s = channel, heartbeat_s
        self._cursor = after

    async def frames(self) -> AsyncGenerator[str, None]:
        """The frames to send: each row exactly once, in order, however slow the viewer.

        Yields
        ------
        str
            A JSON array of messages. Ends when the channel is closed.
        """
        channel, buffer = self._channel, self._channel.buffer
        position = buffer.start - 1
        while not channel.closed:
            if position < buffer.start:
                position = buffer.end
                try:
                    async with aclosing(channel.catch_up(self._cursor)) as missed:
                        async for frame in missed:
                            yield self._advance(frame)
                except TrackingError:
                    position = buffer.start - 1
                    yield channel.heartbeat().text
                    await asyncio.sleep(RETRY_S)
                continue
            position, new = buffer.next(position, after=self._cursor)
            if new is not None:
                yield self._advance(new)
            elif position == buffer.end:
                try:
                    async with asyncio.timeout(self._heartbeat_s):
                        await channel.news.wait()
                except TimeoutError:
                    yield channel.heartbeat().text

    def _advance(self, frame: Frame) -> str:
        self._cursor = frame.cursor or self._cursor
        return frame.text


class Hub:
    """Lets many viewers follow runs that any process writes; an asynchronous context manager.

    Parameters
    ----------
    poll_s : float, seconds
        How often SQLite is polled for changes; PostgreSQL notifies.
    heartbeat_s : float, seconds
        Longest time without a frame to a viewer.
    """

    def __init__(self, store: Store, *, poll_s: float = 0.1, heartbeat_s: float = 5.0) -> None:
        self._store, self._poll_s, self._heartbeat_s = store, poll_s, heartbeat_s
        self._channels: dict[tuple[Tenant, int | None], Channel] = {}
        self._readers: ThreadPoolExecutor
        self._change_reader: ChangeReader

    async def __aenter__(self) -> Self:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="fedtwin-read")
        changes = self._store.changes(poll_s=self._poll_s)
        self._change_reader = ChangeReader(changes, poll_s=self._poll_s, recheck_s=self._heartbeat_s)
        self._change_reader.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            channel.close()
        await asyncio.get_running_loop().run_in_executor(self._readers, self._change_reader.close)
        self._readers.shutdown()

    @property
    def watched(self) -> dict[int | None, int]:
        """The number of viewers of each channel; None is the list of runs."""
        found: Counter[int | None] = Counter()
        for (_, run_id), channel in self._channels.items():
            found[run_id] += channel.viewers
        return dict(found)

    @asynccontextmanager
    async def watch(
        self, tenant: Tenant, run_id: int | None, *, after: int = 0, newest: int | None = None
    ) -> AsyncIterator[Viewer]:
        """Watch a run, or the list of runs.

        Parameters
        ----------
        tenant : Tenant
            Whose runs.
        run_id : int, optional
            None: the list of runs.
        after : int
            The last row that the viewer has.
        newest : int, optional
            How many of the rows that are there a viewer wants that has none.

        Raises
        ------
        NoSuchRun
        TrackingError
            The database cannot be used.
        """
        place = (tenant, run_id)
        channel = self._channels.get(place)
        if channel is None:
            kind = RunsChannel if run_id is None else RunChannel
            channel = self._channels[place] = kind(self._store.of(tenant), run_id=run_id, readers=self._readers)
        channel.viewers += 1
        try:
            if await channel.open():
                self._change_reader.add(channel)
            if newest is not None and not after:
                after = await channel.start_of(newest)
            yield Viewer(channel, after=after, heartbeat_s=self._heartbeat_s)
        finally:
            channel.viewers -= 1
            if not channel.viewers:
                self._change_reader.remove(channel)
                del self._channels[place]
