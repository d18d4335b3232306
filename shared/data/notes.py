"""`say_once`: what people should know of the data they train on, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache


def say_once(notes: Sequence[str], *, origin: str) -> None:
    """Print notes on stderr, each once a process: the same data is opened several times.

    Parameters
    ----------
    origin : str
        What the notes are about.
    """
    for note in notes:
        _say(f"note: {origin}: {note}")


@lru_cache(maxsize=1024)
def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
