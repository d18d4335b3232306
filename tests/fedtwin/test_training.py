"""`fedtwin.compare`, `train`, `federate` and `resume`, called as a script would."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import fedtwin
from shared.config.compose import CONF_DIR
from shared.metrics.gap import stored_gap
from shared.runtime.errors import ConfigError, DataError, TrackingError
from shared.tracking.store import Store

ROOT = Path(__file__).parents[2]


def test_nothing_slow_is_imported_before_it_is_used():
    code = (
        "import sys, fedtwin; dir(fedtwin)\n"
        "slow = {'torch', 'hydra', 'pandas', 'numpy', 'pydantic', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not slow, slow\n"
        "fedtwin.runs; fedtwin.load_model; fedtwin.compare\n"
        "slow = {'torch', 'hydra', 'pandas', 'lightning'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_every_name_is_there():
    assert set(fedtwin.__all__) <= set(dir(fedtwin))
    for name in fedtwin.__all__:
        assert getattr(fedtwin, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        fedtwin.trian  # noqa: B018


def test_a_comparison_has_gap_runs_figures_and_report(comparison, folder):
    gap = comparison.gap
    shown = ["pooled", "federated", "local", "gap", "low", "high", "groups", "seeds", "better", "verdict"]
    assert list(gap.columns) == shown
    worse = np.where(gap["better"] == "lower", -1, 1)
    assert np.allclose(gap["gap"], worse * (gap["pooled"] - gap["federated"]))
    assert gap.loc["accuracy", "pooled"] == pytest.approx(comparison.pooled[0].test["accuracy"])
    assert gap.loc["accuracy", "federated"] == pytest.approx(comparison.federated[0].test["accuracy"])
    stored = {row.metric: row.verdict for row in stored_gap(comparison.run.row.summary)}
    assert dict(gap["verdict"]) == stored
    modes = [run.mode for run in (*comparison.pooled, *comparison.federated, *comparison.local[0])]
    assert modes == ["pooled", "federated", "local", "local"]
    assert {run.status for run in (comparison.run, *comparison.pooled)} == {"completed"}
    assert {"gap", "curve_loss", "confusion", "labels"} <= comparison.figures.keys()
    for path in (*comparison.figures.values(), comparison.report):
        assert path.is_relative_to(folder)
        assert path.stat().st_size > 1000
    assert comparison.sentence in str(comparison)
    assert "<table" in comparison._repr_html_()
    for shown in (str(comparison), comparison._repr_html_()):
        assert "recall (1)" in shown, "the class is named"
        assert "positive is worse" in shown
    assert "fedtwin.compare" in comparison.report.read_text()


def test_everything_lies_in_the_folder_that_was_named(comparison, folder, elsewhere):
    assert (folder / "fedtwin.db").is_file()
    assert (folder / "cache").is_dir()
    assert not elsewhere.exists()


def test_the_data_frames_of_a_run(comparison):
    federated = comparison.federated[0]
    assert list(federated.rounds.index) == [1, 2]
    assert list(federated.clients["num_examples"]) == [49, 48]
    metrics = federated.metrics
    losses = metrics[(metrics["stage"] == "train") & (metrics["name"] == "loss")]
    assert sorted(losses["client_id"].dropna().unique()) == [0, 1]
    assert comparison.pooled[0].rounds.empty


def test_runs_lists_them_newest_first(comparison, folder):
    table = fedtwin.runs(store=folder)
    assert list(table.index) == sorted(table.index, reverse=True)
    assert table.loc[comparison.run.id, "mode"] == "comparison"
    assert table.loc[comparison.pooled[0].id, "parent_id"] == comparison.run.id
    only = fedtwin.runs(mode="federated", store=folder)
    assert list(only["mode"].unique()) == ["federated"]
    for said in ("pooled", "centralized"):  # as people call it, and as it is stored
        assert set(fedtwin.runs(mode=said, store=folder)["mode"]) == {"pooled"}
    assert len(fedtwin.runs(limit=1, store=folder)) == 1


def test_runs_of_an_empty_home(tmp_path):
    assert fedtwin.runs(store=tmp_path / "new").empty


def test_a_stored_comparison_is_the_same(comparison, folder):
    again = fedtwin.load_comparison(comparison.run.id, store=folder)
    assert again.gap.equals(comparison.gap)
    assert again.sentence == comparison.sentence
    with pytest.raises(TrackingError, match="is not a finished comparison"):
        fedtwin.load_comparison(comparison.pooled[0])


def test_a_configuration_or_one_string_of_overrides_do_as_well(settings, folder):
    cfg = fedtwin.configure([*settings, "trainer.max_epochs=1"])
    assert fedtwin.configure(cfg) is cfg
    one = fedtwin.train(cfg, store=folder)
    other = fedtwin.train(" ".join([*settings, "trainer.max_epochs=1"]), store=folder)
    assert one.test == other.test
    assert one.id != other.id


def test_federate_gives_the_twin_of_the_comparison(settings, comparison, folder):
    alone = fedtwin.federate(settings, store=folder)
    assert alone.test == comparison.federated[0].test


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        (["trainer.max_epochs=0"], ConfigError, "trainer.max_epochs: expected a whole number of at least 1"),
        (["trainer.max_epoch=3"], ConfigError, "did you mean trainer.max_epochs?"),
        (["data=npz", "data.path=/nowhere.npz"], DataError, "there is no file /nowhere.npz"),
        (["trainer.max_epochs="], ConfigError, "trainer.max_epochs"),
        (["'"], ConfigError, "KEY=VALUE"),
        ("seed='1", ConfigError, "cannot be split into overrides: No closing quotation"),
    ],
)
def test_errors_are_exceptions(overrides, error, says, tmp_path):
    with pytest.raises(error, match=says):
        fedtwin.train(overrides, store=tmp_path / "place")


def test_a_failed_run_is_recorded(settings, tmp_path):
    with pytest.raises(fedtwin.FedtwinError):
        fedtwin.train([*settings, "trainer.monitor=val/nothing"], store=tmp_path)
    assert list(fedtwin.runs(store=tmp_path)["status"]) == ["failed"]


def test_a_place_must_be_a_folder(two_classes, settings):
    with pytest.raises(ConfigError, match="store is a folder or a database's URL"):
        fedtwin.train(settings, store=two_classes)


@pytest.mark.parametrize("mode", [fedtwin.train, fedtwin.federate])
def test_a_run_that_lost_its_process_is_resumed(mode, settings, folder):
    run = mode([*settings, "trainer.max_epochs=2"], store=folder)
    with Store(run.home.database_url) as store:
        store.runs.claim(run.id, resume=True)
        store.runs.finish(run.id, "failed", error="the machine went down")
    assert fedtwin.load_run(run.id, store=folder).status == "failed"
    again = fedtwin.resume(run.id, store=folder)
    assert (again.id, again.status, again.test) == (run.id, "completed", run.test)


def test_what_cannot_be_resumed(folder, comparison):
    with pytest.raises(TrackingError, match="is already complete; nothing to resume"):
        fedtwin.resume(comparison.pooled[0])
    with pytest.raises(TrackingError, match="there is no run 4711"):
        fedtwin.resume(4711, store=folder)


def test_a_caller_that_uses_hydra_keeps_its_own():
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        assert theirs is not None
        fedtwin.configure()
        with pytest.raises(ConfigError):
            fedtwin.configure("nothing=1")
        assert GlobalHydra.instance().hydra is theirs


def test_in_a_running_event_loop_and_in_a_thread(settings, folder, comparison):
    async def main():
        here = fedtwin.federate(settings, store=folder)
        there = await asyncio.to_thread(fedtwin.federate, settings, store=folder)
        return here, there

    here, there = asyncio.run(main())
    assert here.test == there.test == comparison.federated[0].test


def test_a_script_without_a_main_guard(settings, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, sys, fedtwin\n"
        "print('begins')\n"
        "threading.Thread(target=sys.stdin.read, daemon=True).start()  # then workers cannot be forked\n"
        f"print(fedtwin.federate({settings!r}, store='place').status)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": "", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.split() == ["begins", "completed"], done.stderr
    assert not (tmp_path / ".local").exists()
