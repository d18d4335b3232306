"""A model of the user's own at sites that read their data by code of their own, as real processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from federated.deploy.demo.testbed import SERVER
from federated.kit.site_file import SITE_FILE
from shared.config.compose import compose
from shared.runtime.components import MAY_RUN
from shared.runtime.home import Home
from shared.tracking.store import Store
from simulations.execute import execute
from tests.e2e.deploy_kit import SITES, open_bed
from tests.e2e.same_run_kit import last_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TWO = SITES[:2]
OURS = "tests.own_code"
SETTINGS = [
    "task=custom",
    f"model._target_={OURS}.Predicting",
    f"data._target_={OURS}.stored",
    f"task.metrics={{mse: {{better: lower, _target_: {OURS}.squared}}, loss: lower}}",
    "data.batch_size=8",
    "federation.num_clients=2",
    "federation.num_rounds=1",
    "federation.local_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
]


def write_rows(folder: Path) -> None:
    """Rows of two sites, and the server's to test on."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("0", 25), ("1", 37), ("test", 20)):
        np.save(folder / f"{name}.npy", rng.normal(size=(count, 5)).astype(np.float32))


def test_sites_train_a_users_model_on_data_that_their_own_code_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAY_RUN, OURS)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    rows = tmp_path / "rows"
    write_rows(rows)
    home = Home(root=tmp_path / "simulated", database_url=f"sqlite:///{tmp_path / 'simulated.db'}")
    home.root.mkdir()
    shared = ["partition=natural", "partition.column=client", "federation.engine=local", f"data.path={rows}"]
    with Store(home.database_url) as store:
        simulated = execute(compose([*SETTINGS, *shared]), "federated", store=store, home=home)

    data = {name: rows / f"{place}.npy" for place, name in enumerate(TWO)}
    with open_bed(tmp_path / "bed", data=data, sites=TWO) as bed:
        bed.home.mkdir(parents=True)
        for name in TWO:
            monkeypatch.delenv(MAY_RUN, raising=False)  # at a site, its own file says what may run
            file = bed.kit(name) / SITE_FILE
            site = yaml.safe_load(file.read_text())
            site["may_run"] = [OURS]
            if name == TWO[0]:
                site["may_leave"]["metrics"].append("mse")
            file.write_text(yaml.safe_dump(site))
        bed.start(SERVER, more={MAY_RUN: OURS})
        bed.wait_until_ready()
        for name in TWO:
            bed.start(name)
        process = bed.federate([*SETTINGS, f"data.path={rows}"])
        assert process.wait(timeout=400) == 0, (bed.folder / "logs" / "run.log").read_text()[-3000:]
        deployed = Home(root=bed.home, database_url=f"sqlite:///{bed.home / 'fedtwin.db'}")
        with Store(deployed.database_url) as store:
            (run,) = store.runs.search()
            told = {
                row.client_id
                for row in store.metrics.of_run(run.id)
                if row.name == "mse" and row.stage == "val"
            }
        assert last_weights(deployed.run_dir(run.id)) == last_weights(home.run_dir(simulated))
        assert 0 in told
        assert 1 not in told  # its file does not list the metric
        checked = bed.run(TWO[0], "deploy", "check", str(bed.kit(TWO[0])))
        assert f"the site's own code ({OURS})" in checked.stdout.replace("\n", " "), checked.stdout
