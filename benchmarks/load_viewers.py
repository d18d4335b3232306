"""Viewers of the load test: many WebSockets in one process that check every row and its delay."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import sys
import time
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

AT_ONCE = 50  # connections that are being opened
LONGEST_WAIT_S = 15.0


class Frame(NamedTuple):
    """What a frame holds: ids of rows, times of updates (seconds since 1970), whether the run has ended."""

    ids: tuple[int, ...]
    times: tuple[float, ...]
    ended: bool


@lru_cache(maxsize=64)
def decode(text: bytes) -> Frame:
    """Decode a frame, once for all viewers that get the same one: they must leave the server its cores.

    Parameters
    ----------
    text : bytes
    """
    messages = json.loads(text)
    rows = [row for message in messages for row in message.get("rows", ())]
    moments = dict.fromkeys(row["time"] for row in rows)
    return Frame(
        tuple(row["id"] for row in rows),
        tuple(datetime.fromisoformat(moment).timestamp() for moment in moments),
        any(message["type"] == "training_end" for message in messages),
    )


class Viewer:
    """One viewer, which comes back at its cursor when it loses its connection.

    Parameters
    ----------
    url : str
        Of the run's stream.
    opening : Semaphore
        Shared with the others: so many connect at the same time.
    """

    def __init__(self, url: str, *, opening: asyncio.Semaphore) -> None:
        self.url, self.opening = url, opening
        self.cursor = self.rows = self.repeated = self.lost = 0
        self.delays: list[float] = []
        self.greeted = asyncio.Event()

    async def view(self) -> None:
        """Read until the run has ended."""
        failures = 0
        while True:
            try:
                async with self.opening:
                    address = f"{self.url}?after={self.cursor}"
                    connection = await connect(
                        address, proxy=None, ping_interval=None, open_timeout=60, max_size=None
                    )
                async with connection:
                    while True:
                        text = await connection.recv(decode=False)
                        arrived = time.time()
                        failures = 0
                        self.greeted.set()
                        if self.take(decode(text), arrived):
                            return
            except (OSError, InvalidHandshake, ConnectionClosed):
                self.lost += 1
                failures += 1
            await asyncio.sleep(random.uniform(0.0, min(LONGEST_WAIT_S, 0.25 * 2.0**failures)))

    def take(self, frame: Frame, arrived: float) -> bool:
        """Count its rows.

        Parameters
        ----------
        arrived : float
            Seconds since 1970.

        Returns
        -------
        bool
            Whether the run has ended.
        """
        if frame.ids:
            again = sum(number <= self.cursor for number in frame.ids) if frame.ids[0] <= self.cursor else 0
            self.repeated += again
            self.rows += len(frame.ids) - again
            self.cursor = max(self.cursor, frame.ids[-1])
            self.delays += [arrived - moment for moment in frame.times]
        return frame.ended


async def watch(url: str, *, count: int, total: int) -> dict[str, object]:
    """Let viewers watch a run, and say on standard output when all are there.

    Parameters
    ----------
    total : int
        Rows that the run will have.

    Returns
    -------
    dict
        What they saw; delays in milliseconds.
    """
    opening = asyncio.Semaphore(AT_ONCE)
    viewers = [Viewer(url, opening=opening) for _ in range(count)]
    tasks = [asyncio.create_task(viewer.view()) for viewer in viewers]
    for viewer in viewers:
        await viewer.greeted.wait()
    gc.freeze()  # so that the collector does not look through a thousand connections again and again
    before = time.process_time()
    print("ready", flush=True)
    await asyncio.gather(*tasks)
    return {
        "missed": sum(total - viewer.rows for viewer in viewers),
        "repeated": sum(viewer.repeated for viewer in viewers),
        "dropped": sum(viewer.lost > 0 for viewer in viewers),
        "cpu_s": time.process_time() - before,
        "delays_ms": [round(1000 * delay, 1) for viewer in viewers for delay in viewer.delays],
    }


def main() -> None:
    """Watch, and print what was seen as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the run's stream")
    parser.add_argument("--viewers", type=int, required=True)
    parser.add_argument("--total", type=int, required=True, help="rows that the run will have")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    json.dump(asyncio.run(watch(options.url, count=options.viewers, total=options.total)), sys.stdout)


if __name__ == "__main__":
    main()
