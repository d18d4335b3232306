"""The algorithm of docs/extending.md, from a folder that is not ours."""

from __future__ import annotations

import os
import re
import subprocess
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

ROOT = Path(__file__).resolve().parents[3]
CODE, YAML = (
    re.findall(rf"```{kind}\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), flags=re.DOTALL)
    for kind in ("python", "yaml")
)
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
    code = next(code for code in CODE if "class Clipped(" in code)
    assert len(code.splitlines()) <= 45
    (tmp_path / "clipped.py").write_text(code)
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    text = next(text for text in YAML if "clipped.Clipped" in text)
    (tmp_path / "conf" / "strategy" / "clipped.yaml").write_text(text.replace("0.5", "0.125"))
    yield tmp_path
    sys.modules.pop("clipped", None)


def run(folder: Path, *arguments: str) -> str:
    """What ``fedtwin`` prints in a folder."""
    plain = {k: v for k, v in os.environ.items() if k not in (MAY_RUN, "FEDTWIN_DATABASE_URL")}
    done = subprocess.run(
        # As the installed command does, which does not find modules of the current folder by itself.
        [sys.executable, "-P", "-c", "from fedtwin.cli.main import command; command()", *arguments],
        cwd=folder,
        env={**plain, "PYTHONPATH": str(ROOT), "FEDTWIN_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_trains_by_its_dotted_path_and_has_the_same_settings_by_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, "simulate", *SMALL, *NAMED, "+strategy.max_norm=0.125")
    with Store(f"sqlite:///{folder / 'home' / 'fedtwin.db'}") as store:
        (row,) = store.runs.search()
    assert row.status == "completed"
    assert (folder / "home" / "runs" / "1" / "checkpoints" / "last.safetensors").exists()
    shown = yaml.safe_load(
        run(folder, "simulate", "--config-dir", "conf", *SMALL, "strategy=clipped", "--cfg=job")
    )
    assert shown["strategy"] == row.config["strategy"]
    monkeypatch.delenv(MAY_RUN, raising=False)
    with pytest.raises(
        ConfigError, match=r"clipped\.Clipped may not run here"
    ):  # that it is stored is no permission
        load_algorithm(read_snapshot(row.config).strategy)


def test_its_settings_are_checked_before_there_is_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_RUN, "")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # both are as before when the test ends
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"strategy\.max_norm: Input should be greater than 0, got 0"):
        fedtwin.federate([*SMALL, *NAMED, "+strategy.max_norm=0"], store=folder / "home")
    assert fedtwin.runs(store=folder / "home").empty
