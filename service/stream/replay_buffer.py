"""`ReplayBuffer`: the newest messages of a channel, encoded once for all viewers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.stream.messages import Message, WithRows, to_frame, to_json

FRAME_CHARS = 2**16  # small enough for a slow connection to receive a whole frame before the send timeout


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in JSON; ``first`` and ``last`` are the ids of its rows, None if it has none."""

    text: str
    first: int | None
    last: int | None

    @classmethod
    def of(cls, message: Message) -> Entry:
        """Encode a message."""
        rows = message.rows if isinstance(message, WithRows) else []
        return cls(to_json(message), rows[0].id if rows else None, rows[-1].id if rows else None)


@dataclass(frozen=True, slots=True)
class Frame:
    """Messages sent together as one WebSocket frame.

    Attributes
    ----------
    text : str
        A JSON array.
    count : int
        Its messages.
    first, cursor : int or None
        Its first and its last row, if it has any.
    """

    text: str
    count: int
    first: int | None = None
    cursor: int | None = None


def frames(entries: Iterable[Entry]) -> Iterator[Frame]:
    """Join messages into frames of bounded size."""
    some: list[Entry] = []
    size = 0
    for entry in entries:
        if some and size + len(entry.text) > FRAME_CHARS:
            yield _join(some)
            some, size = [], 0
        some.append(entry)
        size += len(entry.text)
    if some:
        yield _join(some)


class ReplayBuffer:
    """Keeps the newest messages; not thread-safe.

    Parameters
    ----------
    most_entries, most_chars : int
        Capacity; the oldest messages are dropped first, the newest one never.

    Attributes
    ----------
    start, end : int
        Positions of the oldest message and of the next one to come. A viewer whose position is before ``start``
        must read the database.
    """

    def __init__(self, *, most_entries: int = 1024, most_chars: int = 2**22) -> None:
        self._most_entries, self._most_chars = most_entries, most_chars
        self._entries: deque[Entry] = deque()
        self._chars = 0
        self._frames: dict[int, Frame] = {}  # by position, shared by all viewers there
        self.start = self.end = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Append messages."""
        self._frames.clear()
        for entry in entries:
            self._entries.append(entry)
            self._chars += len(entry.text)
            self.end += 1
        while len(self._entries) > self._most_entries or (
            self._chars > self._most_chars and len(self._entries) > 1
        ):
            self._chars -= len(self._entries.popleft().text)
            self.start += 1

    def next(self, position: int, *, after: int) -> tuple[int, Frame | None]:
        """The next frame for a viewer.

        Parameters
        ----------
        position : int
            The viewer's position, from ``start`` to ``end``.
        after : int
            The viewer's cursor; messages whose rows it has are skipped.

        Returns
        -------
        tuple of int and Frame
            The viewer's next position, and what to send, if anything. The position is before ``start`` if the
            viewer has some, but not all rows of a message.
        """
        while position < self.end:
            new = self._frame_from(position)
            if new.first is None or new.first > after:
                return position + new.count, new
            # The viewer read some of these rows from the database just before they were added here.
            entry = self._entries[position - self.start]
            if entry.last is None:
                return position + 1, _join([entry])
            if entry.last > after:
                return self.start - 1, None
            position += 1
        return position, None

    def _frame_from(self, position: int) -> Frame:
        found = self._frames.get(position)
        if found is None:
            entries = (self._entries[at - self.start] for at in range(position, self.end))
            found = self._frames[position] = next(frames(entries))
        return found


def _join(entries: list[Entry]) -> Frame:
    firsts = (entry.first for entry in entries if entry.first is not None)
    lasts = (entry.last for entry in reversed(entries) if entry.last is not None)
    text = to_frame(entry.text for entry in entries)
    return Frame(text, len(entries), first=next(firsts, None), cursor=next(lasts, None))
