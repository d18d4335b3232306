"""Runs that are watched in a real browser from their start to their end, through the death of the server."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from federated.client.app import app
from federated.server.app import serve
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.rows import MetricRow
from shared.tracking.store import Store
from simulations.engine.in_process import InProcessGrid

if TYPE_CHECKING:
    from tests.e2e.page_kit import Open, Server, Visit

pytest_plugins = ["tests.e2e.page_kit"]
REPOSITORY = Path(__file__).resolve().parents[2]
SERVER_IS_GONE = re.compile(r"net::ERR_(CONNECTION_|EMPTY_RESPONSE|INCOMPLETE_)")
WAIT_S = 120.0
ROUND_SAID = re.compile(r"Round \d of 9 complete, ")
MOVING = "document.getAnimations().length"


@contextmanager
def training(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """``fedtwin`` in a process of its own, which does not outlive the block."""
    child = subprocess.Popen(
        [sys.executable, "-m", "fedtwin", *arguments],
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=Path(environment["FEDTWIN_HOME"]).parent,
        stdout=subprocess.DEVNULL,
    )
    with child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGCONT)
            child.terminate()


class Gate:
    """Holds a federation after some of its rounds (0: before the first), until it is told to go on."""

    def __init__(self, *rounds: int) -> None:
        self._reached = {number: threading.Event() for number in rounds}
        self._open = {number: threading.Event() for number in rounds}

    def say(self, line: str) -> None:
        """What the federation reports to, after each round."""
        match = re.match(r"round (\d+)/", line)
        if match and int(match[1]) in self._open:
            self._reached[int(match[1])].set()
            self.wait_for(int(match[1]))

    def wait(self, number: int) -> None:
        assert self._reached[number].wait(WAIT_S), f"round {number} was not reached"

    def open(self, number: int) -> None:
        self._open[number].set()

    def wait_for(self, number: int) -> None:
        """Until it is opened."""
        assert self._open[number].wait(WAIT_S), f"nobody opened {number}"

    def open_all(self) -> None:
        for event in self._open.values():
            event.set()


def rows_of(home: Path, run_id: int) -> list[MetricRow]:
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        return store.metrics.of_run(run_id)


def status(page: Page) -> Locator:
    return page.locator(".run-badges .status")


def life(page: Page) -> Locator:
    return page.locator(".run-live strong")


def connection(page: Page) -> Locator:
    return page.locator("#connection .connection-text")


def check_whole(seen: Visit, home: Path, run_id: int) -> None:
    """Every row of the database is on the page once, and came over the stream once, in order."""
    rows = rows_of(home, run_id)
    seen.until_held(rows)
    assert seen.streamed() == [row.id for row in rows]


def check_table(seen: Visit, rows: list[MetricRow], *, step: str) -> None:
    """The table behind the accuracy's chart says what the database says."""
    table = seen.table_of(seen.chart("Accuracy"))
    heads = seen.chart("Accuracy").locator("thead th").all_inner_texts()
    named = {"train": "Training", "val": "Validation", "test": "Test"}
    whole = [row for row in rows if (row.name, row.client_id) == ("accuracy", None)]
    for stage in ("train", "val"):
        expected = {getattr(row, step): row.value for row in whole if row.stage == stage}
        column = heads.index(named[stage])
        shown = {int(line[0]): line[column] for line in table if line[column] != "–"}
        assert shown == {number: f"{value:.4f}" for number, value in expected.items()}


def check_picture(seen: Visit, rows: list[MetricRow]) -> None:
    """The comparison's picture gets the accuracy that the database has, without being loaded again."""
    values = [row.value for row in rows if (row.stage, row.name) == ("val", "accuracy")]
    plot = seen.chart("Accuracy (validation)").locator(".plot")
    seen.until(lambda: plot.evaluate("(plot) => plot.data[0].y") == values, f"the picture of {values}")


def test_a_centralized_run_is_watched_from_its_start_to_its_end(
    live: Server, visit: Open, environment: dict[str, str]
) -> None:
    seen = visit(live.url)
    page = seen.page
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    small = ("trainer.max_epochs=12", "model.widths=[2,4]", "model.hidden=8", "trainer.progress=false")
    with training(environment, "centralized", *small, "trainer.early_stopping.enabled=false") as child:
        link = page.locator("a.run-link")
        link.wait_for()
        child.send_signal(signal.SIGSTOP)  # while the viewer finds the way to its page
        link.click()
        expect(status(page)).to_have_text("running")
        expect(life(page)).to_have_text("Live")

        child.send_signal(signal.SIGCONT)
        seen.until(lambda: seen.held().rows > 0, "the first rows")
        child.send_signal(signal.SIGSTOP)  # in the middle
        so_far = rows_of(live.home, 1)
        seen.until_held(so_far)
        expect(status(page)).to_have_text("running")
        done = max(row.epoch or 0 for row in so_far)
        expect(page.locator(".run-steps")).to_have_text(re.compile(f"Epoch ({done - 1}|{done}) of 12"))
        assert seen.streamed() == [row.id for row in so_far]
        compared = visit(f"{live.url}/compare?runs=1&metric=accuracy")
        check_picture(compared, so_far)

        child.send_signal(signal.SIGCONT)
        expect(status(page)).to_have_text("completed")
        assert child.wait(WAIT_S) == 0
    expect(life(page)).to_have_text("Ended")
    check_whole(seen, live.home, 1)
    counts = seen.noted("rows")
    assert counts == sorted(counts)
    assert len(counts) > 2, "rows came bit by bit"
    check_table(seen, rows_of(live.home, 1), step="epoch")
    check_picture(compared, rows_of(live.home, 1))


@contextmanager
def federating(cfg: Config, *, home: Home, gate: Gate) -> Iterator[tuple[int, Future[int]]]:
    """The ServerApp and the ClientApp in a thread, for a run that is pending; does not outlive the block."""
    with Store(home.database_url) as store:
        run_id = store.runs.create(
            name=cfg.name,
            training_mode="federated",
            config=cfg.snapshot(),
            seed=cfg.seed,
            status="pending",
        )
        with ThreadPoolExecutor(1) as pool:

            def run() -> int:
                gate.wait_for(0)
                grid = InProcessGrid(app, num_clients=cfg.federation.num_clients)
                own = cfg.replace("tracking", run_id=run_id)
                return serve(grid, own, store=store, home=home, say=gate.say)

            try:
                yield run_id, pool.submit(run)
            finally:
                gate.open_all()


def test_a_deleted_run_leaves_the_open_list(live: Server, visit: Open) -> None:
    with Store(f"sqlite:///{live.home / 'fedtwin.db'}") as store:
        kept, gone, missed = (
            store.runs.create(name=name, training_mode="centralized", config={}, seed=1)
            for name in ("kept", "gone", "missed")
        )
        for run_id in (kept, gone, missed):
            store.runs.finish(run_id, "completed")
        seen = visit(live.url)
        page = seen.page
        box = {number: page.get_by_role("checkbox", name=f"Select run {number} ") for number in (1, 2, 3)}
        box[gone].check()
        expect(page.get_by_text("1 run selected")).to_be_visible()
        store.runs.delete(gone)
        expect(box[gone]).to_have_count(0)
        expect(page.get_by_role("region", name="Selection")).to_be_hidden()
        assert "select=" not in page.url

        seen.expected = SERVER_IS_GONE
        live.kill()
        store.runs.delete(missed)  # nobody streams it
        live.start()
        expect(box[missed]).to_have_count(0)
        expect(box[kept]).to_be_visible()


def test_a_federated_run_is_watched_through_the_death_of_the_server(
    live: Server,
    visit: Open,
    make_config: Callable[..., Config],
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (live.home / "cache").symlink_to(cache_dir)
    monkeypatch.setenv("FEDTWIN_HOME", str(live.home))
    monkeypatch.delenv("FEDTWIN_DATABASE_URL", raising=False)
    monkeypatch.setattr(logging.getLogger("flwr"), "disabled", True)
    home = Home(root=live.home, database_url=f"sqlite:///{live.home / 'fedtwin.db'}")
    cfg = make_config("partition=stratified", "federation.num_clients=3", "federation.num_rounds=9")
    gate = Gate(0, 3, 6)
    with federating(cfg, home=home, gate=gate) as (run_id, run):
        seen = visit(f"{live.url}/runs/{run_id}")
        page, steps = seen.page, seen.page.locator(".run-steps")
        expect(status(page)).to_have_text("pending")
        expect(life(page)).to_have_text("Live")

        gate.open(0)
        gate.wait(3)
        seen.until_held(rows_of(live.home, run_id))
        expect(status(page)).to_have_text("running")
        expect(steps).to_have_text(re.compile("Round 3 of 9"))
        expect(page.locator(".run-panels > li")).to_have_count(3)
        seen.until(
            lambda: any(ROUND_SAID.match(text) for text in seen.noted("said")), "a round to be announced"
        )
        seen.until(lambda: page.evaluate(MOVING) > 0, "a live run is seen to live")
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate(MOVING) == 0, "but not by whoever wants nothing to move"

        seen.expected = SERVER_IS_GONE
        live.kill()
        expect(connection(page)).to_have_text(re.compile("Reconnecting in"))
        expect(life(page)).to_have_text(re.compile("Connection lost|Connecting"))
        before = seen.held()
        gate.open(3)
        gate.wait(6)  # nobody watches, and the training does not notice
        assert len(rows_of(live.home, run_id)) > before.rows
        assert seen.held() == before

        live.start()
        expect(connection(page)).to_have_text("Live")
        seen.until_held(rows_of(live.home, run_id))
        expect(steps).to_have_text(re.compile("Round 6 of 9"))
        expect(life(page)).to_have_text("Live")

        gate.open(6)
        expect(status(page)).to_have_text("completed")
        assert run.result(WAIT_S) == run_id
    check_whole(seen, live.home, run_id)
    expect(steps).to_have_text(re.compile("Round 9 of 9"))
    check_table(seen, rows_of(live.home, run_id), step="round")
    assert "Connection lost. Showing the latest data received." in seen.noted("said")
