"""A run as an RO-Crate: read again by the library, and entity by entity."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

from shared.runtime.errors import ConfigError
from shared.runtime.home import Home
from shared.tracking.ro_crate import write_crate
from shared.tracking.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path, database_url=f"sqlite:///{tmp_path / 'fedtwin.db'}")


@pytest.fixture
def run_id(home: Home) -> int:
    config = {
        "trainer": {"test_model": "best", "lr": 0.5},
        "data": {"path": "/srv/ward-7/xrays.zip"},
        "database": "postgresql://me:hunter2@db.example/x",
    }
    with Store(home.database_url) as store:
        found = store.runs.create(name="ward 7", training_mode="centralized", config=config, seed=1)
        packages = {"fedtwin": "0.1.0", "torch": "2.6"}
        environment = {"packages": packages, "commits": {"fedtwin": "abc"}}
        test = {"accuracy": 0.9, "loss": None}
        store.runs.update(
            found, summary={"test": test, "environment": environment, "data": {"rows": 9, "layout": "zip"}}
        )
        store.runs.tag(found, add=["paper"])
        folder = home.run_dir(found)
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.ckpt").write_bytes(b"weights")
        (folder / "test_predictions.npz").write_bytes(b"rows of patients")
    return found


def write(home: Home, run_id: int, path: Path) -> dict:
    with Store(home.database_url) as store:
        if not store.runs.get(run_id).finished:
            store.runs.finish(run_id, "completed")
        write_crate(store, run_id, home=home, path=path)
    text = (path / "ro-crate-metadata.json").read_text()
    assert "hunter2" not in text
    assert "/srv" not in text.replace("/srv/ward-7/xrays.zip", "", 1)  # a setting alone names the path
    return {one["@id"]: one for one in json.loads(text)["@graph"]}


def test_what_is_in_it(home, run_id, tmp_path):
    from rocrate.rocrate import ROCrate

    found = write(home, run_id, tmp_path / "crate")
    action = found[f"#run-{run_id}"]
    assert (action["@type"], action["actionStatus"]["@id"]) == (
        "CreateAction",
        "http://schema.org/CompletedActionStatus",
    )
    assert action["startTime"] <= action["endTime"]
    software = found[action["instrument"]["@id"]]
    assert software["softwareVersion"] == "0.1.0 (commit abc)"
    assert software["softwareRequirements"] == [{"@id": "pkg:pypi/torch@2.6"}]
    objects = [found[one["@id"]] for one in action["object"]]
    assert (objects[0]["@type"], objects[0]["name"]) == ("Dataset", "xrays.zip")
    assert {one["name"]: one["value"] for one in objects[1:]}["trainer.lr"] == "0.5"
    results = {one["@id"]: found[one["@id"]] for one in action["result"]}
    weights = f"run-{run_id}/model/best.ckpt"
    assert (results[weights]["@type"], results[weights]["contentSize"]) == ("File", "7")
    assert results[f"#run-{run_id}/metric/test/accuracy"]["value"] == 0.9
    assert len(results) == 2, "no undefined metric, and no predictions"
    assert found["ro-crate-metadata.json"]["conformsTo"]["@id"] == "https://w3id.org/ro/crate/1.2"
    assert (tmp_path / "crate" / weights).read_bytes() == b"weights"
    again = ROCrate(tmp_path / "crate")
    assert again.dereference(weights).type == "File"
    assert again.root_dataset["license"]


def test_a_zip_replaces_another(home, run_id, tmp_path):
    write(home, run_id, tmp_path / "crate")
    path = tmp_path / "crate.zip"
    with Store(home.database_url) as store:
        for _ in range(2):
            assert write_crate(store, run_id, home=home, path=path) == path
    with zipfile.ZipFile(path) as archive:
        assert {"ro-crate-metadata.json", f"run-{run_id}/model/best.ckpt"} <= set(archive.namelist())
    assert not list(tmp_path.glob(".crate-*"))


def test_what_cannot_be(home, run_id, tmp_path, monkeypatch):
    with Store(home.database_url) as store:
        with pytest.raises(ConfigError, match="has ended"):
            write_crate(store, run_id, home=home, path=tmp_path / "new")
        store.runs.finish(run_id, "completed")
        with pytest.raises(ConfigError, match="is there already"):
            write_crate(store, run_id, home=home, path=tmp_path)
        monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
        with pytest.raises(ConfigError, match=r"fedtwin\[crate\]"):
            write_crate(store, run_id, home=home, path=tmp_path / "new")
