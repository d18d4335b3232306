"""Progress of reading without a terminal: nothing of a short task, few lines of a long one."""

from __future__ import annotations

import io
import sys

from shared.data import progress
from shared.data.progress import progress_bar


def test_a_long_task_tells_how_far_it_is_and_what_is_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with progress_bar("decoding images", total=1_000, show=True) as advance:
        for second in range(1, 51):
            now[0] = float(second)
            advance(20)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "decoding images: 60 of 1,000, about 47 s left",  # 20 a second
        "decoding images: 660 of 1,000, about 17 s left",
    ]


def test_a_short_task_tells_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with progress_bar("decoding images", total=2, show=True) as advance:
        advance(2)
    assert stream.getvalue() == ""


def test_nothing_is_told_where_it_is_not_wanted(monkeypatch):
    monkeypatch.setattr(progress, "_SOON_S", 0.0)
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    with progress_bar("decoding images", total=2, show=False) as advance:
        advance(2)
    assert stream.getvalue() == ""
