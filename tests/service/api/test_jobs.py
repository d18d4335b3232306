"""Jobs over HTTP: who may ask, what is queued, listed, shown, logged, cancelled, retried and moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.api import form_schemas, job_schemas
from service.api.writing import MOST_BODY
from service.jobs.attempt import LOG_FILE
from service.problem_details import MEDIA_TYPE
from service.read.jobs import MOST_LOG
from shared.runtime.errors import TrackingError
from shared.runtime.home import Home
from shared.tracking.job_errors import job_failure
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT
from tests.job_kit import begun_sweep, claimed, fence, submit
from tests.service.rows_kit import NOON, build_app, new_run, point
from tests.service.server_kit import serving

TOKEN = "train-correct-horse_battery"
SECRET = "postgresql://me:hunter2@db.example/fedtwin"
SMALL = {"config_overrides": {"trainer.max_epochs": 3}, "run_name": "ward", "tags": ["night"]}


@pytest.fixture
def app(store: Store, home: Home, tmp_path: Path):
    (tmp_path / "data").mkdir()
    return build_app(store, home, train_token=TOKEN, data_folders=(tmp_path / "data",))


@pytest.fixture
def client(app) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with (
        serving(app) as port,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30
        ) as opened,
    ):
        yield opened


def problem(answer: httpx.Response, status: int, detail: str, code: str | None = None) -> dict:
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    found = answer.json()
    assert (found["status"], found.get("code")) == (status, code)
    assert detail in found["detail"], found
    return found


def show(client: httpx.Client, job_id: int) -> dict:
    found = client.get(f"/api/jobs/{job_id}").json()
    job_schemas.JobDetail.model_validate(found)
    return found


def test_every_route_that_changes_something_needs_the_token(app, client, store, home):
    submit(store)
    places = {"mode": "compare", "name": "ward", "alias": "production", "ref": "1.0.0"}
    places |= {"run_id": new_run(store).id, "job_id": 1, "schedule_id": 1}
    places |= {"webhook_id": 1, "delivery_id": 1}
    changing = [
        (
            method.upper(),
            path.format(**places),
        )
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if method not in ("get", "head")
    ]
    assert len(changing) == 2 + 22
    with serving(build_app(store, home)) as closed:
        for method, path in changing:
            for given in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
                answer = client.request(method, path, json={}, headers={"authorization": given})
                problem(answer, 401, "FEDTWIN_TRAIN_TOKEN", "train_token")
                assert answer.headers["www-authenticate"] == "Bearer"
            answer = httpx.request(method, f"http://127.0.0.1:{closed}{path}", json={}, trust_env=False)
            problem(answer, 403, "this request may only read", "read_only")
    assert [job.status for job in store.jobs.search()] == ["queued"]


def test_an_experiment_is_queued(client, store):
    when = "2100-01-01T01:00:00+01:00"
    answer = client.post("/api/experiments/federated", json={**SMALL, "priority": "high", "run_at": when})
    assert (answer.status_code, answer.headers["location"]) == (202, "/api/jobs/1")
    found = show(client, 1)
    assert answer.json() == found
    assert (found["mode"], found["name"], found["tags"]) == ("federated", "ward", ["night"])
    assert (found["priority"], found["status"], found["position"], found["progress"]) == (
        "high",
        "queued",
        None,
        None,
    )
    assert found["run_after"] == "2100-01-01T00:00:00+00:00"
    assert found["overrides"] == ["trainer.max_epochs=3"]
    assert store.jobs.get(1).config["trainer"]["max_epochs"] == 3
    assert "tracking" not in store.jobs.get(1).config


def test_a_request_that_is_sent_again_is_the_same_job(client, store):
    headers = {"idempotency-key": "k-1"}
    answers = [client.post("/api/experiments/compare", json=SMALL, headers=headers) for _ in range(2)]
    assert [answer.headers["location"] for answer in answers] == ["/api/jobs/1"] * 2
    other = client.post("/api/experiments/centralized", json=SMALL, headers=headers)
    problem(other, 409, "idempotency key of job 1", "idempotency_key")
    scheduled = {**SMALL, "schedule": {"cron": "30 2 * * MON"}}
    other = client.post("/api/experiments/compare", json=scheduled, headers=headers)
    problem(other, 409, "idempotency key of job 1", "idempotency_key")
    assert len(store.jobs.search()) == 1
    for odd in ("two words", "x" * 201):
        answer = client.post("/api/experiments/compare", json=SMALL, headers={"idempotency-key": odd})
        problem(answer, 422, "idempotency-key")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"config_overrides": {"trainer.max_epoch": 3, "seed": -1}}, "trainer.max_epoch"),
        ({"config_overrides": {"model._target_": "os.system"}}, "names that begin with _"),
        ({"dataset": "../secret"}, "there is no '../secret'"),
        ({"config_overrides": {"model": "xgboost"}}, "takes model=cnn or a ResNet, got model.name=xgboost"),
        ({"config_overrides": {"federation.early_stopping": True}}, "ends the federated twin alone"),
        ({"config_overrides": {"trainer.test": False}}, "measures its gap on the test rows"),
        ({"config_overrides": {"model": None}}, "model=null: there is no 'null'"),
        ({"config_overrides": {"experiment": None}}, "experiment=null: there is no 'null'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_they_are_queued(client, store, body, says):
    found = problem(client.post("/api/experiments/compare", json=body), 422, says, "config")
    assert any(says in error for error in found["errors"])
    assert store.jobs.search() == []
    checked = client.post("/api/experiments/validate", json=body).json()
    assert checked == {"valid": False, "errors": found["errors"], "config": None}


@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        {"priority": "urgent"},
        {"run_at": "2100-01-01T00:00:00"},
        {"run_at": "9999-12-31T23:59:59-12:00"},
        {"run_at": "0001-01-01T00:00:00+14:00"},
        {"max_retries": 11},
        {"tags": ["two words"]},
        {"run_name": " "},
        {"run_name": "a\nb"},
        {"run_name": "a\x9bb"},
        {"run_name": "a\u202eb"},
        {"dataset": ""},
        {"unknown": 1},
        {"config_overrides": {str(number): 1 for number in range(201)}},
        {"config_overrides": [1]},
    ],
)
def test_bodies_of_another_form_are_refused(client, store, body):
    answer = client.post("/api/experiments/compare", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA_TYPE)
    assert store.jobs.search() == []


def test_bodies_that_are_too_large_or_no_json_are_refused(client):
    path = "/api/experiments/compare"
    problem(client.post(path, content=b" " * (MOST_BODY + 1)), 413, "bytes", "too_large")
    problem(
        client.post(path, content=(b" " * 1000 for _ in range(MOST_BODY // 500))), 413, "bytes", "too_large"
    )
    for content in (b"", b"{", b"\xff", b"[" * 50_000):
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), answer.text


def test_a_valid_one_is_resolved_and_not_queued(client, store):
    found = client.post("/api/experiments/validate?mode=centralized", json=SMALL).json()
    job_schemas.Validation.model_validate(found)
    assert (found["valid"], found["errors"]) == (True, [])
    assert (found["config"]["name"], found["config"]["trainer"]["max_epochs"]) == ("ward", 3)
    assert store.jobs.search() == []


def test_jobs_are_listed_a_page_at_a_time(client, store):
    for mode in ("compare", "centralized", "centralized"):
        submit(store, mode=mode)
    claimed(store)
    page = client.get("/api/jobs?limit=2").json()
    job_schemas.Jobs.model_validate(page)
    assert ([job["id"] for job in page["jobs"]], page["next"]) == ([3, 2], 2)
    assert [job["position"] for job in page["jobs"]] == [2, 1]
    rest = client.get("/api/jobs?limit=2&before=2").json()
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == ([1], None)
    for query, ids in (("status=running", [1]), ("mode=centralized", [3, 2]), ("status=failed", [])):
        assert [job["id"] for job in client.get(f"/api/jobs?{query}").json()["jobs"]] == ids
    problem(client.get("/api/jobs?status=odd"), 422, "status")
    problem(client.get("/api/jobs/9"), 404, "there is no job 9")


def test_progress_is_that_of_its_run(client, store):
    submit(store)
    row = claimed(store)
    config = {"trainer": {"max_epochs": 4}}
    run_id = store.queue.begin_run(fence(row), config=config, seed=1, description="")
    store.metrics.add(run_id, [point(0.5, epoch=1, time=NOON)])
    found = show(client, 1)
    assert (found["run_id"], found["metrics"]) == (run_id, {"val/accuracy": 0.5})
    asked = client.get(f"/api/jobs?run_id={run_id}").json()["jobs"]
    assert [one["id"] for one in asked] == [found["id"]]
    assert client.get(f"/api/jobs?run_id={run_id + 1}").json()["jobs"] == []
    assert found["progress"] == {"percent": 25.0, "step": "centralized: epoch 1 of 4"}
    store.queue.complete(fence(row))
    assert show(client, 1)["progress"]["percent"] == 100.0


def test_progress_of_a_comparison_is_that_of_its_twins(client, store):
    submit(store, mode="compare")
    config = {"trainer": {"max_epochs": 4}, "federation": {"num_rounds": 2}, "compare": {"seeds": None}}
    run_id = store.queue.begin_run(fence(claimed(store)), config=config, seed=1, description="")
    assert show(client, 1)["progress"] == {"percent": 0.0, "step": "begun"}
    pooled = store.runs.create(name="p", training_mode="centralized", config=config, seed=1, parent_id=run_id)
    store.metrics.add(pooled, [point(0.5, epoch=2, time=NOON)])
    assert show(client, 1)["progress"] == {"percent": 25.0, "step": "centralized: epoch 2 of 4"}


def test_a_log_is_read_in_parts(client, store, home):
    submit(store)
    problem(client.get("/api/jobs/1/log"), 404, "has no log on this machine")
    path = home.job_dir(1) / LOG_FILE
    path.parent.mkdir(parents=True)
    path.write_text(f"one\n{SECRET}\nhalf")
    first = client.get("/api/jobs/1/log").json()
    assert (first["lines"], first["ended"]) == (["one", "postgresql://me:***@db.example/fedtwin"], False)
    store.queue.complete(fence(claimed(store)))
    last = client.get(f"/api/jobs/1/log?after={first['cursor']}").json()
    assert (last["lines"], last["ended"]) == (["half"], True)
    path.write_text("x" * (MOST_LOG + 5) + "\nend\n")
    cursor, lines = 0, []
    while not (part := client.get(f"/api/jobs/1/log?after={cursor}").json())["ended"]:
        assert part["cursor"] > cursor
        cursor, lines = part["cursor"], [*lines, *part["lines"]]
    assert "".join([*lines, *part["lines"]]) == "x" * (MOST_LOG + 5) + "end"


def test_a_job_is_moved_cancelled_and_retried(client, store):
    submit(store)
    submit(store)
    assert client.patch("/api/jobs/2", json={"priority": "critical"}).json()["position"] == 1
    problem(client.patch("/api/jobs/2", json={"priority": "odd"}), 422, "priority")
    assert client.delete("/api/jobs/2").json()["status"] == "cancelled"
    problem(client.patch("/api/jobs/2", json={"priority": "low"}), 409, "cancelled", "job_state")
    answer = client.post("/api/jobs/2/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    row = claimed(store)
    found = client.delete(f"/api/jobs/{row.id}").json()
    assert (found["status"], found["cancel_requested"]) == ("running", True)
    problem(client.post(f"/api/jobs/{row.id}/retry"), 409, "running", "job_state")
    problem(client.delete("/api/jobs/9"), 404, "there is no job 9")


def test_places_and_hosts_are_for_who_administers(client, store, home, tmp_path):
    file = home.dataset_dir(3) / "ward-7.zip"
    submit(store, overrides=[f"data.path={file}", f"x={tmp_path / 'data' / 'a.zip'}"])
    row = claimed(store)
    path = home.job_dir(1) / LOG_FILE
    path.parent.mkdir(parents=True)
    path.write_text(f"reading {file}\n")
    store.queue.fail(fence(row), job_failure(TrackingError(f"{store.database.shown}: {home.root} is full")))
    run = store.runs.create(name="r", training_mode="local", config={"data": {"path": str(file)}}, seed=1)
    assert client.get(f"/api/runs/{run}").json()["config"]["data"]["path"] == "ward-7.zip"
    found = show(client, 1)
    assert (found["worker"], found["overrides"]) == (None, ["data.path=ward-7.zip", "x=a.zip"])
    assert found["error"] == "the tracking database: a folder of the server is full"
    assert [(one["kind"], one["detail"]) for one in found["events"]][1] == ("claimed", "a worker")
    assert client.get("/api/jobs/1/logs").json()["lines"] == ["reading ward-7.zip"]
    _, secret = store.tokens.create(DEFAULT, name="boss", scope="admin", expires=None)
    client.headers["authorization"] = f"Bearer {secret}"
    told = show(client, 1)
    assert told["events"][1]["detail"] == row.worker
    assert told["overrides"][0] == f"data.path={file}"
    assert client.get("/api/jobs/1/logs").json()["lines"] == [f"reading {file}"]


def test_an_error_has_a_code_and_no_secrets(client, store):
    submit(store)
    store.queue.fail(fence(claimed(store)), job_failure(ValueError(f"cannot open {SECRET}")))
    found = show(client, 1)
    assert (found["status"], found["error_code"]) == ("failed", "unexpected")
    assert "hunter2" not in client.get("/api/jobs/1").text + client.get("/api/jobs").text


def test_a_training_is_scheduled_paused_run_and_deleted(client, store):
    when = {"cron": "30 2 * * MON", "time_zone": "Europe/Berlin"}
    headers = {"idempotency-key": "k"}
    asked = {**SMALL, "schedule": when, "backend": "ray"}
    answers = [client.post("/api/experiments/compare", json=asked, headers=headers) for _ in range(2)]
    assert [(a.status_code, a.headers["location"]) for a in answers] == [(201, "/api/schedules/1")] * 2
    queued = client.post("/api/experiments/compare", json=SMALL, headers=headers)
    problem(queued, 409, "the idempotency key of schedule 1", "idempotency_key")
    found = client.get("/api/schedules/1").json()
    job_schemas.Schedule.model_validate(found)
    assert (found["cron"], found["mode"], found["name"], found["last_job_id"]) == (
        "30 2 * * MON",
        "compare",
        "ward",
        None,
    )
    page = client.get("/api/schedules?limit=1").json()
    job_schemas.Schedules.model_validate(page)
    assert ([one["id"] for one in page["schedules"]], page["next"]) == ([1], None)
    assert store.jobs.search() == []
    assert client.patch("/api/schedules/1", json={"paused": True}).json()["paused"] is True
    run = client.post("/api/schedules/1/run")
    assert (run.status_code, run.headers["location"], run.json()["tags"]) == (202, "/api/jobs/1", ["night"])
    assert client.delete("/api/schedules/1").status_code == 204
    problem(client.get("/api/schedules/1"), 404, "there is no schedule 1")
    job = show(client, 1)
    assert (found["backend"], job["backend"], job["status"]) == ("ray", "ray", "queued")


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ({"cron": "61 * * * *"}, "schedule.cron: '61 * * * *' cannot be read: Bad minute"),
        ({"cron": "* * * * * *"}, "five fields"),
        ({"cron": "0 0 31 2 *"}, "cron: '0 0 31 2 *'"),
        ({"cron": "0 2 * * *", "time_zone": "../../etc/passwd"}, "schedule.time_zone: expected a name"),
        ({"cron": "0 2 * * *", "time_zone": "Mars/North"}, "schedule.time_zone: expected a name"),
        ({"cron": "0 2 * * *", "time_zone": ""}, "schedule.time_zone: expected a name"),
    ],
)
def test_schedules_that_cannot_be_read_are_refused(client, store, schedule, says):
    body = {**SMALL, "schedule": schedule, "run_at": "2100-01-01T00:00:00Z"}
    found = problem(client.post("/api/experiments/compare", json=body), 422, says, "config")
    assert "schedule: goes without run_at" in found["errors"]
    assert store.schedules.search() == []


# --- sweeps ---------------------------------------------------------------------------------------------------

SWEEP = {"plan": {"mode": "pooled", "grid": {"trainer.optimizer.lr": [0.01, 0.02]}, "seeds": [1, 2]}}


def test_a_sweep_is_queued_with_its_plan(client, store):
    body = {**SMALL, **SWEEP, "priority": "low"}
    key = {"idempotency-key": "k"}
    answers = [client.post("/api/experiments/sweep", json=body, headers=key) for _ in range(2)]
    assert [(one.status_code, one.headers["location"]) for one in answers] == [(202, "/api/jobs/1")] * 2
    found = show(client, 1)
    assert [found[name] for name in ("mode", "name", "priority", "tags")] == ["sweep", "ward", "low", ["night"]]
    assert found["overrides"] == ["trainer.max_epochs=3", "trainer.optimizer.lr=0.01,0.02", "seed=1,2"]
    plan = store.jobs.get(1).config["sweep"]
    assert (plan["mode"], plan["grid"]) == ("centralized", {"trainer.optimizer.lr": ["0.01", "0.02"]})
    assert [one["id"] for one in client.get("/api/jobs?mode=sweep").json()["jobs"]] == [1]
    checked = client.post("/api/experiments/validate?mode=sweep", json=body).json()
    job_schemas.Validation.model_validate(checked)
    assert (checked["valid"], checked["config"]["trainer"]["max_epochs"]) == (True, 3)
    assert checked["config"]["sweep"]["trials"] == 4


def test_a_wrong_trial_in_the_middle_is_named_and_nothing_is_queued(client, store):
    body = {"plan": {"grid": {"strategy": ["fedavg", "fedprxo", "scaffold"]}}, "use_existing_model": "ward-7"}
    found = problem(client.post("/api/experiments/sweep", json=body), 422, "with strategy=fedprxo", "config")
    assert found["errors"][0] == "use_existing_model: the trials of a sweep begin with new weights"
    assert client.post("/api/experiments/validate?mode=sweep", json=body).json()["errors"] == found["errors"]
    for mode, given, says in (
        ("sweep", SMALL, "plan: is needed by"),
        ("compare", SWEEP, "plan: is of a sweep"),
    ):
        problem(client.post(f"/api/experiments/{mode}", json=given), 422, says, "config")
    endless = {"plan": {"seeds": list(range(500))}}
    problem(client.post("/api/experiments/sweep", json=endless), 422, "500 trials; at most 200", "config")
    assert store.jobs.search() == []


def test_a_sweep_is_scheduled(client, store):
    body = {**SWEEP, "schedule": {"cron": "30 2 * * MON", "time_zone": "Europe/Berlin"}}
    made = client.post("/api/experiments/sweep", json=body)
    assert (made.status_code, made.json()["mode"], made.json()["name"]) == (201, "sweep", "sweep of 4 trials")
    assert client.post("/api/schedules/1/run").json()["mode"] == "sweep"
    assert store.jobs.get(1).config["sweep"]["seeds"] == [1, 2]


def test_progress_of_a_sweep_is_that_of_its_trials(client, store):
    submit(store, mode="sweep")
    sweep_id = begun_sweep(store, fence(claimed(store)))
    assert show(client, 1)["progress"] == {"percent": 0.0, "step": "sweep: trial 0 of 4"}
    for number in (1, 2):
        store.trials.begin(sweep_id, number, mode="centralized")
    store.trials.finish(sweep_id, 1, "completed")
    found = show(client, 1)
    assert (found["run_id"], found["progress"]) == (sweep_id, {"percent": 25.0, "step": "sweep: trial 1 of 4"})


# --- what the page asks ---------------------------------------------------------------------------------------


def test_the_form_is_for_who_may_train(client, tmp_path):
    (tmp_path / "data" / "xrays.zip").touch()
    found = client.get("/api/experiments/form").json()
    form_schemas.ExperimentForm.model_validate(found)
    assert found["datasets"] == ["xrays.zip"]
    refused = client.get("/api/experiments/form", headers={"authorization": ""})
    problem(refused, 401, "FEDTWIN_TRAIN_TOKEN", "train_token")


def test_a_caller_is_told_what_it_may_do(client, store):
    assert client.get("/api/access").json() == {
        "scope": "train",
        "tenant": "default",
        "who": "training token",
    }
    assert client.get("/api/access", headers={"authorization": ""}).json()["scope"] == "read"
    _, secret = store.tokens.create(DEFAULT, name="boss", scope="admin", expires=None)
    found = client.get("/api/access", headers={"authorization": f"Bearer {secret}"}).json()
    assert (found["scope"], found["who"]) == ("admin", "token 1 (boss)")


def test_checks_of_a_request_are_not_in_the_audit_log(app, client, store):
    for _ in range(2):
        assert client.post("/api/experiments/validate", json=SMALL).status_code == 200
    refused = client.post("/api/experiments/validate", json=SMALL, headers={"authorization": ""})
    assert refused.status_code == 401
    client.post("/api/experiments/compare", json=SMALL)
    kept = [(entry.action, entry.status) for entry in store.of(DEFAULT).audit.search(limit=9)]
    assert kept == [("POST /api/experiments/compare", 202), ("POST /api/experiments/validate", 401)]


def test_each_wrong_field_of_a_request_is_listed(client):
    answer = client.post("/api/experiments/validate", json={"tags": ["two words"], "max_retries": 99})
    assert [error.partition(":")[0] for error in problem(answer, 422, "tags.0")["errors"]] == [
        "max_retries",
        "tags.0",
    ]
