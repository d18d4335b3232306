"""A database of fedtwin 0.1, with a run of every mode, is opened, shown, exported, served and added to.

Its comparison: pooled run 2 (4 epochs), federated run 3 (2 clients, 2 rounds), local runs 4 and 5.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from service.api import chart_schemas
from service.read import schemas
from service.stream.catch_up import read_page, read_runs, read_snapshot
from shared.config.stored import read_snapshot as read_config
from shared.metrics.gap import stored_gap
from shared.runtime.home import Home
from shared.tracking import migrations, show
from shared.tracking.export import export_run
from shared.tracking.store import Store
from tests.contracts.store_workers import point
from tests.contracts.stored_kit import restore
from tests.service.rows_kit import asking

COMPARISON, POOLED, FEDERATED, LOCAL = 1, 2, 3, (4, 5)
RUNS = (COMPARISON, POOLED, FEDERATED, *LOCAL)
CLASSES = [str(number) for number in range(10)]
TEST_ACCURACY = {POOLED: 0.941504, FEDERATED: 0.623955, 4: 0.64624, 5: 0.56546}
# 10 training and 8 validation values in each of 4 epochs, and 8 test values of the pooled run.
ROWS = {COMPARISON: 0, POOLED: 4 * 18 + 8, 4: 4 * 18, 5: 4 * 18}


@pytest.fixture
def store(database_url, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    restore("0001", database_url, scratch)
    with Store(database_url) as opened:
        yield opened


@pytest.fixture
def home(tmp_path, database_url):
    return Home(root=tmp_path / "home", database_url=database_url)


def shown(renderable) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


class TestRows:
    def test_runs_of_every_mode(self, store):
        runs = store.runs.search()
        modes = {run.id: (run.training_mode, run.status, run.parent_id) for run in runs}
        assert modes == {
            1: ("compare", "completed", None),
            2: ("centralized", "completed", 1),
            3: ("federated", "completed", 1),
            4: ("local", "completed", 1),
            5: ("local", "completed", 1),
        }
        assert {run.host for run in runs} == {"example-host"}
        assert [run.id for run in store.runs.children(COMPARISON)] == [POOLED, FEDERATED, *LOCAL]
        assert [run.id for run in store.runs.search(text="digits cnn client-1")] == [5]
        for run in runs:
            if run.id in TEST_ACCURACY:
                assert run.summary["classes"] == CLASSES
                assert run.summary["test"]["accuracy"] == pytest.approx(TEST_ACCURACY[run.id], abs=1e-6)

    def test_metrics(self, store):
        for run_id, count in ROWS.items():
            assert len(store.metrics.of_run(run_id)) == count
        rows = store.metrics.of_run(POOLED)
        accuracy = [row.value for row in rows if (row.stage, row.name) == ("val", "accuracy")]
        assert accuracy == [0.457249, 0.728625, 0.888476, 0.933086]
        best = store.metrics.best_values(POOLED)
        assert best["accuracy"] == 0.933086
        losses = [row.value for row in rows if (row.stage, row.name) == ("val", "loss")]
        assert best["loss"] == min(losses)
        assert best.items() <= store.runs.get(POOLED).summary["best"].items()

    def test_the_federated_run(self, store):
        rows = store.metrics.of_run(FEDERATED)
        assert Counter(row.client_id for row in rows).keys() == {None, 0, 1}
        assert len(rows) == 416 - sum(ROWS.values())
        assert [(row.round, row.sampled, row.replied) for row in store.rounds.of_run(FEDERATED)] == [
            (1, [0, 1], [0, 1]),
            (2, [0, 1], [0, 1]),
        ]
        assert [row.bytes_down for row in store.rounds.of_run(FEDERATED)] == [196508, 196508]
        evaluations = store.evaluations.of_run(FEDERATED)
        assert [row.round for row in evaluations] == [0, 1, 2]
        assert [row.metrics["accuracy"] for row in evaluations] == [0.0501393, 0.395543, 0.623955]
        assert {sum(map(sum, row.confusion)) for row in evaluations} == {359}
        clients = store.clients.of_run(FEDERATED)
        assert [(row.name, row.node_id, row.num_examples) for row in clients] == [
            ("client-0", "1000", 700),
            ("client-1", "1001", 469),
        ]
        counts = [47, 115, 95, 54, 1, 2, 94, 81, 111, 100]
        assert clients[0].profile["counts"] == {"label": dict(zip(CLASSES, counts, strict=True))}

    def test_the_schema_is_todays(self, store):
        store.runs.search()
        with store._database.read() as connection:
            assert migrations.revision(connection) == migrations.HEAD

    def test_new_rows_come_after_the_old_ones(self, store):
        run_id = store.runs.create(name="new", training_mode="centralized", config={}, seed=1)
        assert run_id == 6
        assert store.metrics.add(run_id, [point()]) == 1
        assert store.metrics.cursor(run_id) == 417
        assert store.runs.close_orphans() == []

    def test_the_config_of_each_run_is_read(self, store):
        for run_id in RUNS:
            run = store.runs.get(run_id)
            cfg = read_config(run.config).replace("tracking", run_id=run_id)
            assert (cfg.name, cfg.seed, cfg.federation.num_rounds) == (run.name, run.seed, 2)
            assert cfg.trainer.max_epochs == (2 if run_id == COMPARISON else 4)


class TestShown:
    def test_the_list(self, store):
        text = shown(show.runs_table(store.runs.search()))
        assert all(name in text for name in ("comparison", "pooled", "federated", "local", "0.9331"))
        assert [run["id"] for run in show.runs_json(store.runs.search())] == [5, 4, 3, 2, 1]

    @pytest.mark.parametrize("run_id", RUNS)
    def test_one_run(self, store, run_id):
        text = shown(show.run_view(store, run_id))
        assert "completed" in text
        assert "data.name=digits" in text
        found = json.loads(json.dumps(show.run_json(store, run_id), allow_nan=False))
        assert found["run"]["id"] == run_id
        assert len(found["clients"]) == (2 if run_id == FEDERATED else 0)
        assert found["children"] == ([2, 3, 4, 5] if run_id == COMPARISON else [])

    @pytest.mark.parametrize("run_id", RUNS)
    def test_exports(self, store, run_id, tmp_path):
        rows = store.metrics.of_run(run_id)
        lines = list(csv.DictReader(io.StringIO(export_run(store, run_id, format="csv", path=None))))
        if store.runs.get(run_id).training_mode == "compare":
            assert rows == []
            shown = {line["metric"]: float(line["gap"]) for line in lines}
            assert shown == {row.metric: row.cost.value for row in stored_gap(store.runs.get(run_id).summary)}
        else:
            assert [float(line["value"]) for line in lines] == [row.value for row in rows]
        table = pq.read_table(export_run(store, run_id, format="parquet", path=tmp_path / "rows.parquet"))
        assert table.num_rows == len(lines)
        if rows:
            assert table.column("id").to_pylist() == [row.id for row in rows]
        results = json.loads(export_run(store, run_id, format="json", path=None))
        assert len(results["history"]) == len(rows)
        if run_id in TEST_ACCURACY:
            assert results["metrics"]["test"]["accuracy"] == pytest.approx(TEST_ACCURACY[run_id], abs=1e-6)
            assert sum(map(sum, results["confusion_matrix"]["matrix"])) == 359


class TestServed:
    def test_the_rest_api(self, store, home):
        def get(path, model=None):
            answer = client.get(f"/api{path}")
            assert answer.status_code == 200, answer.text
            if model is not None:
                model.model_validate(answer.json())
            return answer.json()

        with asking(store, home) as client:
            assert [run["id"] for run in get("/runs", schemas.Runs)["runs"]] == [5, 4, 3, 2, 1]
            for run_id in RUNS:
                detail = get(f"/runs/{run_id}", schemas.RunDetail)
                assert [one["id"] for one in detail["family"]["members"]] == [2, 3, 4, 5]
                rows = get(f"/runs/{run_id}/metrics?limit=1000", schemas.Rows)["rows"]
                assert len(rows) == len(store.metrics.of_run(run_id))
                get(f"/runs/{run_id}/series?clients=true", chart_schemas.SeriesList)
                get(f"/runs/{run_id}/steps", chart_schemas.Steps)
                get(f"/runs/{run_id}/diff?with={POOLED}", chart_schemas.Difference)
                assert client.get(f"/api/runs/{run_id}/export").status_code == 200
            evaluations = get(f"/runs/{FEDERATED}", schemas.RunDetail)["evaluations"]
            assert [one["round"] for one in evaluations] == [0, 1, 2]
            compared = get(f"/compare?runs={COMPARISON}&metric=accuracy&stage=test", chart_schemas.Comparison)
            assert [run["id"] for run in compared["runs"]] == [2, 3, 4, 5]

    def test_the_live_stream(self, store):
        assert read_runs(store)
        for run_id in RUNS:
            snapshot = read_snapshot(store, run_id)
            assert snapshot.federated == (run_id == FEDERATED)
            assert snapshot.begin
            assert snapshot.end
            page = read_page(store, run_id, after=0, federated=snapshot.federated)
            assert page.complete
            assert bool(page.frames) == bool(store.metrics.of_run(run_id))
