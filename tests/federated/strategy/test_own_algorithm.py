"""The algorithm of docs/extending.md, from a folder that is not ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.extending_kit import block, fedtwin

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


def test_the_example_trains_by_its_dotted_path_and_by_its_file(tmp_path: Path) -> None:
    code = block("python", "class Clipped(")
    assert len(code.splitlines()) <= 45
    (tmp_path / "clipped.py").write_text(code)
    named = ["strategy._target_=clipped.Clipped", "strategy.name=clipped", "+strategy.max_norm=0.125"]
    done = fedtwin(tmp_path, "simulate", *SMALL, *named)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "conf" / "strategy").mkdir(parents=True)
    text = block("yaml", "clipped.Clipped").replace("0.5", "0.125")
    (tmp_path / "conf" / "strategy" / "clipped.yaml").write_text(text)
    done = fedtwin(tmp_path, "simulate", "--config-dir", "conf", *SMALL, "strategy=clipped")
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = (
        load_file(tmp_path / "home" / "runs" / run_id / "checkpoints" / "last.safetensors") for run_id in "12"
    )
    assert all(one[key].equal(other[key]) for key in one)


def test_its_settings_are_checked_and_a_stored_run_may_not_run_it_unasked(tmp_path: Path) -> None:
    (tmp_path / "clipped.py").write_text(block("python", "class Clipped("))
    named = ["strategy._target_=clipped.Clipped", "strategy.name=clipped"]
    done = fedtwin(tmp_path, "simulate", *SMALL, *named, "+strategy.max_norm=0")
    assert done.returncode == 2
    assert "strategy.max_norm: Input should be greater than 0, got 0" in done.stderr
    assert not (tmp_path / "home" / "runs").exists() or not [*(tmp_path / "home" / "runs").iterdir()]
