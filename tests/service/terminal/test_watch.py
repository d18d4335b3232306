"""``fedtwin watch`` on a real server and a real database: in this process, through pipes and on a terminal."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from select import select

import pytest

from service.app import create_app
from service.settings import Settings
from service.terminal.embedded_server import embedded_server, serves_run
from service.terminal.state import RunState
from service.terminal.stream_client import StreamError
from service.terminal.watch import watch
from shared.metrics.point import MetricPoint
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.rows import ClientRow
from shared.tracking.store import Store
from tests.profiles import stored
from tests.service.server_kit import serving

ROOT = Path(__file__).parents[3]
CONFIG = {"data": {"name": "digits"}, "federation": {"num_rounds": 3}, "trainer": {"monitor": "val/accuracy"}}
WAIT_S = 60.0  # for what takes a moment


def begin(store: Store, **changes) -> int:
    given = {"name": "digits", "training_mode": "federated", "config": CONFIG, "seed": 7}
    return store.runs.create(**{**given, **changes})


def add_round(store: Store, run_id: int, number: int, *, failed: dict[int, str] | None = None) -> None:
    now = datetime.now(UTC)
    values = {0: number / 10, 1: number / 10 + 0.01, None: number / 10}
    points = [
        MetricPoint("val", "accuracy", value, client_id=client_id, round=number)
        for client_id, value in values.items()
    ]
    store.metrics.add(run_id, points)
    store.rounds.add(
        run_id,
        round=number,
        began=now,
        ended=now,
        sampled=[0, 1],
        replied=[0],
        failed=failed or {},
        bytes_down=10,
        bytes_up=10,
        seconds=0.1,
    )


def finished(store: Store, status: str = "completed", **changes) -> int:
    run_id = begin(store)
    store.clients.add(
        run_id, [ClientRow(run_id, client, "9", f"site-{client}", 5, stored(2, 3)) for client in (0, 1)]
    )
    for number in (1, 2, 3):
        add_round(store, run_id, number, failed={1: "NaN in conv1.weight"} if number == 2 else None)
    store.runs.finish(run_id, status, **changes)
    return run_id


@pytest.fixture
def server(home: Home) -> Iterator[tuple[str, str]]:
    """Its address and its token."""
    with embedded_server(home) as found:
        yield found


@contextmanager
def command(*arguments: str, **options) -> Iterator[subprocess.Popen]:
    """``fedtwin watch``, on this home; ended with the block if it has not by itself."""
    line = [sys.executable, "-m", "fedtwin", "watch", *arguments]
    with subprocess.Popen(line, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class TestLines:
    def test_every_row_is_a_line_of_json_once_and_in_order(self, store, server, capsys):
        run_id = finished(store)
        assert watch(run_id, url=server[0], token=server[1], format="jsonl") == 0
        messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert messages[0]["type"] == "training_mode"
        assert [client["name"] for client in messages[0]["clients"]] == ["site-0", "site-1"]
        assert messages[-1]["type"] == "training_end"
        assert messages[-1]["status"] == "completed"
        ids = [row["id"] for message in messages for row in message.get("rows", ())]
        assert ids == [row.id for row in store.metrics.of_run(run_id)]
        assert len(ids) == 9

    def test_of_a_long_run_the_newest_rows_are_read_and_the_best_value_is_that_of_all(
        self, store, server, capsys, monkeypatch
    ):
        run_id = begin(store)
        for number, value in enumerate([0.1, 0.96, *[0.5] * 20], 1):
            store.metrics.add(run_id, [MetricPoint("val", "accuracy", value, round=number)])
        store.runs.finish(run_id, "completed")
        monkeypatch.setattr("service.terminal.watch.NEWEST", 10)
        read = []
        monkeypatch.setattr(RunState, "_take_row", lambda self, row: read.append(row["id"]))
        assert watch(run_id, url=server[0], token=server[1]) == 0
        assert read == [row.id for row in store.metrics.of_run(run_id)][-10:]
        assert watch(run_id, url=server[0], token=server[1], format="jsonl") == 0
        assert len(read) == 10 + 22
        monkeypatch.undo()
        monkeypatch.setattr("service.terminal.watch.NEWEST", 10)
        capsys.readouterr()
        assert watch(run_id, url=server[0], token=server[1]) == 0
        assert "0.96" in capsys.readouterr().out

    def test_a_run_that_goes_on_is_followed_to_its_end(self, store, server, capsys):
        run_id = begin(store)

        def train() -> None:
            for number in (1, 2, 3):
                add_round(store, run_id, number)
                time.sleep(0.05)
            store.runs.finish(run_id, "completed")

        training = threading.Thread(target=train)
        training.start()
        try:
            assert watch(run_id, url=server[0], token=server[1], format="jsonl") == 0
        finally:
            training.join()
        messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        ids = [row["id"] for message in messages for row in message.get("rows", ())]
        assert ids == [row.id for row in store.metrics.of_run(run_id)]

    def test_the_exit_status_tells_how_the_run_ended(self, store, server, capsys):
        failed = finished(store, "failed", error="QuorumError: 1 of 2")
        stopped = finished(store, "stopped", stop_reason="interrupted by the user")
        url, token = server
        for format in ("jsonl", "live"):
            assert watch(failed, url=url, token=token, format=format) == 1
            assert watch(stopped, url=url, token=token, format=format) == 3

    def test_a_pipe_that_is_closed_ends_it_quietly(self, store, server):
        run_id = finished(store)
        url, token = server
        pipe = subprocess.PIPE
        with command(
            str(run_id), "--url", url, "--token", token, "--format", "jsonl", stdout=pipe, stderr=pipe
        ) as process:
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(WAIT_S) == 141

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_quietly(self, store, server, number):
        run_id = begin(store)
        url, token = server
        pipe = subprocess.PIPE
        with command(
            str(run_id),
            "--url",
            url,
            "--format",
            "jsonl",
            stdout=pipe,
            stderr=pipe,
            env={**os.environ, "FEDTWIN_TOKEN": token},
        ) as process:
            assert json.loads(process.stdout.readline())["type"] == "training_mode"
            process.send_signal(number)
            assert process.wait(WAIT_S) == 130
            assert process.stderr.read() == b""


class TestServer:
    def test_without_a_server_it_brings_its_own(self, store, capsys):
        run_id = finished(store)
        assert watch(run_id) == 0
        page = capsys.readouterr().out
        assert "round 3 of 3" in page
        assert "round 2: site-1 dropped: NaN in conv1.weight" in page
        threads = [thread.name for thread in threading.enumerate()]
        assert "fedtwin-server" not in threads

    def test_a_run_that_is_not_there_is_named(self, store, server):
        begin(store)
        with pytest.raises(TrackingError, match="no run 7"):
            watch(7)
        with pytest.raises(StreamError, match="no such run"):
            watch(7, url=server[0], token=server[1])

    def test_a_server_that_refuses_or_is_not_there_is_named(self, store, server):
        run_id = begin(store)
        with pytest.raises(StreamError, match="--token"):
            watch(run_id, url=server[0], token="not the token of it")
        with pytest.raises(StreamError, match="no fedtwin server at "):
            watch(run_id, url="http://127.0.0.1:9")

    def test_a_server_shows_a_run_only_if_it_is_the_same(self, store, server, home, tmp_path):
        run = store.runs.get(begin(store))
        with Store(f"sqlite:///{tmp_path / 'another.db'}") as another:
            other = another.runs.get(begin(another))
        assert other.id == run.id
        with serving(create_app(Settings(database_url=home.database_url, home=home))) as port:
            assert serves_run(f"http://127.0.0.1:{port}", run, timeout_s=WAIT_S)
            assert not serves_run(f"http://127.0.0.1:{port}", other, timeout_s=WAIT_S)
        assert not serves_run("http://127.0.0.1:9", run)
        assert not serves_run(server[0], run, timeout_s=WAIT_S)  # it wants a token

    def test_neither_torch_nor_the_server_is_loaded_for_one_elsewhere(self):
        code = "import service.terminal.watch, sys"
        code += "; print(*{'fastapi', 'sqlalchemy', 'hydra', 'torch'} & {*sys.modules})"
        code += "; import service.terminal.embedded_server; assert 'torch' not in sys.modules"
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert result.stdout.split() == []


class TestComparison:
    def test_its_runs_are_listed(self, store, server, capsys):
        parent = begin(store, training_mode="compare")
        child = begin(store, training_mode="centralized", parent_id=parent)
        for run_id in (child, parent):
            store.runs.finish(run_id, "completed")
        assert watch(parent, url=server[0], token=server[1]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [str(child), "pooled", "7", "completed"] in [row[:4] for row in rows]


class Terminal:
    """The other side of a terminal: what a program has drawn, without its control sequences."""

    def __init__(self, *, width: int, height: int) -> None:
        self.ours, self.theirs = pty.openpty()
        self.drawn = ""
        self.decode = codecs.getincrementaldecoder("utf-8")().decode
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read_until(self, pattern: str) -> str:
        """Everything that came since the last call, up to where it matches."""
        start, until = len(self.drawn), time.monotonic() + WAIT_S
        while not re.search(pattern, self.drawn[start:]):
            assert time.monotonic() < until, self.drawn[start:]
            if select([self.ours], [], [], 0.1)[0]:
                self.drawn += self.decode(os.read(self.ours, 65536))
        return self.drawn[start:]

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


def terminal_environment(*, token: str) -> dict[str, str]:
    # COLUMNS and LINES, which some runners set, would stand above the size of the terminal.
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return {**kept, "TERM": "xterm-256color", "FEDTWIN_TOKEN": token}


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal(width=90, height=30)
    yield opened
    opened.close()


class TestTerminal:
    def test_a_run_is_drawn_while_it_goes_on_and_its_end_stays(self, store, server, terminal):
        run_id = begin(store)
        add_round(store, run_id, 1)
        options = {"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs}
        environment = terminal_environment(token=server[1])
        with command(str(run_id), "--url", server[0], env=environment, **options) as process:
            frame = terminal.read_until("round 1 of 3")
            assert "\x1b[?1049h" in frame  # the terminal's other screen
            add_round(store, run_id, 2, failed={1: "NaN in conv1.weight"})
            terminal.read_until("(?s)round 2 of 3.*NaN in conv1.weight")
            terminal.resize(40, 20)
            until, widths = time.monotonic() + WAIT_S, [90]
            while max(widths) > 40:  # a frame may have been on its way
                assert time.monotonic() < until, widths
                frame = terminal.read_until(r"(?s)\x1b\[H.*\x1b\[H").split("\x1b[H")[1]
                widths = [len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)) for line in frame.splitlines()]
            terminal.resize(90, 30)
            store.runs.finish(run_id, "completed")
            terminal.read_until(r"(?s)\x1b\[\?1049l.*completed.*NaN in conv1.weight")
            assert process.wait(WAIT_S) == 0

    def test_ctrl_c_gives_the_terminal_back(self, store, server, terminal):
        run_id = begin(store)
        options = {"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs}
        environment = terminal_environment(token=server[1])
        with command(str(run_id), "--url", server[0], env=environment, **options) as process:
            terminal.read_until("running")
            process.send_signal(signal.SIGINT)
            frame = terminal.read_until(r"(?s)\x1b\[\?1049l.*\x1b\[\?25h|\x1b\[\?25h.*\x1b\[\?1049l")
            assert "Traceback" not in frame
            assert process.wait(WAIT_S) == 130
