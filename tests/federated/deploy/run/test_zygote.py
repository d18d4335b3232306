"""The zygote: a message's process is Flower's own command, forked; without a zygote it starts cold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from federated.deploy.run import zygote_client

pytestmark = pytest.mark.timeout(120)


def call(folder: Path, *arguments: str, cold: str = "/bin/false") -> subprocess.Popen[str]:
    command = [sys.executable, "-IS", str(Path(zygote_client.__file__)), str(folder), cold, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "77"}
    )


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, psutil.Process]]:
    """A zygote in a folder whose path is too long for a socket's name."""
    folder = tmp_path_factory.mktemp("zygote") / ("long" * 40)
    folder.mkdir()
    command = [sys.executable, "-m", "federated.deploy.run.zygote", str(folder)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        try:
            yield folder, psutil.Process(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_command_is_flowers_and_its_output_and_status_are_the_callers(
    parent: tuple[Path, psutil.Process],
) -> None:
    folder, _ = parent
    helped = call(folder, "--help")
    output, errors = helped.communicate(timeout=60)
    assert helped.returncode == 0, errors
    assert output.startswith("usage: flwr-clientapp")
    wrong = call(folder, "--token", "none", "--no-such-option")
    _, errors = wrong.communicate(timeout=60)
    assert wrong.returncode == 2
    assert errors.strip().endswith("unrecognized arguments: --no-such-option")


@pytest.mark.attack
def test_a_process_that_is_killed_is_a_failure_and_the_parent_lives_on(
    parent: tuple[Path, psutil.Process],
) -> None:
    folder, process = parent
    # Nobody listens at this address: Flower's command tries again for as long as it is let.
    waiting = call(folder, "--insecure", "--runtime-api-address", "127.0.0.1:1", "--token", "none")
    deadline = time.monotonic() + 60
    while not (children := process.children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for child in children:
        child.send_signal(signal.SIGKILL)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert call(folder, "--help").communicate(timeout=60)[0].startswith("usage: flwr-clientapp")


def test_modules_of_the_app_are_not_taken_from_this_installation(parent: tuple[Path, psutil.Process]) -> None:
    code = (
        "import sys, federated.deploy.run.zygote as zygote\n"
        "zygote.PACKAGES = ('json', 'no_such_package')\n"
        "zygote.socket = None\n"
        "try: zygote.main(__import__('pathlib').Path('.'))\n"
        "except AttributeError: pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('federated', 'shared')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_parent_the_command_starts_cold(tmp_path: Path) -> None:
    started = call(tmp_path, "one", "two words", cold="/bin/echo")
    output, errors = started.communicate(timeout=60)
    assert started.returncode == 0
    assert output == "one two words\n"
    assert "cold start" in errors
