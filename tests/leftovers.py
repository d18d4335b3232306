"""What a test run has left in the checkout: a plugin of pytest.

Tests write to folders of their own. A file that is new in the checkout when all have ended was left by one of
them, or by whoever edits meanwhile: it is named, and in the gate (``CI=true``) it fails the run.
"""

from __future__ import annotations

import os
import subprocess

import pytest


def untracked(root: str) -> set[str]:
    """Files below a folder that git neither tracks nor ignores; none where there is no checkout."""
    command = ["git", "-C", root, "ls-files", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:  # no git
        return set()
    return set(done.stdout.splitlines())


class Leftovers:
    """Compares the checkout before the first test with that after the last."""

    def __init__(self, root: str) -> None:
        self.root, self.before = root, untracked(root)
        self.found: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.found = sorted(untracked(self.root) - self.before)
        if self.found and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for path in self.found:
            terminalreporter.write_line(f"left in the checkout: {path}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers of xdist leave it to the process that started them
        config.pluginmanager.register(Leftovers(str(config.rootpath)))
