"""The algorithm of docs/extending.md, from a folder that is not ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

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

pytestmark = pytest.mark.timeout(300)


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``fedtwin`` in a folder."""
    plain = {k: v for k, v in os.environ.items() if k not in ("FEDTWIN_MAY_RUN", "FEDTWIN_DATABASE_URL")}
    return subprocess.run(
        # As the installed command does, which does not find modules of the current folder by itself.
        [sys.executable, "-P", "-c", "from fedtwin.cli.main import command; command()", *arguments],
        cwd=folder,
        env={**plain, "PYTHONPATH": str(ROOT), "FEDTWIN_HOME": str(folder / "home"), **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_example_trains_by_its_dotted_path_and_by_its_file(tmp_path: Path) -> None:
    code = next(code for code in CODE if "class Clipped(" in code)
    assert len(code.splitlines()) <= 45
    (tmp_path / "clipped.py").write_text(code)
    named = ["strategy._target_=clipped.Clipped", "strategy.name=clipped", "+strategy.max_norm=0.125"]
    done = run(tmp_path, "simulate", *SMALL, *named)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    text = next(text for text in YAML if "clipped.Clipped" in text).replace("0.5", "0.125")
    (tmp_path / "conf" / "strategy" / "clipped.yaml").write_text(text)
    done = run(tmp_path, "simulate", "--config-dir", "conf", *SMALL, "strategy=clipped")
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = (
        load_file(tmp_path / "home" / "runs" / run_id / "checkpoints" / "last.safetensors") for run_id in "12"
    )
    assert all(one[key].equal(other[key]) for key in one)


def test_its_settings_are_checked_and_a_stored_run_may_not_run_it_unasked(tmp_path: Path) -> None:
    (tmp_path / "clipped.py").write_text(next(code for code in CODE if "class Clipped(" in code))
    named = ["strategy._target_=clipped.Clipped", "strategy.name=clipped"]
    done = run(tmp_path, "simulate", *SMALL, *named, "+strategy.max_norm=0")
    assert done.returncode == 2
    assert "strategy.max_norm: Input should be greater than 0, got 0" in done.stderr
    assert not (tmp_path / "home" / "runs").exists() or not [*(tmp_path / "home" / "runs").iterdir()]
