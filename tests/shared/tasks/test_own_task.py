"""The task of docs/extending.md, from a folder that is not ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from fedtwin.cli.main import main
from fedtwin.models import load_model, predict
from shared.config.compose import compose
from shared.metrics.gap import stored_gap
from shared.metrics.judge import Judge
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.runtime.errors import ConfigError, DataError
from shared.tasks.base import Learner, TaskSpec
from shared.tasks.task import learner_of
from shared.tasks.trained_model import PredictingLearner
from shared.tracking.store import Store
from tests.extending_kit import TEXT, block, fedtwin

SMALL = [
    "federation.num_clients=3",
    "federation.num_rounds=2",
    "federation.local_epochs=1",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
    "compare.resamples=200",
]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's files, and 300 shifts in three wards."""
    folder = tmp_path_factory.mktemp("own")
    code = block("python", "class VisitsLearner(")
    assert len(code.splitlines()) <= 80
    (folder / "visits.py").write_text(code)
    (folder / "conf" / "task").mkdir(parents=True)
    (folder / "conf" / "task" / "visits.yaml").write_text(block("yaml", "visits.Visits"))
    rng = np.random.default_rng(0)
    lines = ["ward,weekday,hour,temperature,visits"]
    for row in range(300):
        ward, weekday, hour, temperature = row % 3, rng.integers(7), rng.integers(24), rng.normal(10, 8)
        visits = rng.poisson(np.exp(0.5 + 0.4 * ward + 0.05 * hour))
        lines.append(f"{'ABC'[ward]},{weekday},{hour},{temperature:.1f},{visits}")
    (folder / "visits.csv").write_text("\n".join(lines))
    return folder


def test_the_page_names_every_part_of_a_task() -> None:
    table = TEXT[TEXT.index("## A task of your own") :]
    for protocol in (TaskSpec, Judge, Learner, PredictingLearner):
        for name in [name for name in vars(protocol) if not name.startswith("_")]:
            assert f"`{name}`" in table or f"`{name}(" in table, name


@pytest.fixture
def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example may run in this process."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("FEDTWIN_MAY_RUN", "visits")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # a command that runs here adds to it
    monkeypatch.delitem(sys.modules, "visits", raising=False)


@pytest.fixture(scope="module")
def home(folder: Path) -> Path:
    """Where a comparison of the example was stored that ran as the docs say."""
    done = fedtwin(folder, "compare", "--config-dir", "conf", "task=visits", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reaches Poisson deviance" in done.stdout
    return folder / "home"


def test_the_twins_are_compared_with_an_interval(home: Path) -> None:
    with Store(f"sqlite:///{home / 'fedtwin.db'}") as store:
        compared, pooled, federated = (store.runs.get(run_id) for run_id in (1, 2, 3))
        clients = store.clients.of_run(federated.id)
    first, *_ = stored_gap(compared.summary)
    assert (first.metric, first.better) == ("deviance", "lower")
    assert first.gap.low < first.gap.value < first.gap.high
    assert first.pooled.value == pytest.approx(pooled.summary["test"]["deviance"])
    assert [client.num_examples for client in clients] == [66, 62, 67]  # by ward
    assert pooled.summary["monitor"] == federated.summary["monitor"] == {"key": "val/deviance", "mode": "min"}
    assert set(pooled.summary["best"]) == set(federated.summary["best"]) == {"deviance", "loss"}


@pytest.mark.parametrize("run_id", [2, 3])
@pytest.mark.usefixtures("importable")
def test_its_models_predict_what_was_tested(run_id: int, home: Path, folder: Path) -> None:
    model = load_model(run_id, store=home)
    numbers = np.array(predict(model, folder / "visits.csv").answers)
    tested = Outputs.load(home / "runs" / str(run_id) / OUTPUTS_FILE)
    visits = np.loadtxt(folder / "visits.csv", delimiter=",", skiprows=1, usecols=4)
    for value, target in zip(tested.predictions[:, 0], tested.targets[:, 0], strict=True):
        assert np.isclose(numbers[visits == target], value, rtol=1e-5).any()
    rows = np.loadtxt(folder / "visits.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
    assert np.allclose(predict(model, rows.tolist()).answers, numbers)
    assert predict(model, np.zeros((0, 3))).answers == []
    with pytest.raises(DataError, match=r"expected a file or numbers \[N, 3\], got \(2, 2\)"):
        predict(model, [[1, 2], [3, 4]])


def test_a_stored_run_may_not_run_it_unasked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDTWIN_MAY_RUN", raising=False)
    with pytest.raises(ConfigError, match=r"_target_=visits.Visits may not run here"):
        load_model(2, store=home)


@pytest.mark.usefixtures("importable")
def test_its_partition_is_shown(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEDTWIN_HOME", str(tmp_path))
    own = ["--config-dir", str(folder / "conf"), "task=visits", f"data.path={folder / 'visits.csv'}"]
    monkeypatch.setattr(sys, "argv", ["fedtwin", "partition", *own, "federation.num_clients=3"])
    main()
    assert capsys.readouterr().out.split("\n")[:3] == [
        "A  66 rows",
        "B  62 rows",
        "C  67 rows",
    ]


@pytest.mark.usefixtures("importable")
def test_what_is_wrong_with_data_and_settings_is_said(folder: Path, tmp_path: Path) -> None:
    own = ["task._target_=visits.Visits", "task.name=visits", "model=own"]

    def learner(*changes: str) -> Learner:
        return learner_of(compose([*own, f"data.path={folder / 'visits.csv'}", *changes]))

    with pytest.raises(ConfigError, match=r"task.hidden: expected a whole number of at least 1, got 0"):
        learner("data=rows", "+task.hidden=0")
    with pytest.raises(ConfigError, match=r"reads its rows itself, got data.source=digits; choose data=rows"):
        learner("+task.hidden=4").dataset(cache=tmp_path)
    (tmp_path / "broken.csv").write_text("ward,hour\nA,1")
    with pytest.raises(DataError, match=r"broken.csv cannot be read by VisitsLearner: KeyError: .*visits"):
        learner("data=rows", "+task.hidden=4", f"data.path={tmp_path / 'broken.csv'}").dataset(cache=tmp_path)
