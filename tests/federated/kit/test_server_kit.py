"""When a ServerApp that ends has only lost what it stands on; the real thing is in `tests/e2e`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from federated.kit import server_kit as server
from federated.kit.deployment import Deployment
from federated.kit.server_kit import ServerKit, interruptions, parents
from shared.tracking.process import owner


@pytest.fixture
def superlink() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("answers", [True, False])
def test_a_run_ends_with_its_server_app_only_while_the_superlink_that_started_it_lives(
    answers: bool, superlink: subprocess.Popen[bytes], deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "superlink_answers", lambda kit: answers)
    interrupted = interruptions(ServerKit(deployment.server_kit), below=[owner(superlink.pid)])
    assert interrupted(SystemExit()) is not answers  # how Flower ends a ServerApp whose run was stopped
    assert interrupted(ValueError("diverged")) is not answers
    assert interrupted(KeyboardInterrupt())  # the machine shuts down
    superlink.kill()
    superlink.wait()
    assert interrupted(SystemExit())  # the SuperLink that answers is the next one


def test_parents_are_the_two_processes_above() -> None:
    assert next(process.pid for process in parents()) == os.getppid()
    assert len(parents()) <= 2
