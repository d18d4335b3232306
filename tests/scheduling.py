"""Which test begins when, and on which worker of xdist: a plugin of pytest.

A file's tests run on one worker, as they share fixtures; those of `APART` take long, share nothing and run on
any worker that is free. All `DEPLOYMENTS` run on one worker, one after the other: they mostly wait, and beside
each other they would wait at the same time, while the others use the cores.

`make test-all` starts one worker more than there are cores. The first worker begins with what mostly waits
(`WAITING`), which the others leave to it as long as they have anything else: so as many workers compute as
there are cores, and what Flower's own time limits hold has a core when it needs one.

xdist's own marks for groups have no effect under pytest 9.2 (pytest-xdist issue 1386).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

APART = {
    "tests/e2e/test_compare.py",
    "tests/e2e/test_flower.py",
    "tests/e2e/test_simulate.py",
    "tests/federated/test_laws.py",
}
DEPLOYMENTS = "tests/e2e/test_deploy_"
WAITING = {DEPLOYMENTS, "tests/e2e/test_hostile_sites.py"}


def unit_of(nodeid: str) -> str:
    """What a worker is given at once with this test: its file, all deployments, or the test alone."""
    file = nodeid.partition("::")[0]
    if file.startswith(DEPLOYMENTS):
        return DEPLOYMENTS
    return nodeid if file in APART else file


def next_unit(queue: Iterable[str], *, waits: bool) -> str:
    """What a worker is given next: the first unit that waits, or computes, as it should; else the first.

    Parameters
    ----------
    queue : iterable of str
        Units that no worker has begun; at least one.
    waits : bool
        Whether the worker is the one that mostly waits.
    """
    units = list(queue)
    return next((unit for unit in units if (unit in WAITING) == waits), units[0])


class Scheduling(LoadFileScheduling):
    """xdist's scheduling by file, except for the files of `APART` and for who begins with what waits."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        unit = next_unit(self.workqueue, waits=node is self.nodes[0])
        self.workqueue.move_to_end(unit, last=False)  # from where the base class takes it
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, those that may take longest first: what is left at the end is short."""

    def limit(item: pytest.Item) -> float:
        slow, timeout = item.get_closest_marker("slow"), item.get_closest_marker("timeout")
        return (timeout.args[0] if timeout else 300) if slow else 0

    items.sort(key=limit, reverse=True)
