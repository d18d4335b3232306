"""What signals do to a process that trains or serves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

BY_USER = "interrupted by the user"
_reasons = [BY_USER]  # the last is why this process was interrupted; only its main thread writes it


def why_interrupted() -> str:
    """Why this process was interrupted: by its user, unless a signal of `interrupt_on` said otherwise."""
    return _reasons[-1]


@contextmanager
def interrupt_on(signum: signal.Signals, *, reason: str) -> Iterator[None]:
    """Within the block, in the main thread, a signal does what Ctrl-C does, for a reason of its own.

    Parameters
    ----------
    reason : str
        What `why_interrupted` says from then to the end of the block.
    """

    def interrupt(signum: int, frame: FrameType | None) -> None:
        _reasons.append(reason)
        raise KeyboardInterrupt

    before, previous = len(_reasons), signal.signal(signum, interrupt)
    try:
        yield
    finally:
        signal.signal(signum, previous)
        del _reasons[before:]


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Within the block, SIGTERM (of systemd, Slurm, ``docker stop``, Ray) does what Ctrl-C does, once.

    Those send it to each process of a group, and a guard passes its own on: a second one must not interrupt
    what the first one began, such as writing that the run is stopped. It does nothing until the outermost block
    ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signal handlers belong to the main thread, whose owner decides
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous in (_interrupt, _pass):
        yield  # within another block
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, _pass)
    raise KeyboardInterrupt


def _pass(signum: int, frame: FrameType | None) -> None:
    """Unlike SIG_IGN, it is not inherited by programs that are started."""
