"""Sites and servers that fail, as real processes on machines of their own; every wait is bounded.

Each test prints the times that it saw. Sites that are away for a while are in `test_deploy_sites_away`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from federated.deploy.demo.testbed import SERVER
from shared.tracking.store import Store
from tests.e2e.deploy_kit import SITES, simulate, wait_for
from tests.federated.federation_kit import drops

if TYPE_CHECKING:
    from tests.e2e.fault_kit import Federation

pytest_plugins = ["tests.e2e.fault_kit"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NORTH = SITES[0]


def test_a_slow_site_misses_the_deadline_and_its_late_reply_is_dropped_and_recorded(
    federation: Federation, tmp_path: Path
) -> None:
    """It goes on from the control variate that the server has seen, as in a simulation without that reply."""
    deadline = federation.deadline_s()
    training = ["strategy=scaffold", "federation.num_rounds=4"]
    run_id = federation.begin(*training, f"federation.round_timeout_s={deadline}")
    federation.wait_for_round(run_id, 1)
    held: dict[int, psutil.Process] = {}
    slow_until = time.monotonic() + deadline + 10
    while time.monotonic() < slow_until:
        for process in federation.bed.clients(NORTH):
            if process.pid not in held:  # the last round's may still be about to end
                process.suspend()
                held[process.pid] = process
        time.sleep(0.05)
    for process in held.values():
        with suppress(psutil.NoSuchProcess):
            process.resume()
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert rounds[1].failed == {0: f"train: no reply within {deadline} s"}
    assert deadline - 1 <= rounds[1].seconds < 2 * deadline
    ((number, client_id, seconds),) = federation.values(run_id, "late_reply_seconds")
    assert (number, client_id) == (3, 0)
    assert deadline + 5 < seconds < 3 * deadline
    assert [row.replied for row in rounds] == [[0, 1, 2], [1, 2], [0, 1, 2], [0, 1, 2]]
    without = simulate(tmp_path, *training, client_app=drops(2, 0, how="not-trained"))
    assert federation.digest(run_id) == without


@contextmanager
def held_until_the_next_superlink(federation: Federation, apps: list[psutil.Process]) -> Iterator[None]:
    """A ServerApp that is slow to end must not take the next SuperLink for its own."""
    for process in apps:
        process.suspend()
    yield
    if apps:
        kit = str(federation.bed.kit(SERVER))
        time.sleep(1)  # the dead one does not answer any more
        wait_for(
            "the next SuperLink",
            lambda: federation.bed.run(SERVER, "deploy", "health", kit).returncode == 0,
            timeout=120,
        )
    for process in apps:
        process.resume()


@pytest.mark.parametrize(("killed", "times"), [("flwr-serverapp", 2), ("flower-superlink", 1)])
def test_a_server_killed_in_a_round_goes_on_by_its_supervisor_to_the_same_weights(
    federation: Federation, simulated: str, killed: str, times: int
) -> None:
    run_id = federation.begin()
    for number in range(1, times + 1):
        federation.wait_for_round(run_id, number)
        federation.wait_for_client(NORTH)
        victims = federation.bed.programs(SERVER, killed)
        assert victims
        apps = federation.bed.programs(SERVER, "flwr-serverapp") if killed == "flower-superlink" else []
        with held_until_the_next_superlink(federation, apps):
            for process in victims:
                process.kill()
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert [(row.round, len(row.replied), row.failed) for row in rounds] == [(n, 3, {}) for n in (1, 2, 3)]
    assert federation.digest(run_id) == simulated
    said = federation.bed.log(SERVER).read_text()
    assert said.count(f"run {run_id} was interrupted after round") == times


def test_below_the_quorum_the_run_fails_with_its_reason_within_the_deadline(federation: Federation) -> None:
    deadline = federation.deadline_s()
    run_id = federation.begin("federation.min_replies=3", f"federation.round_timeout_s={deadline}")
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    began = time.monotonic()
    federation.bed.kill_node(NORTH)
    assert federation.end() != 0
    assert time.monotonic() - began < deadline + 40
    run = federation.run(run_id)
    assert run.status == "failed"
    assert run.error is not None
    assert "2 of 3 training replies were valid, federation.min_replies is 3" in run.error
    # Flower takes a site for gone 30 to 60 s after its death, which a longer deadline lets it say first.
    reasons = [f"north: no reply within {deadline} s", *(["north: error 5"] if deadline >= 30 else [])]
    assert any(reason in run.error for reason in reasons)


# What Python reads at its start, at the site with the wrong clock: for the node, which signs and dates
# messages, and for `fedtwin`. libfaketime would shift the clock below Python, but Python's own waits hang or
# fail under it.
SHIFTED_CLOCK = """
import datetime, os, sys, time

OFFSET = float(os.environ["CLOCK_OFFSET"])
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


class Shifted(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + datetime.timedelta(seconds=OFFSET)


if any(part.endswith(("flower-supernode", "fedtwin")) for part in sys.orig_argv):
    time.time = lambda: _time() + OFFSET
    time.time_ns = lambda: _time_ns() + int(OFFSET * 1e9)
    datetime.datetime = Shifted
"""


@pytest.fixture
def clock_off(federation: Federation, tmp_path: Path) -> Iterator[Callable[[int], dict[str, str]]]:
    """Start the northern site anew with a clock that is off by seconds; afterwards it is right again."""
    (tmp_path / "sitecustomize.py").write_text(SHIFTED_CLOCK)

    def set_clock(seconds: int) -> dict[str, str]:
        path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        more = {"CLOCK_OFFSET": str(seconds), "PYTHONPATH": os.pathsep.join(path)}
        federation.bed.stop(NORTH)
        federation.bed.start(NORTH, more=more)
        return more

    yield set_clock
    federation.bed.stop(NORTH)
    federation.bed.start(NORTH)


def test_a_clock_that_is_off_changes_no_order_and_one_that_is_far_off_is_named(
    federation: Federation, simulated: str, clock_off: Callable[[int], dict[str, str]]
) -> None:
    more = clock_off(-600)
    checked = federation.bed.run(NORTH, "deploy", "check", str(federation.bed.kit(NORTH)), more=more)
    assert checked.returncode == 1
    assert "its signatures would be refused" in " ".join(checked.stdout.split())
    assert "set-ntp true" in checked.stdout
    # Flower takes signatures that are up to five minutes old.
    clock_off(-240)
    run_id = federation.begin()
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert [(row.round, len(row.replied), row.failed) for row in rounds] == [(n, 3, {}) for n in (1, 2, 3)]
    assert federation.digest(run_id) == simulated
    with Store(federation.home.database_url) as store:
        order = [
            row.round for row in store.metrics.of_run(run_id) if row.stage == "train" and row.round is not None
        ]
    assert order == sorted(order)
