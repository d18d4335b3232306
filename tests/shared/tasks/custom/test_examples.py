"""The examples of docs/extending.md of a model and data of one's own, from a folder that is not ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import yaml

from fedtwin.models import load_model, predict
from shared.metrics.gap import stored_gap
from shared.runtime.components import MAY_RUN
from shared.runtime.errors import ConfigError
from shared.tracking.store import Store
from tests.extending_kit import block, fedtwin

SMALL = [
    "federation.num_clients=2",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
    "compare.resamples=200",
]

pytestmark = pytest.mark.timeout(300)


def write(folder: Path, name: str, holding: str, *, lines: int) -> None:
    """A file with a block of the page."""
    code = block("python", holding)
    assert len([line for line in code.splitlines() if line]) <= lines
    (folder / name).write_text(code)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples may run in this process."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(MAY_RUN, "discs,rates")
    for name in ("discs", "rates"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("importable")
def test_a_u_net_judged_by_dice(tmp_path: Path) -> None:
    write(tmp_path, "discs.py", "class UNet(", lines=55)
    file = tmp_path / "conf" / "experiment" / "discs.yaml"
    file.parent.mkdir(parents=True)
    settings = yaml.safe_load(block("yaml", "discs.UNet"))
    file.write_text(block("yaml", "discs.UNet").replace("count: 300", "count: 60"))
    assert settings["data"]["count"] == 300
    done = fedtwin(tmp_path, "compare", "--config-dir", "conf", "experiment=discs", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "with 2 clients reaches dice" in done.stdout
    with Store(f"sqlite:///{tmp_path / 'home' / 'fedtwin.db'}") as store:
        dice, loss = stored_gap(store.runs.get(1).summary)
        assert store.runs.get(3).summary["monitor"] == {"key": "val/dice", "mode": "max"}
    assert (dice.metric, dice.better, loss.better) == ("dice", "higher", "lower")
    assert dice.gap.low <= dice.gap.value <= dice.gap.high
    assert loss.verdict == "undefined"  # one seed
    for run_id in (2, 3):
        model = load_model(run_id, store=tmp_path / "home")
        assert model(torch.zeros(3, 1, 32, 32)).shape == (3, 1, 32, 32)
        assert not model.training
    with pytest.raises(ConfigError, match="only its own code knows"):
        predict(2, "images", store=tmp_path / "home")


def test_a_recurrent_network_judged_by_what_it_logs(tmp_path: Path) -> None:
    write(tmp_path, "rates.py", "class Recurrent(", lines=40)
    settings = block("sh", "rates.Recurrent").replace("\\\n", " ").replace("'", "").split("compare ")[1]
    own, metrics = settings.split("task.metrics=")
    metrics, rest = metrics.split("} ")
    given = [
        *own.split(),
        f"task.metrics={metrics}}}",
        *rest.split(),
        *SMALL,
        "compare.seeds=[1,2]",
        "+data.count=20",
    ]
    done = fedtwin(tmp_path, "compare", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    with Store(f"sqlite:///{tmp_path / 'home' / 'fedtwin.db'}") as store:
        (mae,) = stored_gap(store.runs.get(1).summary)
    assert mae.per_run
    assert mae.gap.low < mae.gap.value < mae.gap.high
