"""`say_once`: what people should know of the data they train on, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

_unsaid: ContextVar[bool] = ContextVar("unsaid", default=False)


def say_once(notes: Sequence[str], *, origin: str) -> None:
    """Print notes on stderr, each once a process: the same data is opened several times.

    Parameters
    ----------
    origin : str
        What the notes are about.
    """
    if _unsaid.get():
        return
    for note in notes:
        _say(f"note: {origin}: {note}")


@contextmanager
def unsaid() -> Iterator[None]:
    """Print no notes meanwhile: the data is a run's, and the process that started the run prints them."""
    before = _unsaid.set(True)
    try:
        yield
    finally:
        _unsaid.reset(before)


@lru_cache(maxsize=1024)
def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
