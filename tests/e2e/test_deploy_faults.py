"""Sites and servers that fail, as real processes on machines of their own; every wait is bounded.

A run of a deployment takes minutes: faults that do not disturb each other share one. Each test prints the
times that it saw. The clock of the eastern site is four minutes behind in all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from federated.deploy.demo.testbed import SERVER
from shared.tracking.rows import RoundRow
from tests.e2e.deploy_kit import SITES, pooled, wait_for
from tests.e2e.same_run_kit import serve_here
from tests.federated.federation_kit import drops

if TYPE_CHECKING:
    from tests.e2e.fault_kit import Federation

pytest_plugins = ["tests.e2e.fault_kit"]
pytestmark = [pytest.mark.attack, pytest.mark.slow, pytest.mark.timeout(1500)]
NORTH, SOUTH, EAST = SITES
ALL = [0, 1, 2]
DEADLINE_S = 45  # of a round's training; replies take up to half of it on a slow machine


@contextmanager
def held_until_the_next_superlink(federation: Federation, apps: list[psutil.Process]) -> Iterator[None]:
    """A ServerApp that is slow to end must not take the next SuperLink for its own."""
    for process in apps:
        process.suspend()
    yield
    kit = str(federation.bed.kit(SERVER))
    time.sleep(1)  # the dead one does not answer any more
    wait_for(
        "the next SuperLink",
        lambda: federation.bed.run(SERVER, "deploy", "health", kit).returncode == 0,
        timeout=120,
    )
    for process in apps:
        process.resume()


def test_a_cut_of_15_s_a_clock_that_is_off_and_killed_servers_cost_no_reply_and_change_no_weight(
    federation: Federation, simulated: str
) -> None:
    run_id = federation.begin()
    federation.wait_for_round(run_id, 1)

    federation.wait_for_client(NORTH)
    if federation.bed.hosts.isolated:
        federation.bed.hosts.set_link(NORTH, up=False)
        time.sleep(15)
        federation.bed.hosts.set_link(NORTH, up=True)

    federation.wait_for_round(run_id, 2)
    federation.wait_for_client(NORTH)
    apps = federation.bed.programs(SERVER, "flwr-serverapp")
    assert apps
    for process in apps:
        process.kill()

    federation.wait_for_round(run_id, 3)
    federation.wait_for_client(NORTH)
    links = federation.bed.programs(SERVER, "flower-superlink")
    assert links
    with held_until_the_next_superlink(federation, federation.bed.programs(SERVER, "flwr-serverapp")):
        for process in links:
            process.kill()

    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert [(row.round, row.replied) for row in rounds] == [(number, ALL) for number in (1, 2, 3, 4)]
    # Flower takes a node for gone that it has not heard of for 60 s. Where all is slow, 15 s of silence after a
    # heartbeat that was nearly 30 s old may cost its share of one evaluation, and no training.
    failed = [(row.round, reason) for row in rounds for reason in row.failed.values()]
    assert all(at == 2 and why.startswith("val: ") and "heartbeat" in why for at, why in failed), failed
    assert len(failed) <= 1
    assert federation.digest(run_id) == simulated
    said = federation.bed.log(SERVER).read_text()
    for number in (2, 3):
        assert said.count(f"run {run_id} was interrupted after round {number}") == 1
    assert [client.name for client in federation.store.clients.of_run(run_id)] == list(SITES)
    metrics = federation.store.metrics.of_run(run_id)
    order = [row.round for row in metrics if row.stage == "train" and row.round is not None]
    assert order == sorted(order)


def test_a_slow_site_misses_the_deadline_and_its_late_reply_is_dropped_and_recorded(
    federation: Federation, tmp_path: Path
) -> None:
    """It goes on from the control variate that the server has seen, as in a simulation without that reply."""
    training = ["strategy=scaffold", "federation.num_rounds=4"]
    run_id = federation.begin(*training, f"federation.round_timeout_s={DEADLINE_S}")
    federation.wait_for_round(run_id, 1)
    with federation.slow_site():
        time.sleep(DEADLINE_S + 8)  # the round's questions leave a little after the round before ends
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    missed = [row.round for row in rounds if row.failed]
    # On a slow machine the site, which first ends the second round's training, misses the third round too.
    assert missed in ([2], [2, 3])
    for number in missed:
        row = rounds[number - 1]
        assert (row.failed, row.replied) == ({0: f"train: no reply within {DEADLINE_S} s"}, [1, 2])
        assert DEADLINE_S - 1 <= row.seconds < 2 * DEADLINE_S
    assert [row.replied for row in rounds if not row.failed] == [ALL] * (4 - len(missed))
    late = federation.values(run_id, "late_reply_seconds")
    assert [(number, client_id) for number, client_id, _ in late] == [(number + 1, 0) for number in missed]
    assert DEADLINE_S < late[0][-1] < 3 * DEADLINE_S
    dropping = drops(*missed, client_id=0, how="not-trained")
    without = serve_here(pooled(*training), tmp_path, client_app=dropping)
    assert federation.digest(run_id) == without


def test_a_site_cut_off_for_long_and_one_that_is_killed_are_an_error_each_and_come_back(
    federation: Federation,
) -> None:
    federation.needs_hosts()
    run_id = federation.begin("federation.num_rounds=100", "federation.min_replies=1")
    federation.wait_for_round(run_id, 1)
    killed = {process.pid for process in federation.bed.programs(NORTH, "flower-supernode")}
    federation.wait_for_client(NORTH)
    federation.wait_for_client(SOUTH)
    federation.bed.hosts.set_link(SOUTH, up=False)
    federation.bed.kill_node(NORTH)

    def without_south(rounds: list[RoundRow]) -> bool:
        return any(1 not in row.sampled for row in rounds)

    federation.wait_until(run_id, "a round that does not ask the southern site", without_south)
    federation.bed.hosts.set_link(SOUTH, up=True)
    federation.wait_until(run_id, "all are back", lambda rounds: len(rounds) > 2 and rounds[-1].replied == ALL)
    assert federation.stop() == 130, federation.said()
    assert federation.run(run_id).status == "stopped"

    rounds = federation.report(run_id)
    assert rounds[1].replied == [2]
    failures = [(row.round, client_id) for row in rounds for client_id in row.failed]
    assert sorted(failures) == [(2, 0), (2, 1)]  # nobody asks a site that is not there
    assert all(2 in row.replied for row in rounds)
    again = {process.pid for process in federation.bed.programs(NORTH, "flower-supernode")}
    assert again
    assert not killed & again


def test_a_site_whose_upload_trickles_holds_nobody_and_below_the_quorum_the_run_fails_by_its_deadline(
    federation: Federation,
) -> None:
    """Its answer's header is there at once; its model of 1.1 MB takes 110 s at 10 kB/s."""
    federation.needs_hosts()
    training = ["model.hidden=2000", "federation.num_rounds=3", f"federation.round_timeout_s={DEADLINE_S}"]
    federation.bed.hosts.set_upload(NORTH, bytes_per_s=10_000)
    try:
        run_id = federation.begin(*training)
        federation.wait_until(run_id, "round 1", bool)
        federation.wait_for_client(SOUTH)
        began = time.monotonic()
        federation.bed.kill_node(SOUTH)
        assert federation.end() == 2
        assert time.monotonic() - began < DEADLINE_S + 40
    finally:
        federation.bed.hosts.set_upload(NORTH, bytes_per_s=None)
    first, second = federation.report(run_id)
    assert (first.replied, second.replied) == ([1, 2], [2])
    assert first.failed == {0: f"train: no reply within {DEADLINE_S} s"}
    # A round is training to the deadline, and the two others' evaluation, which takes as long as their replies.
    evaluation = max(v for _, client_id, v in federation.values(run_id, "reply_seconds") if client_id != 0)
    assert first.seconds <= DEADLINE_S + evaluation + 2
    run = federation.run(run_id)
    assert run.status == "failed"
    assert run.error is not None
    assert "1 of 3 training replies were valid, federation.min_replies is 2" in run.error
    assert f"north: no reply within {DEADLINE_S} s" in run.error
    # Flower takes a site for gone 30 to 60 s after its death, which it may say first.
    reasons = [f"south: no reply within {DEADLINE_S} s", "south: error 5"]
    assert any(reason in run.error for reason in reasons)


def test_a_clock_that_is_far_off_is_named(
    federation: Federation, wrong_clock: Callable[[int], dict[str, str]]
) -> None:
    checked = federation.bed.run(EAST, "deploy", "check", str(federation.bed.kit(EAST)), more=wrong_clock(-600))
    assert checked.returncode == 1
    assert "its signatures would be refused" in " ".join(checked.stdout.split())
    assert "set-ntp true" in checked.stdout
