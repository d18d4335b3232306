"""Sites that are cut off or killed, as real processes on machines of their own; every wait is bounded.

Each test prints the times that it saw.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from shared.tracking.store import Store
from tests.e2e.deploy_kit import SITES

if TYPE_CHECKING:
    from tests.e2e.fault_kit import Federation

pytest_plugins = ["tests.e2e.fault_kit"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NORTH = SITES[0]


def test_a_site_cut_off_for_30_s_loses_nothing_and_the_weights_are_the_simulations(
    federation: Federation, simulated: str
) -> None:
    federation.needs_hosts()
    run_id = federation.begin()
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    federation.bed.hosts.set_link(NORTH, up=False)
    time.sleep(30)
    federation.bed.hosts.set_link(NORTH, up=True)
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert [(row.round, len(row.replied)) for row in rounds] == [(n, 3) for n in (1, 2, 3)]
    # Flower takes a node for gone that it has not heard of for 60 s: 30 s of silence, if its last heartbeat was
    # nearly 30 s old, may cost its share of one evaluation, and no training.
    failed = [reason for row in rounds for reason in row.failed.values()]
    assert all(reason.startswith("val: ") and "heartbeat" in reason for reason in failed), failed
    assert len(failed) <= 1
    assert federation.digest(run_id) == simulated
    with Store(federation.home.database_url) as store:
        assert [client.name for client in store.clients.of_run(run_id)] == list(SITES)


def test_a_site_cut_off_for_120_s_is_one_error_and_no_round_is_repeated(federation: Federation) -> None:
    federation.needs_hosts()
    run_id = federation.begin("federation.num_rounds=16")
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    federation.bed.hosts.set_link(NORTH, up=False)
    time.sleep(120)
    federation.bed.hosts.set_link(NORTH, up=True)
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert len(rounds) == 16
    failures = [(client_id, reason) for row in rounds for client_id, reason in row.failed.items()]
    assert [client_id for client_id, _ in failures] == [0]
    assert [0 in row.sampled for row in rounds].count(False) >= 1  # nobody asks a site that is not there
    assert rounds[-1].replied == [0, 1, 2]  # and it is back


def test_a_site_killed_in_training_comes_back_by_its_supervisor(federation: Federation) -> None:
    deadline = federation.deadline_s()
    run_id = federation.begin("federation.num_rounds=12", f"federation.round_timeout_s={deadline}")
    federation.wait_for_round(run_id, 1)
    federation.wait_for_client(NORTH)
    killed = federation.bed.programs(NORTH, "flower-supernode")
    federation.bed.kill_node(NORTH)
    assert federation.end() == 0, federation.said()
    rounds = federation.report(run_id)
    assert len(rounds) == 12
    assert 0 in rounds[1].failed  # at the deadline, or before it with Flower's own error
    assert rounds[1].replied == [1, 2]
    assert rounds[1].seconds < deadline + 25
    assert rounds[-1].replied == [0, 1, 2]
    assert not {process.pid for process in killed} & {
        process.pid for process in federation.bed.programs(NORTH, "flower-supernode")
    }
