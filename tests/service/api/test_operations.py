"""Health, figures for Prometheus, and changes of runs, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.problem_details import MEDIA_TYPE
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.job_kit import claimed, fence, submit
from tests.service.rows_kit import asking, new_run, pooled_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture(scope="module")
def store(home: Home) -> Iterator[Store]:
    with Store(home.database_url) as store:
        yield store


@pytest.fixture(scope="module")
def client(store: Store, home: Home) -> Iterator[httpx.Client]:
    with asking(store, home, train_token="train-correct-horse_battery") as client:
        yield client


def test_figures_for_prometheus(client, store):
    pooled_run(store, 0.5, 0.75)
    done, _, _ = submit(store), submit(store, priority="high"), submit(store)
    store.queue.complete(fence(claimed(store)))
    claimed(store)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert done
    assert found["fedtwin_jobs_waiting", "normal"] == 1
    assert found["fedtwin_jobs_waiting", "high"] == 0
    assert found["fedtwin_job_longest_wait_seconds",] >= 0
    assert found["fedtwin_workers_busy",] == 1
    assert found["fedtwin_jobs_ended_total", "completed"] == 1
    assert found["fedtwin_job_duration_seconds_bucket", "10.0"] == 1
    assert found["fedtwin_job_duration_seconds_count",] == 1
    assert 0 <= found["fedtwin_job_duration_seconds_sum",] < 10
    assert found["fedtwin_metric_rows_total",] > 0
    assert found["fedtwin_viewers",] == 0


def test_it_is_alive_and_ready(client):
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}


def test_a_run_is_renamed_tagged_and_noted(client, store):
    run = new_run(store)
    body = {"name": " ward 7 ", "note": "first <b>try</b>", "add_tags": ["paper", "b"], "remove_tags": ["b"]}
    answer = client.patch(f"/api/runs/{run.id}", json=body)
    assert answer.status_code == 200, answer.text
    found = store.runs.get(run.id)
    assert (found.name, found.description, found.tags) == ("ward 7", "first <b>try</b>", ["paper"])
    assert client.patch(f"/api/runs/{run.id}", json={}).status_code == 200
    for odd in ({"name": " "}, {"name": "a\nb"}, {"add_tags": ["two words"]}, {"other": 1}):
        assert client.patch(f"/api/runs/{run.id}", json=odd).status_code == 422, odd


def test_a_run_is_deleted_with_its_files_once_it_has_ended(client, store, home):
    run = new_run(store)
    home.run_dir(run.id).mkdir(parents=True)
    (home.run_dir(run.id) / "model.safetensors").write_bytes(b"x")
    refused = client.delete(f"/api/runs/{run.id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "run_busy"), refused.text
    assert refused.headers["content-type"] == MEDIA_TYPE
    store.runs.finish(run.id, "completed")
    assert client.delete(f"/api/runs/{run.id}").status_code == 204
    assert not home.run_dir(run.id).exists()
    assert client.delete(f"/api/runs/{run.id}").status_code == 404
