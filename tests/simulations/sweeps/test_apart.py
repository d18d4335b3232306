"""Workers that have no database of the sweep's: what they trained comes back through Dask, checked and once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.config.stored import read_snapshot
from shared.runtime.errors import ConfigError
from shared.tracking.model_card import weights_path
from shared.tracking.run_bundle import BundleError
from shared.tracking.trials import NewTrial
from shared.tracking.twins import family
from simulations.execute import execute
from simulations.sweeps.apart import keep_results, outcome_problem, own_home, pack_results, reaches
from simulations.sweeps.order import Outcome, Results
from simulations.sweeps.sweep import resume_sweep

SMALL = [
    *("data=npz", "data.image_size=8", "data.batch_size=32", "model.widths=[2,4]", "model.hidden=8"),
    *("trainer.accelerator=cpu", "partition=iid", "federation.num_clients=2", "federation.num_rounds=2"),
    *("federation.local_epochs=1", "compare.resamples=100"),
]


@pytest.fixture
def sweep(store) -> int:
    trial = NewTrial(settings=[], seed=1, config={"name": "mine", "description": "", "seed": 1}, digest="x")
    return store.trials.create([trial], name="mine", description="", config={}, summary={"sweep": {}})


def test_a_worker_tells_whether_it_reaches_the_database(store, home, sweep, tmp_path):
    started = store.runs.get(sweep).started.isoformat()
    assert reaches(home.database_url, sweep, started)
    assert not reaches(home.database_url, sweep, "2026-01-01T00:00:00+00:00")  # another database
    nowhere = tmp_path / "nowhere.db"
    assert not reaches(f"sqlite:///{nowhere}", sweep, started)
    assert not nowhere.exists()
    assert not reaches("postgresql://nobody@127.0.0.1:1/none", sweep, started)


def test_a_trial_has_a_home_of_its_own_with_the_decoded_data(home):
    left = home.root / "trials" / "99999999"  # of a process that was killed
    left.mkdir(parents=True)
    home.cache.mkdir(exist_ok=True)
    (home.cache / "decoded").touch()
    with own_home() as own:
        assert own.root.parent == left.parent
        assert (own.cache / "decoded").exists()
        assert not left.exists()
    assert not own.root.exists()
    assert (home.cache / "decoded").exists()


def test_only_results_of_the_trial_are_kept(store, home, sweep, tmp_path):
    run_id = store.runs.create(name="x", training_mode="centralized", config={}, seed=1)
    store.runs.finish(run_id, "completed")
    good = pack_results(store, run_id, home=home, keep_models=True)

    def keep(results):
        return keep_results(results, sweep_id=sweep, number=1, mode="centralized", store=store, home=home)

    for name in ("1/../../x", f"{run_id}/checkpoints/a.pkl", f"{run_id}//etc/passwd", "99/trial.log"):
        with pytest.raises(BundleError, match="its log and chosen models alone"):
            keep(replace(good, files={name: b""}))
    with pytest.raises(BundleError, match="expected the results of a trial, got NoneType"):
        keep(None)
    with pytest.raises(BundleError, match="runs arrive as bytes, got list"):
        keep(Results([], {}))  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="trial 1 is a federated run, but centralized came back"):
        keep_results(good, sweep_id=sweep, number=1, mode="federated", store=store, home=home)
    assert store.trials.get(sweep, 1).status == "waiting"

    ids = keep(replace(good, files={f"{run_id}/trial.log": b"said"}))
    assert (home.run_dir(ids[run_id]) / "trial.log").read_bytes() == b"said"
    assert keep(good) is None

    assert outcome_problem(Outcome(1, "completed", 1.0, 2.0), number=1) is None
    assert "expected the outcome of trial 1, got str" in str(outcome_problem("done", number=1))
    assert "has no seconds" in str(outcome_problem(Outcome(1, "completed", float("nan")), number=1))
    assert "is not one of completed, failed" in str(outcome_problem(Outcome(1, "ok"), number=1))  # type: ignore[arg-type]


def test_how_results_arrive_is_of_another_scheduler(store, home, sweep):
    with pytest.raises(ConfigError, match="are of the workers of another scheduler"):
        resume_sweep(sweep, store=store, home=home, results="dask")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_results_come_back_through_dask(start, cluster, store, home, two_classes, tmp_path):
    there = cluster(workers=0)
    elsewhere = tmp_path / "elsewhere"
    there.add_worker(FEDTWIN_HOME=str(elsewhere), FEDTWIN_DATABASE_URL="")
    plan = ["--cell", "strategy=fedavg", "--cell", "trainer.optimizer.lr=1e30", "seed=1", *SMALL]
    data = f"data.path={two_classes}"
    through = ["--scheduler", there.address, "--results", "dask", "--keep-models"]
    assert start("fedtwin", "sweep", *plan, data, *through).wait(timeout=600) == 2

    trials = store.trials.of_sweep(1)
    assert [trial.status for trial in trials] == ["completed", "failed"]
    assert str(trials[1].error).startswith("DivergedError: ")
    assert [store.runs.get(trial.run_id).status for trial in trials] == ["completed", "failed"]
    runs = family(store, trials[0].run_id)
    assert [one.training_mode for one in runs] == ["compare", "centralized", "federated"]
    assert all(weights_path(home, one) for one in runs[1:])
    assert (home.run_dir(runs[0].id) / "trial.log").stat().st_size
    assert list((elsewhere / "trials").glob("*")) == []

    # What a command of its own reaches and stores, to the last bit.
    cfg = read_snapshot(store.trials.configs(1)[1])
    plain = family(store, execute(cfg, "compare", store=store, home=home, alone=True))
    assert runs[0].summary["gap"] == plain[0].summary["gap"]
    for mine, other in zip(runs[1:], plain[1:], strict=True):
        for repository in ("metrics", "rounds", "clients", "evaluations"):
            rows = [len(getattr(store, repository).of_run(one.id)) for one in (mine, other)]
            assert rows[0] == rows[1], repository
        assert mine.summary["best"] == other.summary["best"]
    assert Path(home.sweep_dir(1) / "report.html").is_file()
