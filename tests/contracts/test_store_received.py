"""The contract of results that arrive as data: all rows of a trial once, and nothing that is not of a run."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.metrics.point import MetricPoint
from shared.tracking.received import receive_trial
from shared.tracking.rows import ClientRow
from shared.tracking.run_bundle import BundleError, pack_runs, read_runs
from shared.tracking.store import Store
from shared.tracking.trials import NewTrial
from shared.tracking.twins import members_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = {"name": "mine", "description": "", "seed": 1}


@pytest.fixture
def sweep(store) -> int:
    trial = NewTrial(settings=[], seed=1, config=CONFIG, digest="x")
    return store.trials.create([trial, trial], name="mine", description="", config={}, summary={})


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The database of a worker, with a comparison whose ids another run has here."""
    with Store(f"sqlite:///{tmp_path_factory.mktemp('elsewhere') / 'worker.db'}") as there:
        make = {"name": "mine", "config": CONFIG, "seed": 1}
        for _ in range(5):
            there.runs.create(training_mode="local", **make)
        compare = there.runs.create(training_mode="compare", **make)
        pooled = there.runs.create(training_mode="centralized", parent_id=compare, **make)
        federated = there.runs.create(training_mode="federated", parent_id=compare, **make)
        there.metrics.add(pooled, [MetricPoint("val", "accuracy", 0.5, epoch=1, num_examples=3, time=NOW)])
        there.metrics.add(federated, [MetricPoint("val", "loss", math.nan, round=1, client_id=0, time=NOW)])
        there.rounds.add(
            federated,
            round=1,
            began=NOW,
            ended=NOW + timedelta(seconds=2),
            sampled=[0, 1],
            replied=[0],
            failed={1: "away"},
            bytes_down=8,
            bytes_up=4,
            seconds=2.0,
        )
        matrix = [[3, 0], [1, 2]]
        there.evaluations.add(
            federated, round=1, loss=math.inf, metrics={"auroc": 0.75}, confusion=matrix, num_examples=6
        )
        there.clients.add(federated, [ClientRow(federated, 0, "7", "a", 9, {"labels": [4, 5]})])
        twins = {"seeds": [1], "pooled": [pooled], "federated": [federated], "local": [], "fine_tuned": []}
        there.runs.update(compare, summary={"twins": twins, "borrowed": [pooled], "metric": "auroc"})
        for run_id in (pooled, federated, compare):
            there.runs.finish(run_id, "completed")
        yield there, compare


def test_a_trial_arrives_with_all_its_rows_once(store, sweep, elsewhere):
    there, compare = elsewhere
    run_id = store.trials.begin(sweep, 2, mode="compare")
    runs = read_runs(pack_runs(there, compare))
    placed = []
    ids = receive_trial(store.database, sweep, 2, runs, place=placed.append)
    assert placed == [ids]
    assert ids[compare] == run_id  # that which it had when it began
    trial = store.trials.get(sweep, 2)
    assert (trial.status, trial.run_id, trial.error) == ("completed", run_id, None)

    here, then = store.runs.get(run_id), there.runs.get(compare)
    assert (here.status, here.started, here.ended) == ("completed", then.started, then.ended)
    assert (here.parent_id, here.sweep_id, here.summary["metric"]) == (sweep, sweep, "auroc")
    pooled, federated = members_of(store, here)
    assert [pooled.training_mode, federated.training_mode] == ["centralized", "federated"]
    assert here.summary["twins"] == {
        "seeds": [1],
        "pooled": [pooled.id],
        "federated": [federated.id],
        "local": [],
        "fine_tuned": [],
    }
    assert pooled.summary["best"] == {"accuracy": 0.5}
    for own, other in ((pooled, there.runs.children(compare)[0]), (federated, there.runs.children(compare)[1])):
        for repository in ("metrics", "rounds", "clients", "evaluations"):
            rows = [
                replace(row, run_id=0, **({"id": 0} if repository == "metrics" else {}))
                for row in getattr(store, repository).of_run(own.id)
            ]
            expected = [
                replace(row, run_id=0, **({"id": 0} if repository == "metrics" else {}))
                for row in getattr(there, repository).of_run(other.id)
            ]
            assert repr(rows) == repr(expected)  # NaN is not equal to itself

    assert receive_trial(store.database, sweep, 2, runs) is None  # it is complete
    assert len(store.runs.children(sweep)) == 1
    assert receive_trial(store.database, sweep, 1, runs) is not None  # one that nobody saw begin
    assert len(store.runs.children(sweep)) == 2


def test_files_that_cannot_be_kept_leave_nothing(store, sweep, elsewhere):
    def full(ids):
        raise OSError("the disk is full")

    there, compare = elsewhere
    with pytest.raises(OSError, match="full"):
        receive_trial(store.database, sweep, 1, read_runs(pack_runs(there, compare)), place=full)
    assert store.runs.children(sweep) == []
    assert store.trials.get(sweep, 1).status == "waiting"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda runs: runs[0].update(status="running"), "status"),
        (lambda runs: runs[0].update(parent=runs[1]["key"]), "is below no other"),
        (lambda runs: runs[1].update(parent=99), "is below one that is not in it"),
        (lambda runs: runs[2].update(tenant="other"), "Extra inputs are not permitted"),
        (lambda runs: runs[1]["points"][0].__setitem__(0, "secret"), "'train', 'val' or 'test'"),
        (lambda runs: runs[1]["points"][0].__setitem__(4, -1), "greater than or equal to 0"),
        (lambda runs: runs[2]["tables"].update(token=[{}]), "has rows of 'token'"),
        (lambda runs: runs[2]["tables"]["round"][0].update(run_id=1), "a row of round has"),
        (lambda runs: runs[2]["tables"]["round"][0].update(bytes_up="1; DROP"), "bytes_up of a row of round"),
        (lambda runs: runs[2]["tables"]["client"][0].update(node_id="7" * 41), "node_id of a row of client"),
        (lambda runs: runs[0]["summary"]["twins"].update(pooled=[1]), "not in its bundle"),
    ],
)
def test_what_is_no_run_is_refused_by_name(elsewhere, change, problem):
    document = json.loads(zlib.decompress(pack_runs(*elsewhere)))
    change(document["runs"])
    with pytest.raises(BundleError, match=problem):
        read_runs(zlib.compress(json.dumps(document).encode()))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04.", zlib.compress(b"[]"), zlib.compress(b"{}")[:-2], "text"]
)
def test_what_is_no_bundle_is_refused_by_name(content):
    with pytest.raises(BundleError):
        read_runs(content)
