"""Whole commands on a full disk, and without their database: one error that says so, nothing half written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.disks import fill, mounted
from tests.e2e.conftest import Command

pytestmark = [pytest.mark.slow, pytest.mark.attack, pytest.mark.timeout(300)]

SMALL = ["model.widths=[2,4]", "model.hidden=8", "trainer.accelerator=cpu", "trainer.progress=false"]
MODES = {
    "centralized": ["trainer.max_epochs=2"],
    "simulate": ["federation.num_rounds=2", "federation.num_clients=2"],
    "federated": ["federation.num_rounds=2", "federation.num_clients=2", "federation.workers=1"],
}
NOBODY = "postgresql://me:hunter2@127.0.0.1:9/fedtwin"


@pytest.mark.parametrize(
    ("mode", "leave"),
    [(mode, leave) for mode in MODES for leave in (0, 400_000)],
)
def test_a_full_disk(mode: str, leave: int, fedtwin: Command, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", megabytes=40) as disk:
        home = disk / "home"
        home.mkdir(mode=0o700)
        fill(disk, leave=leave)
        done = fedtwin(mode, *SMALL, *MODES[mode], FEDTWIN_HOME=str(home))
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert any(words in done.stderr for words in ("disk is full", "No space left", "MB free")), done.stderr
        left = [name for _, folders, files in os.walk(home) for name in (*folders, *files)]
        assert [name for name in left if name.endswith(".tmp")] == []


@pytest.mark.parametrize("mode", MODES)
def test_a_database_that_is_away(mode: str, fedtwin: Command, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    done = fedtwin(
        mode,
        *SMALL,
        *MODES[mode],
        FEDTWIN_HOME=str(home),
        FEDTWIN_DATABASE_URL=NOBODY,
        FEDTWIN_DATABASE_WAIT_S="1",
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot use the tracking database postgresql" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert not (home / "runs").exists()
    assert not list(home.glob("flower-*"))
