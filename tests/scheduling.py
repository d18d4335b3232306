"""Which test begins when, and on which worker of xdist: a plugin of pytest.

A file's tests run on one worker, as they share fixtures; those of `APART` take long, share nothing and run on
any worker that is free. All `DEPLOYMENTS` run on one worker, one after the other: they mostly wait, and beside
each other they would wait at the same time, while the others use the cores. xdist's own marks for groups have
no effect under pytest 9.2 (pytest-xdist issue 1386).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

APART = {
    "tests/e2e/test_compare.py",
    "tests/e2e/test_flower.py",
    "tests/e2e/test_simulate.py",
    "tests/federated/test_laws.py",
}
DEPLOYMENTS = "tests/e2e/test_deploy_"


def unit_of(nodeid: str) -> str:
    """What a worker is given at once with this test: its file, all deployments, or the test alone."""
    file = nodeid.partition("::")[0]
    if file.startswith(DEPLOYMENTS):
        return DEPLOYMENTS
    return nodeid if file in APART else file


class Scheduling(LoadFileScheduling):
    """xdist's scheduling by file, except for the files of `APART`."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, those that may take longest first: what is left at the end is short."""

    def limit(item: pytest.Item) -> float:
        slow, timeout = item.get_closest_marker("slow"), item.get_closest_marker("timeout")
        return (timeout.args[0] if timeout else 300) if slow else 0

    items.sort(key=limit, reverse=True)
