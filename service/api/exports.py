"""`Exports`: takes turns among downloads, so that they hold up neither each other nor other requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

MOST_EXPORTS = 16  # under way; each holds a page of rows, however slowly it is read


class Exports:
    """One part of one download is made at a time; a reader who is slow holds up nobody.

    Attributes
    ----------
    waiting : int
        Downloads under way.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._turn = asyncio.Lock()

    async def paced(self, begin: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
        """Parts of a download, each made in a thread when it is due.

        Parameters
        ----------
        begin : callable
            Called in a thread; what it returns makes the parts.
        """
        self.waiting += 1
        try:
            async with self._turn:
                parts = await run_in_threadpool(begin)
            while True:
                async with self._turn:
                    part = await run_in_threadpool(next, parts, None)
                if part is None:
                    return
                yield part
        finally:
            self.waiting -= 1


def exports_of(app: FastAPI) -> Exports:
    """Those of a server."""
    if not hasattr(app.state, "exports"):
        app.state.exports = Exports()
    found: Exports = app.state.exports
    return found
