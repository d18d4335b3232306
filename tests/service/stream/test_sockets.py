"""The live stream, as a viewer gets it from a real server: every row once, in order, whatever happens."""

from __future__ import annotations

import math
import re
import socket
import threading
from contextlib import ExitStack
from itertools import count, groupby
from pathlib import Path

import jsonschema
import pytest

from service.stream.follower import ROWS_PER_READ
from service.stream.messages import stream_schema
from service.stream.sockets import SEND_S, UVICORN_OPTIONS
from shared.runtime.home import Home
from shared.tracking.rows import ClientRow
from tests.profiles import stored
from tests.service.live_kit import (
    WAIT_S,
    Live,
    Message,
    add_round,
    free_port,
    is_cut,
    new_run,
    of_type,
    point,
    program,
    row_ids,
    serving,
    stalled,
    until,
    up_to,
)

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "stream.md"


@pytest.fixture
def url(home: Home) -> str:
    return home.database_url


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog):
    """No viewer, whatever it does, is worth a warning."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.fixture
def live(url: str):
    with serving(url) as live:
        yield live


class TestOneRun:
    def test_rows_that_are_there_and_rows_that_come(self, store, live):
        run_id = new_run(store)
        store.metrics.add(run_id, [point(round=1), point(round=1, client_id=4, num_examples=9)])
        with live.view(f"/ws/runs/{run_id}") as viewer:
            state, aggregate, client = viewer.take(up_to(2))
            assert (state["type"], state["run"]["status"], state["cursor"]) == (
                "training_mode",
                "running",
                None,
            )
            assert (aggregate["type"], aggregate["round"], aggregate["record"]) == ("round_metrics", 1, None)
            assert aggregate["rows"] == [
                {
                    "id": 1,
                    "client_id": None,
                    "round": 1,
                    "epoch": None,
                    "stage": "val",
                    "name": "accuracy",
                    "value": 0.5,
                    "num_examples": None,
                    "time": "2026-01-02T12:00:00.123456Z",
                }
            ]
            assert (client["type"], client["client_id"], client["rows"][0]["num_examples"]) == (
                "client_metrics",
                4,
                9,
            )
            store.metrics.add(run_id, [point(round=2)])
            (later,) = viewer.take(up_to(3))
            assert (later["run_id"], later["cursor"], row_ids([later])) == (run_id, 3, [3])

    def test_a_cursor_leaves_out_what_the_viewer_has(self, store, live):
        run_id = new_run(store)
        store.metrics.add(run_id, [point(round=number) for number in range(1, 11)])
        for after in range(11):
            with live.view(f"/ws/runs/{run_id}?after={after}") as viewer:
                store.metrics.add(run_id, [point(round=1, epoch=after)])
                newest = store.metrics.cursor(run_id)
                assert row_ids(viewer.take(up_to(newest))) == list(range(after + 1, newest + 1))

    def test_a_viewer_gets_the_rows_of_its_run_only(self, store, live):
        one, other = new_run(store), new_run(store)
        with live.view(f"/ws/runs/{one}") as viewer, live.view(f"/ws/runs/{other}") as another:
            for number in range(6):
                store.metrics.add((one, other)[number % 2], [point(round=number)])
            for run_id, found in ((one, viewer.take(up_to(5))), (other, another.take(up_to(6)))):
                assert {message["run_id"] for message in found} == {run_id}
                assert row_ids(found) == [row.id for row in store.metrics.of_run(run_id)]

    def test_values_that_are_not_finite_travel_as_null(self, store, live):
        run_id = new_run(store)
        values = (math.nan, math.inf, -math.inf, 1.0)
        store.metrics.add(run_id, [point(value, round=place) for place, value in enumerate(values)])
        with live.view(f"/ws/runs/{run_id}") as viewer:
            rows = [row for message in viewer.take(up_to(4)) for row in message.get("rows", ())]
        assert [row["value"] for row in rows] == [None, None, None, 1.0]
        assert [row.get("not_finite") for row in rows] == ["nan", "inf", "-inf", None]
        assert "not_finite" not in rows[3]

    def test_the_story_of_a_federated_run(self, store, live):
        run_id = new_run(store)
        client = ClientRow(run_id, 0, "77", "north <b>", 10, stored(4, 6))
        with live.view(f"/ws/runs/{run_id}") as viewer:
            (empty,) = viewer.take(of_type("training_mode"))
            assert empty["clients"] == []
            store.clients.add(run_id, [client])
            (roster,) = viewer.take(of_type("training_mode"))
            assert roster["clients"] == [
                {
                    "client_id": 0,
                    "node_id": "77",
                    "name": "north <b>",
                    "num_examples": 10,
                    "profile": {
                        "counts": {"label": {"0": 4, "1": 6}},
                        "spans": {},
                        "missing": {},
                        "moments": {},
                    },
                }
            ]
            add_round(store, run_id, 1)
            told = viewer.take(lambda message: message.get("record") is not None)
            store.metrics.add(run_id, [point(0.9, stage="test")])
            store.runs.finish(run_id, "completed", stop_reason="no progress for 3 rounds")
            told += viewer.take(of_type("training_end"))
        order = [(one["type"], one.get("round")) for one in told if one["type"] != "training_mode"]
        assert [place for place, _ in groupby(order)] == [
            ("client_metrics", 1),
            ("round_metrics", 1),
            ("server_evaluation", 1),
            ("round_metrics", 1),
            ("server_evaluation", None),
            ("early_stopping", None),
            ("training_end", None),
        ]
        (evaluation,) = [found for message in told if (found := message.get("evaluation"))]
        assert (evaluation["loss"], evaluation["true_positives"]) == (0.1, 4)
        assert told[-2]["reason"] == "no progress for 3 rounds"
        assert (told[-1]["status"], told[-1]["run"]["status"]) == ("completed", "completed")
        jsonschema.validate([empty, roster, *told], stream_schema())

    def test_a_centralized_run_that_fails(self, store, live):
        run_id = new_run(store, training_mode="centralized")
        with live.view(f"/ws/runs/{run_id}") as viewer:
            store.metrics.add(run_id, [point(epoch=1, stage="train"), point(epoch=1), point(stage="test")])
            store.runs.finish(run_id, "failed", error="it <i>broke</i>")
            told = viewer.take(of_type("training_end"))
        assert [message["type"] for message in told[1:]] == [
            "epoch_end",
            "epoch_end",
            "server_evaluation",
            "error",
            "training_end",
        ]
        assert [message.get("epoch") for message in told[1:3]] == [1, 1]
        assert told[-2]["message"] == "it <i>broke</i>"
        jsonschema.validate(told, stream_schema())

    def test_a_run_that_had_ended_before_is_served_from_the_cursor_on(self, store, live):
        run_id = new_run(store)
        for number in (1, 2, 3):
            add_round(store, run_id, number)
        store.runs.finish(run_id, "completed")
        with live.view(f"/ws/runs/{run_id}?after=6") as viewer:
            told = viewer.take(of_type("training_end"))
        assert (told[0]["type"], told[0]["run"]["status"]) == ("training_mode", "completed")
        assert row_ids(told) == list(range(7, 13))
        # Row 6 is of round 2, whose record may not have come before the connection was lost.
        assert [message["round"] for message in told if message.get("record")] == [2, 3]
        assert [message["round"] for message in told if message.get("evaluation")] == [2, 3]

    def test_a_resumed_run_goes_on(self, store, live):
        run_id = new_run(store)
        add_round(store, run_id, 1)
        store.runs.finish(run_id, "stopped")
        with live.view(f"/ws/runs/{run_id}") as viewer:
            viewer.take(of_type("training_end"))
            store.runs.claim(run_id, resume=True)
            (again,) = viewer.take(of_type("training_mode"))
            assert again["run"]["status"] == "running"
            add_round(store, run_id, 2)
            store.runs.finish(run_id, "completed")
            told = viewer.take(of_type("training_end"))
        assert row_ids(told) == [5, 6, 7, 8]

    def test_silence_is_broken_by_heartbeats(self, store, url):
        run_id = new_run(store)
        with serving(url, heartbeat_s=0.05) as live, live.view(f"/ws/runs/{run_id}") as viewer:
            (beat,) = viewer.take(of_type("heartbeat"))[1:]
            assert (beat["run_id"], beat["cursor"], beat["database"]) == (run_id, None, "reachable")
            jsonschema.validate([beat], stream_schema())


@pytest.mark.attack
class TestManyRows:
    def test_a_late_viewer_gets_all_while_more_is_written(self, store, live):
        run_id = new_run(store)
        number = 2 * ROWS_PER_READ + 100
        store.metrics.add(run_id, [point(round=0, epoch=epoch) for epoch in range(number)])
        with live.view(f"/ws/runs/{run_id}") as early, live.view(f"/ws/runs/{run_id}?after=7") as late:
            for batch in range(1, 21):
                store.metrics.add(run_id, [point(round=batch, epoch=epoch) for epoch in range(50)])
            assert row_ids(early.take(up_to(number + 1000))) == list(range(1, number + 1001))
            assert row_ids(late.take(up_to(number + 1000))) == list(range(8, number + 1001))

    def test_many_viewers_get_the_same(self, store, live):
        run_id = new_run(store)
        with ExitStack() as stack:
            viewers = [stack.enter_context(live.view(f"/ws/runs/{run_id}")) for _ in range(20)]
            for number in range(1, 21):
                store.metrics.add(run_id, [point(round=number, client_id=client) for client in range(3)])
            assert all(row_ids(viewer.take(up_to(60))) == list(range(1, 61)) for viewer in viewers)

    def test_a_server_that_is_restarted(self, store, url):
        run_id = new_run(store)
        told: list[Message] = []
        for life in range(4):
            add_round(store, run_id, 2 * life)
            with serving(url) as live, live.view(f"/ws/runs/{run_id}?after={newest(told)}") as viewer:
                add_round(store, run_id, 2 * life + 1)
                told += viewer.take(up_to(8 * life + 8))
        assert row_ids(told) == list(range(1, 33))

    @pytest.mark.slow
    def test_a_server_that_is_killed_in_the_middle_of_a_run(self, store, url):
        run_id, port = new_run(store), free_port()
        told: list[Message] = []
        with program("write", url, run_id) as writer:
            for life in range(3):
                with program("serve", url, port) as server:
                    until(lambda: answers(port))
                    with Live(port).view(f"/ws/runs/{run_id}?after={newest(told)}") as viewer:
                        told += viewer.take(up_to(newest(told) + 200))
                        assert writer.poll() is None
                        if life < 2:
                            server.kill()
                            told += viewer.rest()[0]  # what was under way
                        else:
                            writer.stdin.close()
                            told += viewer.take(of_type("training_end"))
            assert writer.wait(WAIT_S) == 0
        stored = store.metrics.of_run(run_id)
        assert row_ids(told) == [row.id for row in stored]
        assert {message["round"] for message in told if message.get("record")} == {row.round for row in stored}
        assert {message["round"] for message in told if message.get("evaluation")} == {
            row.round for row in stored
        }


def newest(told: list[Message]) -> int:
    return max((message["cursor"] or 0 for message in told), default=0)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.attack
class TestViewersThatStopReading:
    def test_within_5_seconds(self):
        assert UVICORN_OPTIONS["ws_ping_interval"] + UVICORN_OPTIONS["ws_ping_timeout"] < 5
        assert SEND_S < 4

    @pytest.mark.parametrize(("rows", "loop"), [(0, "asyncio"), (20_000, "asyncio"), (20_000, "uvloop")])
    def test_one_is_dropped_and_no_other_notices(self, store, url, monkeypatch, rows, loop):
        monkeypatch.setattr("service.stream.sockets.SEND_S", WAIT_S)  # here it is the pings that find out
        run_id = new_run(store)
        store.metrics.add(run_id, [point(epoch=epoch, round=1) for epoch in range(rows)])
        path = f"/ws/runs/{run_id}"
        options = {"ws_ping_interval": 0.2, "ws_ping_timeout": 1.0, "loop": loop}
        with serving(url, uvicorn_options=options) as live:
            with stalled(live.port, path), live.view(f"{path}?after={rows}") as viewer:
                until(lambda: live.hub.watched == {run_id: 2})
                for number in count(2):
                    store.metrics.add(run_id, [point(round=number)])
                    viewer.take(up_to(rows + number - 1))
                    if live.hub.watched == {run_id: 1}:
                        break
            until(lambda: live.hub.watched == {})

    def test_without_pings_a_send_that_takes_too_long(self, store, url, monkeypatch):
        monkeypatch.setattr("service.stream.sockets.SEND_S", 0.2)
        run_id = new_run(store)
        store.metrics.add(run_id, [point(epoch=epoch, round=1) for epoch in range(20_000)])
        with (
            serving(url, uvicorn_options={"ws_ping_interval": None}) as live,
            stalled(live.port, f"/ws/runs/{run_id}") as connection,
        ):
            until(lambda: live.hub.watched == {run_id: 1})
            until(lambda: live.hub.watched == {})
            until(lambda: is_cut(connection))


@pytest.mark.attack
class TestClosing:
    @pytest.mark.parametrize("run_id", ["1", "0", "99999999999999999999", "x", "-1"])
    def test_no_such_run(self, store, live, run_id):
        store.runs.search()
        with live.view(f"/ws/runs/{run_id}") as viewer:
            assert viewer.rest() == ([], 4404)
        assert live.hub.watched == {}

    @pytest.mark.parametrize("after", ["-1", "x", "", "1.5", str(2**63)])
    def test_a_cursor_that_is_none(self, store, live, after):
        with live.view(f"/ws/runs/{new_run(store)}?after={after}") as viewer:
            assert viewer.rest() == ([], 1008)

    def test_what_viewers_say_is_of_no_interest(self, store, live):
        run_id = new_run(store)
        with live.view(f"/ws/runs/{run_id}") as viewer:
            for _ in range(50):
                viewer.connection.send("hello")
                viewer.connection.send(b"hello")
            store.metrics.add(run_id, [point()])
            assert row_ids(viewer.take(up_to(1))) == [1]

    @pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
    def test_the_server_ends(self, store, url, loop):
        run_id = new_run(store)
        store.metrics.add(run_id, [point(epoch=epoch, round=1) for epoch in range(20_000)])
        before = set(threading.enumerate())
        with ExitStack() as stack:
            with serving(url, uvicorn_options={"loop": loop, "ws_ping_interval": None}) as live:
                viewers = [
                    stack.enter_context(live.view(f"/ws/runs{path}")) for path in ("", f"/{run_id}?after=20000")
                ]
                stack.enter_context(stalled(live.port, f"/ws/runs/{run_id}"))
                until(lambda: live.hub.watched == {None: 1, run_id: 2})
                ours = {thread.name for thread in threading.enumerate()}
                assert "fedtwin-changes" in ours
            assert [viewer.rest()[1] for viewer in viewers] == [1001, 1001]
        assert not {thread.name for thread in set(threading.enumerate()) - before if "fedtwin" in thread.name}

    def test_a_viewer_that_says_much(self, store, live):
        with live.view(f"/ws/runs/{new_run(store)}") as viewer:
            viewer.connection.send("x" * 5000)
            assert viewer.rest()[1] == 1009


@pytest.mark.parametrize(("newest", "first"), [("0", 6), ("2", 4), ("5", 1), ("1000", 1)])
def test_a_viewer_can_begin_at_the_newest_rows(store, live, newest, first):
    run_id, other = new_run(store), new_run(store)
    for number in range(1, 6):
        for one in (run_id, other):
            store.metrics.add(one, [point(round=number)])
    ids = [row.id for row in store.metrics.of_run(run_id)]
    with live.view(f"/ws/runs/{run_id}?newest={newest}") as viewer:
        assert viewer.next()["type"] == "training_mode"
        store.metrics.add(run_id, [point(round=6)])
        ids.append(store.metrics.cursor(run_id))
        assert row_ids(viewer.take(lambda message: message["cursor"] == ids[-1])) == ids[first - 1 :]
    # A cursor counts more: who has rows misses none.
    with live.view(f"/ws/runs/{run_id}?newest=1&after={ids[1]}") as viewer:
        assert row_ids(viewer.take(lambda message: message["cursor"] == ids[-1])) == ids[2:]


@pytest.mark.parametrize("newest", ["-1", "x", "9" * 30, ""])
def test_a_number_of_rows_that_is_none_is_refused(store, live, newest):
    with live.view(f"/ws/runs/{new_run(store)}?newest={newest}") as viewer:
        assert viewer.rest() == ([], 1008)


def test_the_client_of_the_documentation(store, live, capsys):
    run_id = new_run(store)
    add_round(store, run_id, 1)
    store.runs.finish(run_id, "completed")
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert (run_id, program.count(":8765")) == (1, 1)
    exec(program.replace(":8765", f":{live.port}"), {})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4]
    assert rows[0] == ["1", "1", "0", "train", "loss", "0.5"]


class TestAllRuns:
    def test_status_of_those_that_are_there_and_those_that_come(self, store, live):
        done, running = new_run(store), new_run(store)
        store.runs.finish(done, "completed")
        with live.view("/ws/runs") as viewer:
            first = viewer.take(lambda message: message["run_id"] == running)
            assert [(message["run_id"], message["run"]["status"]) for message in first] == [
                (done, "completed"),
                (running, "running"),
            ]
            later = new_run(store, training_mode="centralized", config={"trainer": {"max_epochs": 4}})
            (began,) = viewer.take(lambda message: message["run_id"] == later)
            assert (began["type"], began["cursor"]) == ("run_status", None)
            store.metrics.add(later, [point(epoch=2)])
            grown = viewer.take(lambda message: message["run"]["progress"]["done"] == 2)
            assert {message["run_id"] for message in grown} == {later}
            store.runs.finish(running, "failed", error="why not")
            (ended,) = viewer.take(lambda message: message["run_id"] == running)
            assert (ended["run"]["status"], ended["run"]["error"]) == ("failed", "why not")
            jsonschema.validate([*first, began, *grown, ended], stream_schema())

    def test_an_old_run_that_is_resumed_and_ends(self, store, live):
        old = new_run(store)
        store.runs.finish(old, "stopped")
        for _ in range(60):
            store.runs.finish(new_run(store), "completed")
        with live.view("/ws/runs") as viewer:
            listed = viewer.take(lambda message: message["run_id"] == 61)
            assert len(listed) == 50
            store.runs.claim(old, resume=True)
            (again,) = viewer.take(lambda message: message["run_id"] == old)
            assert again["run"]["status"] == "running"
            store.runs.finish(old, "completed")
            (ended,) = viewer.take(lambda message: message["run_id"] == old)
            assert ended["run"]["status"] == "completed"
