"""The REST API on a real server: what it answers, what it refuses, and what it never says."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from service.api import chart_schemas
from service.problem_details import MEDIA_TYPE
from service.read import schemas
from shared.metrics.outputs import Outputs
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.service.rows_kit import CONFIG, asking, build_app, clients, federated_run, new_run, point, pooled_run

SECRET = "postgresql://me:hunter2@db.example/fedtwin"
LATE = "<img src=x onerror=alert(1)> \ud800 late"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture(scope="module")
def store(home: Home) -> Iterator[Store]:
    """A finished comparison 1 with pooled 2 and federated 3; and 4, a local run, and 5, an empty one."""
    with Store(home.database_url) as store:
        parent = new_run(store, training_mode="compare", name="twins")
        pooled = pooled_run(store, 0.5, 0.75, parent_id=parent.id)
        federated = federated_run(store, 0.25, math.nan, parent_id=parent.id, description=LATE)
        store.clients.add(federated.id, clients(federated.id))
        store.evaluations.add(
            federated.id,
            round=1,
            loss=0.5,
            metrics={"auroc": math.nan},
            confusion=[[5, 1], [2, 4]],
            num_examples=12,
        )
        for run in (pooled, federated):
            store.metrics.add(run.id, [point(0.875, stage="test")])
            store.runs.update(run.id, summary={"classes": ["no", "yes"], "test": {"accuracy": 0.875}})
            store.runs.finish(run.id, "completed")
            folder = home.run_dir(run.id)
            folder.mkdir(parents=True)
            probabilities = np.array([[0.75, 0.25], [0.25, 0.75]], dtype=np.float32)
            np.savez(folder / "test_predictions.npz", probabilities=probabilities, labels=[0, 1], threshold=0.5)
        config = {
            **CONFIG,
            "data": {"name": "X-rays 100%"},
            "tracking": {"database_url": SECRET},
            "text": "\ud800",
        }
        alone = new_run(store, training_mode="local", name="alone-client-2", config=config)
        store.runs.finish(alone.id, "failed", error=f"TrackingError: {SECRET}")
        new_run(store, name="empty")
        folder = home.results / f"compare_{parent.id}"
        folder.mkdir(parents=True)
        (folder / "report.html").write_text("<!doctype html><script>alert(1)</script>")
        for name in ("gap.png", 'odd "name"\u2028;.png', "notes.txt"):
            (folder / name).write_bytes(b"\x89PNG " + name.encode())
        yield store


@pytest.fixture(scope="module")
def client(store: Store, home: Home) -> Iterator[httpx.Client]:
    with asking(store, home) as client:
        yield client


def get(client, path, *, model=None):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    found = answer.json()
    if model is not None:
        model.model_validate(found)
    return found


def problem(client, path, status, detail, *, method="GET"):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    found = answer.json()
    assert found.keys() - {"errors"} == {"type", "title", "status", "detail", "instance"}
    assert (found["type"], found["status"]) == ("about:blank", status)
    assert detail in found["detail"], found
    return found


# --- runs ---------------------------------------------------------------------------------------------


def test_health(client):
    found = get(client, "/api/health", model=schemas.Health)
    assert (found["status"], found["version"], found["database"]) == ("ok", "1.2.3", "sqlite")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("?mode=federated", [3]),
        ("?status=completed", [3, 2]),
        ("?q=TWINS", [1]),
        ("?q=late", [3]),
        ("?q=digits+cnn&mode=centralized", [5, 2]),
        ("?q=x-rays+100%25", [4]),
        ("?q=100_", []),
        ("?q=5", [5]),
        ("?q=99999999999999999999", []),
        ("?q=%00", [5, 4, 3, 2, 1]),
        ("?before=3", [2, 1]),
        ("?q=nothing", []),
    ],
)
def test_the_list_of_runs(client, query, ids):
    found = get(client, f"/api/runs{query}", model=schemas.Runs)
    assert [run["id"] for run in found["runs"]] == ids
    assert found["next"] is None


def test_runs_have_their_tags(client, store):
    store.runs.tag(4, add=["ward", "first"])
    listed = {run["id"]: run["tags"] for run in get(client, "/api/runs", model=schemas.Runs)["runs"]}
    assert listed == {1: [], 2: [], 3: [], 4: ["ward", "first"], 5: []}
    assert get(client, "/api/runs/4", model=schemas.RunDetail)["tags"] == ["ward", "first"]


def test_the_list_of_runs_has_pages(client):
    pages, path = [], "/api/runs?limit=2"
    while path:
        found = get(client, path)
        pages.append([run["id"] for run in found["runs"]])
        path = found["next"] and f"/api/runs?limit=2&before={found['next']}"
    assert pages == [[5, 4], [3, 2], [1]]


def test_one_run(client):
    found = get(client, "/api/runs/3", model=schemas.RunDetail)
    assert (found["status"], found["classes"], found["config"]["seed"]) == ("completed", ["no", "yes"], 7)
    assert found["description"].startswith(
        "<img src=x onerror=alert(1)>"
    )  # text: the page never reads it as markup
    assert [one["name"] for one in found["clients"]] == ["site 0", "site 1"]
    assert [one["round"] for one in found["rounds"]] == [1, 2]
    assert found["evaluations"][0]["metrics"] == {"auroc": None}
    assert found["family"]["parent"] == 1
    assert [(one["id"], one["role"]) for one in found["family"]["members"]] == [(2, "pooled"), (3, "federated")]
    assert found["cursor"] == found["latest"][-1]["id"] == max(row["id"] for row in found["latest"])
    last = {(row["client_id"], row["stage"], row["name"]): row["value"] for row in found["latest"]}
    assert last == {
        (0, "train", "loss"): 1.0,
        (1, "train", "loss"): 1.0,
        (None, "val", "accuracy"): None,
        (None, "test", "accuracy"): 0.875,
    }


@pytest.mark.parametrize("run_id", [1, 2, 4, 5])
def test_runs_of_every_kind_are_as_documented(client, run_id):
    found = get(client, f"/api/runs/{run_id}", model=schemas.RunDetail)
    assert found["id"] == run_id
    get(client, f"/api/runs/{run_id}/series", model=chart_schemas.SeriesList)
    get(client, f"/api/runs/{run_id}/steps", model=chart_schemas.Steps)
    get(client, f"/api/runs/{run_id}/metrics", model=schemas.Rows)


def test_passwords_stay_here(client):
    for path in ("/api/runs/4", "/api/runs", "/api/runs/4/export?format=json", "/api/runs/4/diff?with=5"):
        text = client.get(path).text
        assert "hunter2" not in text
    assert "me:***@db.example" in client.get("/api/runs/4").json()["error"]


# --- rows and curves ----------------------------------------------------------------------------------


def test_rows_by_cursor(client, store):
    rows, cursor, more = [], 0, True
    while more:
        found = get(client, f"/api/runs/3/metrics?after={cursor}&limit=3", model=schemas.Rows)
        rows, cursor, more = rows + found["rows"], found["cursor"], found["more"]
    assert [row["id"] for row in rows] == [row.id for row in store.metrics.of_run(3)]
    assert len(rows) == 7
    assert cursor == rows[-1]["id"]
    assert [row.get("not_finite") for row in rows] == [None, None, None, None, None, "nan", None]
    assert get(client, f"/api/runs/3/metrics?after={cursor}") == {"rows": [], "cursor": cursor, "more": False}


def test_curves_and_axes(client):
    found = get(
        client, "/api/runs/3/series?points=4&name=accuracy&clients=false", model=chart_schemas.SeriesList
    )
    assert [(one["stage"], one["x"], one["y"]) for one in found["series"]] == [("val", [1, 2], [0.25, None])]
    assert get(client, "/api/runs/3/steps", model=chart_schemas.Steps)["bytes"] == [0, 4000, 8000]


def test_the_comparison(client):
    found = get(client, "/api/compare?runs=1", model=chart_schemas.Comparison)
    assert found == get(client, "/api/compare?runs=2,3,2")
    assert [gap["value"] for gap in found["gaps"]] == [[0.25]]
    assert get(client, "/api/compare?runs=2&metric=none&stage=test")["runs"][0]["value"] == []


def test_predictions(client):
    found = get(client, "/api/runs/2/predictions", model=chart_schemas.PredictionCurves)
    assert (found["classes"], found["confusion"], found["roc"]["auroc"]) == (
        ["no", "yes"],
        [[1, 0], [0, 1]],
        1.0,
    )
    problem(client, "/api/runs/1/predictions", 404, "run 1 has no predictions on this machine")


@pytest.mark.attack
def test_damaged_predictions(client, home):
    folder = home.run_dir(5)
    folder.mkdir(parents=True)
    (folder / "test_predictions.npz").write_text("damaged")
    found = problem(client, "/api/runs/5/predictions", 404, "the predictions of run 5 cannot be read")
    assert str(home.root) not in json.dumps(found)


def test_predictions_of_another_task(client, home):
    folder = home.run_dir(5)
    folder.mkdir(parents=True, exist_ok=True)
    ages = np.full((4, 1), 40.5, dtype=np.float32)
    Outputs(ages, ages).save(folder / "test_predictions.npz")
    problem(client, "/api/runs/5/predictions", 404, "they are not of classes")


def test_the_difference_of_settings(client):
    found = get(client, "/api/runs/2/diff?with=4", model=chart_schemas.Difference)
    assert {"key": "data.name", "left": "digits", "right": "X-rays 100%"} in found["rows"]
    assert get(client, "/api/runs/2/diff?with=3")["rows"] == []


# --- files --------------------------------------------------------------------------------------------


def test_exports(client, store):
    answers = {kind: client.get(f"/api/runs/3/export?format={kind}") for kind in ("csv", "json", "parquet")}
    for kind, answer in answers.items():
        assert answer.headers["content-disposition"] == f'attachment; filename="fedtwin-run-3.{kind}"'
    rows = list(csv.DictReader(io.StringIO(answers["csv"].text)))
    assert answers["csv"].headers["content-type"] == "text/csv; charset=utf-8"
    assert [int(row["id"]) for row in rows] == [row.id for row in store.metrics.of_run(3)]
    assert answers["json"].json()["metrics"]["test"] == {"accuracy": 0.875}
    assert pq.read_table(io.BytesIO(answers["parquet"].content)).num_rows == len(rows)


def test_a_report_can_do_nothing(client):
    for run_id in (1, 2, 3):
        answer = client.get(f"/api/runs/{run_id}/report")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["content-security-policy"] == (
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        )
        assert answer.headers["content-disposition"] == 'inline; filename="fedtwin-report-1.html"'
    problem(client, "/api/runs/4/report", 404, "run 4 has no report on this machine")


def test_downloads_are_those_that_are_there(client):
    found = get(client, "/api/runs/3")["downloads"]
    assert [one["kind"] for one in found] == ["csv", "json", "parquet", "report", "figure", "figure"]
    for one in found:
        answer = client.get(one["url"])
        assert answer.status_code == 200
        assert len(answer.content) > 10
    figures = [one for one in found if one["kind"] == "figure"]
    assert [one["name"] for one in figures] == ["gap.png", 'odd "name"\u2028;.png']
    odd = client.get(figures[1]["url"]).headers["content-disposition"]
    assert odd == "inline; filename*=utf-8''odd%20%22name%22%E2%80%A8%3B.png"
    assert [one["kind"] for one in get(client, "/api/runs/4")["downloads"]] == ["csv", "json", "parquet"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "name",
    [
        "none.png",
        "notes.png",
        "..%2Fgap.png",
        "%2e%2e%2f%2e%2e%2ffedtwin.db%00.png",
        "%2Fetc%2Fpasswd.png",
        "..%5Cgap.png",
        "*.png",
        "gap.png.png",
    ],
)
def test_other_files_cannot_be_had(client, name):
    assert client.get("/api/runs/3/figures/gap.png").status_code == 200
    problem(client, f"/api/runs/3/figures/{name}", 404, "")


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/77",
        "/api/runs/77/metrics",
        "/api/runs/77/series",
        "/api/runs/77/steps",
        "/api/runs/77/predictions",
        "/api/runs/77/diff?with=1",
        "/api/runs/1/diff?with=77",
        "/api/runs/77/export",
        "/api/runs/77/report",
        "/api/runs/77/figures/gap.png",
        "/api/compare?runs=1,77",
    ],
)
def test_an_unknown_run(client, path):
    found = problem(client, path, 404, "there is no run 77")
    assert (found["title"], found["instance"]) == ("Not Found", path.partition("?")[0])


@pytest.mark.attack
@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/runs/x", "run_id: Input should be a valid integer"),
        ("/api/runs/0", "run_id: "),
        ("/api/runs/2147483648", "run_id: "),
        ("/api/runs?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/api/runs?limit=201", "limit: "),
        ("/api/runs?mode=x", "mode: Input should be 'centralized', 'federated', 'local', 'compare' or 'sweep'"),
        ("/api/runs?status=x&before=0", "; before: "),
        (f"/api/runs?q={'a' * 201}", "q: "),
        ("/api/runs/3/metrics?after=-1", "after: "),
        ("/api/runs/3/metrics?after=9223372036854775808", "after: "),
        ("/api/runs/3/metrics?limit=10001", "limit: "),
        ("/api/runs/3/series?points=3", "points: "),
        ("/api/runs/3/series?stage=x", "stage: "),
        ("/api/runs/3/series?clients=x", "clients: "),
        ("/api/compare", "runs: Field required"),
        ("/api/compare?runs=", "runs: "),
        ("/api/compare?runs=1,", "runs: "),
        ("/api/compare?runs=2147483648", "runs: ids are from 1 to 2147483647"),
        (f"/api/compare?runs={','.join(['1'] * 101)}", "runs: "),
        ("/api/compare?runs=1&metric=", "metric: "),
        ("/api/runs/3/diff", "with: Field required"),
        ("/api/runs/3/export?format=exe", "format: "),
    ],
)
def test_a_bad_question(client, path, detail):
    problem(client, path, 422, detail)


def test_no_such_address_and_no_such_method(client):
    problem(client, "/api/nothing", 404, "Not Found")
    problem(client, "/api/runs", 405, "Method Not Allowed", method="POST")
    assert client.post("/api/runs").headers["allow"] == "GET"


def test_an_error_of_the_servers_own_says_nothing(client):
    found = problem(client, "/api/fails", 500, "internal server error; see the server's log")
    assert "secret" not in json.dumps(found)


def test_a_database_that_cannot_be_used(tmp_path, home, caplog):
    (tmp_path / "broken.db").write_text("this is no database, and long enough to be one" * 100)
    with Store(f"sqlite:///{tmp_path / 'broken.db'}") as store, asking(store, home) as client:
        found = problem(client, "/api/runs", 503, "the tracking database cannot be used")
        problem(client, "/api/health", 503, "the tracking database cannot be used")
    assert str(tmp_path) not in json.dumps(found)
    assert "cannot use the tracking database" in caplog.text


# --- documentation ------------------------------------------------------------------------------------


def test_the_catalogue_has_every_metric_in_order(client):
    listed = client.get("/api/catalogue").json()["metrics"]
    assert [one["name"] for one in listed][:2] == ["auroc", "accuracy"]
    assert {one["name"]: one["better"] for one in listed}["calibration_error"] == "lower"
    assert {one["source"] for one in listed} == {"outputs", "training", "server"}


def test_every_route_is_documented(store, home):
    api = build_app(store, home).openapi()
    paths = {
        path: routes["get"]
        for path, routes in api["paths"].items()
        if path.startswith("/api/") and path != "/api/fails" and "get" in routes
    }
    assert len(paths) == 40
    for path, route in paths.items():
        assert route["summary"], path
        good = route["responses"]["200"]["content"]
        for kind, content in good.items():
            documented = "$ref" in content.get("schema", {}) or "example" in content
            assert documented or kind in ("image/png", "application/vnd.apache.parquet"), path
        errors = {"422", "500", "503"}
        errors |= (
            set()
            if path
            in (
                "/api/health",
                "/api/runs",
                "/api/settings",
                "/api/jobs",
                "/api/schedules",
                "/api/v1/datasets",
                "/api/v1/models",
                "/api/v1/webhooks",
                "/api/v1/workers",
                "/api/v1/export-formats",
                "/api/audit",
                "/api/access",
                "/api/experiments/form",
            )
            else {"404"}
        )
        errors |= {"403"} if path.endswith(("/examples", "/workers")) else set()
        errors |= {"409"} if path.endswith("/preview") else set()
        needs_scope = ("/api/audit", "/api/experiments/form", "/api/v1/webhooks")
        errors |= {"401", "403", "413"} if path.startswith(needs_scope) else set()
        assert route["responses"].keys() == {"200"} | errors, path
        assert all(route["responses"][status]["content"].keys() == {MEDIA_TYPE} for status in errors), path
    changing = [(p, r) for p, routes in api["paths"].items() for m, r in routes.items() if m != "get"]
    assert len(changing) == 24
    for path, route in changing:
        assert route["summary"], path
        assert route["security"] == [{"token": []}], path
        good = {status for status in route["responses"] if status < "300"}
        for status in good - {"204"}:
            assert "$ref" in route["responses"][status]["content"]["application/json"]["schema"], path
        errors = {"401", "403", "413", "422", "500", "503"}
        errors |= {"404"} if "_id}" in path or "{name}" in path else set()
        errors |= {"409"} if "{job_id}" in path or "{mode}" in path else set()
        of_state = {"409", "415"} if "{name}" in path else set()  # of models: by what the route does
        of_state |= {"409"} if "{run_id}" in path else set()
        errors |= {"409"} if path == "/api/v1/webhooks" else set()
        errors |= {"408", "409", "411", "507"} if path == "/api/v1/datasets" else set()
        errors |= {"429"} if path.endswith(("/{mode}", "/retry", "/run")) else set()
        assert route["responses"].keys() - of_state == good | errors, path
        assert all(route["responses"][status]["content"].keys() == {MEDIA_TYPE} for status in errors), path
    assert "HTTPValidationError" not in api["components"]["schemas"]
    for name, schema in api["components"]["schemas"].items():
        assert schema["description"], name


def test_nothing_heavy_is_imported():
    heavy = {"torch", "lightning", "sklearn", "pandas", "pyarrow", "simulations", "centralized", "federated"}
    program = f"import service.api.runs, sys; print(sorted({heavy!r} & set(sys.modules)))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
