"""The algorithm of docs/extending.md, from a folder that is not ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import fedtwin
from federated.strategy.base import load_algorithm
from shared.config.stored import read_snapshot
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import ConfigError
from shared.tracking.store import Store
from tests import extending_kit

SMALL = [
    "data=digits",
    "model.widths=[2,4]",
    "model.hidden=8",
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
]
NAMED = ["strategy._target_=clipped.Clipped", "strategy.name=clipped"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the page's class and settings in it."""
    code = extending_kit.block("python", "class Clipped(")
    assert len(code.splitlines()) <= 45
    (tmp_path / "clipped.py").write_text(code)
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    text = extending_kit.block("yaml", "clipped.Clipped").replace("0.5", "0.125")
    (tmp_path / "conf" / "strategy" / "clipped.yaml").write_text(text)
    yield tmp_path
    sys.modules.pop("clipped", None)


def run(folder: Path, *arguments: str) -> str:
    """What ``fedtwin`` prints in a folder."""
    done = extending_kit.fedtwin(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_trains_by_its_dotted_path_and_has_the_same_settings_by_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, "simulate", *SMALL, *NAMED, "+strategy.max_norm=0.125")
    with Store(f"sqlite:///{folder / 'home' / 'fedtwin.db'}") as store:
        (row,) = store.runs.search()
    assert row.status == "completed"
    by_file = ["--config-dir", "conf", *SMALL, "strategy=clipped", "--cfg=job"]
    shown = yaml.safe_load(run(folder, "simulate", *by_file))
    assert shown["strategy"] == row.config["strategy"]
    monkeypatch.delenv(MAY_RUN, raising=False)
    with pytest.raises(ConfigError, match=r"clipped\.Clipped may not run here"):
        load_algorithm(read_snapshot(row.config).strategy)  # that it is stored is no permission


def test_its_settings_are_checked_before_there_is_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, "")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # both are as before when the test ends
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"strategy\.max_norm: expected a number above 0, got 0"):
        fedtwin.federate([*SMALL, *NAMED, "+strategy.max_norm=0"], store=folder / "home")
    assert fedtwin.runs(store=folder / "home").empty
