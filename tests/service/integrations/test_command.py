"""``fedtwin follow`` and ``fedtwin serve --mlflow``: as processes, with what they are told wrongly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedtwin.cli.parser import parse
from service.integrations.child import FollowerProcess
from service.integrations.command import run_command
from shared.runtime.errors import ConfigError
from tests.service.live_kit import add_round, new_run, until

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mlflow", "Pass --tracking-uri"),
        ("mlflow --tracking-uri http://127.0.0.1:5000 --folder board", "--folder is for tensorboard and wandb"),
        ("tensorboard", "Pass --folder"),
        ("tensorboard --folder board --experiment mine", "--experiment is for mlflow and wandb"),
        ("wandb", "which wandb sync reads"),
        ("wandb --folder board --tracking-uri http://127.0.0.1:5000", "--tracking-uri is for mlflow"),
    ],
)
def test_what_is_missing_or_has_no_effect(line, expected, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match=expected):
        run_command(parse(["follow", *line.split()]))


@pytest.mark.parametrize(
    ("tracker", "module"), [("tensorboard", "tensorboard.compat.proto"), ("wandb", "wandb.proto")]
)
def test_a_missing_package(tracker, module, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'fedtwin\[{tracker}\]'"):
        run_command(parse(["follow", tracker, "--folder", str(tmp_path)]))


def test_once(store, home, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDTWIN_HOME", str(home.root))
    monkeypatch.delenv("FEDTWIN_DATABASE_URL", raising=False)
    for _ in range(3):
        add_round(store, new_run(store), 1)
    run_command(parse(["follow", "tensorboard", "--folder", str(tmp_path / "board"), "--once", "--after", "1"]))
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == [
        "2-federated-digits-cnn",
        "3-federated-digits-cnn",
    ]


def test_the_command_follows_until_it_is_told_to_end(store, home, tmp_path):
    run_id = new_run(store)
    board = tmp_path / "board"
    command = [sys.executable, "-m", "fedtwin", "follow", "tensorboard", "--folder", str(board)]
    env = {**os.environ, "FEDTWIN_HOME": str(home.root), "PYTHONPATH": str(ROOT)}
    env.pop("FEDTWIN_DATABASE_URL", None)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "following the runs" in process.stdout.readline()
            until(lambda: (board / f"{run_id}-federated-digits-cnn").exists())
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 130
        finally:
            process.kill()


def test_the_child_of_a_server_ends_with_it(store, home, tmp_path):
    run_id = new_run(store)
    board = tmp_path / "board"
    child = FollowerProcess(["tensorboard", "--folder", str(board)], home=home)
    child.start()
    try:
        until(lambda: (board / f"{run_id}-federated-digits-cnn").exists())
    finally:
        child.close()
    with store.follows.alone(f"TensorBoard in {board}"):
        pass  # nobody follows any more
