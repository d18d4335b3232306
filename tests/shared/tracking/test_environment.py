from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.tracking import environment as module
from shared.tracking.environment import begun_again, command_line, environment


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_of_the_working_folder_and_whether_files_differ(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "folder" not in environment()["commits"], "no repository"
    module._commit.cache_clear()
    git(tmp_path, "init", "-q")
    (tmp_path / "net.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert environment()["commits"]["folder"] == head
    module._commit.cache_clear()
    (tmp_path / "net.py").write_text("2")
    assert environment()["commits"]["folder"] == f"{head}-dirty"
    module._commit.cache_clear()


def test_an_installed_package_is_not_of_the_repository_around_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "own.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "installed.py").write_text("2")
    assert module._commit(tmp_path, of="installed.py") is None
    assert module._commit(tmp_path, of="own.py") is not None


def test_versions_are_those_that_are_imported() -> None:
    import numpy

    assert environment()["packages"]["numpy"] == numpy.__version__
    assert environment()["python"] == sys.version.split()[0]


def test_the_command_is_what_was_typed_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "tracking.database_url=postgresql://me:hunter2@db/x"
    monkeypatch.setattr(sys, "argv", ["fedtwin compare", "name=two words", url])
    assert command_line().startswith("fedtwin compare 'name=two words' ")
    assert "hunter2" not in command_line()
    monkeypatch.setattr(sys, "argv", ["train.py", "--token", "t0ken", "--api-key=k3y", "lr=0.1"])
    assert command_line() == "train.py --token '***' '--api-key=***' lr=0.1"
    monkeypatch.setattr(sys, "argv", ["/bin/flwr-simulation", "--auth", "t0ken"])
    assert command_line() == "flwr-simulation"


def test_a_resumed_run_keeps_both_commands_and_a_claimed_one_the_first(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["fedtwin", "resume", "3"])
    stored = {"commands": ["fedtwin federated"]}
    assert begun_again(stored, resume=True)["commands"] == ["fedtwin federated", "fedtwin resume 3"]
    assert begun_again(stored, resume=False)["commands"] == ["fedtwin federated"]
    assert begun_again(None, resume=False)["commands"] == ["fedtwin resume 3"]


def test_flowers_own_process_leaves_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/flwr-serverapp", "--token", "x"])
    stored = {"commands": ["fedtwin federated", "fedtwin resume 3"], "commits": {"fedtwin": "abc"}}
    assert begun_again(stored, resume=True) == begun_again(stored, resume=False) == stored
    assert begun_again(None, resume=False)["commands"] == ["flwr-serverapp"]
