"""The live page as a user has it: a `fedtwin serve` that can be killed, and Chromium pages that take notes.

A plugin of pytest, as `finished_kit` is: ``pytest_plugins = ["tests.e2e.page_kit", "tests.e2e.finished_kit"]``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, WebSocket, expect

from shared.tracking.rows import MetricRow
from tests.service.server_kit import chromium

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_S = 120.0  # at most, for what takes a moment
LOOK_MS = 50
POSIX = "en-US@posix"  # what versions of Chromium report where LANG is C.UTF-8; Intl refuses it
# Kept in the page itself, as looking from outside could miss what is there for a moment.
NOTES = """
window.notes = { rows: [], said: [] };
new MutationObserver(() => {
  const { rows } = document.body?.dataset ?? {};
  if (rows !== undefined && Number(rows) !== notes.rows.at(-1)) notes.rows.push(Number(rows));
  const said = document.getElementById("announcer")?.textContent;
  if (said && said !== notes.said.at(-1)) notes.said.push(said);
}).observe(document, { attributes: true, attributeFilter: ["data-rows"], childList: true, subtree: true });
"""


class Server:
    """``fedtwin serve`` on a home, in a process of its own; started again, it has the same address.

    Parameters
    ----------
    home : Path
    """

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FEDTWIN_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fedtwin", "serve", "--port", str(self.port)],
            env={**environment, "FEDTWIN_HOME": str(self.home), "PYTHONPATH": str(REPOSITORY)},
            cwd=self.home.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        match = re.fullmatch(r"live page: http://127\.0\.0\.1:(\d+)/\n", line)
        assert match, f"the server did not start: {line!r}"
        self.port = int(match[1])

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with self._process as process:
                process.send_signal(number)
                try:
                    process.wait(30)
                finally:
                    process.kill()
            self._process = None


class Held(NamedTuple):
    """What the page of a run says that it holds."""

    rows: int
    cursor: int
    repeated: int


@dataclass
class Visit:
    """A page in a browser context of its own, and what it asked for, was sent and complained about.

    Attributes
    ----------
    page : Page
    urls : list of str
        Of all requests and WebSockets.
    complaints : list of str
        Console errors, exceptions and dialogs.
    frames : list of str
        What came over WebSockets, in its order.
    expected : Pattern, optional
        Complaints that belong to the test.
    """

    page: Page
    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    expected: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        page = self.page
        page.on("request", self._note_request)
        page.on("websocket", self._note_socket)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("dialog", self._note_dialog)
        page.add_init_script(NOTES)

    def _note_request(self, request: Request) -> None:
        self.urls.append(request.url)

    def _note_socket(self, socket: WebSocket) -> None:
        self.urls.append(socket.url)
        socket.on("framereceived", self._note_frame)

    def _note_frame(self, payload: str | bytes) -> None:
        self.frames.append(payload if isinstance(payload, str) else payload.decode())

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location.get('url')})")

    def _note_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @property
    def foreign(self) -> list[str]:
        """Addresses that are not on this machine."""
        own = (("data", "blob"), ("127.0.0.1",))
        parts = [(url, urlsplit(url)) for url in self.urls]
        return [url for url, part in parts if part.scheme not in own[0] and part.hostname not in own[1]]

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.complaints if not (self.expected and self.expected.search(text))]

    def check(self) -> None:
        """No request left the machine, and there is nothing to complain about."""
        assert self.foreign == []
        assert self.unexpected == []

    def until(self, true: Callable[[], object], what: str) -> None:
        """Wait in the test's process: the page's policy forbids what Playwright's own waiting does."""
        late = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < late, f"not in time: {what}; {self.complaints}"
            self.page.wait_for_timeout(LOOK_MS)

    def held(self) -> Held:
        values = self.page.evaluate("({...document.body.dataset})")
        return Held(*(int(values.get(name, -1)) for name in Held._fields))

    def until_held(self, rows: list[MetricRow]) -> None:
        """Wait until the page has exactly these rows."""
        whole = Held(rows=len(rows), cursor=rows[-1].id, repeated=0)
        self.until(lambda: self.held().cursor >= whole.cursor, f"row {whole.cursor}")
        assert self.held() == whole

    def streamed(self) -> list[int]:
        """Ids of the rows that came over WebSockets, of all runs, in the order in which they came."""
        messages = [message for frame in self.frames for message in json.loads(frame)]
        return [row["id"] for message in messages for row in message.get("rows", [])]

    def noted(self, what: str) -> list[Any]:
        """``rows`` (how many the page held, each time that changed) or ``said`` (to screen readers)."""
        values: list[Any] = self.page.evaluate(f"notes.{what}")
        return values

    def chart(self, title: str) -> Locator:
        """A chart by its heading, in view and drawn."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        figure = self.page.locator("figure.chart", has=heading).first
        drawn = figure.locator("svg.main-svg").first

        def look() -> bool:
            # Again and again: what is drawn above it in the meantime moves it out of view.
            figure.locator(".plot").scroll_into_view_if_needed()
            return drawn.is_visible()

        self.until(look, f"the chart {title!r}")
        return figure

    def table_of(self, chart: Locator) -> list[list[str]]:
        """Cells of the data table behind a chart."""
        button = chart.get_by_role("button", name="Data of")
        if button.get_attribute("aria-expanded") == "false":
            button.click()
        lines = chart.locator("tbody tr")
        return [line.locator("th, td").all_inner_texts() for line in lines.all()]

    def sideways(self) -> tuple[int, int]:
        """How wide the document is, and how wide the window."""
        wide, window = self.page.evaluate(
            "[Math.max(document.documentElement.scrollWidth, document.body.scrollWidth), window.innerWidth]"
        )
        return wide, window


Open = Callable[..., Visit]


@pytest.fixture(scope="module")  # not longer: a second Playwright, of another module, cannot be beside it
def chrome() -> Iterator[Browser]:
    """Chromium on a machine without a locale."""
    expect.set_options(timeout=1000 * WAIT_S)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("LANGUAGE", "LC_ALL"):
                patch.delenv(name, raising=False)
            patch.setenv("LANG", "C.UTF-8")
            browser = stack.enter_context(chromium())
        yield browser


@pytest.fixture
def visit(chrome: Browser) -> Iterator[Open]:
    """Open an address; at the end of the test nothing was fetched from outside and nothing complained."""
    with ExitStack() as stack:
        visits: list[Visit] = []

        def start(url: str, **options: Any) -> Visit:
            usual = {"viewport": {"width": 1280, "height": 900}, "locale": POSIX}
            context = chrome.new_context(**{**usual, **options})
            stack.callback(context.close)
            context.set_default_timeout(1000 * WAIT_S)
            visits.append(Visit(context.new_page()))
            visits[-1].page.goto(url)
            return visits[-1]

        yield start
        for one in visits:
            one.check()


@contextmanager
def served(home: Path) -> Iterator[Server]:
    """A server on a new home."""
    home.mkdir()
    server = Server(home)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def live(home: Path) -> Iterator[Server]:
    """A server on the test's own home, in which nothing has run yet."""
    with served(home) as server:
        yield server


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a home to which each test of a file adds runs of its own."""
    with served(tmp_path_factory.mktemp("shown") / "home") as server:
        yield server
