"""`Channel`: what the viewers of one run, or of the list of runs, share; `hub` opens and closes it."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Hashable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol, TypeVar

from service.stream.catch_up import read_part, read_runs, read_state
from service.stream.encode import heartbeat
from service.stream.follower import RunFollower, RunsFollower
from service.stream.messages import Message, encode, frame
from service.stream.replay_buffer import Entry, Frame, Ring
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store

SHORTEST_PAUSE_S = 0.05
PAUSE_A_VIEWER_S = 0.0002  # some times what it takes to send one frame to one viewer
RUNS_PAUSE_S = 0.5
ANSWERS = 8  # that are kept at most, and how long
ANSWER_S = 1.0

T = TypeVar("T")


class NoSuchRun(TrackingError):
    """The database has no run of this id."""


class Follower(Protocol):
    """Says what is new."""

    def read(self) -> list[Message]:
        """Messages; none when nothing is left."""
        ...


class Channel(ABC):
    """The newest messages, and whatever is read from the database once for all viewers that ask for it.

    Belongs to the event loop in which it was made, but for what `Tail` calls: ``run_id``, `pause_s`, `read` and
    `reached`.

    Parameters
    ----------
    run_id : int, optional
        None: all runs.
    readers : Executor
        Threads that read the database.

    Attributes
    ----------
    closed : bool
        Viewers are to go.
    news : Event
        Set for a moment when there is something new.
    """

    def __init__(self, store: Store, *, run_id: int | None, readers: Executor) -> None:
        self.run_id = run_id
        self.ring = Ring()
        self.viewers = 0
        self.closed = False
        self.news = asyncio.Event()
        self._store, self._readers = store, readers
        self._loop = asyncio.get_running_loop()
        self._follower: Follower | None = None
        self._answers: dict[Hashable, asyncio.Future[Any]] = {}
        self._reachable = True
        self._beat, self._beat_until = "", 0.0

    @property
    @abstractmethod
    def pause_s(self) -> float:
        """The shortest time between two reads, in seconds."""

    @abstractmethod
    def catch_up(self, cursor: int) -> AsyncGenerator[Frame, None]:
        """What came before the ring's end.

        Raises
        ------
        TrackingError
        """

    @abstractmethod
    def _follow(self) -> Follower:
        """Begin to follow; called in a thread."""

    async def open(self) -> bool:
        """Begin to follow, if nobody has yet.

        Returns
        -------
        bool
            Whether this call did it.

        Raises
        ------
        NoSuchRun
        TrackingError
            The database cannot be used.
        """
        if self._follower is None:
            follower = await self._once("open", self._follow)
            if self._follower is None:
                self._follower = follower
                return True
        return False

    def close(self) -> None:
        """Send the viewers away."""
        self.closed = True
        self._wake()

    def heartbeat(self) -> Frame:
        """A sign of life, made at most once a second."""
        if time.monotonic() >= self._beat_until:
            self._beat = frame([encode(heartbeat(self.run_id, reachable=self._reachable))])
            self._beat_until = time.monotonic() + 1.0
        return Frame(self._beat, 1)

    def read(self) -> bool:
        """Read what is new, and pass it on to the event loop."""
        assert self._follower is not None
        entries = [Entry.of(message) for message in self._follower.read()]
        if entries:
            self._loop.call_soon_threadsafe(self._publish, entries)
        return bool(entries)

    def reached(self, success: bool) -> None:
        """Take note of whether the database can be read."""
        self._loop.call_soon_threadsafe(self._note, success)

    def _publish(self, entries: list[Entry]) -> None:
        self.ring.add(entries)
        self._answers.clear()  # they do not hold what is in the ring now
        self._wake()

    def _note(self, reachable: bool) -> None:
        self._reachable, self._beat_until = reachable, 0.0

    def _wake(self) -> None:
        self.news.set()
        self.news.clear()

    async def _once(self, question: Hashable, ask: Callable[[], T]) -> T:
        """Ask the database in a thread, once for all who want to know before there is something new."""
        if self.closed:
            raise TrackingError("the server ends")
        answer: asyncio.Future[T] | None = self._answers.get(question)
        if answer is None:
            answer = self._loop.run_in_executor(self._readers, ask)
            answer.add_done_callback(partial(self._answered, question))
            self._answers[question] = answer
            if len(self._answers) > ANSWERS:
                del self._answers[next(iter(self._answers))]
        return await asyncio.shield(answer)  # others wait for it too

    def _answered(self, question: Hashable, answer: asyncio.Future[Any]) -> None:
        failed = answer.cancelled() or answer.exception() is not None
        self._loop.call_later(0.0 if failed else ANSWER_S, self._forget, question, answer)

    def _forget(self, question: Hashable, answer: asyncio.Future[Any]) -> None:
        if self._answers.get(question) is answer:
            del self._answers[question]


class RunChannel(Channel):
    """One run."""

    run_id: int

    @property
    def pause_s(self) -> float:
        """Longer with many viewers, so that the event loop is not busy with sending alone."""
        return max(SHORTEST_PAUSE_S, PAUSE_A_VIEWER_S * self.viewers)

    async def catch_up(self, cursor: int) -> AsyncGenerator[Frame, None]:
        """How the run stands, and the rows after a cursor."""
        state = await self._once("state", partial(read_state, self._store, self.run_id))
        for one in state.begin:
            yield one
        complete = False
        while not complete:
            read = partial(read_part, self._store, self.run_id, after=cursor, federated=state.federated)
            part = await self._once(cursor, read)
            for one in part.frames:
                yield one
                cursor = one.cursor or cursor
            complete = part.complete
        for one in state.end:
            yield one

    def _follow(self) -> Follower:
        if self._store.runs.find(self.run_id) is None:
            raise NoSuchRun(f"there is no run {self.run_id}")
        return RunFollower(self._store, self.run_id)


class RunsChannel(Channel):
    """The list of runs; it has no cursor."""

    @property
    def pause_s(self) -> float:
        """Rarely enough for many runs."""
        return max(RUNS_PAUSE_S, PAUSE_A_VIEWER_S * self.viewers)

    async def catch_up(self, cursor: int) -> AsyncGenerator[Frame, None]:
        """How the listed runs stand."""
        for one in await self._once("runs", partial(read_runs, self._store)):
            yield one

    def _follow(self) -> Follower:
        return RunsFollower(self._store)
