"""A run's log, its use of the machine, and its changed settings, over the REST API."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from service.api.run_file_schemas import Changed, Resources
from service.read.run_files import MOST_LOG, MOST_SAMPLES
from shared.config.config import Config
from shared.runtime.home import Home
from shared.tracking.resources import RESOURCES_FILE
from shared.tracking.run_log import LOG_FILE
from shared.tracking.store import Store
from tests.service.rows_kit import asking, new_run

HEAD = "time,cpu,memory,machine_cpu,machine_memory,gpu,gpu_memory\n"


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(root=tmp_path, database_url=f"sqlite:///{tmp_path / 'fedtwin.db'}")


def test_nothing_is_there_of_a_run_from_elsewhere_and_the_page_knows(home: Home) -> None:
    with Store(home.database_url) as store, asking(store, home) as client:
        run = new_run(store)
        assert client.get(f"/api/runs/{run.id}").json()["kept"] == []
        for kind in ("log", "resources"):
            answer = client.get(f"/api/runs/{run.id}/{kind}")
            assert answer.status_code == 404
            assert "on this machine" in answer.json()["detail"]


def test_the_end_of_the_log_without_passwords(home: Home) -> None:
    with Store(home.database_url) as store, asking(store, home) as client:
        run = new_run(store)
        folder = home.run_dir(run.id)
        folder.mkdir(parents=True)
        secret = "postgresql://me:hunter2@db/x"
        (folder / LOG_FILE).write_text("begin\n" + "x" * MOST_LOG + f"\n{secret}\nend\n")
        answer: httpx.Response = client.get(f"/api/runs/{run.id}/log")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text.splitlines() == ["postgresql://me:***@db/x", "end"]
        assert client.get(f"/api/runs/{run.id}").json()["kept"] == ["log"]


def test_moments_as_columns_thinned_evenly(home: Home) -> None:
    with Store(home.database_url) as store, asking(store, home) as client:
        run = new_run(store)
        folder = home.run_dir(run.id)
        folder.mkdir(parents=True)
        rows = [f"{at},{'' if at == 0 else 50.5},1000,12.5,2000,,\n" for at in range(2 * MOST_SAMPLES + 1)]
        (folder / RESOURCES_FILE).write_text(HEAD + "".join(rows))
        found = client.get(f"/api/runs/{run.id}/resources").json()
        Resources.model_validate(found)
        assert found["total"] == 2 * MOST_SAMPLES + 1
        assert found["time"][:3] == [0, 3, 6]
        assert found["cpu"][:2] == [None, 50.5]
        assert (found["memory"][0], found["machine_cpu"][0], found["gpu"][0]) == (1000, 12.5, None)


def test_what_differs_from_the_defaults(home: Home, make_default: Callable[..., Config]) -> None:
    with Store(home.database_url) as store, asking(store, home) as client:
        cfg = make_default("trainer.optimizer.lr=0.25", "federation.num_rounds=7", "seed=3")
        run = new_run(store, config=cfg.snapshot())
        found = client.get(f"/api/runs/{run.id}/changed").json()
        Changed.model_validate(found)
        own = {row["key"]: row["value"] for row in found["rows"]}
        assert own.items() >= {"trainer.optimizer.lr": 0.25, "federation.num_rounds": 7, "seed": 3}.items()
        assert set(own) <= {"trainer.optimizer.lr", "federation.num_rounds", "seed", "partition.seed"}
        usual = new_run(store, config=make_default().snapshot())
        assert client.get(f"/api/runs/{usual.id}/changed").json() == {"rows": []}


@pytest.fixture
def make_default() -> Callable[..., Config]:
    from shared.config.compose import compose

    return lambda *overrides: compose(list(overrides))
