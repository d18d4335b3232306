"""The contract of all trackers: rows once and nested runs, settings, results; what was missed comes later."""

from __future__ import annotations

import itertools
import json
import math
import threading
from pathlib import Path

import pytest

from service.integrations.follower import Follower
from service.integrations.tracker import TrackerAway
from shared.runtime.errors import TrackingError
from shared.tracking.metrics import Metrics
from shared.tracking.tenants import Tenant
from tests.contracts.test_store_models import complete
from tests.service.live_kit import add_round, new_run, point, until

CONFIG = {"seed": 7, "trainer": {"lr": 0.5, "test_model": "best"}, "data": {"path": "xrays.zip"}}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def follower(store, home, place, said) -> Follower:
    # Each test has a database of its own; the tracker keeps what others left, under other ids.
    first = next(_ids)
    for _ in range(first):
        store.runs.create(name="other", training_mode="centralized", config={}, seed=1, status="pending")
    return Follower(store, place.tracker, home=home, say=said.append)


_ids = itertools.count(0, 20)


def rows_of(store, run_id):
    return sorted(
        (
            f"{f'client-{row.client_id}/' if row.client_id is not None else ''}{row.stage}/{row.name}",
            row.round or row.epoch or 0,
            pytest.approx(row.value, rel=1e-6),
        )
        for row in store.metrics.of_run(run_id)
    )


def measured(place, run_id):
    return sorted(value for value in place.values(run_id) if "/" in value[0] and value[0][:4] != "gap/")


def test_a_comparison_with_its_runs(store, home, place, follower, said):
    parent = new_run(store, training_mode="compare", name="both twins", config=CONFIG)
    pooled = new_run(store, training_mode="centralized", parent_id=parent, config=CONFIG, name="pooled (a/b)")
    federated = new_run(store, parent_id=parent, config=CONFIG)
    store.metrics.add(pooled, [point(0.5, epoch=1), point(0.75, epoch=2), point(1e300, epoch=1, name="loss")])
    add_round(store, federated, 1)
    follower.catch_up()
    add_round(store, federated, 2)
    for run_id in (pooled, federated, parent):
        store.runs.finish(run_id, "completed")
    assert follower.catch_up() == []
    assert follower.catch_up() == []
    assert [key for key, _, _ in measured(place, pooled)] == ["val/accuracy", "val/accuracy", "val/loss"]
    assert measured(place, federated) == rows_of(store, federated)
    assert ("training_seconds", 0) in [value[:2] for value in place.values(federated)]
    assert place.is_below(pooled, parent)
    assert place.is_below(federated, parent)
    assert {"trainer.lr", "data.path", "seed"} <= place.settings(pooled).keys()
    assert said == []


def test_values_that_are_not_numbers(store, place, follower):
    run_id = new_run(store)
    store.metrics.add(run_id, [point(value, round=n) for n, value in enumerate((math.nan, 0.5), start=1)])
    follower.catch_up()
    values = {step: value for _, step, value in place.values(run_id)}
    assert math.isnan(values[1])
    assert values[2] == 0.5


def test_what_was_sent_and_not_noted_is_there_once(store, place, follower, monkeypatch):
    """As where the process is killed between the two."""
    run_id = new_run(store)
    for number in (1, 2):
        add_round(store, run_id, number)
    with monkeypatch.context() as patched:
        patched.setattr(store.follows, "save", _dies)
        with pytest.raises(KeyboardInterrupt):
            follower.catch_up()  # has begun
    follower.catch_up()
    add_round(store, run_id, 3)
    store.runs.finish(run_id, "completed")
    for _ in range(2):  # the rows, then the end
        with monkeypatch.context() as patched:
            patched.setattr(store.follows, "save", _dies)
            with pytest.raises(KeyboardInterrupt):
                follower.catch_up()
    follower.catch_up()
    assert measured(place, run_id) == rows_of(store, run_id)
    assert len(place.values(run_id)) == len(measured(place, run_id)) + 1  # training_seconds, once


def _dies(*_, **__):
    raise KeyboardInterrupt


def test_a_lost_tracker_gets_what_it_missed(store, home, place, follower, said):
    """Nothing of the run's own waits for it, and who follows waits until it is back."""
    run_id = new_run(store)
    stop = threading.Event()
    follower.catch_up()
    thread = threading.Thread(target=follower.follow, args=(stop,), kwargs={"pause_s": 0.01})
    with place.lost():
        add_round(store, run_id, 1)
        with pytest.raises(TrackerAway):
            follower.catch_up()
        thread.start()
        until(lambda: said)
        add_round(store, run_id, 2)
        store.runs.finish(run_id, "completed")
    until(lambda: not store.follows.due(place.tracker.target))
    with pytest.raises(TrackingError, match="another process already follows"):
        Follower(store, place.tracker, home=home, say=print).follow(stop)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert measured(place, run_id) == rows_of(store, run_id)
    assert "what is missed is sent later" in said[0]
    assert said[-1].endswith("sending again")


def test_a_resumed_run_goes_on(store, place, follower):
    run_id = new_run(store)
    add_round(store, run_id, 1)
    store.runs.finish(run_id, "failed", error="a site was lost")
    follower.catch_up()
    store.runs.claim(run_id, config={"seed": 7, "rounds": 2}, resume=True)
    add_round(store, run_id, 2)
    store.runs.rename(run_id, "another name")
    store.runs.finish(run_id, "completed")
    follower.catch_up()
    assert measured(place, run_id) == rows_of(store, run_id)


def test_more_rows_than_are_sent_at_once(store, place, follower):
    run_id = new_run(store)
    count = 1000 if place.nests_by != "folder" else 2000
    Metrics.add(store.metrics, run_id, [point(n / 4, round=n) for n in range(1, count + 1)])
    store.runs.finish(run_id, "completed")
    follower.catch_up()
    assert [step for key, step, _ in place.values(run_id) if key == "val/accuracy"] == list(range(1, count + 1))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["mlflow"], indirect=True)
def test_files_versions_and_aliases_in_mlflow(store, home, place, follower, tmp_path):
    number = len(store.runs.search()) + 1
    folder = home.run_dir(number) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "best.ckpt").write_bytes(b"weights")
    (home.run_dir(number) / "test_predictions.npz").write_bytes(b"rows of patients")
    first = complete(store, trainer__test_model="best", password="postgresql://me:hunter2@db.example/x")
    store.metrics.add(first, [point(0.5, epoch=1)])
    other = complete(store.of(Tenant("ward-8")))
    follower.catch_up()
    second = complete(store, trainer__max_epochs=3)
    store.runs.tag(first, add=["paper"])
    store.models.promote("ward-7", "1.0.0")
    assert follower.catch_up() == []
    client, run = place.client, place.run(first)
    assert (run.info.status, run.info.run_name, run.data.tags["fedtwin.tags"]) == (
        "FINISHED",
        "ward 7",
        "paper",
    )
    assert "hunter2" not in json.dumps([run.data.params, run.data.tags])
    files = [file.path for file in client.list_artifacts(run.info.run_id, "model")]
    assert files == ["model/best.ckpt"]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["model"]
    loaded = client.download_artifacts(run.info.run_id, "model/best.ckpt", str(tmp_path))
    assert Path(loaded).read_bytes() == b"weights"
    versions = {one.tags["fedtwin.version"]: one for one in client.search_model_versions("name = 'ward-7'")}
    assert {name: one.run_id for name, one in versions.items()} == {
        "1.0.0": run.info.run_id,
        "1.1.0": place.run(second).info.run_id,
    }
    assert client.get_model_version_by_alias("ward-7", "production").version == versions["1.0.0"].version
    (apart,) = client.search_model_versions("name = 'ward-7 (ward-8)'")
    assert apart.run_id == place.run(other).info.run_id, "another tenant's model of the same name"
    store.models.promote("ward-7", "1.1.0")
    follower.catch_up()
    assert client.get_model_version_by_alias("ward-7", "production").version == versions["1.1.0"].version
    store.models.remove_alias("ward-7", "production")
    follower.catch_up()
    assert client.get_registered_model("ward-7").aliases == {}
    client.delete_run(place.run(second).info.run_id)
    store.runs.rename(second, "other")
    (refused,) = follower.catch_up()
    assert refused.startswith(f"run {second}: MLflow at http://127.0.0.1:")
