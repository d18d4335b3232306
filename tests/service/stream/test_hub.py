"""The hub: channels while somebody watches, frames that viewers share, and viewers that fall behind."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from functools import partial

import pytest

from service.stream.channel import NoSuchRun
from service.stream.hub import Hub
from service.stream.replay_buffer import FRAME_CHARS, Entry, ReplayBuffer, frames
from shared.runtime.errors import TrackingError
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT, Tenant
from tests.service.live_kit import POLL_S, WAIT_S, Message, add_round, new_run, of_type, point, row_ids, up_to

Frames = AsyncGenerator[str, None]


def entry(first: int | None = None, last: int | None = None, *, text: str = "{}") -> Entry:
    return Entry(text, first, last)


class TestRing:
    def test_places_stay_when_old_messages_give_way(self):
        ring = ReplayBuffer(most_entries=2)
        for number in range(1, 6):
            ring.add([entry(number, number, text=str(number))])
        assert (ring.start, ring.end) == (3, 5)
        assert ring.next(3, after=3) == (5, ring.next(3, after=0)[1])
        assert ring.next(3, after=0)[1].text == "[4,5]"
        assert ring.next(4, after=4)[1].text == "[5]"
        assert ring.next(5, after=5) == (5, None)

    def test_holds_a_bounded_number_of_characters_and_always_the_newest_message(self):
        ring = ReplayBuffer(most_chars=10)
        ring.add([entry(text="1234"), entry(text="5678")])
        assert (ring.start, ring.end) == (0, 2)
        ring.add([entry(text="901")])
        assert (ring.start, ring.end) == (1, 3)
        ring.add([entry(text="x" * 100)])
        assert (ring.start, ring.end) == (3, 4)

    def test_a_frame_is_made_once(self):
        ring = ReplayBuffer()
        ring.add([entry(1, 1), entry(2, 5)])
        (place, frame), (_, same) = ring.next(0, after=0), ring.next(0, after=0)
        assert frame is same
        assert (place, frame.first, frame.cursor) == (2, 1, 5)
        ring.add([entry()])
        assert ring.next(0, after=0)[0] == 3

    @pytest.mark.parametrize(
        ("after", "sent"),
        [
            (0, ["[A,b,C,D]"]),
            (1, []),  # it has row 1 of A's rows 1 and 2
            (2, ["[b,C,D]"]),
            (3, ["[b,C,D]"]),
            (4, ["[b]"]),
            (7, ["[b]"]),
            (8, ["[b]", "[D]"]),
            (9, ["[b]"]),
        ],
    )
    def test_what_a_viewer_has_is_left_out(self, after, sent):
        ring = ReplayBuffer()
        ring.add([entry(1, 2, text="A"), entry(text="b"), entry(4, 8, text="C"), entry(9, 9, text="D")])
        place, found = 0, []
        while ring.start <= place < ring.end:
            place, frame = ring.next(place, after=after)
            found += [frame.text] if frame else []
        assert found == sent
        assert (place < ring.start) == (after in (1, 4, 7))

    def test_frames_are_of_a_bounded_size(self):
        large = "x" * (FRAME_CHARS - 1)
        found = list(frames([entry(1, 1), entry(text=large), entry(2, 3, text=large), entry(4, 4, text="y")]))
        assert [(one.count, one.first, one.cursor) for one in found] == [(1, 1, 1), (1, None, None), (2, 2, 4)]
        assert list(frames([])) == []


async def take(viewer: Frames, done: Callable[[Message], bool]) -> list[Message]:
    """Messages up to the end of the frame that has the first one that is ``done``."""
    taken: list[Message] = []
    async with asyncio.timeout(WAIT_S):
        while not any(map(done, taken)):
            taken += json.loads(await anext(viewer))
    return taken


async def join(stack: AsyncExitStack, hub: Hub, run_id: int | None, *, after: int = 0) -> Frames:
    viewer = await stack.enter_async_context(hub.watch(DEFAULT, run_id, after=after))
    return await stack.enter_async_context(aclosing(viewer.frames()))


class TestHub:
    def test_looks_at_a_run_only_while_somebody_watches_it(self, store):
        one, other = new_run(store), new_run(store)

        async def watch() -> None:
            async with Hub(store, poll_s=POLL_S) as hub:
                assert hub.watched == {}
                async with (
                    hub.watch(DEFAULT, one),
                    hub.watch(DEFAULT, one),
                    hub.watch(DEFAULT, other),
                    hub.watch(DEFAULT, None),
                ):
                    assert hub.watched == {one: 2, other: 1, None: 1}
                assert hub.watched == {}
                async with AsyncExitStack() as stack:  # again, after all had left
                    viewer = await join(stack, hub, one)
                    await take(viewer, of_type("training_mode"))
                    await asyncio.to_thread(store.metrics.add, one, [point()])
                    assert row_ids(await take(viewer, up_to(1))) == [1]

        asyncio.run(watch())
        assert not [thread for thread in threading.enumerate() if "fedtwin" in thread.name]

    def test_viewers_at_one_place_share_what_they_are_sent(self, store):
        run_id = new_run(store)

        async def watch() -> None:
            async with Hub(store, poll_s=POLL_S) as hub, AsyncExitStack() as stack:
                viewers = [await join(stack, hub, run_id) for _ in range(3)]
                states = await asyncio.gather(*map(anext, viewers))
                await asyncio.to_thread(store.metrics.add, run_id, [point()])
                rows = await asyncio.gather(*map(anext, viewers))
                for same in (states, rows):
                    assert all(text is same[0] for text in same)

        asyncio.run(watch())

    def test_a_viewer_behind_the_ring_reads_the_database(self, store, monkeypatch):
        monkeypatch.setattr("service.stream.channel.ReplayBuffer", partial(ReplayBuffer, most_entries=3))
        run_id = new_run(store)

        async def watch() -> None:
            async with Hub(store, poll_s=POLL_S) as hub, AsyncExitStack() as stack:
                slow, fast = [await join(stack, hub, run_id) for _ in range(2)]
                taken = await take(slow, of_type("training_mode"))
                seen = await take(fast, of_type("training_mode"))
                for number in range(1, 6):
                    await asyncio.to_thread(add_round, store, run_id, number)
                    seen += await take(fast, up_to(4 * number))
                taken += await take(slow, up_to(20))
                assert row_ids(taken) == row_ids(seen) == list(range(1, 21))
                assert {one["round"] for one in taken if one.get("record")} >= {1, 2, 3, 4}

        asyncio.run(watch())

    def test_viewers_who_come_at_any_moment_miss_nothing(self, store):
        run_id = new_run(store)
        last = 4 * 20

        def write() -> None:
            for number in range(1, 21):
                add_round(store, run_id, number)

        async def follow(hub: Hub, after: int) -> None:
            async with AsyncExitStack() as stack:
                viewer = await join(stack, hub, run_id, after=after)
                told = await take(viewer, up_to(last))
                assert row_ids(told) == list(range(after + 1, last + 1))
                records = {message["round"] for message in told if message.get("record")}
                assert records >= set(range((after + 3) // 4, 20)) - {0}

        async def watch() -> None:
            async with Hub(store, poll_s=0.001) as hub, asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.to_thread(write))
                for _ in range(10):
                    tasks.create_task(follow(hub, await asyncio.to_thread(store.metrics.cursor, run_id)))
                    tasks.create_task(follow(hub, 0))
                    await asyncio.sleep(0.01)

        asyncio.run(watch())

    def test_no_such_run(self, store):
        there = new_run(store)

        async def watch() -> None:
            async with Hub(store, poll_s=POLL_S) as hub:
                with pytest.raises(NoSuchRun, match="no run 5"):
                    await hub.watch(DEFAULT, 5).__aenter__()
                with pytest.raises(NoSuchRun):  # it is another tenant's
                    await hub.watch(Tenant("other"), there).__aenter__()
                assert hub.watched == {}

        asyncio.run(watch())

    def test_a_database_that_cannot_be_reached(self, tmp_path):
        async def watch() -> None:
            with Store(f"sqlite:///{tmp_path / 'missing' / 'fedtwin.db'}") as store:
                async with Hub(store, poll_s=POLL_S) as hub:
                    for run_id in (1, None):
                        with pytest.raises(TrackingError, match="cannot use the tracking database"):
                            await hub.watch(DEFAULT, run_id).__aenter__()
                    assert hub.watched == {}

        asyncio.run(watch())

    def test_its_end_ends_what_viewers_are_sent(self, store):
        run_id = new_run(store)

        async def watch() -> None:
            async with AsyncExitStack() as stack:
                async with Hub(store, poll_s=POLL_S) as hub:
                    viewer = await join(stack, hub, run_id)
                    await anext(viewer)
                    following = asyncio.create_task(anext(viewer, "the end"))
                    await asyncio.sleep(0)
                assert await following == "the end"

        asyncio.run(watch())
