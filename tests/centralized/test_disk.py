"""A disk that fills up, and kills while a checkpoint is written: the older checkpoint stays, and resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from centralized.fit import CHECKPOINTS
from centralized.train import train
from shared.runtime.errors import DiskError
from shared.runtime.home import Home
from tests.disks import fill, mounted

REPOSITORY = Path(__file__).resolve().parents[2]


class Fill(Callback):
    """Fills a disk in the third epoch."""

    def __init__(self, disk):
        self.disk = disk

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            fill(self.disk, leave=20_000)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The system's temporary folder, of these processes alone."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def epoch_of(path):
    return torch.load(path, weights_only=True)["epoch"] if path.exists() else -1


@pytest.mark.attack
def test_a_full_disk_ends_the_run_by_name_and_it_resumes_when_there_is_room(
    make_config, tmp_path, store, temporary
):
    whole = make_config("trainer.max_epochs=4", "model.hidden=2000", "trainer.test_model=last")
    with mounted(tmp_path / "disk", megabytes=8) as disk:
        home = Home(root=disk / "home", database_url="")
        with pytest.raises(DiskError, match=r"cannot write .*/checkpoints/(best|last)\.ckpt: No space left"):
            train(whole, store=store, home=home, extra_callbacks=[Fill(disk)])
        (run,) = store.runs.search()
        folder = home.run_dir(run.id) / CHECKPOINTS
        assert (run.status, run.error.partition(":")[0]) == ("failed", "DiskError")
        assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
        assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 1
        (disk / "filler").unlink()
        cfg = whole.replace("tracking", run_id=run.id)
        assert train(cfg, store=store, home=home, resume=True) == run.id
        again = torch.load(folder / "last.ckpt", weights_only=True)
        assert sorted(path.name for path in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
        other = train(whole, store=store, home=home)
        uninterrupted = torch.load(home.run_dir(other) / CHECKPOINTS / "last.ckpt", weights_only=True)
        for key, value in uninterrupted["state_dict"].items():
            assert torch.equal(again["state_dict"][key], value)
    assert not list(temporary.iterdir())


@pytest.mark.slow
@pytest.mark.attack
@pytest.mark.timeout(600)
def test_kills_while_a_checkpoint_is_written_leave_one_that_resumes(two_classes, home, temporary):
    arguments = ["data=npz", f"data.path={two_classes}", "data.image_size=8", "model.widths=[2,4]"]
    arguments += ["model.hidden=100000", "trainer.max_epochs=2000", "trainer.accelerator=cpu"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "fedtwin", "centralized", *arguments]
    last, done = home.run_dir(1) / CHECKPOINTS / "last.ckpt", -1
    for end in (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        errors = home.root / "errors.txt"
        with errors.open("w") as file:
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=file)
        try:
            until = time.monotonic() + 150
            while epoch_of(last) <= done and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            while end == signal.SIGKILL and process.poll() is None and time.monotonic() < until:
                if any(last.parent.glob(f".*.{process.pid}.tmp")):
                    break  # in the middle of the next one
        finally:
            process.send_signal(end)
            process.wait(60)
        assert process.returncode == (130 if end == signal.SIGINT else -end), errors.read_text()
        assert epoch_of(last) > done, errors.read_text()
        done = epoch_of(last)
        command = [sys.executable, "-m", "fedtwin", "resume", "1"]
    assert sorted(path.name for path in last.parent.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert not list(temporary.iterdir())
