"""`waiting`: says on standard error what a command is busy with."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from shared.runtime.notebook import in_notebook

_SOON_S = 3.0  # without a terminal, what is over by then is not worth a line
_REDRAW_S = 0.5


@contextmanager
def waiting(text: str, *, show: bool = True) -> Iterator[None]:
    """Say what the block does: at once and with the seconds on a terminal, else in a line if it takes long.

    What is said on a terminal is erased at the end. The block must print nothing itself.

    Parameters
    ----------
    text : str
        Such as ``"loading PyTorch"``.
    show : bool
        Without it nothing is said.
    """
    stream = sys.stderr
    if not show or stream is None or in_notebook():
        yield
        return
    live, done = is_live(stream), threading.Event()
    if live:
        _draw(stream, text)
    teller = threading.Thread(target=_tell, args=(stream, text, live, done), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()  # processes that are forked after the block must find no other thread
        if live:
            stream.write("\r\x1b[K")
            stream.flush()


def is_live(stream: TextIO) -> bool:
    """Whether what is written can be written over: a terminal that knows how."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def duration(seconds: float) -> str:
    """A time for people: ``12 s``, ``3 min``, ``1 h 5 min``.

    Parameters
    ----------
    seconds : float
        At least 0.
    """
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _tell(stream: TextIO, text: str, live: bool, done: threading.Event) -> None:
    began = time.monotonic()
    if not live:
        if not done.wait(_SOON_S):
            print(f"{text} ...", file=stream, flush=True)
        return
    while not done.wait(_REDRAW_S):
        _draw(stream, f"{text} ... {duration(time.monotonic() - began)}")


def _draw(stream: TextIO, text: str) -> None:
    columns = shutil.get_terminal_size().columns
    stream.write(f"\r\x1b[K{text[: max(columns - 1, 1)]}")
    stream.flush()
