"""`receive`: writes an upload to disk as it comes, whole or not at all, without holding up other requests."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from shared.runtime.files import replacing

MOST_UPLOADS = 8  # under way in one server
MOST_OF_TENANT = 2  # of them
LEAST_RATE = 1000  # bytes/s; a slower upload is ended
_PART = 2**20  # bytes that are written at once
_TOLD_S = 1.0
T = TypeVar("T")


class SlowUpload(Exception):
    """Nothing or too little has come for too long."""


class WrongSize(Exception):
    """Other than as many bytes as were announced have come."""


async def receive(
    parts: AsyncIterator[bytes],
    path: Path,
    *,
    size: int,
    idle_s: float,
    tell: Callable[[int], None],
    thread: Executor,
) -> str:
    """Write an upload.

    Parameters
    ----------
    parts : async iterator of bytes
        The body, however it is cut.
    path : Path
        Of the file, which only this user can read; its folder is made.
    size : int
        Bytes that were announced; no more are written.
    idle_s : float, seconds
        How long to wait for the next part.
    tell : callable
        Called in the thread with the number of bytes that have come, about once a second.
    thread : Executor
        A single thread, of this upload; see `in_order`.

    Returns
    -------
    str
        SHA-256, hex.

    Raises
    ------
    SlowUpload
        Nothing has come for `idle_s`, or less than `LEAST_RATE` over as long.
    WrongSize
    DiskError
    ClientDisconnect
    """
    digest, received, waiting, told = hashlib.sha256(), 0, bytearray(), time.monotonic()
    window_began, window_bytes = told, 0
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack = ExitStack()
    try:
        file = await in_order(thread, stack.enter_context, replacing(path, mode=0o600))

        def write(content: bytes) -> None:
            file.write(content)
            digest.update(content)

        while (part := await _next(parts, idle_s)) is not None:
            received += len(part)
            if received > size:
                raise WrongSize(f"more than the {size:,} bytes came that were announced")
            window_bytes += len(part)
            if (took := time.monotonic() - window_began) >= idle_s:
                if window_bytes < LEAST_RATE * took:
                    raise SlowUpload(
                        f"{window_bytes:,} bytes came in {took:.0f} s, fewer than {LEAST_RATE:,} a second"
                    )
                window_began, window_bytes = time.monotonic(), 0
            waiting += part
            if len(waiting) >= _PART:
                await in_order(thread, write, bytes(waiting))
                waiting.clear()
                if time.monotonic() - told >= _TOLD_S:
                    told = time.monotonic()
                    await in_order(thread, tell, received)
        if received < size:
            raise WrongSize(f"{received:,} bytes came, {size:,} were announced")
        await in_order(thread, write, bytes(waiting))
    except BaseException:
        await in_order(thread, stack.__exit__, *sys.exc_info())
        raise
    await in_order(thread, stack.close)
    return digest.hexdigest()


async def in_order(thread: Executor, work: Callable[..., T], *args: object) -> T:
    """Work in a thread, after what it was given before.

    It is done even if who waits for it is cancelled meanwhile, and before the process exits: an upload that is
    cut by the end of the server leaves nothing.
    """
    return await asyncio.shield(asyncio.wrap_future(thread.submit(work, *args)))


async def _next(parts: AsyncIterator[bytes], idle_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(idle_s):
            return await anext(parts, None)
    except TimeoutError:
        raise SlowUpload(f"nothing came for {idle_s:g} s") from None
