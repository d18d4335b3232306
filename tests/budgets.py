"""Where the seconds of a test run went, by folder, beside what each folder may take: a plugin of pytest.

A folder that takes longer than its budget is named at the end of the run and never fails it: time says as much
about the machine as about the tests. Whoever adds tests either makes others cheaper or raises the budget, here.
"""

from __future__ import annotations

from collections import Counter

import pytest

# Seconds of a folder's tests, summed, of `make test-all` (three workers) on two cores with nothing else to do:
# the fast ones, the slow ones.
BUDGETS = {
    "benchmarks": (20, 0),
    "centralized": (30, 65),
    "contracts": (170, 10),
    "e2e": (490, 1650),
    "federated": (380, 0),
    "fedtwin": (150, 115),
    "service": (345, 180),
    "shared": (305, 45),
    "simulations": (220, 280),
    "tests": (20, 0),
}


def folder_of(nodeid: str) -> str:
    """The folder below ``tests`` in which a test lies; ``tests`` for modules in ``tests`` itself."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 else parts[0]


def lines_of(seconds: Counter[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """What is printed of the seconds by folder and speed, and whether each is more than its budget."""
    lines = []
    for folder, slow in sorted(seconds):
        spent, budget = seconds[folder, slow], BUDGETS.get(folder, (0, 0))[slow]
        name = f"{folder}, slow tests" if slow else folder
        late = spent > budget
        lines.append((f"{spent:7.0f} s of {budget:5} s  {name}{'  OVER ITS BUDGET' if late else ''}", late))
    return lines


class Budgets:
    """Adds up what each report took, and prints the sums at the end."""

    def __init__(self) -> None:
        self.seconds: Counter[tuple[str, bool]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[folder_of(report.nodeid), "slow" in report.keywords] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lines = lines_of(self.seconds)
        if not lines:
            return
        terminalreporter.section("seconds by folder", sep="=")
        for line, late in lines:
            terminalreporter.write_line(line, yellow=late)
        if any(late for _, late in lines):
            terminalreporter.write_line(
                "the budgets are in tests/budgets.py; a busy machine exceeds them too", yellow=True
            )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers of xdist report to the process that started them
        config.pluginmanager.register(Budgets())
