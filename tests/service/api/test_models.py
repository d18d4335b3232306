"""The model registry over HTTP: lists, promotion above a threshold, rollback, cards, and who may change it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from service.api import model_schemas
from service.problem_details import MEDIA_TYPE
from service.registry.model_host import HostError, ModelHost
from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.contracts.test_store_models import complete
from tests.service.rows_kit import asking

TOKEN = "train-correct-horse_battery"
MODEL = "/api/v1/models/ward-7"


@pytest.fixture
def client(store: Store, home: Home) -> Iterator[httpx.Client]:
    with asking(store, home, train_token=TOKEN) as opened:
        yield opened


def problem(answer: httpx.Response, status: int, detail: str, code: str | None = None) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    found = answer.json()
    assert (found.get("code"), detail in found["detail"]) == (code, True), found


def test_models_and_versions_are_listed(client, store):
    for name in ("ward 7", "ward 7", "ward 7", "age"):
        complete(store, name=name)
    page = client.get("/api/v1/models?limit=1").json()
    model_schemas.RegisteredModels.model_validate(page)
    assert ([one["name"] for one in page["models"]], page["next"]) == (["age"], "age")
    rest = client.get("/api/v1/models", params={"after": page["next"]}).json()
    assert ([one["name"] for one in rest["models"]], rest["next"]) == (["ward-7"], None)
    newest = client.get(f"{MODEL}/versions?limit=2").json()
    model_schemas.ModelVersions.model_validate(newest)
    assert ([one["version"] for one in newest["versions"]], newest["next"]) == (["1.0.2", "1.0.1"], "1.0.1")
    older = client.get(f"{MODEL}/versions", params={"before": "1.0.1"}).json()
    assert [one["version"] for one in older["versions"]] == ["1.0.0"]
    one = client.get(f"{MODEL}/versions/latest").json()
    assert (one["version"], one["mode"], one["test"]["f1"]) == ("1.0.2", "pooled", 0.8)
    problem(client.get("/api/v1/models/nobody"), 404, "there is no model 'nobody'", "not_registered")
    problem(client.get(f"{MODEL}/versions/production"), 404, "has no version", "not_registered")
    problem(client.get("/api/v1/models/a%20b"), 422, "name: String should match")


def test_promotion_threshold_and_rollback(client, store):
    for f1 in (0.8, 0.6):
        complete(store, f1=f1)
    alias = f"{MODEL}/aliases/production"
    problem(client.put(alias, json={}), 409, "f1 is 0.6", "below_threshold")
    answer = client.put(alias, json={"version": "1.0.0"})
    model_schemas.ModelVersion.model_validate(answer.json())
    assert answer.json()["aliases"] == ["production"]
    problem(client.patch(MODEL, json={"threshold": "f1>0"}), 422, "expected a threshold", "config")
    detail = client.patch(MODEL, json={"threshold": "f1>=0.5"}).json()
    model_schemas.ModelDetail.model_validate(detail)
    assert detail["aliases"] == {"production": "1.0.0"}
    assert client.put(alias, json={"version": "latest"}).json()["version"] == "1.0.1"
    assert client.post(f"{alias}/rollback").json()["version"] == "1.0.0"
    problem(client.post(f"{alias}/rollback"), 409, "named no version before 1.0.0", "no_rollback")
    kinds = [one["kind"] for one in client.get(MODEL).json()["history"]]
    assert kinds == ["rolled_back", "promoted", "threshold", "promoted"]
    assert client.delete(alias).status_code == 204
    problem(client.delete(alias), 404, "has no version 'production'", "not_registered")


def test_the_card(client, store):
    complete(store, f1=0.75)
    found = client.get(f"{MODEL}/versions/1.0.0/card").json()
    model_schemas.ModelCard.model_validate(found)
    assert (found["metrics"]["test"]["f1"], found["weights_sha256"]) == (0.75, None)
    text = client.get(f"{MODEL}/versions/1.0.0/card?format=markdown")
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.text.startswith("# ward-7 1.0.0\n")


def test_a_job_starts_from_a_version(client, store):
    for _ in range(2):
        complete(store)
    store.models.promote("ward-7", "1.0.0")
    begun = client.post("/api/experiments/centralized", json={"use_existing_model": "ward-7@production"})
    assert begun.status_code == 202, begun.text
    weights = store.jobs.get(begun.json()["id"]).config["model"]["weights"]
    assert weights == "registry:ward-7@1.0.0", "what the alias named then, wherever it moves"
    validate = "/api/experiments/validate?mode=federated"
    found = client.post(validate, json={"use_existing_model": "ward-7"}).json()
    assert found["config"]["model"]["weights"] == "registry:ward-7@1.0.1"
    found = client.post(validate, json={"use_existing_model": "nobody"}).json()
    assert found["errors"][0].startswith("use_existing_model: there is no model 'nobody'")
    refused = {"config_overrides": {"model.weights": "registry:ward-7"}}
    problem(client.post("/api/experiments/compare", json=refused), 422, "model.weights", "config")


def test_what_a_prediction_refuses_before_any_model_is_loaded(client, store):
    complete(store)
    predict = f"{MODEL}/predict"
    problem(client.post(predict, json={"rows": []}), 404, "has no version 'production'", "not_registered")
    problem(client.post(predict, content=b"x", headers={"content-type": "text/html"}), 415, "csv", "media_type")
    problem(client.post(predict, headers={"content-type": "text/csv"}), 422, "the body is empty", "rows")
    large = b"a" * (33 * 2**20)
    answer = client.post(predict, content=large, headers={"content-type": "text/csv"})
    problem(answer, 413, "more than 33,554,432 bytes", "too_large")


def test_a_process_that_ends_or_is_silent_is_begun_again(home):
    """Three processes in place of the one that holds models: one echoes, one ends, one says nothing."""
    echo = 'import sys\nfor line in sys.stdin: print(\'{"result": {"answer": 1}}\', flush=True)'
    for code, kind in (("pass", "died"), ("import time; time.sleep(60)", "timeout")):
        host = ModelHost(home, timeout_s=1.0, command=("-c", code))
        for _ in range(2):
            with pytest.raises(HostError) as refused:
                host.ask({})
            assert refused.value.kind == kind
        host.close()
    host = ModelHost(home, timeout_s=30.0, command=("-c", echo))
    assert [host.ask({}), host.ask({})] == [{"answer": 1}] * 2
    host._process.kill()
    host._process.wait()
    assert host.ask({}) == {"answer": 1}
    host.close()
    with pytest.raises(HostError, match="closing"):
        host.ask({})
