"""`Ring`: the last messages of a channel, already in JSON, from which each viewer takes what it has not had."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.stream.messages import Message, WithRows, encode, frame

FRAME_CHARS = 2**16  # so that a viewer on a slow line gets whole frames, and is not taken for one that left


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
        return cls(encode(message), rows[0].id if rows else None, rows[-1].id if rows else None)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is sent at once.

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
    """Join messages to frames of a bounded size."""
    some: list[Entry] = []
    size = 0
    for entry in entries:
        if some and size + len(entry.text) > FRAME_CHARS:
            yield _joined(some)
            some, size = [], 0
        some.append(entry)
        size += len(entry.text)
    if some:
        yield _joined(some)


class Ring:
    """Keeps the newest messages; for one thread.

    Parameters
    ----------
    most_entries, most_chars : int
        What it holds at most; the oldest messages give way, but not the newest one.

    Attributes
    ----------
    start, end : int
        Places: of the oldest message, and of the one that comes next. A viewer whose place is before ``start``
        has to read the database.
    """

    def __init__(self, *, most_entries: int = 1024, most_chars: int = 2**22) -> None:
        self._most_entries, self._most_chars = most_entries, most_chars
        self._entries: deque[Entry] = deque()
        self._chars = 0
        self._frames: dict[int, Frame] = {}  # by place, so that viewers at one place share them
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

    def next(self, place: int, *, after: int) -> tuple[int, Frame | None]:
        """What a viewer has not had.

        Parameters
        ----------
        place : int
            The viewer's, from ``start`` to ``end``.
        after : int
            The viewer's cursor; messages whose rows it has are left out.

        Returns
        -------
        tuple of int and Frame
            The viewer's next place, and what to send, if anything. The place is before ``start`` if the viewer
            has a part of a message.
        """
        while place < self.end:
            rest = self._rest(place)
            if rest.first is None or rest.first > after:
                return place + rest.count, rest
            # It read some of these rows from the database, just before they came here.
            entry = self._entries[place - self.start]
            if entry.last is None:
                return place + 1, _joined([entry])
            if entry.last > after:
                return self.start - 1, None
            place += 1
        return place, None

    def _rest(self, place: int) -> Frame:
        found = self._frames.get(place)
        if found is None:
            entries = (self._entries[at - self.start] for at in range(place, self.end))
            found = self._frames[place] = next(frames(entries))
        return found


def _joined(entries: list[Entry]) -> Frame:
    firsts = (entry.first for entry in entries if entry.first is not None)
    lasts = (entry.last for entry in reversed(entries) if entry.last is not None)
    text = frame(entry.text for entry in entries)
    return Frame(text, len(entries), first=next(firsts, None), cursor=next(lasts, None))
