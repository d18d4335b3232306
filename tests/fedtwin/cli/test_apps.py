"""The real command, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shared.config.compose import CONF_DIR

ROOT = Path(__file__).parents[3]
SMALL = ["data=npz", "data.image_size=8", "model.widths=[2,4]", "model.hidden=8", "trainer.accelerator=cpu"]


@pytest.fixture
def command(home, tmp_path, two_classes):
    """Start ``fedtwin centralized`` in an empty folder, with little to train."""
    here = tmp_path / "here"
    here.mkdir()

    def start(*arguments, small=True, module=("fedtwin", "centralized")):
        name, *more = module
        data = [*SMALL, f"data.path={two_classes}"] if small else []
        flags = [text for text in arguments if text.startswith("-")]
        overrides = [text for text in arguments if not text.startswith("-")]
        return subprocess.Popen(
            [sys.executable, "-m", name, *more, *flags, *data, *overrides],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start


@pytest.fixture
def run(command, tmp_path):
    """Run it to its end, and give exit status, standard output and standard error; it leaves nothing behind."""

    def start(*arguments, **more):
        process = command(*arguments, **more)
        out, err = process.communicate(timeout=120)
        assert list((tmp_path / "here").iterdir()) == []
        return process.returncode, out, err

    return start


def test_the_configuration_is_shown(run):
    code, out, _ = run("--cfg=job", "seed=7", small=False)
    shown = yaml.safe_load(out)
    assert code == 0
    assert shown["seed"] == 7
    assert shown["model"]["name"] == "cnn"
    assert set(shown) >= {path.name for path in CONF_DIR.iterdir() if path.is_dir()} - {
        "experiment",
        "sweep",
        "__pycache__",
    }


def test_help_names_the_groups(run):
    code, out, _ = run("--help", small=False)
    assert code == 0
    for group in ("data", "model", "task", "trainer"):
        assert re.search(rf"^  {group}[.=]", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("trainer.max_epoch=3", "did you mean trainer.max_epochs?"),
        ("trainer.max_epochs=-1", "trainer.max_epochs: expected a whole number of at least 1, got -1"),
    ],
)
def test_a_wrong_override(run, override, says):
    code, out, err = run(override)
    assert code in (1, 2)
    assert says in err
    assert "Traceback" not in out + err


def test_a_sweep(run, store, home):
    code, out, err = run("--multirun", "seed=1,2", "trainer.max_epochs=1")
    assert (code, err.count("epoch 1/1  train/loss")) == (0, 2)
    runs = store.runs.search()
    assert [(one.seed, one.status) for one in runs] == [(2, "completed"), (1, "completed")]
    assert "auroc" in out
    assert (home.results / f"metrics_{runs[0].id}.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_is_stopped(command, store, home, number):
    process = command("trainer.max_epochs=100000", "trainer.early_stopping.enabled=false")
    with process:
        for line in process.stderr:
            if line.startswith("epoch 2/"):
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("stopped; list runs with `fedtwin runs`")
    assert "Traceback" not in out + err
    (row,) = store.runs.search()
    assert (row.status, row.stop_reason) == ("stopped", "interrupted by the user")
    assert (home.run_dir(row.id) / "checkpoints" / "last.ckpt").is_file()


def test_two_devices(run, store):
    code, out, err = run(
        "trainer.devices=2", "trainer.max_epochs=2", "data.batch_size=16", module=("centralized",)
    )
    assert (code, err.count("epoch 2/2  train/loss")) == (0, 1), err
    (row,) = store.runs.search()
    assert row.status == "completed"
    assert sum(map(sum, row.summary["confusion"])) == 30
    points = store.metrics.of_run(row.id)
    assert len({(point.stage, point.epoch, point.name) for point in points}) == len(points)
    assert {point.num_examples for point in points if point.stage == "train"} == {97}
    (best,) = (
        point.value for point in points if (point.stage, point.epoch, point.name) == ("val", 1, "accuracy")
    )
    assert best * 40 == pytest.approx(round(best * 40), abs=1e-4)  # of all rows, not of one device's
    assert "auroc" in out


@pytest.mark.slow
def test_two_devices_diverge_together(run, store):
    code, _, err = run("trainer.devices=2", "trainer.optimizer.lr=1e6", "trainer.max_epochs=5")
    assert code == 2
    assert err.count("the training diverged") == 1
    assert "Traceback" not in err
    assert store.runs.search()[0].status == "failed"


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3/cr3t@db.invalid/x", "postgresql://db.invalid/x?password=s3/cr3t"]
)
def test_no_password_is_printed(run, url, monkeypatch):
    code, out, err = run("--cfg=job", "--resolve", f"tracking.database_url='{url}'", small=False)
    assert code == 0
    assert "db.invalid/x" in yaml.safe_load(out)["tracking"]["database_url"]
    assert "cr3t" not in out + err
    code, out, err = run(f"tracking.database_url='{url}'")
    assert code == 2
    assert "error: cannot use the tracking database" in err
    assert "cr3t" not in out + err
    monkeypatch.setenv("FEDTWIN_DATABASE_URL", url)
    code, out, err = run("--limit=1", small=False, module=("fedtwin", "runs"))
    assert code == 2
    assert "cr3t" not in out + err


def test_all_that_a_training_writes_is_the_users_own(run, tmp_path, monkeypatch):
    home = tmp_path / "new"
    monkeypatch.setenv("FEDTWIN_HOME", str(home))
    monkeypatch.delenv("FEDTWIN_DATABASE_URL", raising=False)
    before = os.umask(0o022)
    try:
        code, out, err = run("trainer.max_epochs=1")
    finally:
        os.umask(before)
    assert code == 0, out + err
    files = [home, *home.rglob("*")]
    assert len(files) > 10
    assert [file for file in files if not file.is_symlink() and file.stat().st_mode & 0o077] == []


def test_a_bad_job_of_a_sweep_does_not_end_it_and_all_are_summed_up(run, store):
    code, out, err = run(
        "--multirun", "trainer.optimizer.lr=0.01,1e+38,0.02", "trainer.max_epochs=1", "trainer.progress=false"
    )
    assert code == 2
    runs = store.runs.search()[::-1]
    assert [one.status for one in runs] == ["completed", "failed", "completed"]
    assert "\nerror: " in err
    table = out[out.index("3 jobs") :]
    for job, (one, rate) in enumerate(zip(runs, ("0.01", "1e+38", "0.02"), strict=True)):
        (line,) = [line for line in table.splitlines() if f"lr={rate}" in line]
        cells = [cell.strip() for cell in line.strip("\u2502").split("\u2502")]
        assert cells[:4] == [str(job), f"trainer.optimizer.lr={rate}", str(one.id), one.status]
    assert "trainer.max_epochs=1" not in table  # alike in all of them
    assert "train/loss is" in " ".join(table.split())
    assert f"{runs[0].summary['test']['auroc']:.3f}" in table
