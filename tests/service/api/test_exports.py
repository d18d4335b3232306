"""Downloads take turns: how many there may be, and that nobody who reads slowly holds up another."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from service.api.exports import MOST_EXPORTS, Exports, exports_of
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.service.rows_kit import build_app, new_run
from tests.service.server_kit import serving

pytestmark = pytest.mark.attack


def test_one_part_is_made_at_a_time_and_slow_readers_hold_up_nobody():
    at_once, most = 0, 0

    def parts():
        nonlocal at_once, most
        for number in range(3):
            at_once += 1
            most = max(most, at_once)
            threading.Event().wait(0.005)
            at_once -= 1
            yield b"%d" % number

    async def read_all(exports):
        return b"".join([part async for part in exports.paced(parts)])

    async def check():
        exports = Exports()
        slow = exports.paced(parts)
        assert await anext(slow) == b"0"
        assert await asyncio.gather(*(read_all(exports) for _ in range(5))) == [b"012"] * 5
        assert exports.waiting == 1
        await slow.aclose()
        assert exports.waiting == 0

    asyncio.run(check())
    assert most == 1


def test_more_than_some_are_refused(tmp_path):
    home = Home(root=tmp_path, database_url=f"sqlite:///{tmp_path / 'fedtwin.db'}")
    with Store(home.database_url) as store:
        new_run(store)
        app = build_app(store, home)
        exports_of(app).waiting = MOST_EXPORTS
        with serving(app) as port:
            path = f"http://127.0.0.1:{port}/api/runs/1/export"
            answer = httpx.get(path, trust_env=False, timeout=30)
            assert (answer.status_code, "exports are under way" in answer.json()["detail"]) == (503, True)
            exports_of(app).waiting = 0
            assert httpx.get(path, trust_env=False, timeout=30).status_code == 200
        assert exports_of(app).waiting == 0
