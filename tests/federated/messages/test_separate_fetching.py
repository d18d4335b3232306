"""Replies whose arrays come late, never or broken, beside others: Flower's own grid, a SuperLink's answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MessageType, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import PullObjectResponse
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PullAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.run import Run
from flwr.superlink.grid import HttpGrid

from federated.messages import separate_fetching
from federated.messages.separate_fetching import SeparateFetching

pytestmark = pytest.mark.attack


def values(name: str) -> np.ndarray:
    """Another array for each name: equal ones would be one object to Flower."""
    return np.frombuffer(name.encode() * 4, dtype=np.uint8).astype(np.float32)


class SuperLink:
    """A SuperLink's answers: replies, of which some have arrays that are not there yet, or are no arrays.

    Real objects and messages of Flower's; only the network between is left out.
    """

    def __init__(self) -> None:
        self.headers: dict[str, PullAppMessagesResponse] = {}
        self.objects: dict[str, bytes] = {}
        self.there = threading.Event()  # what is withheld
        self.withheld: set[str] = set()
        self.confirmed: list[str] = []
        self.asked: list[list[str]] = []
        self.fetching = 0

    def reply(self, to: str, *, withheld: bool = False, broken: bool = False) -> None:
        content = RecordDict({"arrays": ArrayRecord({to: Array(values(to))})})
        metadata = Metadata(1, "", 7, 1, to, "1", time.time(), 3600.0, MessageType.TRAIN)
        message = make_message(metadata=metadata, content=content)
        message.metadata.__dict__["_message_id"] = message.object_id
        objects = get_all_nested_objects(message)
        for object_id, nested in objects.items():
            self.objects[object_id] = nested.deflate()
            is_array = isinstance(nested, Array)
            if withheld and is_array:
                self.withheld.add(object_id)
            if broken and is_array:
                self.objects[object_id] = self.objects[object_id][:-5] + b"what?"
        self.headers[to] = PullAppMessagesResponse(
            messages_list=[message_to_proto(remove_content_from_message(message))],
            message_object_trees=[get_object_tree(message)],
        )

    def PullMessages(self, request: PullAppMessagesRequest) -> PullAppMessagesResponse:
        self.asked.append(list(request.message_ids))
        found = PullAppMessagesResponse()
        for message_id in request.message_ids:
            if (header := self.headers.pop(message_id, None)) is not None:
                found.MergeFrom(header)
        return found

    def PullObject(self, request: Any) -> PullObjectResponse:
        there = request.object_id not in self.withheld or self.there.is_set()
        content = self.objects[request.object_id] if there else b""
        return PullObjectResponse(object_found=True, object_available=there, object_content=content)

    def ConfirmMessageReceived(self, request: Any) -> None:
        self.confirmed.append(request.message_object_id)


@pytest.fixture
def link() -> Iterator[SuperLink]:
    link = SuperLink()
    yield link
    link.there.set()  # threads that wait go on


@pytest.fixture
def grid(link: SuperLink) -> SeparateFetching:
    inner = HttpGrid(token="none")
    inner._client = link  # type: ignore[assignment]
    inner.set_run(Run.create_empty(1))
    return SeparateFetching(inner)


@pytest.fixture
def pull(grid: SeparateFetching) -> Callable[..., dict[str, Message]]:
    """Poll until so many replies are there; gives them by what they answer."""

    def poll(*ids: str, number: int) -> dict[str, Message]:
        found: dict[str, Message] = {}
        deadline = time.monotonic() + 20
        while len(found) < number:
            assert time.monotonic() < deadline, f"only {sorted(found)} came"
            for message in grid.pull_messages([id_ for id_ in ids if id_ not in found]):
                found[message.metadata.reply_to_message_id] = message
            grid.wait(0.01)
        return found

    return poll


def test_who_withholds_its_arrays_holds_nobody_else(
    link: SuperLink, grid: SeparateFetching, pull: Callable[..., dict[str, Message]]
) -> None:
    link.reply("slow", withheld=True)
    for name in ("a", "b"):
        link.reply(name)
    began = time.monotonic()
    found = pull("slow", "a", "b", number=2)
    assert time.monotonic() - began < 5
    assert sorted(found) == ["a", "b"]
    for name, message in found.items():
        assert np.array_equal(message.content.array_records["arrays"][name].numpy(), values(name))
    link.reply("c")  # and in the next round neither
    assert list(pull("slow", "c", number=1)) == ["c"]
    assert sum("slow" in asked for asked in link.asked) == 1, (
        "a reply that is being fetched is not asked for again"
    )
    link.there.set()
    late = pull("slow", number=1)["slow"]
    assert np.array_equal(late.content.array_records["arrays"]["slow"].numpy(), values("slow"))
    assert len(link.confirmed) == 4


def test_a_reply_that_cannot_be_read_is_an_error_of_its_sender_alone(
    link: SuperLink, pull: Callable[..., dict[str, Message]], monkeypatch: pytest.MonkeyPatch
) -> None:
    link.reply("good")
    link.reply("bad", broken=True)
    found = pull("good", "bad", number=2)
    assert found["good"].has_content()
    bad = found["bad"]
    assert "cannot be read" in bad.error.reason


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_are_fetched_at_a_time_than_is_set(
    link: SuperLink,
    grid: SeparateFetching,
    pull: Callable[..., dict[str, Message]],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    monkeypatch.setattr(separate_fetching, "MOST_AT_A_TIME", most)
    names, running, peak, fetch = [f"r{number}" for number in range(8)], [0], [0], grid._fetch

    def counted(announced: PullAppMessagesResponse) -> list[Message]:
        running[0] += 1
        peak[0] = max(peak[0], running[0])
        time.sleep(0.02)
        found = fetch(announced)
        running[0] -= 1
        return found

    monkeypatch.setattr(grid, "_fetch", counted)
    for name in names:
        link.reply(name)
    assert len(pull(*names, number=len(names))) == len(names)
    assert 1 <= peak[0] <= most
    deadline = time.monotonic() + 20
    while grid._workers:  # none stays when there is nothing to fetch
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lost_connection_is_raised(link: SuperLink, grid: SeparateFetching) -> None:
    link.reply("a")
    link.PullObject = lost  # type: ignore[method-assign]

    def pull_twice() -> None:  # the first finds it lost already, or only announces the reply
        for _ in range(2):
            assert grid.pull_messages(["a"]) == []
            grid.wait(20)

    with pytest.raises(ConnectionError, match="gone"):
        pull_twice()


def lost(_request: SimpleNamespace) -> PullObjectResponse:
    raise ConnectionError("gone")
