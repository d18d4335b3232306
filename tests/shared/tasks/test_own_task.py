"""The task of docs/extending.md, from a folder that is not ours."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from shared.metrics.gap import stored_gap
from shared.metrics.outputs import OUTPUTS_FILE, Outputs
from shared.tracking.store import Store
from tests.extending_kit import block, fedtwin

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


def test_the_twins_are_compared_with_an_interval_and_predict(folder: Path) -> None:
    command = ["--config-dir", "conf", "task=visits", *SMALL]
    done = fedtwin(folder, "compare", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reaches deviance" in done.stdout
    with Store(f"sqlite:///{folder / 'home' / 'fedtwin.db'}") as store:
        compared, pooled, federated = (store.runs.get(run_id) for run_id in (1, 2, 3))
        clients = store.clients.of_run(federated.id)
    first, *_ = stored_gap(compared.summary)
    assert (first.metric, first.better) == ("deviance", "lower")
    assert first.gap.low < first.gap.value < first.gap.high
    assert first.pooled.value == pytest.approx(pooled.summary["test"]["deviance"])
    assert [client.num_examples for client in clients] == [65, 65, 65]
    assert pooled.summary["monitor"] == federated.summary["monitor"] == {"key": "val/deviance", "mode": "min"}

    allowed = {"FEDTWIN_MAY_RUN": "visits", "PYTHONPATH": f"{Path(__file__).parents[3]}:{folder}"}
    for run in (pooled, federated):
        done = fedtwin(folder, "predict", str(run.id), "visits.csv", "--format", "csv", **allowed)
        assert done.returncode == 0, done.stdout + done.stderr
        numbers = np.array([float(row["prediction"]) for row in csv.DictReader(io.StringIO(done.stdout))])
        assert len(numbers) == 300
        tested = Outputs.load(folder / "home" / "runs" / str(run.id) / OUTPUTS_FILE)
        visits = np.loadtxt(folder / "visits.csv", delimiter=",", skiprows=1, usecols=4)
        for value, target in zip(tested.predictions[:, 0], tested.targets[:, 0], strict=True):
            assert np.isclose(numbers[visits == target], value, rtol=1e-5).any()
    done = fedtwin(folder, "predict", "2", "visits.csv")
    assert done.returncode == 2
    assert "_target_=visits.Visits may not run here" in done.stderr


def test_what_is_wrong_with_data_and_settings_is_said(folder: Path) -> None:
    own = ["--config-dir", "conf", "task=visits", *SMALL]
    for changes, says in (
        (["task.hidden=0"], "task.hidden: Input should be greater than or equal to 1, got 0"),
        (["data=digits"], "task=visits reads its rows itself, got data.source=digits; choose data=rows"),
        (["data.path=visits.py"], "visits.py cannot be read by VisitsLearner"),
        (["trainer.class_weights=balanced"], "class_weights=balanced has no effect"),
    ):
        done = fedtwin(folder, "centralized", *own, *changes)
        assert done.returncode == 2, done.stdout + done.stderr
        assert says in done.stderr
