"""What commands print of a stored comparison, on narrow terminals and in encodings without arrows: complete."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from fedtwin.cli.run_page import run_page
from shared.metrics.gap import stored_gap
from shared.runtime.home import open_home
from shared.runtime.output import survive_encoding
from shared.tracking import show
from shared.tracking.store import Store
from simulations.report.terminal import print_comparison


@pytest.fixture
def store(comparison, folder, monkeypatch):
    monkeypatch.setenv("FEDTWIN_HOME", str(folder))
    with Store(open_home().database_url) as store:
        yield store


def printed(draw, *, width, encoding="utf-8"):
    survive_encoding()  # which knows what replaces an arrow
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, errors="fedtwin-plain")
    console = Console(file=stream, width=width, color_system=None)
    draw(console)
    stream.flush()
    return buffer.getvalue().decode(encoding)


def drawings(store, comparison):
    yield lambda console: console.print(show.runs_table(store.runs.search()))
    for row in store.runs.search():
        yield lambda console, id=row.id: console.print(run_page(store, id))
    yield lambda console: print_comparison(console, comparison.run.id, store=store, home=open_home())


@pytest.mark.parametrize("width", [30, 60, 80])
def test_nothing_is_cut_off_or_too_wide(store, comparison, width):
    for draw in drawings(store, comparison):
        text = printed(draw, width=width)
        paths = ("/", "runs ", "clients ")  # one line to copy, which a terminal wraps
        long = [line for line in text.splitlines() if len(line) > width]
        assert [line for line in long if not any(path in line for path in paths)] == []
        if width <= 80:
            assert "\u2026" not in text


@pytest.mark.parametrize("width", [30, 60, 120])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_number_of_the_gap_is_there(store, comparison, width, encoding):
    text = printed(
        lambda console: print_comparison(console, comparison.run.id, store=store, home=open_home()),
        width=width,
        encoding=encoding,
    )
    rows = stored_gap(store.runs.get(comparison.run.id).summary)
    text = " ".join(text.split())  # a long name may wrap
    assert [word for row in rows for word in row.title.split() if word not in text] == []
    assert " ".join(text.split()).count("worse") >= 1
    text.encode(encoding)


def test_no_colour_is_honoured(store, comparison, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    print_comparison(console, comparison.run.id, store=store, home=open_home())
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-8]|9\d)m", stream.getvalue())  # bold and italic may be
