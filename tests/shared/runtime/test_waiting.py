"""What is said while one waits: at once on a terminal, elsewhere only of long waits; nothing is left behind."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from shared.runtime import waiting as module
from shared.runtime.waiting import duration, waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def at_terminal(monkeypatch):
    """Make standard error a terminal; called in the test, since pytest sets the stream anew before it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    return stream


def test_a_terminal_sees_it_at_once_and_then_no_more(monkeypatch):
    terminal = at_terminal(monkeypatch)
    with waiting("loading"):
        assert "loading" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "\n" not in terminal.getvalue()


def test_a_terminal_sees_the_seconds(monkeypatch):
    terminal = at_terminal(monkeypatch)
    monkeypatch.setattr(module, "_REDRAW_S", 0.01)
    with waiting("loading"):
        until = time.monotonic() + 30
        while " ... 0 s" not in terminal.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert "loading ... 0 s" in terminal.getvalue()


def test_elsewhere_a_short_wait_is_not_told(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    monkeypatch.setattr(module, "_SOON_S", 60)
    with waiting("loading"):
        pass
    assert stream.getvalue() == ""


def test_elsewhere_a_long_wait_is_a_line(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    monkeypatch.setattr(module, "_SOON_S", 0.0)
    with waiting("loading"):
        until = time.monotonic() + 30
        while not stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert stream.getvalue() == "loading ...\n"


def test_no_thread_is_left_for_a_fork_to_inherit(monkeypatch):
    terminal = at_terminal(monkeypatch)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), waiting("loading"):
        raise KeyboardInterrupt
    assert threading.active_count() == before
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_narrow_terminal_keeps_it_on_one_line(monkeypatch):
    terminal = at_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "20")
    with waiting("loading " * 10):
        pass
    drawn = terminal.getvalue().split("\x1b[K")
    assert max(len(text.strip("\r")) for text in drawn) < 20


def test_a_terminal_that_cannot_write_over_a_line_gets_lines(monkeypatch):
    terminal = at_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with waiting("loading"):
        pass
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "60 s"), (99, "99 s"), (120, "2 min"), (3_600, "60 min"), (7_500, "2 h 5 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
