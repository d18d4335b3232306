"""Progress as people see it: what part is done, how long it will take, and remarks that stay."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from shared.tracking import progress
from shared.tracking.progress import Bars, Lines, left_s


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "left"),
    [(0, 10, 5.0, None), (2.5, 10, 5.0, 15.0), (9, 10, 9.0, 1.0), (10, 10, 9.0, None)],
)
def test_the_time_left_follows_from_the_pace(done, total, elapsed, left):
    assert left_s(done, total, elapsed) == left


def test_lines_are_few_and_tell_the_time_left(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    update = Lines().task("pooled", total=4)
    for second in range(101):
        clock[0] = float(second)
        update(second / 50, f"accuracy 0.{second // 50}")
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines if "of the next" not in line] == ["0/4", "1/4", "2/4"]
    assert "about 2 min left" in lines[-1]  # 100 s for two of four
    within = [line for line in lines if "of the next" in line]
    assert len(within) == 2  # after 30 s without a line, in either step
    assert "60% of the next" in within[0]


def test_what_is_waited_for_before_the_first_step_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    update = Lines().task("federated", total=4)
    for note in ("starting", "starting", "flwr run", "waiting"):
        update(0, note)
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["starting", "run", "waiting"]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_bars_stay_on_a_line_each(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with Bars(console) as board:
        update = board.task("federated (seed 1)", total=10)
        update(3.5, "2 of 4 clients trained  test/loss 0.1234  test/accuracy 0.9876")
        board.say("client-1 dropped")
    text = console.file.getvalue()
    assert "client-1 dropped" in text
    last = text.rpartition("federated")[2].split("\n")[0]
    assert "3/10" in last
