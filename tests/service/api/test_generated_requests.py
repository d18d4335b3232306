"""Requests as nobody sends them: whatever the parameters, an answer in JSON, a file, or a refusal by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.runtime.home import Home
from shared.tracking.store import Store
from tests.fuzzing import draws
from tests.service.rows_kit import asking, build_app, clients, federated_run, new_run, pooled_run

pytestmark = pytest.mark.attack

GENERATED = settings(
    max_examples=draws(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture(scope="module")
def store(home: Home) -> Iterator[Store]:
    """A comparison 1 with pooled 2 and federated 3, and a run 4 without rows."""
    with Store(home.database_url) as store:
        parent = new_run(store, training_mode="compare", name="twins")
        pooled_run(store, 0.5, 0.75, parent_id=parent.id)
        federated = federated_run(store, 0.25, float("nan"), parent_id=parent.id)
        store.clients.add(federated.id, clients(federated.id))
        new_run(store)
        yield store


@pytest.fixture(scope="module")
def client(store: Store, home: Home) -> Iterator[httpx.Client]:
    with asking(store, home, train_token="train-correct-horse_battery") as client:
        yield client


@pytest.fixture(scope="module")
def routes(store: Store, home: Home) -> list[tuple[str, list[str]]]:
    """Paths, and the names of their query parameters, as the service describes itself."""
    paths = build_app(store, home).openapi()["paths"]
    return [
        (path, [given["name"] for given in operation.get("parameters", ()) if given["in"] == "query"])
        for path, operations in sorted(paths.items())
        if path != "/api/fails" and (operation := operations.get("get"))
    ]


IDS = st.sampled_from(["1", "2", "3", "4", "5"])
ODD = st.sampled_from(
    [
        *[
            "",
            "0",
            "-1",
            "1.5",
            "1e3",
            "07",
            "+1",
            " 1",
            "1,2",
            "1,2,3",
            ",",
            "1,,2",
            "None",
            "null",
            "true",
            "[]",
        ],
        *[
            "2147483647",
            "2147483648",
            "9223372036854775807",
            "9223372036854775808",
            "9" * 400,
            "\u0661",
            "\u00b2",
        ],
        *[
            "val",
            "train",
            "test",
            "accuracy",
            "loss",
            "val/loss",
            "csv",
            "json",
            "parquet",
            "status",
            "data.name",
        ],
        *[
            "..",
            "../../etc/passwd",
            "%2e%2e",
            "/",
            "\\",
            "%00",
            "a%00b",
            "'",
            '"',
            "';--",
            "<b>",
            "*",
            "%",
            "_",
        ],
        *[
            "completed",
            "running",
            "centralized",
            "federated",
            "inf",
            "nan",
            "-0",
            "x" * 5000,
            "\u202e",
            "\ud7ff",
        ],
    ]
)
VALUES = st.one_of(IDS, ODD, st.integers().map(str), st.floats().map(str), st.text(max_size=20))


KEYS = st.sampled_from(
    [
        *["run_name", "dataset", "config_overrides", "priority", "run_at", "max_retries", "tags"],
        *[
            "seed",
            "model",
            "data",
            "data.path",
            "trainer.max_epochs",
            "task._target_",
            "hydra.run.dir",
            "tracking",
        ],
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | VALUES
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
BODIES = JSON | st.dictionaries(KEYS, JSON, max_size=4)
OVERRIDES = st.fixed_dictionaries(
    {"config_overrides": st.dictionaries(KEYS | st.text(max_size=6), JSON, max_size=3)}
)


@settings(parent=GENERATED, max_examples=draws(15))
@given(data=st.data())
def test_any_body_is_answered_or_refused(data: Any, client: httpx.Client, store: Store, home: Home) -> None:
    """Of routes that change something: no 5xx, and nothing is queued that names code or a path."""
    paths = build_app(store, home).openapi()["paths"]
    changing = [
        (m, p) for p, operations in sorted(paths.items()) for m in operations if m not in ("get", "head")
    ]
    method, path = data.draw(st.sampled_from(changing))
    while "{" in path:
        before, _, rest = path.partition("{")
        value = data.draw(st.sampled_from(["compare", "federated"]) | IDS | VALUES)
        path = before + quote(value.encode("utf-8", "replace"), safe="") + rest.partition("}")[2]
    body = json.dumps(data.draw(OVERRIDES | BODIES)).encode()
    answer = client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500, (body, answer.text)
    assert "Traceback" not in answer.text
    for job in store.jobs.search(status="queued", limit=1):
        assert job.config["data"]["path"] is None
        assert all(target.startswith(("shared.", "federated.")) for target in targets(job.config))


def targets(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        yield from (value for name, value in config.items() if name == "_target_")
        for value in config.values():
            yield from targets(value)


def no_number(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no JSON")


@GENERATED
@given(data=st.data())
def test_any_request_is_answered_or_refused(
    data: Any, client: httpx.Client, routes: list[tuple[str, list[str]]]
) -> None:
    path, names = data.draw(st.sampled_from(routes))
    while "{" in path:
        before, _, rest = path.partition("{")
        value = data.draw(st.one_of(IDS, VALUES))
        path = before + quote(value.encode("utf-8", "replace"), safe="") + rest.partition("}")[2]
    known = st.sampled_from(names) if names else st.nothing()
    given = data.draw(st.lists(st.tuples(known | st.text(max_size=6), VALUES), max_size=4))
    query = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in given]
    answer = client.get(path, params=[(name.decode(), value.decode()) for name, value in query])
    assert answer.status_code < 500, answer.text
    assert len(answer.content) < 2_000_000
    kind = answer.headers.get("content-type", "")
    if "json" in kind and answer.content:
        json.loads(answer.text, parse_constant=no_number)
    if answer.status_code >= 400:
        assert "Traceback" not in answer.text
        assert len(answer.text) < 20_000
