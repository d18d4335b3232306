"""Datasets over HTTP: uploaded, checked, trained on and deleted; what cannot be used leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from service.api.datasets import checks_of
from service.dataset_limits import DatasetLimits
from service.datasets.checks import sweep_datasets
from service.datasets.uploads import MOST_OF_TENANT
from shared.data.cache import entries, open_entry
from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tracking.dataset_tables import dataset
from shared.tracking.store import Store
from tests.service.rows_kit import build_app
from tests.service.server_kit import serving
from tests.uploads import xrays

TOKEN = "train-correct-horse_battery"
MARKUP = "<img src=x onerror=alert(1)>"
LIMITS = DatasetLimits(bytes=2**20, tenant_bytes=2**21, ratio=50, idle_s=1)
WAIT_S = 30.0


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
    app = build_app(store, home, train_token=TOKEN, dataset_limits=LIMITS)
    with (
        serving(app) as port,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=60,
        ) as client,
    ):
        yield client
    checks_of(app).close()


def upload(client: httpx.Client, name: str, content: bytes, *, format: str = "zip") -> httpx.Response:
    answer = client.post("/api/v1/datasets", params={"name": name, "format": format}, content=content)
    deadline = time.monotonic() + WAIT_S
    while answer.status_code == 202:  # a busy machine
        assert time.monotonic() < deadline
        time.sleep(0.2)
        detail = client.get(answer.headers["location"])
        if detail.json()["state"] != "checking":
            return detail
    return answer


def folders(home: Home) -> list[Path]:
    return sorted((home.root / "datasets").glob("*"))


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_upload_is_checked_trained_on_and_deleted(client, store, home):
    content, place = xrays(60, first=f"{MARKUP}.png"), "/api/v1/datasets/ward-7"
    answer = upload(client, "ward-7", content)
    found = answer.json()
    assert (found["state"], found["kind"], found["labelled"], found["percent"]) == ("ready", "images", 60, 100)
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert "label 1 PNEUMONIA (positive)" in "\n".join(found["summary"])
    assert str(home.root) not in answer.text
    (folder,) = folders(home)
    (file,) = folder.iterdir()
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (content, 0o600)
    preview = client.get(f"{place}/preview").json()
    assert preview["columns"] == ["filename", "label", "patient_id"]
    assert (preview["rows"][0], len(preview["rows"])) == ([f"{MARKUP}.png", "NORMAL", "p0"], 20)
    taken = upload(client, "ward-7", content)
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    (listed,) = client.get("/api/v1/datasets").json()["datasets"]
    assert listed == {name: found[name] for name in listed}

    wanted = {"dataset": "ward-7", "config_overrides": {"trainer.max_epochs": 1}}
    config = client.post("/api/experiments/validate", json=wanted).json()["config"]
    assert (config["data"]["source"], config["data"]["path"]) == ("zip", "ward-7.zip")
    named = {"dataset": str(file.relative_to(home.root))}
    (says,) = client.post("/api/experiments/validate", json=named).json()["errors"]
    assert says.startswith("dataset: there is no "), "by its name alone"
    job = client.post("/api/experiments/centralized", json=wanted).json()["id"]
    assert client.get(f"/api/jobs/{job}").json()["overrides"][0] == "data.path=ward-7.zip"
    assert store.jobs.get(job).config["data"]["path"] == str(file)
    assert client.get(place).json()["used_by"] == [f"job {job}"]
    refused = client.delete(place)
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    client.delete(f"/api/jobs/{job}")
    open_entry(home.cache, key="ab", build=lambda folder: None, source=file)  # as a training decodes it
    assert client.delete(place).status_code == 204
    assert entries(home.cache) == []
    assert (client.get(place).status_code, client.delete(place).status_code, folders(home)) == (404, 404, [])
    again = client.post(f"/api/jobs/{job}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "dataset_gone")
    actions = [(row.action, row.status) for row in store.audit.search()]
    assert ("POST /api/v1/datasets", 201) in actions or ("POST /api/v1/datasets", 202) in actions
    assert (f"DELETE {place}", 204) in actions


@pytest.mark.attack
def test_hostile_files_are_rejected_and_gone(client, home):
    bomb = {"images/bomb.png": b"\0" * 10**6, "../../evil.png": b"x", "/etc/cron.d/x": b"x"}
    wide = b",".join(b"c%d" % column for column in range(60_000)) + b"\n1\n"
    for name, content, format, code, words in (
        ("bomb", xrays(2, more=bomb), "zip", "over_limit", ["expands", "leads out of the folder", "absolute"]),
        ("wide", wide, "csv", "over_limit", ["60000 columns"]),
        ("text", b"no archive", "npz", "data", []),
    ):
        answer = upload(client, name, content, format=format)
        told = client.get(f"/api/v1/datasets/{name}").json()
        assert (told["state"], told["error_code"]) == ("rejected", code), answer.text
        assert all(word in told["error"] for word in words), told["error"]
        assert str(home.root) not in answer.text
        if answer.request.method == "POST":
            assert answer.status_code == (413 if code == "over_limit" else 422)
            assert (answer.json()["code"], answer.json()["detail"]) == (code, told["error"])
        (says,) = client.post("/api/experiments/validate", json={"dataset": name}).json()["errors"]
        assert says.startswith(f"dataset: {name} is rejected: ")
        assert client.delete(f"/api/v1/datasets/{name}").status_code == 204
    assert folders(home) == []
    assert not list(home.root.parent.glob("evil*"))


@pytest.mark.attack
def test_what_is_too_much_or_no_upload_is_refused_before_it_comes(client, store, home):
    def code_of(**changes) -> tuple[int, str]:
        params = {"name": "x", "format": "csv", **changes.pop("params", {})}
        answer = client.post("/api/v1/datasets", params=params, **{"content": b"a\n1\n", **changes})
        return answer.status_code, answer.json().get("code")

    assert code_of(content=b"x" * (2**20 + 1)) == (413, "too_large")
    assert code_of(content=iter([b"a\n1\n"])) == (411, "length_required")
    assert code_of(content=b"") == (422, "empty")
    for name in (MARKUP, "../../x", "digits", "a b", "\u202e"):
        assert code_of(params={"name": name}) == (422, "name")
    assert code_of(params={"format": "exe"}) == (422, None)
    other = store.datasets.begin("other", format="csv", num_bytes=2**21 - 2, quota=2**21)
    assert code_of() == (413, "quota")
    store.datasets.drop(other.id)
    assert folders(home) == []


@pytest.mark.attack
def test_a_connection_that_is_cut_or_silent_leaves_nothing(client, home):
    place, port = "/api/v1/datasets/half", client.base_url.port
    head = (
        f"POST /api/v1/datasets?name=half&format=zip HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n"
    )
    for cut in (True, False):
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
            connection.sendall(head.encode() + b"PK" * 50)
            if cut:
                wait_for(lambda: client.get(place).status_code == 200)
                half = client.get(place).json()
                assert (half["state"], half["bytes"], half["sha256"]) == ("uploading", 1000, None)
                assert client.delete(place).json()["code"] == "in_use"
            else:
                assert b'"code":"slow"' in connection.recv(10_000)
        wait_for(lambda: client.get(place).status_code == 404)
        wait_for(lambda: not folders(home))


@pytest.mark.attack
def test_a_tenant_whose_uploads_trickle_holds_up_itself_and_not_for_long(client, home):
    def begun(name: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", client.base_url.port), timeout=WAIT_S)
        connection.sendall(
            f"POST /api/v1/datasets?name={name}&format=zip HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\nPK".encode()
        )
        wait_for(lambda: client.get(f"/api/v1/datasets/{name}").status_code == 200)
        return connection

    trickling = [begun(f"slow-{number}") for number in range(MOST_OF_TENANT)]
    ended = [threading.Thread(target=_trickle, args=(one,)) for one in trickling]
    for one in ended:
        one.start()
    refused = upload(client, "another", b"PK")
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    for one in ended:
        one.join(WAIT_S)
        assert not one.is_alive()
    wait_for(lambda: not folders(home))
    assert upload(client, "another", b"PK").json()["code"] == "data", "its turn has come"
    assert client.delete("/api/v1/datasets/another").status_code == 204


def _trickle(connection: socket.socket) -> None:
    """Send a byte at a time until the server says that this is too slow."""
    with connection:
        connection.settimeout(0.1)
        for _ in range(300):
            connection.sendall(b"x")
            try:
                assert b'"code":"slow"' in connection.recv(10_000)
            except TimeoutError:
                continue
            return


def test_a_table_needs_rows_with_its_target(client, store, home):
    row = store.datasets.begin("beds", format="csv", num_bytes=9, quota=9)
    file = home.dataset_dir(row.id) / row.file_name
    file.parent.mkdir(parents=True)
    file.write_text("age,sick\n1,0\n")
    wanted = {
        "dataset": "beds",
        "config_overrides": {"task": "tabular_classification", "data.target": "sick", "model": "mlp"},
    }

    def errors() -> list[str]:
        return client.post("/api/experiments/validate", json=wanted).json()["errors"]

    assert errors() == ["dataset: beds is uploading"]
    store.datasets.received(row.id, sha256="0" * 64)
    columns = [{"name": name, "missing": missing} for name, missing in (("age", 3), ("sick", 2))]
    store.datasets.accept(row.id, kind="table", labelled=51, found={"columns": columns})
    assert errors() == ["dataset: beds has 49 rows with 'sick'; this server trains on 50 or more"]
    wanted["config_overrides"]["data.target"] = "age"
    columns[0]["missing"] = 1
    with store.database.write() as connection:
        connection.execute(sa.update(dataset).values(found={"columns": columns}))
    assert errors() == []
    file.unlink()
    assert errors()[0].startswith("dataset: the file of beds is not on this server")
    assert client.delete("/api/v1/datasets/beds").status_code == 204


def test_what_a_killed_server_left_is_swept(store, home):
    rows = [store.datasets.begin(name, format="csv", num_bytes=1, quota=9) for name in "abc"]
    for row in rows:
        home.dataset_dir(row.id).mkdir(parents=True)
    store.datasets.received(rows[1].id, sha256="0" * 64)
    with store.database.write() as connection:
        gone = dataset.c.id.in_([row.id for row in rows[:2]])
        connection.execute(sa.update(dataset).where(gone).values(pid_started=1.0))
    sweep_datasets(store, home=home)
    assert [(row.name, row.state, row.error_code) for row in store.datasets.search()] == [
        ("b", "rejected", "interrupted"),
        ("c", "uploading", None),
    ]
    assert folders(home) == [home.dataset_dir(rows[2].id)]


def test_limits_are_named(tmp_path):
    assert DatasetLimits.of(["labelled=20", "bytes=5"]).labelled == 20
    for wrong in ("labelled", "labelled=-1", "label=1", "bytes=1e9", "rows=" + "9" * 99):
        with pytest.raises(ConfigError, match=r"--dataset-limit '.*expected NAME=NUMBER with one of the names"):
            DatasetLimits.of([wrong])
    assert json.dumps(DatasetLimits().read)
