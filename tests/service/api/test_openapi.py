"""Requests that schemathesis makes of the OpenAPI: no error of the server with a token, nothing without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case

from shared.runtime.home import Home
from shared.tracking.store import Store
from shared.tracking.tenants import DEFAULT
from tests.fuzzing import draws
from tests.job_kit import submit
from tests.service.rows_kit import build_app, federated_run, new_run, pooled_run
from tests.service.server_kit import serving

pytestmark = pytest.mark.attack

VIEW = "view-correct-horse_battery"
OPEN = {"/healthz", "/readyz"}  # what answers without a token
THERE = {"run_id": [1, 2, 3, 4], "job_id": [1, 2], "schedule_id": [1], "mode": ["compare", "sweep"]}
GENERATED = settings(
    max_examples=draws(3),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    return Home(root=root, database_url=f"sqlite:///{root / 'fedtwin.db'}")


@pytest.fixture(scope="module")
def store(home: Home) -> Iterator[Store]:
    """A comparison 1 with pooled 2 and federated 3, a run 4 without rows, and two jobs."""
    with Store(home.database_url) as store:
        parent = new_run(store, training_mode="compare", name="twins")
        pooled_run(store, 0.5, 0.75, parent_id=parent.id)
        federated_run(store, 0.25, float("nan"), parent_id=parent.id)
        new_run(store)
        for _ in range(2):
            submit(store)
        yield store


def test_every_operation_with_a_token_and_without(store: Store, home: Home) -> None:
    app = build_app(store, home, token=VIEW, train_token="train-correct-horse_battery")
    api = schemathesis.openapi.from_dict(app.openapi())
    found = [one.ok() for one in api.exclude(path="/api/fails").get_all_operations()]
    _, secret = store.tokens.create(DEFAULT, name="ci", scope="admin", expires=None)
    with serving(app) as port, requests.Session() as session:
        session.trust_env = False
        for operation in found:
            check(operation, session, url=f"http://127.0.0.1:{port}", secret=secret)
    assert len(found) > 50


def check(operation: APIOperation, session: requests.Session, *, url: str, secret: str) -> None:
    """Send what is generated for an operation, half of it to rows that are there."""

    @GENERATED
    @given(case=operation.as_strategy(), data=st.data())
    def send(case: Case, data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            for name in THERE.keys() & dict(case.path_parameters or {}).keys():
                case.path_parameters[name] = data.draw(st.sampled_from(THERE[name]))
        for name in [name for name in case.headers or {} if name.lower() in ("authorization", "cookie")]:
            del case.headers[name]
        dict.pop(case.query or {}, "follow", None)  # does not end before its job
        refused = case.call(base_url=url, session=session)
        assert refused.status_code >= 400 or operation.path in OPEN, (operation.label, refused.text)
        answer = case.call(base_url=url, session=session, headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code < 500, (operation.label, answer.text)
        assert answer.status_code != 401, (operation.label, answer.text)

    send()
