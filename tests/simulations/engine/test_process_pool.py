"""`ProcessPoolGrid`: replies from other processes, each once; a worker that dies; nothing left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

from simulations.engine.nodes import CLIENT_APP_RAISED
from simulations.engine.process_pool import ProcessPoolGrid
from simulations.engine.shared_memory import BufferReader, SharedBuffer, SharedObject, pickle_without_arrays

APP = "tests.simulations.engine.apps:app"
WAIT_S = 60


@pytest.fixture(scope="module")
def engine() -> Iterator[ProcessPoolGrid]:
    with ProcessPoolGrid(APP, num_clients=5, workers=2, node_configs={1: {"site": "north"}}) as started:
        yield started


def content(value: float = 1.0, size: int = 3, **order: str | int) -> RecordDict:
    arrays = ArrayRecord({"w": Array(np.full(size, value, np.float32)), "none": Array(np.empty(0))})
    return RecordDict({"model": arrays, "order": ConfigRecord({"x": 1, **order})})


def ask(engine: ProcessPoolGrid, sent: RecordDict, kind: str = MessageType.TRAIN) -> list[Message]:
    """Replies in the order of the nodes."""
    # One by one, as `RoundGrid` does.
    ids = [engine.push_messages([Message(sent, node, kind)])[0] for node in engine.get_node_ids()]
    replies: dict[str, Message] = {}
    deadline = time.monotonic() + WAIT_S
    while len(replies) < len(ids):
        assert time.monotonic() < deadline
        engine.wait(0.2)
        for reply in engine.pull_messages(ids):
            assert reply.metadata.reply_to_message_id not in replies
            replies[reply.metadata.reply_to_message_id] = reply
    assert engine.pull_messages(ids) == []
    return [replies[message_id] for message_id in ids]


def test_every_node_answers_with_its_own_config_and_array(engine: ProcessPoolGrid) -> None:
    sent = content(2.0)
    replies = ask(engine, sent)
    answers = [reply.content.metric_records["answer"] for reply in replies]
    assert [answer["partition"] for answer in answers] == [0, 1, 2, 3, 4]
    assert [reply.metadata.src_node_id for reply in replies] == engine.get_node_ids()
    values = [reply.content.array_records["model"]["w"].numpy().tolist() for reply in replies]
    assert values == [[2.0 + place] * 3 for place in range(5)]
    assert sent.config_records["order"]["x"] == 1, "what was sent is the sender's"
    assert os.getpid() not in {answer["process"] for answer in answers}


def test_a_nodes_state_follows_it_from_worker_to_worker(engine: ProcessPoolGrid) -> None:
    before, after = ([reply.content.metric_records["answer"] for reply in ask(engine, content())] for _ in "12")
    assert [two["calls"] for two in after] == [int(str(one["calls"])) + 1 for one in before]


def test_arrays_of_another_size_take_the_place_of_the_last_ones(engine: ProcessPoolGrid) -> None:
    for size, value in ((100_000, 1.0), (10, 2.0), (200_000, 3.0)):
        for place, reply in enumerate(ask(engine, content(value, size))):
            array = reply.content.array_records["model"]["w"].numpy()
            assert array.shape == (size,)
            assert (array == value + place).all()
    assert len(engine._loaded) == 1, "one buffer serves all rounds"


def test_what_a_client_raises_is_an_error_reply(engine: ProcessPoolGrid) -> None:
    for reply in ask(engine, content(), MessageType.QUERY):
        assert reply.has_error()
        assert reply.error.code == CLIENT_APP_RAISED
        assert "ValueError: no luck" in (reply.error.reason or "")


def test_messages_are_handed_out_in_the_order_in_which_they_were_pushed() -> None:
    with ProcessPoolGrid(APP, num_clients=4, workers=1) as engine:
        order = [engine.get_node_ids()[place] for place in (2, 0, 3, 1)]
        ids = engine.push_messages([Message(content(), node, MessageType.TRAIN) for node in order])
        replies: list[Message] = []
        deadline = time.monotonic() + WAIT_S
        while len(replies) < len(ids):
            assert time.monotonic() < deadline
            engine.wait(0.2)
            replies += engine.pull_messages(ids)
    ended = {reply.metadata.src_node_id: reply.content.metric_records["answer"]["ended"] for reply in replies}
    assert sorted(order, key=lambda node: float(str(ended[node]))) == order


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_dies_is_replaced_and_its_message_tried_once_more(
    times: int, engine: ProcessPoolGrid, tmp_path: Path
) -> None:
    sent = content(victim=3, times=times, deaths=str(tmp_path / "deaths"))
    replies = ask(engine, sent, MessageType.EVALUATE)
    assert [reply.has_error() for reply in replies] == [False, False, False, times == 2, False]
    if times == 2:
        assert "the client's process died twice (signal 9)" in (replies[3].error.reason or "")
    assert (tmp_path / "deaths").read_text() == "x" * times
    assert len(ask(engine, content())) == 5, "the engine goes on"


@pytest.mark.parametrize(("gpu", "method"), [(True, "forkserver"), (False, "fork")])
def test_where_there_is_a_gpu_no_worker_is_forked_from_a_process_that_may_have_asked_for_it(
    gpu: bool, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[str] = []
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # the tests' own time limit is a thread
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(ProcessPoolGrid, "_start", lambda self, method: methods.append(method))
    with ProcessPoolGrid(APP, num_clients=2, workers=2):
        pass
    assert methods == [method, method]


def test_nothing_is_left_when_it_ends(tmp_path: Path) -> None:
    before = open_files()
    with ProcessPoolGrid(APP, num_clients=2, workers=2) as engine:
        ask(engine, content())
        processes = [psutil.Process(worker.process.pid) for worker in engine._workers]
        engine.push_messages([Message(content(), node, MessageType.TRAIN) for node in engine.get_node_ids()])
        engine.wait(0)  # they are at work
    assert not any(process.is_running() for process in processes)
    assert open_files() == before


def open_files() -> tuple[set[tuple[int, str]], int]:
    """Which files this process has open (not how far it is in them: a log grows), and all its descriptors."""
    process = psutil.Process()
    return {(file.fd, file.path) for file in process.open_files()}, process.num_fds()


def test_a_parcel_has_the_arrays_beside_the_rest() -> None:
    buffer, reader = SharedBuffer(), BufferReader()
    thing = (content(5.0, 1000), "text")
    rest, arrays = pickle_without_arrays(thing)
    assert len(rest) < 1000
    received = SharedObject(buffer.path, buffer.fill(arrays), rest)
    back, text = reader.read(received)
    assert text == "text"
    assert (back.array_records["model"]["w"].numpy() == 5.0).all()
    assert back.array_records["model"]["none"].numpy().shape == (0,)
    buffer.fill([Array(np.zeros(1000, np.float32))])
    assert (back.array_records["model"]["w"].numpy() == 5.0).all(), "a copy: the buffer is filled anew"
    reader.close()
    buffer.close()
    with pytest.raises(OSError, match=r".*"):
        BufferReader().read(received)
